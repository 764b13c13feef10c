"""The whole loop: PgQueuer over the ledger, with real wake-ups and leases."""

import asyncio
from datetime import timedelta
from typing import Any

from gql_server import models
from gql_server.runner import Job, Outcome, wakeup
from tests.runner.conftest import Ledger


async def finished(work: Ledger, pipeline_id: Any) -> str:
    """The terminal status of a pipeline; waits for it."""
    async with asyncio.timeout(20):
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
    worker = work.worker()
    running = asyncio.create_task(worker.run())
    warm = await work.submit("noop")
    await finished(work, warm.pipeline_id)

    submitted = await work.submit("noop")
    await wakeup.wake_all(work.engine)

    assert await finished(work, submitted.pipeline_id) == "SUCCESS"
    await worker.stop()
    await running


async def test_two_workers_share_the_work(work: Ledger) -> None:
    async def slow(job: Job, connection: Any, run: Any) -> Outcome:
        await asyncio.sleep(0.05)
        return Outcome()

    work.behaviours["noop"] = slow
    submitted = [await work.submit("noop", module_type_id=number) for number in range(24)]
    workers = [work.worker("w1", concurrency=2), work.worker("w2", concurrency=2)]

    await asyncio.gather(*(worker.run(drain=True) for worker in workers))

    jobs = await work.jobs()
    assert {job.locked_by for job in jobs} == {"w1", "w2"}
    assert sorted(job_id for _, job_id in work.ran) == sorted(s.job_id for s in submitted)


async def test_a_silent_workers_job_is_run_by_another(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.claim("gone")

    worker = work.worker("w2", lease=timedelta(seconds=1))
    running = asyncio.create_task(worker.run())

    assert await finished(work, submitted.pipeline_id) == "SUCCESS"
    row = await work.job(submitted.job_id)
    assert (row.attempts, row.locked_by) == (2, "w2")
    await worker.stop()
    await running


async def test_a_worker_that_stops_gives_back_what_it_cannot_finish(work: Ledger) -> None:
    started = asyncio.Event()

    async def endless(job: Job, connection: Any, run: Any) -> Outcome:
        started.set()
        await asyncio.sleep(3600)
        return Outcome()

    work.behaviours["noop"] = endless
    submitted = await work.submit("noop")
    worker = work.worker(grace=timedelta(seconds=0.2))
    running = asyncio.create_task(worker.run())
    await started.wait()

    await worker.stop()
    async with asyncio.timeout(5):
        await running

    row = await work.job(submitted.job_id)
    assert (row.state, row.attempts, row.locked_by) == ("NOT_STARTED", 0, None)


async def test_a_long_job_keeps_its_lease(work: Ledger) -> None:
    async def long(job: Job, connection: Any, run: Any) -> Outcome:
        await asyncio.sleep(2.5)
        return Outcome()

    work.behaviours["noop"] = long
    submitted = await work.submit("noop")

    await work.worker(lease=timedelta(seconds=1)).run(drain=True)

    row = await work.job(submitted.job_id)
    assert (row.result, row.attempts) == ("SUCCESS", 1)


async def test_a_worker_stopped_at_once_ends_at_once(work: Ledger) -> None:
    for delay in (0, 0.01, 0.05, 0.1, 0.2):
        worker = work.worker()
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(delay)

        await worker.stop()

        async with asyncio.timeout(5):
            await running
