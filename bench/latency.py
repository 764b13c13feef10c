"""Times in which an idle worker starts a submitted job, and in which a pipeline of five empty jobs ends."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import empty
from bench.database import connected
from bench.report import quantile, table
from gql_server import ledger
from gql_server.db import work_engine
from gql_server.db.models import IngestionMethod, JobType, TargetType
from gql_server.ledger import NewJob, Submitted
from gql_server.ledger.wakeup import EVENTS_CHANNEL, wake_all
from gql_server.worker import ClaimedJob, Registry
from gql_server.worker.worker import Worker, WorkerConfig

_STATUS = "SELECT status FROM pipelines WHERE id = $1"


async def run(dsn: str, *, wakeups: int = 200, pipelines: int = 50) -> None:
    """Measure one after the other, the worker idle in between, and print the median and the 95th percentile."""
    starts: dict[int, float] = {}

    def started(job: ClaimedJob) -> None:
        starts[job.id] = time.perf_counter()

    registry = empty.registry(started)
    async with connected(dsn) as engine, _worker(dsn, registry), _follower(dsn) as follower:
        for _ in range(5):
            await _pipeline(engine, registry, follower)
        woken = [await _wake_up(engine, registry, starts, follower) for _ in range(wakeups)]
        ended = [await _pipeline(engine, registry, follower) for _ in range(pipelines)]
    rows = [
        (name, f"{quantile(seconds, 0.5) * 1000:.1f}", f"{quantile(seconds, 0.95) * 1000:.1f}")
        for name, seconds in (("submit to handler start", woken), ("pipeline of five jobs", ended))
    ]
    table("latency: one idle worker", ("", "p50 ms", "p95 ms"), rows)


class Follower:
    """Waits for a pipeline's end as the feed does: a notification says when to look."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.notified = asyncio.Event()

    def hear(self, *_: object) -> None:
        self.notified.set()

    async def ended(self, pipeline_id: object) -> None:
        while await self.connection.fetchval(_STATUS, pipeline_id) in ("NOT_STARTED", "RUNNING"):
            await self.notified.wait()
            self.notified.clear()


@asynccontextmanager
async def _follower(dsn: str) -> AsyncGenerator[Follower]:
    connection = await asyncpg.connect(dsn)
    follower = Follower(connection)
    await connection.add_listener(EVENTS_CHANNEL, follower.hear)
    try:
        yield follower
    finally:
        await connection.close()


@asynccontextmanager
async def _worker(dsn: str, registry: Registry) -> AsyncGenerator[None]:
    engine = work_engine(dsn, concurrency=empty.CONCURRENCY)
    worker = Worker(dsn, engine, registry, WorkerConfig(name="bench", concurrency=empty.CONCURRENCY))
    working = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        await worker.stop()
        await working
        await engine.dispose()


async def _wake_up(engine: AsyncEngine, registry: Registry, starts: dict[int, float], follower: Follower) -> float:
    submitted, committed = await _submit(engine, registry, empty.NOOP)
    await follower.ended(submitted.pipeline_id)
    await asyncio.sleep(0.02)
    return starts[submitted.job_id] - committed


async def _pipeline(engine: AsyncEngine, registry: Registry, follower: Follower) -> float:
    submitted, committed = await _submit(engine, registry, JobType.CSV_INGEST)
    await follower.ended(submitted.pipeline_id)
    seconds = time.perf_counter() - committed
    await asyncio.sleep(0.02)
    return seconds


async def _submit(engine: AsyncEngine, registry: Registry, job_type: str) -> tuple[Submitted, float]:
    """Submit and wake, as a command does; and when the commit was through."""
    new = NewJob(
        job_type=job_type,
        provider="ACCRED",
        ingestion_method=IngestionMethod.CSV,
        target_type=TargetType.DATA_ENTRIES,
        module_type_id=4,
        year=2025,
    )
    async with engine.begin() as connection:
        submitted = await ledger.submit(connection, new, registry[job_type].locks(new))
    committed = time.perf_counter()
    await wake_all(engine)
    return submitted, committed
