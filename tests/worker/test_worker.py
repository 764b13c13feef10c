"""The whole loop: PgQueuer over the ledger, with real wake-ups and leases."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError
from sqlalchemy import text
from structlog.testing import capture_logs

from gql_server.db import models
from gql_server.ledger import wakeup
from gql_server.worker import ChildJob, ClaimedJob, Outcome
from gql_server.worker.worker import until_cancelled
from tests.ledger.conftest import Ledger


async def finished(work: Ledger, pipeline_id: Any) -> str:
    """The terminal status of a pipeline; waits for it."""
    async with asyncio.timeout(60):
        while (status := (await work.pipeline(pipeline_id)).status) not in models.TERMINAL_STATUSES:
            await asyncio.sleep(0.02)
    return status


async def test_a_worker_drains_the_ledger_and_leaves_the_register(work: Ledger) -> None:
    submitted = [await work.submit(module_type_id=module) for module in (4, 5, 8)]

    await work.worker().run(drain=True)

    assert [(await work.pipeline(s.pipeline_id)).status for s in submitted] == ["SUCCESS"] * 3
    assert len(await work.jobs(models.Job.job_type == "aggregation")) == 3
    async with work.engine.connect() as connection:
        assert (await connection.execute(models.Pod.__table__.select())).all() == []


async def test_an_idle_worker_is_woken_by_a_submit(work: Ledger) -> None:
    worker = work.worker(poll_interval=timedelta(hours=1))
    warm = await work.submit("noop")
    running = asyncio.create_task(worker.run())
    await finished(work, warm.pipeline_id)

    submitted = await work.submit("noop")
    await wakeup.wake_all(work.engine)

    async with asyncio.timeout(60):
        assert await finished(work, submitted.pipeline_id) == "SUCCESS"
    await worker.stop()
    await running


async def test_two_workers_share_the_work(work: Ledger) -> None:
    met = asyncio.Barrier(4)

    async def together(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await met.wait()
        return Outcome()

    work.behaviours["noop"] = together
    submitted = [await work.submit("noop", module_type_id=number) for number in range(24)]
    patient = {"concurrency": 2, "lease": timedelta(minutes=1)}
    workers = [work.worker("w1", **patient), work.worker("w2", **patient)]

    await asyncio.gather(*(worker.run(drain=True) for worker in workers))

    jobs = await work.jobs()
    assert {job.locked_by for job in jobs} == {"w1", "w2"}
    assert sorted(job_id for _, job_id in work.ran) == sorted(s.job_id for s in submitted)


async def test_a_silent_workers_job_is_run_by_another(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.claim("gone")
    await work.execute("UPDATE data_ingestion_jobs SET locked_at = locked_at - interval '1 minute'")

    worker = work.worker("w2", lease=timedelta(seconds=1))
    running = asyncio.create_task(worker.run())

    assert await finished(work, submitted.pipeline_id) == "SUCCESS"
    row = await work.job(submitted.job_id)
    assert (row.attempts, row.locked_by) == (2, "w2")
    await worker.stop()
    await running


async def test_a_worker_that_stops_gives_back_what_it_cannot_finish(work: Ledger) -> None:
    started = asyncio.Event()

    async def endless(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        started.set()
        await asyncio.Event().wait()
        return Outcome()

    work.behaviours["noop"] = endless
    submitted = await work.submit("noop")
    worker = work.worker(grace=timedelta(seconds=0.2))
    running = asyncio.create_task(worker.run())
    await started.wait()

    await worker.stop()
    async with asyncio.timeout(60):
        await running

    row = await work.job(submitted.job_id)
    assert (row.state, row.attempts, row.locked_by) == ("NOT_STARTED", 0, None)


async def test_a_long_job_keeps_its_lease(work: Ledger) -> None:
    lease = timedelta(seconds=1)

    async def long(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        async with asyncio.timeout(60):
            while (row := await work.job(job.id)).locked_at <= row.started_at + lease:
                await asyncio.sleep(0.05)
        return Outcome()

    work.behaviours["noop"] = long
    submitted = await work.submit("noop")

    await work.worker(lease=lease).run(drain=True)

    row = await work.job(submitted.job_id)
    assert (row.result, row.attempts) == ("SUCCESS", 1)


async def test_a_worker_stopped_at_once_ends_at_once(work: Ledger) -> None:
    for delay in (0, 0.01, 0.05, 0.1, 0.2):
        worker = work.worker()
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(delay)

        await worker.stop()

        async with asyncio.timeout(60):
            await running


async def test_s4_a_pipeline_whose_root_was_just_claimed_is_stored_as_running(work: Ledger) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def waiting(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        started.set()
        await go_on.wait()
        return Outcome()

    work.behaviours["noop"] = waiting
    submitted = await work.submit("noop")
    running = asyncio.create_task(work.worker().run(drain=True))
    await started.wait()

    assert (await work.pipeline(submitted.pipeline_id)).status == "RUNNING"
    go_on.set()
    await running
    assert (await work.pipeline(submitted.pipeline_id)).status == "SUCCESS"


async def test_w16_a_child_starts_only_after_its_parents_rows_are_visible(work: Ledger) -> None:
    seen: list[int | None] = []

    async def parent(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(text("INSERT INTO pods (pod_id) VALUES ('a row of the parent')"))
        return Outcome(children=[ChildJob(job_type="noop")])

    async def child(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        seen.append(await connection.scalar(text("SELECT count(*) FROM pods WHERE pod_id = 'a row of the parent'")))
        return Outcome()

    work.behaviours.update(csv_ingest=parent, noop=child)
    await work.submit()

    await work.worker().run(drain=True)

    assert seen == [1]


async def test_a_worker_whose_listener_hears_nothing_goes_on_by_polling(work: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """PgQueuer's probe gives up after ten seconds; here it gives up at once, as behind a pooler that swallows LISTEN."""

    async def hears_nothing(manager: QueueManager, **_: timedelta) -> None:
        raise FailingListenerError

    monkeypatch.setattr(QueueManager, "listener_healthy", hears_nothing)
    worker = work.worker(poll_interval=timedelta(seconds=0.2))
    running = asyncio.create_task(worker.run())
    submitted = await work.submit("noop")

    assert await finished(work, submitted.pipeline_id) == "SUCCESS"
    await worker.stop()
    await running


async def test_a_worker_that_slept_through_its_lease_does_not_claim_its_own_running_job(work: Ledger) -> None:
    attempts: list[int] = []
    go_on = asyncio.Event()

    async def slow(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        attempts.append(job.attempt)
        await go_on.wait()
        return Outcome()

    work.behaviours["noop"] = slow
    submitted = await work.submit("noop")
    worker = work.worker(lease=timedelta(seconds=60), poll_interval=timedelta(seconds=0.1))
    running = asyncio.create_task(worker.run())
    while not attempts:
        await asyncio.sleep(0.01)
    await work.execute("UPDATE data_ingestion_jobs SET state = 'NOT_STARTED', locked_by = NULL, locked_at = NULL")
    await wakeup.wake_all(work.engine)
    await asyncio.sleep(0.5)
    assert (await work.job(submitted.job_id)).attempts == 1

    go_on.set()

    assert await finished(work, submitted.pipeline_id) == "SUCCESS"
    assert attempts == [1, 2]
    await worker.stop()
    await running


async def test_a_task_that_survives_its_cancellation_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gql_server.worker.worker.ROLLBACK_SECONDS", 0.1)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    with capture_logs() as logs:
        running = asyncio.create_task(until_cancelled(stubborn(), contextlib.nullcontext(), name="job 7"))
        await begun.wait()
        running.cancel()
        await asyncio.wait([running])
    may_end.set()

    assert running.cancelled()
    assert logs == [{"event": "job.task_abandoned", "task": "job 7", "waited_seconds": 0.2, "log_level": "error"}]
