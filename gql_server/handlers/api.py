"""api_ingest: data entries from an institution's API replace the ones that it gave before, in one transaction."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Protocol

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import MODULES
from gql_server.carbon.texts import clean, column_name
from gql_server.db.models import IngestionMethod, JobType
from gql_server.handlers.entries import BATCH_ROWS, replace_entries, target_of
from gql_server.handlers.uploaded import NumberedRow
from gql_server.ledger.locks import module_of_year
from gql_server.worker import ClaimedJob, JobError, Outcome, Run, job_type

ENTRY_SOURCES = "entry_sources"
CAUSE_LENGTH = 200


class EntrySource(Protocol):
    """Source of the entries of one provider and module."""

    def rows(self, job: ClaimedJob) -> AsyncIterator[Mapping[str, str]]:
        """One mapping a row, with the columns that a CSV file of the module has. Fetch page by page: they are not kept."""
        ...


entry_sources: dict[tuple[str, int], EntrySource] = {}
"""By provider and module id. None ships with the server: a module named in GQL_JOB_MODULES adds its own."""


@job_type(JobType.API_INGEST, locks=module_of_year)
async def api_ingest(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Insert the accepted rows of the source, and chain a recalculation for each of their entry types."""
    target = target_of(job, IngestionMethod.API)
    module = MODULES[target.module_type_id].key
    sources: Mapping[tuple[str, int], EntrySource] = run.resources.get(ENTRY_SOURCES, {})
    if (source := sources.get((job.provider, target.module_type_id))) is None:
        raise JobError(f"provider {job.provider} has no source of {module} entries")
    await run.progress(f"Fetching {module} entries")
    return await replace_entries(job, connection, run, target, _chunks(source, job))


async def _chunks(source: EntrySource, job: ClaimedJob) -> AsyncGenerator[list[NumberedRow]]:
    """Rows as a file would give them. An answer without rows is refused: it would delete what is there."""
    number = 0
    chunk: list[NumberedRow] = []
    try:
        async for row in source.rows(job):
            number += 1
            if cells := _cells(number, row):
                chunk.append((number, cells))
            if len(chunk) == BATCH_ROWS:
                yield chunk
                chunk = []
    except (OSError, httpx.HTTPError) as error:
        cause = (str(error) or type(error).__name__)[:CAUSE_LENGTH]
        raise JobError(f"the source of entries cannot be reached: {cause}") from error
    if not number:
        raise JobError("the source of entries gave no rows")
    if chunk:
        yield chunk


def _cells(number: int, row: Mapping[str, str]) -> dict[str, str]:
    cells = {column_name(column): text for column, cell in row.items() if (text := clean(cell))}
    if any("\0" in cell for cell in cells.values()):
        raise JobError(f"row {number} of the source contains NUL characters")
    return cells
