"""Claim, beat, finish and recover, as rows of a real ledger."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from gql_server import ledger
from gql_server.db import models
from gql_server.db.models import EntityType, JobResult
from gql_server.ledger import interventions, locks
from gql_server.worker import ClaimedJob, Outcome, RejectedRow
from tests.ledger.conftest import Ledger


async def test_a_submitted_job_carries_its_minted_pipeline(work: Ledger) -> None:
    submitted = await work.submit("noop", year=2024)

    job = await work.job(submitted.job_id)
    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (job.state, job.pipeline_id, job.status_message) == ("NOT_STARTED", submitted.pipeline_id, "Job created")
    assert (pipeline.kind, pipeline.status, pipeline.year, pipeline.job_count) == ("noop", "NOT_STARTED", 2024, 1)
    assert submitted.pipeline_id.version == 7


async def test_w1_of_two_workers_claiming_one_job_exactly_one_wins(work: Ledger) -> None:
    submitted = await work.submit("noop")

    claims = await asyncio.gather(*(work.claim(f"w{number}") for number in range(8)))

    assert [job.id for claimed in claims for job in claimed] == [submitted.job_id]
    assert (await work.job(submitted.job_id)).attempts == 1


async def test_w2_a_job_is_claimable_only_once_it_is_due(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.execute("UPDATE data_ingestion_jobs SET run_after = clock_timestamp() + interval '1 hour'")

    assert await work.claim() == []

    await work.execute("UPDATE data_ingestion_jobs SET run_after = clock_timestamp() - interval '1 second'")
    assert [job.id for job in await work.claim()] == [submitted.job_id]


async def test_w2_a_job_without_an_attempt_left_is_not_claimable(work: Ledger) -> None:
    await work.submit("noop")
    await work.execute("UPDATE data_ingestion_jobs SET attempts = max_attempts")

    assert await work.claim() == []


async def test_a_job_without_a_type_is_left_alone(work: Ledger) -> None:
    await work.submit("noop")
    await work.execute("UPDATE data_ingestion_jobs SET job_type = NULL")

    assert await work.claim() == []


async def test_jobs_that_share_a_lock_are_claimed_one_at_a_time_and_oldest_first(work: Ledger) -> None:
    first = await work.submit("csv_ingest")
    await work.submit("csv_ingest")
    elsewhere = await work.submit("csv_ingest", module_type_id=5)

    assert [job.id for job in await work.claim(most=10)] == [first.job_id, elsewhere.job_id]
    assert await work.claim(most=10) == []


async def claimable_beside(work: Ledger, first: dict[str, Any], second: dict[str, Any]) -> bool:
    """True if the second job may run while the first one does."""
    await work.submit(**first)
    assert len(await work.claim("w1")) == 1
    await work.submit(**second)
    return len(await work.claim("w2")) == 1


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ({"job_type": "aggregation"}, {"job_type": "aggregation", "module_type_id": 5}, False),
        ({"job_type": "aggregation"}, {"job_type": "aggregation", "year": 2026}, True),
        ({"job_type": "aggregation"}, {"job_type": "aggregation", "provider": "TEST"}, True),
    ],
)
async def test_c11_aggregations_of_one_year_run_one_after_the_other(
    work: Ledger, first: dict[str, Any], second: dict[str, Any], together: bool
) -> None:
    assert await claimable_beside(work, first, second) is together


@pytest.mark.parametrize(
    ("second", "together"),
    [
        ({"job_type": "aggregation"}, False),
        ({"job_type": "aggregation", "year": 2026}, True),
        ({"job_type": "unit_sync", "year": 2026}, False),
    ],
)
async def test_c12_a_unit_sync_excludes_its_years_aggregations_and_every_other_sync(
    work: Ledger, second: dict[str, Any], together: bool
) -> None:
    assert await claimable_beside(work, {"job_type": "unit_sync"}, second) is together


@pytest.mark.parametrize(("module", "together"), [(4, False), (5, True)])
async def test_c13_a_recalculation_waits_for_the_factors_of_its_module(work: Ledger, module: int, together: bool) -> None:
    work.register("factor_ingest", locks.module_of_year)
    recalc = {"job_type": "emission_recalc", "module_type_id": module, "data_entry_type_id": 10}

    assert await claimable_beside(work, {"job_type": "factor_ingest"}, recalc) is together


async def test_w5_a_claim_demotes_the_finished_current_sibling(work: Ledger) -> None:
    first = await work.submit("noop", data_entry_type_id=10)
    await work.drain()
    second = await work.submit("noop", data_entry_type_id=10)

    await work.claim()

    assert (await work.job(first.job_id)).is_current is False
    assert (await work.job(second.job_id)).is_current is True


async def test_a_running_sibling_keeps_is_current_and_the_claim_waits(work: Ledger) -> None:
    first = await work.submit("noop", data_entry_type_id=10)
    await work.claim()
    second = await work.submit("noop", data_entry_type_id=10)

    assert await work.claim("w2") == []

    waiting = await work.job(second.job_id)
    assert (waiting.state, waiting.attempts) == ("NOT_STARTED", 0)
    assert (await work.job(first.job_id)).is_current is True


async def test_w6_a_unit_specific_job_never_touches_the_current_rows(work: Ledger) -> None:
    per_year = await work.submit("noop", data_entry_type_id=10)
    await work.drain()
    await work.submit("noop", data_entry_type_id=10, entity_type=EntityType.MODULE_UNIT_SPECIFIC)

    await work.drain()

    current = await work.jobs(models.Job.is_current)
    assert [job.id for job in current] == [per_year.job_id]


async def test_a_beat_keeps_what_is_held_and_tells_what_was_lost(work: Ledger) -> None:
    await work.submit("noop")
    await work.submit("noop")
    kept, stolen = await work.claim(most=2)
    await work.execute("UPDATE data_ingestion_jobs SET locked_by = 'thief' WHERE id = :id", id=stolen.id)

    async with work.engine.begin() as connection:
        held = await ledger.beat(connection, "w1", {kept.id: 1, stolen.id: 1})

    assert held == {kept.id}


async def test_an_older_attempt_of_the_same_worker_can_write_nothing(work: Ledger) -> None:
    await work.submit("noop")
    [old] = await work.claim()
    await work.execute("UPDATE data_ingestion_jobs SET state = 'NOT_STARTED', locked_by = NULL")
    [new] = await work.claim()
    assert new.attempt == 2

    async with work.engine.begin() as connection:
        assert await ledger.note(connection, "w1", old, message="still alive") is False
        assert await ledger.finish(connection, "w1", old, Outcome()) is False
        assert await ledger.finish(connection, "w1", new, Outcome()) is True


async def test_finish_happens_once(work: Ledger) -> None:
    submitted = await work.submit("noop")
    [job] = await work.claim()

    async with work.engine.begin() as connection:
        first = await ledger.finish(connection, "w1", job, Outcome(result=JobResult.WARNING, message="so so"))
        second = await ledger.finish(connection, "w1", job, Outcome())

    row = await work.job(submitted.job_id)
    assert (first, second) == (True, False)
    assert (row.state, row.result, row.status_message) == ("FINISHED", "WARNING", "so so")
    assert row.finished_at is not None


async def test_finish_keeps_row_errors_in_a_table_of_their_own(work: Ledger) -> None:
    await work.submit("noop")
    [job] = await work.claim()

    async with work.engine.begin() as connection:
        await ledger.finish(connection, "w1", job, Outcome(row_errors=[RejectedRow(3, "too big", "fte", "7")]))

    async with work.engine.connect() as connection:
        rows = (await connection.execute(models.RowError.__table__.select())).all()
    assert [(row.job_id, row.row, row.column, row.reason, row.value) for row in rows] == [(job.id, 3, "fte", "too big", "7")]


async def test_w20_history_keeps_the_last_fifty_messages_and_the_terminal_one(work: Ledger) -> None:
    await work.submit("noop")
    [job] = await work.claim()

    for number in range(60):
        async with work.engine.begin() as connection:
            await ledger.note(connection, "w1", job, message=f"step {number}")
    async with work.engine.begin() as connection:
        await ledger.finish(connection, "w1", job, Outcome(message="done"))

    messages = [entry["message"] for entry in (await work.job(job.id)).meta["status_history"]]
    assert messages == [f"step {number}" for number in range(11, 60)] + ["done"]


@pytest.mark.parametrize(("attempts", "state", "result"), [(1, "NOT_STARTED", None), (3, "FINISHED", "ERROR")])
async def test_w12_a_silent_workers_job_is_requeued_and_given_up_after_its_last_attempt(
    work: Ledger, attempts: int, state: str, result: str | None
) -> None:
    submitted = await work.submit("noop")
    await work.claim("gone")
    await work.execute(
        "UPDATE data_ingestion_jobs SET attempts = :attempts, locked_at = clock_timestamp() - interval '1 minute'",
        attempts=attempts,
    )

    async with work.engine.begin() as connection:
        recovered = await ledger.recover(connection)

    row = await work.job(submitted.job_id)
    assert [(job.job_id, job.lost_worker, job.given_up) for job in recovered] == [(submitted.job_id, "gone", attempts == 3)]
    assert (row.state, row.result, row.attempts) == (state, result, attempts)
    assert (row.locked_by, row.locked_at, row.is_current) == (None, None, False)
    assert "gone" in row.status_message


async def test_a_fresh_lease_is_not_recovered(work: Ledger) -> None:
    await work.submit("noop")
    await work.claim()

    async with work.engine.begin() as connection:
        assert await ledger.recover(connection) == []


async def test_a_released_job_does_not_lose_an_attempt(work: Ledger) -> None:
    submitted = await work.submit("noop")
    [job] = await work.claim()

    async with work.engine.begin() as connection:
        assert await ledger.release(connection, "w1", job) is True

    row = await work.job(submitted.job_id)
    assert (row.state, row.attempts, row.locked_by) == ("NOT_STARTED", 0, None)


async def test_a_job_remembers_who_claimed_it_last(work: Ledger) -> None:
    submitted = await work.submit("noop")
    [job] = await work.claim("w1")
    async with work.engine.begin() as connection:
        await ledger.release(connection, "w1", job)

    row = await work.job(submitted.job_id)
    assert (row.locked_by, row.claimed_by) == (None, "w1")


async def test_a_released_job_whose_follow_up_waits_keeps_its_attempt(work: Ledger) -> None:
    first = await work.submit("emission_recalc", data_entry_type_id=10)
    [job] = await work.claim()
    await work.submit("emission_recalc", data_entry_type_id=10)

    async with work.engine.begin() as connection:
        assert await ledger.release(connection, "w1", job) is True

    row = await work.job(first.job_id)
    assert (row.state, row.attempts, row.locked_by) == ("NOT_STARTED", 1, None)


async def test_counters_of_an_attempt_do_not_outlive_it(work: Ledger) -> None:
    submitted = await work.submit("noop")
    [job] = await work.claim()
    async with work.engine.begin() as connection:
        await ledger.note(connection, "w1", job, meta={"progress": {"phase": "inserting", "processed": 5, "total": 9}})
        await ledger.finish(connection, "w1", job, Outcome(meta={"rows_processed": 9}))

    meta = (await work.job(submitted.job_id)).meta
    assert ("progress" in meta, meta["rows_processed"]) == (False, 9)


async def test_a_pipeline_id_that_is_no_uuid7_is_refused_by_the_database(work: Ledger) -> None:
    with pytest.raises(IntegrityError, match="id_is_uuid7"):
        await work.execute("INSERT INTO pipelines (id, provider) VALUES ('6f0f4a0e-6b0c-4d0e-9f5e-0d8f6d0f4a0e', 'ACCRED')")


async def test_a_claimed_job_is_its_row_as_its_handler_sees_it(work: Ledger) -> None:
    submitted = await work.submit("csv_ingest", config={"max_row_errors": 3}, scope_module_ids=[7], data_entry_type_id=10)

    [job] = await work.claim()

    row = await work.job(submitted.job_id)
    columns = {"attempt": "attempts"}
    assert {name: getattr(job, name) for name in ClaimedJob.__dataclass_fields__} == {
        name: row._mapping[columns.get(name, name)] for name in ClaimedJob.__dataclass_fields__
    }


async def test_each_worker_is_judged_by_its_own_lease(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.claim("patient")
    await work.execute("UPDATE data_ingestion_jobs SET locked_at = clock_timestamp() - interval '1 minute'")
    await work.execute("INSERT INTO pods (pod_id, lease) VALUES ('patient', '2 minutes')")

    async with work.engine.begin() as connection:
        assert await ledger.recover(connection) == []
        assert not await interventions.requeue(connection, submitted.job_id)

    await work.execute("UPDATE pods SET lease = '30 seconds'")
    async with work.engine.begin() as connection:
        assert [job.job_id for job in await ledger.recover(connection)] == [submitted.job_id]
