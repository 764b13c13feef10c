"""reference_ingest: a file of reference data replaces that of the same module and entry type, and what follows from it is
recalculated."""

import asyncio
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.readers import RowRejected
from gql_server.carbon.reference import ReferenceReader, open_reference, reference_format
from gql_server.db import driver_connection, dumps
from gql_server.db.models import JobType
from gql_server.db.models.carbon import ReferenceData
from gql_server.handlers.entries import BATCH_ROWS
from gql_server.handlers.results import IngestCounts
from gql_server.handlers.uploaded import NumberedRow, chunks_of, uploaded_table
from gql_server.ledger.locks import module_of_year
from gql_server.worker import ChildJob, ClaimedJob, JobError, Outcome, Run, job_type

COLUMNS = ("provider", "year", "module_type_id", "data_entry_type_id", "key", "data")


@job_type(JobType.REFERENCE_INGEST, locks=module_of_year)
async def reference_ingest(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Store each row under its key, with its other cells as data, and chain a recalculation of what depends on it."""
    if job.year is None or job.module_type_id is None:
        raise JobError("reference data needs a module and a year")
    await run.progress("Reading reference data")
    await _delete_previous(connection, job)
    format = reference_format(job.module_type_id)
    tally, reader = IngestCounts.of(job, run), ReferenceReader(format)
    async with uploaded_table(job, run, open_reference, format) as table:
        tally.header = table.header
        async for chunk in chunks_of(table, BATCH_ROWS):
            records, rejected = await asyncio.to_thread(_parse, job, reader, chunk)
            async with driver_connection(connection) as driver:
                await driver.copy_records_to_table("reference_data", records=records, columns=COLUMNS)
            tally.add(len(records), rejected)
            await run.count("inserting", tally.accepted + tally.rejected)
        meta = {**tally.meta, "reading": table.reading}
    return Outcome(
        result=tally.result,
        message=tally.message,
        meta=meta,
        row_errors=tally.row_errors,
        affected_module_ids=[],
        children=[ChildJob(job_type=JobType.EMISSION_RECALC, data_entry_type_id=affected) for affected in format.affects],
    )


async def _delete_previous(connection: AsyncConnection, job: ClaimedJob) -> None:
    table = ReferenceData
    await connection.execute(
        delete(table)
        .where(table.provider == job.provider, table.year == job.year, table.module_type_id == job.module_type_id)
        .where(table.data_entry_type_id.is_not_distinct_from(job.data_entry_type_id))
    )


def _parse(
    job: ClaimedJob, reader: ReferenceReader, chunk: list[NumberedRow]
) -> tuple[list[tuple[Any, ...]], list[RowRejected]]:
    records: list[tuple[Any, ...]] = []
    rejected: list[RowRejected] = []
    for number, cells in chunk:
        read = reader.read(number, cells)
        if isinstance(read, RowRejected):
            rejected.append(read)
        else:
            key, data = read
            records.append((job.provider, job.year, job.module_type_id, job.data_entry_type_id, key, dumps(data)))
    return records, rejected
