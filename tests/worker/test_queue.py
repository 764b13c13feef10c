"""Heartbeats: a handler goes on through a few failed ones, and is cancelled when its lease cannot be kept."""

from typing import Any

import anyio
import asyncpg
import pytest
from pgqueuer.domain.models import Context
from pgqueuer.domain.types import Channel, JobId

from gql_server.db import create_engine
from gql_server.worker.queue import LedgerQueue, Listener
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
