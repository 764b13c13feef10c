"""Children, deduplication, and the one aggregation."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gql_server.db import models
from gql_server.db.models import JobResult, JobType
from gql_server.ledger import deduplication
from gql_server.ledger.deduplication import AGGREGATION, EMISSION_RECALC
from gql_server.worker import ChildJob, ClaimedJob, Outcome
from tests.ledger.conftest import RECALCULATIONS, Ledger


async def types_and_results(work: Ledger, pipeline_id: Any) -> list[tuple[str, str]]:
    return [(job.job_type, job.result) for job in await work.jobs(models.Job.pipeline_id == pipeline_id)]


async def test_an_ingest_fans_out_and_exactly_one_aggregation_follows(work: Ledger) -> None:
    submitted = await work.submit()

    await work.drain()

    assert await types_and_results(work, submitted.pipeline_id) == [
        ("csv_ingest", "SUCCESS"),
        *[("emission_recalc", "SUCCESS")] * 3,
        ("aggregation", "SUCCESS"),
    ]
    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.expected_recalc, pipeline.job_count) == ("SUCCESS", 3, 5)
    assert pipeline.owes_aggregation is False


async def test_c6_the_gate_knows_the_expected_count_before_any_child_runs(work: Ledger) -> None:
    submitted = await work.submit()
    [parent] = await work.claim()

    await work.run(parent)

    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.expected_recalc, pipeline.owes_aggregation, pipeline.status) == (3, True, "RUNNING")


async def test_the_aggregation_is_scoped_to_all_that_was_affected(work: Ledger) -> None:
    async def recalc(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(affected_module_ids=[job.data_entry_type_id or 0])

    work.behaviours["emission_recalc"] = recalc
    await work.submit()

    await work.drain()

    [aggregation] = await work.jobs(models.Job.job_type == JobType.AGGREGATION)
    assert aggregation.scope_module_ids == [1, 10, 11, 12]


@pytest.mark.parametrize("failing", [10, 11, 12])
async def test_c4_a_failing_sibling_does_not_stop_the_aggregation(work: Ledger, failing: int) -> None:
    async def recalc(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        if job.data_entry_type_id == failing:
            raise ValueError("boom")
        return Outcome(affected_module_ids=[2])

    work.behaviours["emission_recalc"] = recalc
    submitted = await work.submit()

    await work.drain()

    results = await types_and_results(work, submitted.pipeline_id)
    assert results.count(("aggregation", "SUCCESS")) == 1
    assert results.count(("emission_recalc", "ERROR")) == 1
    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.error_count, pipeline.last_error) == ("PARTIAL", 1, "boom")


@pytest.mark.parametrize(
    ("said", "failing", "scope"),
    [
        pytest.param([1], {10, 11, 12}, [1], id="all failed, and said before whom they were about"),
        pytest.param(None, {10}, [1, 11, 12], id="one failed, and only what it did not do was of everybody"),
        pytest.param(None, {10, 11, 12}, None, id="nobody says whom it was about"),
    ],
)
async def test_what_failed_does_not_make_an_aggregation_one_of_the_whole_year(
    work: Ledger, said: list[int] | None, failing: set[int], scope: list[int] | None
) -> None:
    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        children = [replace(child, affected_module_ids=said) for child in RECALCULATIONS]
        return Outcome(affected_module_ids=[1], children=children)

    async def recalc(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        if job.data_entry_type_id in failing:
            raise ValueError("boom")
        return Outcome(affected_module_ids=[job.data_entry_type_id or 0])

    work.behaviours |= {"csv_ingest": ingest, "emission_recalc": recalc}
    await work.submit()

    await work.drain()

    [aggregation] = await work.jobs(models.Job.job_type == JobType.AGGREGATION)
    assert aggregation.scope_module_ids == scope
    failed = await work.jobs(models.Job.result == JobResult.ERROR)
    assert [job.affected_module_ids for job in failed] == [said] * len(failing)


async def test_c3_siblings_that_finish_together_chain_one_aggregation(work: Ledger) -> None:
    ready = asyncio.Barrier(3)

    async def recalc(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await ready.wait()
        return Outcome(affected_module_ids=[2])

    work.behaviours["emission_recalc"] = recalc
    submitted = await work.submit()
    [parent] = await work.claim()
    await work.run(parent)
    await work.execute("UPDATE data_ingestion_jobs SET lock_keys = '{}'")
    siblings = await work.claim(most=3)

    await asyncio.gather(*(work.run(sibling) for sibling in siblings))

    results = await types_and_results(work, submitted.pipeline_id)
    assert [job_type for job_type, _ in results].count("aggregation") == 1


async def test_c1_a_failed_parent_has_no_children(work: Ledger) -> None:
    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(result=JobResult.ERROR, message="0 inserted", children=RECALCULATIONS)

    work.behaviours["csv_ingest"] = ingest
    submitted = await work.submit()

    await work.drain()

    assert await types_and_results(work, submitted.pipeline_id) == [("csv_ingest", "ERROR")]
    assert (await work.pipeline(submitted.pipeline_id)).status == "FAILED"


async def test_c1_a_warning_chains_like_a_success(work: Ledger) -> None:
    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(result=JobResult.WARNING, message="1 skipped", children=RECALCULATIONS, affected_module_ids=[1])

    work.behaviours["csv_ingest"] = ingest
    submitted = await work.submit()

    await work.drain()

    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.has_warning, pipeline.job_count) == ("SUCCESS", True, 5)


async def test_c7_a_second_upload_widens_the_recalculations_that_still_wait(work: Ledger) -> None:
    first, second = await work.submit(), await work.submit()
    for _ in range(2):
        [parent] = await work.claim()
        await work.run(parent)

    waiting = await work.jobs(models.Job.job_type == "emission_recalc")
    assert [job.pipeline_id for job in waiting] == [first.pipeline_id] * 3
    assert (await work.pipeline(second.pipeline_id)).status == "RUNNING"


async def test_a_collision_widens_the_scope_and_everything_stays_everything(work: Ledger) -> None:
    async def scope_after(ours: list[int] | None, theirs: list[int] | None) -> tuple[list[int] | None, bool]:
        values = {"job_type": "aggregation", "provider": "ACCRED", "module_type_id": 4, "year": 2025}
        row = {**values, "entity_type": "MODULE_PER_YEAR"}
        async with work.engine.connect() as connection:
            await deduplication.insert_job(connection, {**row, "scope_module_ids": ours}, AGGREGATION)
            second = await deduplication.insert_job(connection, {**row, "scope_module_ids": theirs}, AGGREGATION)
            rows = (await connection.execute(models.Job.__table__.select())).all()
            return rows[0].scope_module_ids, second.created

    assert await scope_after([1, 3], [2, 3]) == ([1, 2, 3], False)
    assert await scope_after([1], None) == (None, False)
    assert await scope_after(None, [1]) == (None, False)
    assert await scope_after([], []) == ([], False)


async def test_work_that_arrives_while_one_runs_gets_a_follow_up(work: Ledger) -> None:
    values = {
        "job_type": "aggregation",
        "provider": "ACCRED",
        "module_type_id": 4,
        "year": 2025,
        "entity_type": "MODULE_PER_YEAR",
    }
    async with work.engine.begin() as connection:
        running = await deduplication.insert_job(connection, values, AGGREGATION)
    await work.claim()

    async with work.engine.begin() as connection:
        follow_up = await deduplication.insert_job(connection, values, AGGREGATION)
        again = await deduplication.insert_job(connection, values, AGGREGATION)

    assert follow_up.created is True
    assert follow_up.job_id != running.job_id
    assert again == deduplication.Chained(follow_up.job_id, created=False)


async def test_fifty_identical_dispatches_leave_one_waiting_job(work: Ledger) -> None:
    values = {
        "job_type": "aggregation",
        "provider": "ACCRED",
        "module_type_id": 4,
        "year": 2025,
        "entity_type": "MODULE_PER_YEAR",
    }

    async def dispatch() -> bool:
        async with work.engine.begin() as connection:
            return (await deduplication.insert_job(connection, values, AGGREGATION)).created

    created = await asyncio.gather(*(dispatch() for _ in range(50)))

    assert created.count(True) == 1
    assert len(await work.jobs()) == 1


def test_c9_dedup_refuses_another_type_and_a_missing_scope_value() -> None:
    scope = {"provider": "ACCRED", "module_type_id": 4, "year": 2025, "data_entry_type_id": None}

    with pytest.raises(ValueError, match="deduplicates aggregation, not emission_recalc"):
        AGGREGATION.check({"job_type": "emission_recalc", **scope})
    with pytest.raises(ValueError, match="cannot be deduplicated without data_entry_type_id"):
        EMISSION_RECALC.check({"job_type": "emission_recalc", **scope})


async def test_a_child_inherits_provider_pipeline_module_and_year_but_no_entry_type(work: Ledger) -> None:
    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(children=[ChildJob(job_type="noop"), ChildJob(job_type="noop", module_type_id=5, year=2024)])

    work.behaviours["csv_ingest"] = ingest
    submitted = await work.submit(data_entry_type_id=10, provider="TEST")

    [parent] = await work.claim()
    await work.run(parent)

    _, inherited, moved = await work.jobs(models.Job.pipeline_id == submitted.pipeline_id)
    assert (inherited.provider, inherited.module_type_id, inherited.year, inherited.data_entry_type_id) == (
        "TEST",
        4,
        2025,
        None,
    )
    assert (moved.module_type_id, moved.year) == (5, 2024)
    assert inherited.parent_job_id == submitted.job_id


async def test_a_pipeline_whose_recalculations_were_all_merged_owes_their_aggregation_as_well(work: Ledger) -> None:
    first = await work.submit()
    await work.drain()
    pending = await work.submit("emission_recalc", data_entry_type_id=10)

    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(children=[ChildJob(job_type="emission_recalc", data_entry_type_id=10)])

    work.behaviours["csv_ingest"] = ingest
    await work.execute(
        "UPDATE data_ingestion_jobs SET run_after = clock_timestamp() + interval '1 hour' WHERE id = :id", id=pending.job_id
    )
    merged = await work.submit()
    [parent] = await work.claim()
    await work.run(parent)

    pipeline = await work.pipeline(merged.pipeline_id)
    assert (pipeline.status, pipeline.job_count, pipeline.owes_aggregation) == ("RUNNING", 2, True)
    assert (await work.pipeline(first.pipeline_id)).status == "SUCCESS"
