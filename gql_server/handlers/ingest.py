"""csv_ingest: a file of data entries replaces the ones that the last such file brought, in one transaction."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.formats import open_rows
from gql_server.db.models import IngestionMethod, JobType
from gql_server.handlers.entries import BATCH_ROWS, replace_entries, target_of
from gql_server.handlers.uploaded import chunks_of, uploaded_table
from gql_server.ledger.locks import module_of_year
from gql_server.worker import ClaimedJob, Outcome, Run, job_type


@job_type(JobType.CSV_INGEST, locks=module_of_year)
async def csv_ingest(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Insert the accepted rows of the uploaded file, and chain a recalculation for each of its entry types."""
    target = target_of(job, IngestionMethod.CSV)
    await run.progress("Starting CSV processing")
    async with uploaded_table(job, run, open_rows, target.format, unit=target.unit) as table:
        chunks = chunks_of(table, BATCH_ROWS)
        outcome = await replace_entries(job, connection, run, target, chunks, total=table.total, header=table.header)
        return replace(outcome, meta={**outcome.meta, "reading": table.reading})
