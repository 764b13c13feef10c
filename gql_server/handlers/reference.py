"""reference_ingest: a file of reference data replaces that of the same module and entry type. It fans out nothing."""

from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.readers import RowRejected, said
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.tablefile import OUTSIDE, open_table
from gql_server.db import driver_connection, dumps
from gql_server.db.models import JobType
from gql_server.db.models.carbon import ReferenceData
from gql_server.handlers.entries import BATCH_ROWS
from gql_server.handlers.results import Tally
from gql_server.handlers.uploaded import NumberedRow, chunks_of, uploaded_table
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
    async with uploaded_table(job, run, open_table) as table:
        if KEY_COLUMN not in table.columns:
            raise FileRefused(f"missing column {KEY_COLUMN}")
        async for chunk in chunks_of(table, BATCH_ROWS):
            records, rejected = _parse(job, chunk, keys)
            async with driver_connection(connection) as driver:
                await driver.copy_records_to_table("reference_data", records=records, columns=COLUMNS)
            tally.add(len(records), rejected)
            await run.count("inserting", tally.accepted + tally.rejected)
        meta = {**tally.meta, "reading": table.reading}
    return Outcome(result=tally.result, message=tally.message, meta=meta, row_errors=tally.row_errors, affected_module_ids=[])


async def _delete_previous(connection: AsyncConnection, job: Job) -> None:
    table = ReferenceData
    await connection.execute(
        delete(table)
        .where(table.provider == job.provider, table.year == job.year, table.module_type_id == job.module_type_id)
        .where(table.data_entry_type_id.is_not_distinct_from(job.data_entry_type_id))
    )


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
        return RowRejected(number, None, f"the row has a cell outside the named columns: {said(cells[OUTSIDE])}", None)
    if (key := cells.get(KEY_COLUMN)) is None:
        return RowRejected(number, KEY_COLUMN, f"{KEY_COLUMN} is blank", None)
    return RowRejected(number, KEY_COLUMN, f"the file gives this key twice: {said(key)}", key[:200]) if key in keys else None
