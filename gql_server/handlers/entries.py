"""Data entries, from wherever their rows come: read, replaced by source and copied in, with the recalculations that follow."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import entry_types_of
from gql_server.carbon.columns import Header
from gql_server.carbon.formats import EntryFormat, entry_format
from gql_server.carbon.lacks import Lack
from gql_server.carbon.readers import EntryReader, ParsedEntry, RowRejected
from gql_server.carbon.refusals import FileRefused
from gql_server.db import driver_connection, dumps
from gql_server.db.models import EntityType, IngestionMethod, JobType
from gql_server.handlers.factors import factor_index
from gql_server.handlers.reports import ReportModules
from gql_server.handlers.results import IngestCounts
from gql_server.handlers.uploaded import NumberedRow
from gql_server.worker import ChildJob, ClaimedJob, JobError, Outcome, Run

BATCH_ROWS = 5_000
ENTRY_COLUMNS = (
    *("provider", "data_entry_type_id", "carbon_report_module_id", "data"),
    *("year", "unit_id", "source", "upload_id", "lack"),
)

SOURCES: Mapping[tuple[str, bool], int] = {
    (IngestionMethod.CSV, False): 1,
    (IngestionMethod.CSV, True): 2,
    (IngestionMethod.API, False): 3,
    (IngestionMethod.API, True): 4,
}
"""`data_entries.source` by method and whether the entries are one unit's; 0 is for entries made by hand."""

# Only entries of the same source are replaced: manual, unit-specific and the other method's survive.
_DELETE = """
WITH deleted AS (
  DELETE FROM data_entries
  WHERE provider = :provider AND year = :year AND data_entry_type_id = ANY(:data_entry_types) AND source = :source{also}
  RETURNING carbon_report_module_id
)
SELECT DISTINCT carbon_report_module_id FROM deleted
"""
_DELETE_OF_YEAR = text(_DELETE.format(also=""))
_DELETE_OF_UPLOAD = text(_DELETE.format(also=" AND unit_id = :unit_id AND upload_id = :upload_id"))

_MEMBERS = text("""
SELECT u.institutional_id, e.data ->> 'user_institutional_id' AS member
FROM data_entries e JOIN units u ON u.id = e.unit_id
WHERE e.provider = :provider AND e.year = :year AND e.data_entry_type_id = ANY(:data_entry_types)
  AND e.data ? 'user_institutional_id'
""")


@dataclass(frozen=True, slots=True)
class Target:
    """Target of entries, and the upload that brings them. `unit` is set when they are of one unit."""

    format: EntryFormat
    provider: str
    year: int
    module_type_id: int
    data_entry_types: tuple[int, ...]
    unit: str | None
    source: int
    upload_id: UUID | None


def target_of(job: ClaimedJob, method: IngestionMethod) -> Target:
    """Target of the job's entries. Raises JobError when it does not say, or cannot be."""
    if job.year is None:
        raise JobError("the year of the data is missing")
    if job.module_type_id is None or not entry_types_of(job.module_type_id):
        raise JobError(f"unknown module {job.module_type_id}")
    format = entry_format(job.module_type_id, job.data_entry_type_id)
    if format is None:
        raise JobError("there is no file format for this module and data entry type")
    entry_types = format.data_entry_types if job.data_entry_type_id is None else (job.data_entry_type_id,)
    unit = job.config.get("unit_institutional_id") if job.entity_type == EntityType.MODULE_UNIT_SPECIFIC else None
    source = SOURCES[method, unit is not None]
    return Target(format, job.provider, job.year, job.module_type_id, entry_types, unit, source, job.upload_id)


async def replace_entries(
    job: ClaimedJob,
    connection: AsyncConnection,
    run: Run,
    target: Target,
    chunks: AsyncGenerator[list[NumberedRow]],
    *,
    total: int | None = None,
    header: Header | None = None,
) -> Outcome:
    """Insert the accepted rows in place of what the same source brought before, and chain a recalculation for each entry
    type. `total` is the number of rows, if known; `header` is that of a file. Raises JobError for rows that
    are refused as a whole."""
    modules = ReportModules(connection, target.provider, target.year, target.module_type_id)
    await modules.load()
    tally = IngestCounts.of(job, run)
    tally.header = header or tally.header
    try:
        entry_types = entry_types_of(target.module_type_id)
        factors = await factor_index(connection, target.provider, target.year, entry_types, ignore_case=True)
        replaced = await _delete_previous(connection, target, modules)
        reader = EntryReader(
            target.format,
            factors,
            data_entry_type_id=job.data_entry_type_id,
            unit=target.unit,
            units=modules.unit_ids,
            members=await _members(connection, target),
        )
        await run.progress("Parsing rows")
        inserted = await _insert(connection, run, target, reader, modules, tally, chunks, total)
    except FileRefused as refused:
        raise JobError(str(refused)) from None
    finally:
        await chunks.aclose()
    affected = sorted(replaced | inserted)
    return Outcome(
        result=tally.result,
        message=tally.message,
        meta=tally.meta,
        row_errors=tally.row_errors,
        affected_module_ids=affected,
        children=_recalculations(job, target, modules, affected),
    )


async def _delete_previous(connection: AsyncConnection, target: Target, modules: ReportModules) -> set[int]:
    """Entries of the whole year replace their predecessors; a unit's only those that the same upload brought when it was read
    before. Returns the modules that lost entries."""
    parameters = {
        "provider": target.provider,
        "year": target.year,
        "data_entry_types": list(target.data_entry_types),
        "source": target.source,
    }
    if target.unit is None:
        return set((await connection.scalars(_DELETE_OF_YEAR, parameters)).all())
    of_upload = {"unit_id": modules.unit_ids.get(target.unit), "upload_id": target.upload_id}
    return set((await connection.scalars(_DELETE_OF_UPLOAD, parameters | of_upload)).all())


async def _members(connection: AsyncConnection, target: Target) -> list[tuple[str, str]]:
    parameters = {"provider": target.provider, "year": target.year, "data_entry_types": list(target.data_entry_types)}
    return [(row.institutional_id, row.member) for row in await connection.execute(_MEMBERS, parameters)]


async def _insert(
    connection: AsyncConnection,
    run: Run,
    target: Target,
    reader: EntryReader,
    modules: ReportModules,
    tally: IngestCounts,
    chunks: AsyncGenerator[list[NumberedRow]],
    total: int | None,
) -> set[int]:
    """Parse off the event loop, COPY chunk by chunk. Returns the modules that gained entries."""
    touched: set[int] = set()
    async for chunk in chunks:
        accepted, rejected, warned, waiting = await asyncio.to_thread(_parse, reader, chunk)
        await modules.ensure([entry.unit_institutional_id for entry in accepted])
        records = await asyncio.to_thread(_records, accepted, target, modules)
        async with driver_connection(connection) as driver:
            await driver.copy_records_to_table("data_entries", records=records, columns=ENTRY_COLUMNS)
        touched |= {modules.module_ids[entry.unit_institutional_id] for entry in accepted}
        tally.add(len(accepted), rejected, warned, waiting)
        await run.count("inserting", tally.accepted + tally.rejected, total)
    return touched


def _parse(
    reader: EntryReader, chunk: Sequence[NumberedRow]
) -> tuple[list[ParsedEntry], list[RowRejected], list[RowRejected], list[RowRejected]]:
    """Entries, rejected rows, and of those accepted all the same what was ignored in them, and which wait for a factor."""
    accepted: list[ParsedEntry] = []
    rejected: list[RowRejected] = []
    warned: list[RowRejected] = []
    waiting: list[RowRejected] = []
    for number, cells in chunk:
        parsed = reader.read(number, cells)
        if isinstance(parsed, RowRejected):
            rejected.append(parsed)
            continue
        accepted.append(parsed)
        warned += [RowRejected(number, column, reason, cells.get(column)) for column, reason in parsed.warnings]
        if parsed.lack is not None:
            column, lack = parsed.lack
            waiting.append(RowRejected(number, column, lack, cells.get(column)))
    return accepted, rejected, warned, waiting


def _records(accepted: list[ParsedEntry], target: Target, modules: ReportModules) -> list[tuple[object, ...]]:
    return [
        (
            target.provider,
            entry.data_entry_type_id,
            modules.module_ids[entry.unit_institutional_id],
            dumps(entry.data),
            target.year,
            modules.unit_ids[entry.unit_institutional_id],
            target.source,
            target.upload_id,
            Lack.MISSING_FACTOR if entry.lack else None,
        )
        for entry in accepted
    ]


def _recalculations(job: ClaimedJob, target: Target, modules: ReportModules, affected: list[int]) -> list[ChildJob]:
    entry_types = entry_types_of(target.module_type_id) if job.data_entry_type_id is None else (job.data_entry_type_id,)
    scope = None if target.unit is None else [modules.module_ids[target.unit]] if target.unit in modules.module_ids else []
    return [
        ChildJob(
            job_type=JobType.EMISSION_RECALC,
            data_entry_type_id=entry_type,
            scope_module_ids=scope,
            affected_module_ids=affected,
        )
        for entry_type in entry_types
    ]
