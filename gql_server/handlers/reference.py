"""reference_ingest: a file of reference data replaces that of the same module and entry type. It fans out nothing."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.csvfile import OUTSIDE, FileRefused, open_csv
from gql_server.carbon.readers import RowRejected
from gql_server.db import driver_connection, dumps
from gql_server.db.models import JobType
from gql_server.db.models.carbon import ReferenceData
from gql_server.handlers.entries import BATCH_ROWS, NumberedRow
from gql_server.handlers.results import Tally
from gql_server.ledger.locks import module_of_year
from gql_server.worker import Job, JobError, Outcome, Run, job_type

KEY_COLUMN = "key"
COLUMNS = ("provider", "year", "module_type_id", "data_entry_type_id", "key", "data")


@job_type(JobType.REFERENCE_INGEST, locks=module_of_year)
async def reference_ingest(job: Job, connection: AsyncConnection, run: Run) -> Outcome:
    """Store each row under its key, with its other cells as data. A blank or repeated key is a row error."""
    if job.year is None or job.module_type_id is None:
        raise JobError("reference data needs a module and a year")
    await run.progress("Reading reference data")
    await _delete_previous(connection, job)
    tally, keys = Tally.of(job, run), set[str]()
    try:
        async with run.uploaded_file() as path:
            async for chunk in _chunks(path):
                records, rejected = _parse(job, chunk, keys)
                async with driver_connection(connection) as driver:
                    await driver.copy_records_to_table("reference_data", records=records, columns=COLUMNS)
                tally.add(len(records), rejected)
                await run.count("inserting", tally.accepted + tally.rejected)
    except FileRefused as refused:
        raise JobError(str(refused)) from None
    return Outcome(result=tally.result, message=tally.message, meta=tally.meta, row_errors=tally.errors, affected_module_ids=[])


async def _delete_previous(connection: AsyncConnection, job: Job) -> None:
    table = ReferenceData
    await connection.execute(
        delete(table)
        .where(table.provider == job.provider, table.year == job.year, table.module_type_id == job.module_type_id)
        .where(table.data_entry_type_id.is_not_distinct_from(job.data_entry_type_id))
    )


async def _chunks(path: Path) -> AsyncGenerator[list[NumberedRow]]:
    rows = await asyncio.to_thread(open_csv, path)
    try:
        if KEY_COLUMN not in rows.columns:
            raise FileRefused(f"missing column {KEY_COLUMN}")
        numbered = iter(rows)
        while chunk := await asyncio.to_thread(lambda: list(islice(numbered, BATCH_ROWS))):
            yield chunk
    finally:
        rows.close()


def _parse(job: Job, chunk: list[NumberedRow], keys: set[str]) -> tuple[list[tuple[Any, ...]], list[RowRejected]]:
    records: list[tuple[Any, ...]] = []
    rejected: list[RowRejected] = []
    for number, cells in chunk:
        if (refused := _refused(number, cells, keys)) is not None:
            rejected.append(refused)
            continue
        key = cells.pop(KEY_COLUMN)
        keys.add(key)
        records.append((job.provider, job.year, job.module_type_id, job.data_entry_type_id, key, dumps(cells)))
    return records, rejected


def _refused(number: int, cells: dict[str, str], keys: set[str]) -> RowRejected | None:
    if OUTSIDE in cells:
        return RowRejected(number, None, "the row has a cell outside the named columns", None)
    if (key := cells.get(KEY_COLUMN)) is None:
        return RowRejected(number, KEY_COLUMN, f"{KEY_COLUMN} is blank", None)
    return RowRejected(number, KEY_COLUMN, "the file gives this key twice", key[:200]) if key in keys else None
