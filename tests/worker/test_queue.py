"""Heartbeats: a handler goes on through a few failed ones, and is cancelled when its lease cannot be kept. Looks for jobs."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest
from pgqueuer.domain.models import Context
from pgqueuer.domain.types import Channel, JobId

from gql_server.db import create_engine
from gql_server.ledger.wakeup import JOBS_CHANNEL, LOOK, Waker, wake_all
from gql_server.worker.queue import ENDING_SECONDS, LedgerQueue, Listener
from tests.ledger.conftest import Ledger

UNREACHABLE = "postgresql://nobody:nothing@127.0.0.1:1/nothing"


async def held_job(work: Ledger, pool: asyncpg.Pool) -> tuple[LedgerQueue, int, Context]:
    queue = LedgerQueue(Listener(pool), Channel("gql_jobs"), work.engine, "w1", 4, drain=False)
    submitted = await work.submit("noop")
    [job] = await work.claim("w1")
    context = Context(cancellation=anyio.CancelScope())
    queue.held[job.id] = job
    queue.contexts = {JobId(job.id): context}
    return queue, submitted.job_id, context


async def fail_beats(queue: LedgerQueue, job_id: int, times: int) -> None:
    """Beat over an engine that nobody answers."""
    working, queue.engine = queue.engine, create_engine(UNREACHABLE, application="test", pool_size=1)
    for _ in range(times):
        with pytest.raises(OSError, match="Connect call failed"):
            await queue.update_heartbeat([JobId(job_id)])
    await queue.engine.dispose()
    queue.engine = working


@pytest.fixture
async def pool(dsn: str) -> Any:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        yield pool


async def test_w11_four_failed_beats_cancel_the_handler(work: Ledger, pool: asyncpg.Pool) -> None:
    queue, job_id, context = await held_job(work, pool)

    await fail_beats(queue, job_id, 3)
    assert context.cancellation.cancel_called is False
    await fail_beats(queue, job_id, 1)

    assert context.cancellation.cancel_called is True
    assert (await work.job(job_id)).state == "RUNNING"


async def test_w11_after_three_failures_a_success_starts_the_count_anew(work: Ledger, pool: asyncpg.Pool) -> None:
    queue, job_id, context = await held_job(work, pool)

    await fail_beats(queue, job_id, 3)
    await queue.update_heartbeat([JobId(job_id)])
    await fail_beats(queue, job_id, 3)

    assert context.cancellation.cancel_called is False


async def test_a_beat_that_finds_its_lease_taken_cancels_the_handler(work: Ledger, pool: asyncpg.Pool) -> None:
    queue, job_id, context = await held_job(work, pool)
    await work.execute("UPDATE data_ingestion_jobs SET locked_by = 'thief'")

    await queue.update_heartbeat([JobId(job_id)])

    assert context.cancellation.cancel_called is True


@asynccontextmanager
async def looking(work: Ledger, pool: asyncpg.Pool, ending: set[int]) -> AsyncGenerator[tuple[LedgerQueue, list[Any]]]:
    """A queue, and the looks that it is told to take."""
    looks = list[Any]()
    async with Listener(pool) as listener:
        await listener.add_listener(JOBS_CHANNEL, looks.append)
        yield LedgerQueue(listener, Channel("gql_jobs"), work.engine, "w1", 4, drain=False, ending=ending), looks


async def test_one_look_fills_the_places_of_jobs_that_end_together(work: Ledger, pool: asyncpg.Pool) -> None:
    ending = {1, 2, 3}

    async with looking(work, pool, ending) as (queue, looks):
        for job_id in (1, 2, 3):
            ending.remove(job_id)
            assert looks == []
            queue.let_go(job_id)

        assert looks == [LOOK]
        await asyncio.sleep(2 * ENDING_SECONDS)
        assert looks == [LOOK]


async def test_a_free_place_waits_only_a_moment_for_others_and_for_nobody_who_still_works(
    work: Ledger, pool: asyncpg.Pool
) -> None:
    ending = {2}

    async with looking(work, pool, ending) as (queue, looks), asyncio.timeout(60):
        began = time.monotonic()
        queue.let_go(1)
        queue.let_go(3)
        while not looks:
            await asyncio.sleep(0.001)
        assert time.monotonic() - began >= 0.9 * ENDING_SECONDS
        ending.clear()
        queue.let_go(2)

        assert looks == [LOOK] * 2


async def test_a_worker_hears_the_wake_ups_of_others_but_not_its_own(work: Ledger, pool: asyncpg.Pool) -> None:
    own, other = Waker(work.engine), Waker(work.engine)
    heard = list[Any]()

    async with Listener(pool, own.look) as listener, asyncio.timeout(60):
        await listener.add_listener(JOBS_CHANNEL, heard.append)
        await own.wake_all()
        await other.wake_all()
        await wake_all(work.engine)
        while len(heard) < 2:
            await asyncio.sleep(0.001)

    assert heard == [other.look, LOOK]
