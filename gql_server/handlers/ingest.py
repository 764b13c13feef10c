"""csv_ingest: a file of data entries replaces the ones that the last such file brought, in one transaction."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import islice
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.formats import open_rows
from gql_server.db.models import IngestionMethod, JobType
from gql_server.handlers.entries import BATCH_ROWS, NumberedRow, Target, replace_entries, target_of
from gql_server.ledger.locks import module_of_year
from gql_server.worker import Job, Outcome, Run, job_type


@job_type(JobType.CSV_INGEST, locks=module_of_year)
async def csv_ingest(job: Job, connection: AsyncConnection, run: Run) -> Outcome:
    """Insert the accepted rows of the uploaded file, and chain a recalculation for each of its entry types."""
    target = target_of(job, IngestionMethod.CSV)
    await run.progress("Starting CSV processing")
    async with run.uploaded_file() as path:
        total = await asyncio.to_thread(_count_lines, path)
        return await replace_entries(job, connection, run, target, _chunks(path, target), total)


async def _chunks(path: Path, target: Target) -> AsyncGenerator[list[NumberedRow]]:
    """The rows of the file, read off the event loop. Raises FileRefused."""
    rows = await asyncio.to_thread(open_rows, path, target.format, unit=target.unit)
    try:
        numbered = iter(rows)
        while chunk := await asyncio.to_thread(lambda: list(islice(numbered, BATCH_ROWS))):
            yield chunk
    finally:
        rows.close()


def _count_lines(path: Path) -> int:
    """Lines below the header: the number of rows, but for cells that hold line breaks."""
    with path.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)
