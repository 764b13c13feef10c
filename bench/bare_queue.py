"""PgQueuer on its own tables, and `python -m bench.bare_queue`, a worker process of it with an empty job.

It keeps none of what ours does: no pipelines, history, events or lists. What it takes is the price of a queue alone.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import psutil
from pgqueuer import AsyncpgPoolDriver, Queries, QueueManager
from pgqueuer.models import Job
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.empty import CONCURRENCY, DATABASE, NOOP
from gql_server.db import connect_arguments
from gql_server.processes import run

_LEFT = text("SELECT count(*) FROM pgqueuer")


@asynccontextmanager
async def queue(dsn: str) -> AsyncGenerator[Queries]:
    """The queue of a database, where its tables are; they are made the first time."""
    async with asyncpg.create_pool(**connect_arguments(dsn, "pgqueuer bench"), min_size=1, max_size=CONCURRENCY + 3) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        if not await queries.schema_is_installed():
            await queries.install()
        yield queries


@asynccontextmanager
async def working(dsn: str) -> AsyncGenerator[list[psutil.Process]]:
    """A worker process meanwhile."""
    command = (sys.executable, "-m", "bench.bare_queue")
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, DATABASE: dsn})
    try:
        yield [psutil.Process(process.pid)]
    finally:
        process.terminate()
        await process.wait()


async def drained(engine: AsyncEngine, queries: Queries, count: int) -> None:
    """Submit so many jobs at once, and wait until none is left."""
    await queries.enqueue([NOOP] * count, [None] * count, [0] * count)
    while True:
        async with engine.connect() as connection:
            if not await connection.scalar(_LEFT):
                return
        await asyncio.sleep(0.05)


async def work(dsn: str) -> None:
    """Run empty jobs until SIGTERM."""
    async with queue(dsn) as queries:
        manager = QueueManager(queries)

        @manager.entrypoint(NOOP)
        async def noop(job: Job) -> None:
            """Nothing."""

        assert noop
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
        await manager.run(batch_size=CONCURRENCY, max_concurrent_tasks=2 * CONCURRENCY)


if __name__ == "__main__":
    run(work(os.environ[DATABASE]))
