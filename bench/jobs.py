"""Empty jobs a second, by the number of worker processes on one database."""

import asyncio
from collections.abc import Sequence
from statistics import median

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.database import connected
from bench.processes import running
from bench.report import table
from gql_server.runner.wakeup import wake_all

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


async def run(dsn: str, *, count: int = 1500, processes: Sequence[int] = (1, 2, 4), rounds: int = 2) -> None:
    """Measure each number of processes `rounds` times, taking turns, and print the medians."""
    rates: dict[int, list[float]] = {number: [] for number in processes}
    async with connected(dsn) as engine:
        for _ in range(rounds):
            for number in processes:
                commands = [("-m", "bench.empty", f"worker-{index}") for index in range(number)]
                async with running(engine, dsn, *commands):
                    rates[number].append(count / await _drained(engine, count))
    one = median(rates[processes[0]])
    rows = [(str(number), f"{median(rates[number]):.0f}", f"{median(rates[number]) / one:.2f}") for number in processes]
    table(f"jobs: {count} empty jobs", ("processes", "jobs/s", f"to {processes[0]}"), rows)


async def submit(engine: AsyncEngine, count: int) -> None:
    """So many waiting jobs that do nothing, each with a pipeline of its own."""
    async with engine.begin() as connection:
        await connection.execute(_SUBMIT, {"count": count})


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
