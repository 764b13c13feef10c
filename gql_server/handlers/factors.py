"""factor_ingest: emission factors of a year, upserted by identity; and how the other handlers read them."""

import asyncio
from collections.abc import Collection, Iterator
from itertools import islice

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import entry_types_of
from gql_server.carbon.factors import Factor, FactorIndex, ParsedFactor
from gql_server.carbon.formats import factor_format, open_rows
from gql_server.carbon.readers import FactorReader, RowRejected
from gql_server.carbon.tablefile import FileTable
from gql_server.db import dumps
from gql_server.db.models import JobType
from gql_server.db.models import carbon as carbon_tables
from gql_server.handlers.results import IngestCounts
from gql_server.handlers.uploaded import uploaded_table
from gql_server.ledger.locks import module_of_year
from gql_server.worker import ChildJob, ClaimedJob, JobError, Outcome, Run, job_type

BATCH_ROWS = 2_000

# A factor keeps its id for life: emissions point to it. The reader lets each identity through once.
_UPSERT = text("""
INSERT INTO factors (provider, year, emission_type_id, data_entry_type_id, classification, values, last_seen_job_id)
SELECT :provider, :year, f.emission_type_id, f.data_entry_type_id, f.classification::jsonb, f.values::jsonb, :job_id
FROM unnest(
  CAST(:emission_types AS int[]), CAST(:entry_types AS int[]), CAST(:classifications AS text[]), CAST(:values AS text[])
) AS f(emission_type_id, data_entry_type_id, classification, values)
ON CONFLICT (provider, data_entry_type_id, year, emission_type_id, (classification::text))
DO UPDATE SET values = excluded.values, last_seen_job_id = excluded.last_seen_job_id
""")


async def factor_index(
    connection: AsyncConnection, provider: str, year: int, data_entry_types: Collection[int], *, ignore_case: bool = False
) -> FactorIndex:
    """The factors of these entry types in this year; another year's never apply."""
    factor = carbon_tables.Factor
    rows = await connection.execute(
        select(factor.id, factor.emission_type_id, factor.data_entry_type_id, factor.classification, factor.values).where(
            factor.provider == provider, factor.year == year, factor.data_entry_type_id.in_(data_entry_types)
        )
    )
    factors = [Factor(*row) for row in rows]
    return await asyncio.to_thread(FactorIndex, factors, ignore_case=ignore_case)


@job_type(JobType.FACTOR_INGEST, locks=module_of_year)
async def factor_ingest(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Upsert the factors of the uploaded file, and chain a recalculation of what they apply to. Nothing is deleted."""
    if job.year is None:
        raise JobError("the year of the factors is missing")
    format = None if job.module_type_id is None else factor_format(job.module_type_id)
    if format is None or job.module_type_id is None:
        raise JobError("there is no factor file format for this module")
    await run.progress("Reading factors")
    tally = IngestCounts.of(job, run)
    async with uploaded_table(job, run, open_rows, format) as table:
        tally.header = table.header
        batches = _batches(table, FactorReader(format, data_entry_type_id=job.data_entry_type_id, columns=table.columns))
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            await _upsert(connection, job, batch[0])
            tally.add(batch[2], batch[1])
            await run.count("inserting", tally.accepted + tally.rejected, table.total)
        reading = table.reading
    entry_types = entry_types_of(job.module_type_id) if job.data_entry_type_id is None else (job.data_entry_type_id,)
    return Outcome(
        result=tally.result,
        message=tally.message,
        meta={**tally.meta, "reading": reading},
        row_errors=tally.row_errors,
        affected_module_ids=[],
        children=[ChildJob(job_type=JobType.EMISSION_RECALC, data_entry_type_id=entry_type) for entry_type in entry_types],
    )


def _batches(table: FileTable, reader: FactorReader) -> Iterator[tuple[list[ParsedFactor], list[RowRejected], int]]:
    """Factors, rejected rows, and the number of rows accepted: a headcount row gives several factors."""
    numbered = iter(table)
    while chunk := list(islice(numbered, BATCH_ROWS)):
        factors: list[ParsedFactor] = []
        rejected: list[RowRejected] = []
        for number, cells in chunk:
            parsed = reader.read(number, cells)
            if isinstance(parsed, RowRejected):
                rejected.append(parsed)
            else:
                factors += parsed
        yield factors, rejected, len(chunk) - len(rejected)


async def _upsert(connection: AsyncConnection, job: ClaimedJob, factors: list[ParsedFactor]) -> None:
    parameters = {
        "provider": job.provider,
        "year": job.year,
        "job_id": job.id,
        "emission_types": [factor.emission_type_id for factor in factors],
        "entry_types": [factor.data_entry_type_id for factor in factors],
        "classifications": [dumps(factor.classification) for factor in factors],
        "values": [dumps(factor.values) for factor in factors],
    }
    await connection.execute(_UPSERT, parameters)
