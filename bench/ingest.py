"""Rows a second of an equipment file through upload, ingest, recalculation and aggregation, and the memory of its worker.

The floor is a bare COPY of the very records that the ingest wrote, into the same table, in the same round.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from statistics import median
from uuid import UUID

import psutil
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.database import connected
from bench.processes import peak_memory, running
from bench.report import table
from examples.generate import EQUIPMENT_COLUMNS, FACTOR_COLUMNS, Cells, equipment_factors, equipment_rows
from examples.generate import table as csv
from gql_server import handlers
from gql_server.commands.ingestion import Ingestion, start_ingestion
from gql_server.commands.years import create_year
from gql_server.db import driver_connection
from gql_server.db.models import TERMINAL_STATUSES, TargetType, Upload, UploadChunk
from gql_server.handlers.entries import ENTRY_COLUMNS
from gql_server.ledger.wakeup import wake_all
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import registry

assert handlers.__all__  # importing it registers the job types

SEED = 44
YEAR = 2025
EQUIPMENT = 4
CHUNK = 1024 * 1024
WORKER = ("-c", "from gql_server.cli import main; main()", "worker")
OPERATOR = Viewer("bench", "ACCRED", permissions_of(Role.SUPERADMIN, None), "Bench", "bench@example.org")
NOTE = "Inventaire, à confirmer avec le laboratoire. " * 10

_STATUS = text("SELECT status FROM pipelines WHERE id = :id")
_PHASES = text("""
SELECT job_type, extract(epoch FROM max(finished_at) - min(started_at)) AS seconds
FROM data_ingestion_jobs WHERE pipeline_id = :id GROUP BY job_type
""")
_EMPTY = text("TRUNCATE data_entries, data_entry_emissions")
_RECORDS = text(f"SELECT {', '.join(ENTRY_COLUMNS).replace('data,', 'data::text,')} FROM data_entries ORDER BY id")


async def run(dsn: str, *, rows: int = 50_000, rounds: int = 3, large_mb: int = 100) -> None:
    """Ingest `rows` rows `rounds` times, then one file of `large_mb` megabytes, and print the medians and the peak."""
    rates: dict[str, list[float]] = {"copy": [], "csv_ingest": [], "emission_recalc": [], "aggregation": []}
    async with connected(dsn) as engine, running(engine, dsn, WORKER) as [worker]:
        await _prepare(engine)
        file = csv(EQUIPMENT_COLUMNS, equipment_rows(random.Random(SEED), rows))
        for _ in range(rounds):
            pipeline_id = await _upload(engine, file)
            await _ended(engine, pipeline_id)
            seconds = {**await _phases(engine, pipeline_id), "copy": await _copy(engine)}
            for phase, rate in rates.items():
                rate.append(rows / seconds[phase])
        peak = await _peak(engine, worker, large_mb)
    floor = median(rates["copy"])
    shown = [(phase, f"{median(rate):,.0f}", f"{median(rate) / floor:.0%}") for phase, rate in rates.items()]
    table(f"ingest: {rows:,} rows of equipment", ("phase", "rows/s", "of the floor"), shown)
    table(f"ingest: a file of {large_mb} MB", ("", "MB"), [("peak memory of the worker", f"{peak / 1e6:.0f}")])


async def _prepare(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        year = await create_year(connection, registry, OPERATOR, YEAR)
    await wake_all(engine)
    await _ended(engine, year.pipeline_id)
    factors = csv(FACTOR_COLUMNS["equipment"], equipment_factors())
    await _ended(engine, await _upload(engine, factors, TargetType.FACTORS))


async def _upload(engine: AsyncEngine, content: bytes, target: TargetType = TargetType.DATA_ENTRIES) -> UUID:
    """Store the file as the upload endpoint does, and start its pipeline."""
    async with engine.begin() as connection:
        values = {"provider": OPERATOR.provider, "filename": "equipment.csv", "size_bytes": len(content)}
        upload_id = (await connection.execute(insert(Upload).values(values).returning(Upload.id))).scalar_one()
        for seq, start in enumerate(range(0, len(content), CHUNK)):
            chunk = content[start : start + CHUNK]
            await connection.execute(insert(UploadChunk).values(upload_id=upload_id, seq=seq, data=chunk))
        ingestion = Ingestion(year=YEAR, module_type_id=EQUIPMENT, target=target)
        submitted = await start_ingestion(connection, registry, OPERATOR, ingestion, upload_id)
    await wake_all(engine)
    return submitted.pipeline_id


async def _ended(engine: AsyncEngine, pipeline_id: UUID) -> None:
    """Wait for the pipeline; raises RuntimeError unless it succeeds."""
    while True:
        async with engine.connect() as connection:
            status = await connection.scalar(_STATUS, {"id": pipeline_id})
        if status in TERMINAL_STATUSES:
            break
        await asyncio.sleep(0.05)
    if status != "SUCCESS":
        raise RuntimeError(f"the pipeline ended as {status}")


async def _phases(engine: AsyncEngine, pipeline_id: UUID) -> dict[str, float]:
    async with engine.connect() as connection:
        rows = await connection.execute(_PHASES, {"id": pipeline_id})
        return {row.job_type: float(row.seconds) for row in rows}


async def _copy(engine: AsyncEngine) -> float:
    """Seconds of a COPY of the stored entries into the emptied table, commit included; leaves it empty."""
    async with engine.begin() as connection:
        records = [tuple(row) for row in await connection.execute(_RECORDS)]
        await connection.execute(_EMPTY)
    started = time.perf_counter()
    async with engine.begin() as connection, driver_connection(connection) as driver:
        await connection.execute(text("SELECT 1"))  # the driver's transaction begins with the first statement
        await driver.copy_records_to_table("data_entries", records=records, columns=ENTRY_COLUMNS)
    seconds = time.perf_counter() - started
    async with engine.begin() as connection:
        await connection.execute(_EMPTY)
    return seconds


async def _peak(engine: AsyncEngine, worker: psutil.Process, megabytes: int) -> int:
    """The worker's largest resident set, in bytes, over the whole pipeline of a file of so many megabytes."""
    ended = asyncio.create_task(_ended(engine, await _upload(engine, _large(megabytes * 1_000_000))))
    async for peak in peak_memory(worker):
        if ended.done():
            ended.result()
            return peak
    raise AssertionError("unreachable")


def _large(size: int) -> bytes:
    """A file of about so many bytes: half a kilobyte a row, most of it a remark."""
    rows: Sequence[Cells] = equipment_rows(random.Random(SEED), max(2, size // (len(NOTE.encode()) + 55)))
    return csv(EQUIPMENT_COLUMNS + ",note", ((*row, NOTE) for row in rows))
