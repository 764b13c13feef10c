"""Aborting a pipeline and recovering a job, beside workers that do not know yet."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from gql_server.commands.pipelines import Aborted, abort_many, abort_pipeline, recover_job
from gql_server.db import models
from gql_server.errors import Conflict, Forbidden, NotFound
from gql_server.ledger import wakeup
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import ChildJob, ClaimedJob, Outcome
from tests.ledger.conftest import Ledger, work

__all__ = ["work"]
OPERATOR = Viewer("operator", "ACCRED", permissions_of(Role.OPERATOR, None), email="op@example.org")
PRINCIPAL = Viewer("principal", "ACCRED", permissions_of(Role.PRINCIPAL, "10208"))


async def abort(work: Ledger, pipeline_id: Any, viewer: Viewer = OPERATOR) -> Aborted:
    async with work.engine.begin() as connection:
        return await abort_pipeline(connection, work.registry, viewer, pipeline_id, "bad factor file")


async def recover(work: Ledger, job_id: int, viewer: Viewer = OPERATOR) -> None:
    async with work.engine.begin() as connection:
        await recover_job(connection, viewer, job_id)


async def test_w19_only_live_jobs_flip(work: Ledger) -> None:
    submitted = await work.submit()
    [parent] = await work.claim()
    await work.run(parent)
    [running] = await work.claim()

    aborted = await abort(work, submitted.pipeline_id)

    jobs = await work.jobs(models.Job.pipeline_id == submitted.pipeline_id)
    assert [(job.state, job.result) for job in jobs] == [("FINISHED", "SUCCESS"), *[("FINISHED", "ERROR")] * 3]
    assert aborted.aborted_job_ids == [job.id for job in jobs[1:]]
    assert aborted.aborted_by == "op@example.org"
    stopped = jobs[1]
    assert (stopped.id, stopped.status_message, stopped.locked_by) == (running.id, "Aborted by op@example.org", None)
    assert (stopped.meta["aborted"], stopped.meta["abort_reason"], stopped.is_current) == (True, "bad factor file", False)
    assert stopped.meta["status_history"][-1]["message"] == "Aborted by op@example.org"
    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.owes_aggregation, pipeline.error_count) == ("PARTIAL", False, 3)
    assert pipeline.aborted_at is not None


async def test_w19_a_finished_pipeline_is_a_conflict_and_an_unknown_one_is_not_found(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.drain()

    with pytest.raises(Conflict) as conflict:
        await abort(work, submitted.pipeline_id)
    assert conflict.value.details["reason"] == "NOT_LIVE"
    with pytest.raises(NotFound):
        await abort(work, uuid4())


async def test_what_a_viewer_may_not_see_is_not_found_and_what_they_may_not_touch_is_forbidden(work: Ledger) -> None:
    theirs = await work.submit(
        "noop", entity_type=models.EntityType.MODULE_UNIT_SPECIFIC, unit_institutional_id="10208", module_type_id=8
    )
    others = await work.submit("noop")
    foreign = Viewer("operator", "TEST", OPERATOR.permissions)

    with pytest.raises(Forbidden):
        await abort(work, theirs.pipeline_id, PRINCIPAL)
    for viewer in (PRINCIPAL, foreign):
        with pytest.raises(NotFound):
            await abort(work, others.pipeline_id, viewer)
        with pytest.raises(NotFound):
            await recover(work, others.job_id, viewer)
    assert {job.state for job in await work.jobs()} == {"NOT_STARTED"}


async def test_a_running_handler_is_cancelled_and_writes_nothing(work: Ledger) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Outcome()

    work.behaviours["noop"] = endless
    submitted = await work.submit("noop")
    worker = work.worker()
    running = asyncio.create_task(worker.run())
    await started.wait()

    aborted = await abort(work, submitted.pipeline_id)
    await wakeup.cancel_jobs(work.engine, aborted.aborted_job_ids)

    async with asyncio.timeout(60):
        await cancelled.wait()
    await worker.stop()
    await running
    row = await work.job(submitted.job_id)
    assert (row.state, row.result, row.status_message) == ("FINISHED", "ERROR", "Aborted by op@example.org")
    assert (await work.pipeline(submitted.pipeline_id)).status == "FAILED"


async def test_an_abort_stops_what_the_database_does_for_the_job_and_frees_its_lock(work: Ledger) -> None:
    started = asyncio.Event()

    async def waits(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        if not started.is_set():
            started.set()
            await connection.execute(text("SELECT pg_sleep(600)"))
        return Outcome()

    work.behaviours["csv_ingest"] = waits
    submitted, follower = await work.submit(), await work.submit()
    worker = work.worker()
    running = asyncio.create_task(worker.run())
    await started.wait()

    aborted = await abort(work, submitted.pipeline_id)
    await wakeup.cancel_jobs(work.engine, aborted.aborted_job_ids)

    async with asyncio.timeout(60):
        while (await work.job(follower.job_id)).state != "FINISHED":
            await asyncio.sleep(0.05)
    assert (await work.job(follower.job_id)).result == "SUCCESS"
    await worker.stop()
    await running


async def test_an_aborted_parent_chains_nothing(work: Ledger) -> None:
    async def aborted_meanwhile(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await abort(work, job.pipeline_id)
        return Outcome(children=[ChildJob(job_type="noop")])

    work.behaviours["csv_ingest"] = aborted_meanwhile
    submitted = await work.submit()

    await work.drain()

    assert [job.job_type for job in await work.jobs()] == ["csv_ingest"]
    assert (await work.pipeline(submitted.pipeline_id)).status == "FAILED"


async def test_work_taken_over_from_another_pipeline_goes_back_to_it(work: Ledger) -> None:
    first, second = await work.submit(), await work.submit()
    for _ in range(2):
        [parent] = await work.claim()
        await work.run(parent)
    assert (await work.pipeline(second.pipeline_id)).status == "RUNNING"

    await abort(work, first.pipeline_id)

    assert (await work.pipeline(second.pipeline_id)).status == "RUNNING"
    await work.drain()
    jobs = await work.jobs(models.Job.pipeline_id == second.pipeline_id)
    assert [(job.job_type, job.result) for job in jobs] == [
        ("csv_ingest", "SUCCESS"),
        *[("emission_recalc", "SUCCESS")] * 3,
        ("aggregation", "SUCCESS"),
    ]
    assert (await work.pipeline(second.pipeline_id)).status == "SUCCESS"
    assert (await work.pipeline(first.pipeline_id)).status == "PARTIAL"


async def test_of_pipelines_that_are_aborted_together_none_gets_work_back_that_stays(work: Ledger) -> None:
    first, second = await work.submit(), await work.submit()
    for _ in range(2):
        [parent] = await work.claim()
        await work.run(parent)

    async with work.engine.begin() as connection:
        ids = [first.pipeline_id, second.pipeline_id]
        visible, aborted = await abort_many(connection, work.registry, OPERATOR, ids, "bad factor file")

    assert visible == {job.pipeline_id for job in aborted} == set(ids)
    assert {job.state for job in await work.jobs()} == {"FINISHED"}
    assert [(await work.pipeline(id)).status for id in ids] == ["PARTIAL", "PARTIAL"]
    assert {(await work.pipeline(id)).aborted_at is None for id in ids} == {False}


async def test_w12_a_stale_job_is_recovered_with_all_its_attempts_and_a_fresh_one_is_a_conflict(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.claim()

    with pytest.raises(Conflict) as conflict:
        await recover(work, submitted.job_id)
    assert conflict.value.details["reason"] == "NOT_STALE"

    await work.execute("UPDATE data_ingestion_jobs SET locked_at = clock_timestamp() - interval '1 minute'")
    await recover(work, submitted.job_id)

    row = await work.job(submitted.job_id)
    assert (row.state, row.attempts, row.locked_by, row.is_current) == ("NOT_STARTED", 0, None, False)
    await work.drain()
    assert (await work.pipeline(submitted.pipeline_id)).status == "SUCCESS"


async def test_recovering_a_job_whose_follow_up_waits_is_a_conflict(work: Ledger) -> None:
    stale = await work.submit("emission_recalc", data_entry_type_id=10)
    await work.claim()
    await work.submit("emission_recalc", data_entry_type_id=10)
    await work.execute("UPDATE data_ingestion_jobs SET locked_at = NULL WHERE id = :id", id=stale.job_id)

    with pytest.raises(Conflict) as conflict:
        await recover(work, stale.job_id)

    assert conflict.value.details["reason"] == "FOLLOW_UP_WAITS"
