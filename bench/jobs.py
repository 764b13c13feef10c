"""Empty jobs a second, by the number of worker processes on one database, and the processor time of each; beside PgQueuer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import psutil
from pgqueuer import Queries
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import bare_queue
from bench.database import connected
from bench.processes import cpu_seconds, cpu_seconds_of_family, postmaster, running
from bench.report import table
from gql_server.ledger.wakeup import wake_all

WARM_UP = 50

# Jobs of one unit each: none is the current one of its combination, so none has to wait for another.
_SUBMIT = text("""
WITH minted AS (
  INSERT INTO pipelines (provider, kind, entity_type, ingestion_method, year, job_count, expected_recalc)
  SELECT 'ACCRED', 'noop', 'MODULE_UNIT_SPECIFIC', 'csv', 2025, 1, 0 FROM generate_series(1, :count) RETURNING id
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, ingestion_method, target_type, provider, module_type_id,
  year, status_message)
SELECT id, 'noop', 'MODULE_UNIT_SPECIFIC', 'csv', 'DATA_ENTRIES', 'ACCRED', 4, 2025, 'Job created' FROM minted
""")
_OPEN = text("SELECT count(*) FROM pipelines WHERE status IN ('NOT_STARTED', 'RUNNING')")
_SECONDS = text("""
SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM data_ingestion_jobs WHERE id > :after
""")
_LAST = text("SELECT coalesce(max(id), 0) FROM data_ingestion_jobs")


async def run(dsn: str, *, count: int = 1500, processes: Sequence[int] = (1, 2, 4), rounds: int = 3) -> None:
    """Measure each number of processes `rounds` times, taking turns, and print the medians.

    The machine is shared with the database and whoever else is on it, so the processor time a job takes is shown, too.
    """
    runs: dict[int, list[Run]] = {number: [] for number in processes}
    of_pgqueuer: list[Run] = []
    async with connected(dsn) as engine:
        for _ in range(rounds):
            for number in processes:
                commands = [("-m", "bench.empty", f"worker-{index}") for index in range(number)]
                async with running(engine, dsn, *commands) as workers:
                    runs[number].append(await _measured(engine, workers, count, _drained))
            async with bare_queue.queue(dsn) as queue, bare_queue.working(dsn) as workers:
                of_pgqueuer.append(await _measured(engine, workers, count, partial(_timed, queue)))
    medians = {number: _median(runs[number]) for number in processes}
    one = medians[processes[0]].rate
    named = {**{str(number): run for number, run in medians.items()}, "PgQueuer alone": _median(of_pgqueuer)}
    rows = [
        (name, f"{run.rate:.0f}", f"{run.rate / one:.2f}", f"{run.worker_ms:.1f}", f"{run.database_ms:.1f}", f"{run.both:.1f}")
        for name, run in named.items()
    ]
    columns = ("processes", "jobs/s", f"to {processes[0]}", "worker CPU ms/job", "database CPU ms/job", "both")
    table(f"jobs: {count} empty jobs", columns, rows)


class Run(NamedTuple):
    """Jobs a second, and milliseconds of processor time a job."""

    rate: float
    worker_ms: float
    database_ms: float

    @property
    def both(self) -> float:
        return self.worker_ms + self.database_ms


def _median(runs: Sequence[Run]) -> Run:
    return Run(*map(median, zip(*runs, strict=True)))


Drained = Callable[[AsyncEngine, int], Awaitable[float]]
"""Submits so many jobs; the seconds until all of them have ended."""


async def _measured(engine: AsyncEngine, workers: Sequence[psutil.Process], count: int, drained: Drained) -> Run:
    await drained(engine, WARM_UP * len(workers))
    database = await postmaster(engine)
    worker_before, database_before = cpu_seconds(workers), cpu_seconds_of_family(database)
    seconds = await drained(engine, count)
    worker_ms = (cpu_seconds(workers) - worker_before) * 1000 / count
    return Run(count / seconds, worker_ms, (cpu_seconds_of_family(database) - database_before) * 1000 / count)


async def submit(engine: AsyncEngine, count: int) -> None:
    """So many waiting jobs that do nothing, each with a pipeline of its own."""
    async with engine.begin() as connection:
        await connection.execute(_SUBMIT, {"count": count})


async def _timed(queue: Queries, engine: AsyncEngine, count: int) -> float:
    began = time.perf_counter()
    await bare_queue.drained(engine, queue, count)
    return time.perf_counter() - began


async def _drained(engine: AsyncEngine, count: int) -> float:
    """Submit so many jobs at once; the seconds from the first start to the last finish."""
    async with engine.connect() as connection:
        after = await connection.scalar(_LAST)
    await submit(engine, count)
    await wake_all(engine)
    while True:
        async with engine.connect() as connection:
            if not await connection.scalar(_OPEN):
                return float(await connection.scalar(_SECONDS, {"after": after}))
        await asyncio.sleep(0.1)
