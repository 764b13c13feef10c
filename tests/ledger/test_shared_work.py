"""Work of several pipelines that was merged into one job counts in each of them, from its merging to its end."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

from gql_server.commands.pipelines import abort_many, abort_pipeline
from gql_server.db import models
from gql_server.db.models import JobType
from gql_server.errors import Conflict
from gql_server.ledger import Submitted, reconcile
from gql_server.ledger.resume import resumed
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import ClaimedJob, JobError, Outcome
from gql_server.worker.attempt import Runner
from gql_server.worker.sweep import recover_lost, sweep
from tests.ledger.conftest import RECALCULATIONS, Ledger

OPERATOR = Viewer("operator", "ACCRED", permissions_of(Role.OPERATOR, None), email="op@example.org")


async def two_uploads(work: Ledger, count: int = 2) -> list[Submitted]:
    """Uploads whose roots have run: the recalculations of all wait in the first."""
    uploads = [await work.submit() for _ in range(count)]
    for _ in uploads:
        [root] = await work.claim()
        await work.run(root)
    waiting = await work.jobs(models.Job.state == "NOT_STARTED")
    assert [(job.pipeline_id, len(job.serves)) for job in waiting] == [(uploads[0].pipeline_id, count - 1)] * 3
    return uploads


async def shown(work: Ledger, pipeline_id: UUID) -> tuple[str, int, int]:
    row = await work.pipeline(pipeline_id)
    return row.status, row.job_count, row.error_count


async def fail(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
    raise JobError("the factors are gone")


@pytest.mark.parametrize("count", [2, 7])
async def test_uploads_that_share_recalculations_all_end_when_those_and_the_totals_have(work: Ledger, count: int) -> None:
    uploads = await two_uploads(work, count)
    for left in (3, 2, 1):
        assert [(await shown(work, each.pipeline_id))[:2] for each in uploads] == [("RUNNING", 4)] * count
        [recalculation] = await work.claim()
        assert recalculation.job_type == JobType.EMISSION_RECALC, left
        await work.run(recalculation)
    assert [await shown(work, each.pipeline_id) for each in uploads] == [("RUNNING", 5, 0)] * count

    await work.drain()

    assert [await shown(work, each.pipeline_id) for each in uploads] == [("SUCCESS", 5, 0)] * count
    assert [name for name, _ in work.ran].count("aggregation") == 1
    rows = [await work.pipeline(each.pipeline_id) for each in uploads]
    [aggregation] = await work.jobs(models.Job.job_type == "aggregation")
    assert [row.finished_at for row in rows] == [aggregation.finished_at] * count
    assert [(row.expected_recalc, row.owes_aggregation) for row in rows] == [(3, False)] * count
    assert await sweep(work.engine, work.registry) == 0


@pytest.mark.parametrize("failing", ["emission_recalc", "aggregation"])
async def test_shared_work_that_fails_makes_every_upload_partial(work: Ledger, failing: str) -> None:
    work.behaviours[failing] = fail
    uploads = await two_uploads(work)

    await work.drain()

    errors = 3 if failing == "emission_recalc" else 1
    assert [await shown(work, each.pipeline_id) for each in uploads] == [("PARTIAL", 5, errors)] * 2
    rows = [await work.pipeline(each.pipeline_id) for each in uploads]
    assert [row.last_error for row in rows] == ["the factors are gone"] * 2


async def test_what_either_upload_affected_is_totalled(work: Ledger) -> None:
    affected = iter([[1], [7]])

    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(affected_module_ids=next(affected), children=RECALCULATIONS)

    async def recalc(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(affected_module_ids=[2])

    work.behaviours |= {"csv_ingest": ingest, "emission_recalc": recalc}
    await two_uploads(work)

    await work.drain()

    [aggregation] = await work.jobs(models.Job.job_type == "aggregation")
    assert aggregation.scope_module_ids == [1, 2, 7]


async def test_an_older_shared_job_is_nobodys_root(work: Ledger) -> None:
    work.behaviours["emission_recalc"] = fail
    first = await work.submit("emission_recalc", data_entry_type_id=10)
    await work.execute("UPDATE data_ingestion_jobs SET run_after = clock_timestamp() + interval '1 hour'")
    second = await work.submit()
    [root] = await work.claim()
    await work.run(root)
    await work.execute("UPDATE data_ingestion_jobs SET run_after = NULL")

    await work.drain()

    assert await shown(work, first.pipeline_id) == ("FAILED", 2, 1)
    assert await shown(work, second.pipeline_id) == ("PARTIAL", 5, 3)
    second_row = await work.pipeline(second.pipeline_id)
    assert second_row.started_at == (await work.job(second.job_id)).started_at


async def test_shared_work_that_is_given_up_makes_every_upload_partial(work: Ledger) -> None:
    uploads = await two_uploads(work)
    [lost] = await work.claim("gone")
    await work.execute(
        "UPDATE data_ingestion_jobs SET locked_at = now() - interval '1 hour', max_attempts = 1 WHERE id = :id", id=lost.id
    )
    await recover_lost(work.engine, work.registry)

    await work.drain()

    assert [await shown(work, each.pipeline_id) for each in uploads] == [("PARTIAL", 5, 1)] * 2


async def abort(work: Ledger, upload: Submitted) -> None:
    async with work.engine.begin() as connection:
        await abort_pipeline(connection, work.registry, OPERATOR, upload.pipeline_id)


async def test_the_work_of_an_aborted_upload_goes_on_in_the_others_as_if_nothing_had_been(work: Ledger) -> None:
    uploads = await two_uploads(work, 3)

    await abort(work, uploads[0])

    assert [await shown(work, each.pipeline_id) for each in uploads] == [("PARTIAL", 4, 3), *[("RUNNING", 4, 0)] * 2]
    waiting = await work.jobs(models.Job.state == "NOT_STARTED")
    assert [(job.pipeline_id, job.serves) for job in waiting] == [(uploads[1].pipeline_id, [uploads[2].pipeline_id])] * 3
    await work.drain()
    assert [await shown(work, each.pipeline_id) for each in uploads] == [("PARTIAL", 4, 3), *[("SUCCESS", 5, 0)] * 2]


async def test_work_that_is_handed_over_to_what_waits_already_still_serves_everybody(work: Ledger) -> None:
    uploads = await two_uploads(work, 3)
    [running] = await work.claim()
    fourth = await work.submit("noop")
    follow_up = {"job_type": "emission_recalc", "provider": "ACCRED", "module_type_id": 4, "year": 2025}
    follow_up |= {"data_entry_type_id": running.data_entry_type_id, "entity_type": "MODULE_PER_YEAR"}
    async with work.engine.begin() as connection:
        await connection.execute(insert(models.Job).values({**follow_up, "pipeline_id": fourth.pipeline_id}))

    await abort(work, uploads[0])

    [waiting] = await work.jobs(models.Job.pipeline_id == fourth.pipeline_id, models.Job.job_type == "emission_recalc")
    assert waiting.serves == sorted([uploads[1].pipeline_id, uploads[2].pipeline_id])


async def test_an_aborted_upload_does_not_wait_for_others_that_do_work_of_it(work: Ledger) -> None:
    first, second = await two_uploads(work)
    async with work.engine.begin() as connection:
        own = {"job_type": "noop", "pipeline_id": second.pipeline_id, "provider": "ACCRED", "entity_type": "MODULE_PER_YEAR"}
        await connection.execute(insert(models.Job).values(own))

    await abort(work, second)

    assert await shown(work, second.pipeline_id) == ("PARTIAL", 2, 1)
    await work.drain()
    assert await shown(work, first.pipeline_id) == ("SUCCESS", 5, 0)
    assert await shown(work, second.pipeline_id) == ("PARTIAL", 2, 1)


async def test_an_upload_that_waits_for_others_alone_cannot_be_aborted_and_says_why(work: Ledger) -> None:
    _, second = await two_uploads(work)

    with pytest.raises(Conflict, match="what is left of this pipeline is done by another one"):
        await abort(work, second)

    assert await shown(work, second.pipeline_id) == ("RUNNING", 4, 0)


async def test_the_feed_tells_of_a_shared_job_in_every_pipeline_that_it_works_for(work: Ledger) -> None:
    uploads = await two_uploads(work, 3)
    async with work.engine.connect() as connection:
        before = await connection.scalar(text("SELECT max(seq) FROM events"))

    [shared] = await work.claim()

    async with work.engine.connect() as connection:
        told = select(models.Event.pipeline_key).where(models.Event.seq > before, models.Event.job_id == shared.id)
        assert sorted((await connection.scalars(told)).all()) == sorted(each.pipeline_id for each in uploads)


async def test_jobs_that_serve_each_others_pipelines_end_together_without_a_deadlock(work: Ledger) -> None:
    ready = asyncio.Barrier(2)

    async def noop(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await ready.wait()
        return Outcome()

    work.behaviours["noop"] = noop
    pairs = []
    for _ in range(8):
        one, other = await work.submit("noop"), await work.submit("noop")
        serves = "UPDATE data_ingestion_jobs SET serves = ARRAY[CAST(:served AS uuid)] WHERE id = :id"
        await work.execute(serves, id=one.job_id, served=other.pipeline_id)
        await work.execute(serves, id=other.job_id, served=one.pipeline_id)
        await asyncio.gather(*(work.run(job) for job in await work.claim(most=2)))
        pairs += [one, other]

    assert [await shown(work, each.pipeline_id) for each in pairs] == [("SUCCESS", 2, 0)] * 16
    assert len(work.ran) == 16


RECALCULATED = {"job_type": "emission_recalc", "entity_type": "MODULE_PER_YEAR", "state": "FINISHED", "result": "SUCCESS"}


async def foreign_pipeline(work: Ledger, *jobs: dict[str, Any], **values: Any) -> UUID:
    """Write a pipeline as another program does: without flags."""
    async with work.engine.begin() as connection:
        row = {"provider": "ACCRED", "kind": "csv_ingest", "status": "SUCCESS", **values}
        pipeline_id = await connection.scalar(insert(models.Pipeline).values(row).returning(models.Pipeline.id))
        root = {"job_type": "csv_ingest", "entity_type": "MODULE_PER_YEAR", "state": "FINISHED", "result": "SUCCESS"}
        for job in (root, *jobs):
            await connection.execute(insert(models.Job).values({"provider": "ACCRED", "pipeline_id": pipeline_id, **job}))
    assert pipeline_id is not None
    return pipeline_id


async def test_an_aggregation_that_no_flag_asks_for_is_chained_by_the_sweep(work: Ledger) -> None:
    place = {"module_type_id": 4, "year": 2025, "data_entry_type_id": 10}
    pipeline_id = await foreign_pipeline(work, {**RECALCULATED, **place}, {**RECALCULATED, **place, "year": 2024})

    await sweep(work.engine, work.registry)

    owed = await work.jobs(models.Job.job_type == "aggregation")
    assert [(job.pipeline_id, job.module_type_id, job.year) for job in owed] == [(pipeline_id, 4, 2024), (pipeline_id, 4, 2025)]
    assert (await shown(work, pipeline_id))[:2] == ("RUNNING", 5)
    await work.drain()
    assert await shown(work, pipeline_id) == ("SUCCESS", 5, 0)
    assert await sweep(work.engine, work.registry) == 0


async def test_a_recalculation_ended_here_in_a_foreign_pipeline_is_followed_by_its_aggregation_at_once(work: Ledger) -> None:
    waiting = {
        **RECALCULATED,
        "module_type_id": 4,
        "year": 2025,
        "data_entry_type_id": 10,
        "state": "NOT_STARTED",
        "result": None,
    }
    pipeline_id = await foreign_pipeline(work, waiting, status="RUNNING")
    [recalculation] = await work.claim()

    await work.run(recalculation)

    assert await shown(work, pipeline_id) == ("RUNNING", 3, 0)
    assert [job.state for job in await work.jobs(models.Job.job_type == "aggregation")] == ["NOT_STARTED"]


async def test_nothing_is_owed_for_what_was_aborted_or_totalled_or_says_no_place(work: Ledger) -> None:
    place = {"module_type_id": 4, "year": 2025, "data_entry_type_id": 10}
    totalled = {"job_type": "aggregation", "module_type_id": 4, "year": 2025}
    await foreign_pipeline(work, {**RECALCULATED, **place}, {**RECALCULATED, **totalled})
    await foreign_pipeline(work, RECALCULATED)
    aborted = await foreign_pipeline(work, {**RECALCULATED, **place})
    await work.execute("UPDATE pipelines SET aborted_at = clock_timestamp() WHERE id = :id", id=aborted)
    before = len(await work.jobs())

    await sweep(work.engine, work.registry)

    assert len(await work.jobs()) == before


async def test_an_upload_that_is_not_aborted_with_others_is_served_on(work: Ledger) -> None:
    first, second = await two_uploads(work)
    other = await work.submit(year=2024)
    asked = [second.pipeline_id, other.pipeline_id]

    async with work.engine.begin() as connection:
        _, ended = await abort_many(connection, work.registry, OPERATOR, asked, None)
    waiting = await work.jobs(models.Job.state == "NOT_STARTED")
    await work.drain()

    assert [job.pipeline_id for job in ended] == [other.pipeline_id]
    assert [(job.pipeline_id, job.serves) for job in waiting] == [(first.pipeline_id, [second.pipeline_id])] * 3
    assert await shown(work, second.pipeline_id) == ("SUCCESS", 5, 0)


async def test_what_is_resumed_is_also_of_whom_the_steps_affected_that_landed_below_a_root_that_affected_nobody(
    work: Ledger,
) -> None:
    async def ingest(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return Outcome(affected_module_ids=[], children=RECALCULATIONS)

    async def recalc(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        return await fail(job, connection, run) if job.data_entry_type_id == 11 else Outcome(affected_module_ids=[7])

    work.behaviours |= {"csv_ingest": ingest, "emission_recalc": recalc}
    upload = await work.submit()
    await work.drain()

    async with work.engine.connect() as connection:
        outcome = await resumed(connection, upload.job_id)

    assert outcome.affected_module_ids == [7]
    assert [child.data_entry_type_id for child in outcome.children] == [11]


async def test_a_pipeline_that_is_served_no_longer_is_told_so(work: Ledger) -> None:
    _, second = await two_uploads(work)
    waiting = [job.id for job in await work.jobs(models.Job.state == "NOT_STARTED")]
    await work.execute("DELETE FROM events WHERE job_id IS NOT NULL")

    await work.execute("UPDATE data_ingestion_jobs SET serves = '{}' WHERE serves <> '{}'")

    async with work.engine.connect() as connection:
        of_second = (models.Event.pipeline_key == second.pipeline_id, models.Event.job_id.is_not(None))
        told = select(models.Event.job_id).where(*of_second).order_by(models.Event.job_id)
        assert list(await connection.scalars(told)) == waiting


async def test_a_shared_job_that_is_given_back_leaves_every_pipeline_as_it_was_before_the_claim(work: Ledger) -> None:
    first, second = await work.submit("noop"), await work.submit("noop")
    await work.execute("UPDATE data_ingestion_jobs SET run_after = now() + interval '1 hour' WHERE id = :id", id=second.job_id)
    await work.execute(
        "UPDATE data_ingestion_jobs SET serves = ARRAY[CAST(:served AS uuid)] WHERE id = :id",
        served=second.pipeline_id,
        id=first.job_id,
    )
    [job] = await work.claim()
    async with work.engine.begin() as connection:
        await reconcile.recompute(connection, job.pipeline_ids)
    claimed = [(await shown(work, each.pipeline_id))[0] for each in (first, second)]

    await Runner(work.engine, work.registry, "w1", {}).release(job)

    assert claimed == ["RUNNING", "RUNNING"]
    assert [(await shown(work, each.pipeline_id))[0] for each in (first, second)] == ["NOT_STARTED", "NOT_STARTED"]
