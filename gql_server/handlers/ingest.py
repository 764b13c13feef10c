"""csv_ingest: a file of data entries replaces the ones that the last such file brought, in one transaction."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import entry_types_of
from gql_server.carbon.csvfile import CsvRows, FileRefused
from gql_server.carbon.formats import EntryFormat, entry_format, open_rows
from gql_server.carbon.readers import EntryReader, ParsedEntry, RowRejected
from gql_server.db import driver_connection, dumps
from gql_server.handlers.factors import factor_index
from gql_server.handlers.reports import ReportModules
from gql_server.handlers.results import ROW_ERRORS_KEPT, Tally
from gql_server.models import EntityType, JobType
from gql_server.runner import Child, Job, JobError, Outcome, Run, job_type
from gql_server.runner.locks import module_of_year

CSV_MODULE_PER_YEAR = 1
CSV_MODULE_UNIT_SPECIFIC = 2
BATCH_ROWS = 5_000
ENTRY_COLUMNS = ("provider", "data_entry_type_id", "carbon_report_module_id", "data", "year", "unit_id", "source")

# Manual, API and unit-specific entries have other sources, and survive.
_DELETE_PREVIOUS = text("""
WITH deleted AS (
  DELETE FROM data_entries
  WHERE provider = :provider AND year = :year AND data_entry_type_id = ANY(:data_entry_types) AND source = :source
  RETURNING carbon_report_module_id
)
SELECT DISTINCT carbon_report_module_id FROM deleted
""")

_MEMBERS = text("""
SELECT u.institutional_id, e.data ->> 'user_institutional_id' AS member
FROM data_entries e JOIN units u ON u.id = e.unit_id
WHERE e.provider = :provider AND e.year = :year AND e.data_entry_type_id = ANY(:data_entry_types)
  AND e.data ? 'user_institutional_id'
""")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the entries of a file go. `unit` is set for a file of one unit."""

    format: EntryFormat
    provider: str
    year: int
    module_type_id: int
    data_entry_types: tuple[int, ...]
    unit: str | None

    @property
    def source(self) -> int:
        return CSV_MODULE_PER_YEAR if self.unit is None else CSV_MODULE_UNIT_SPECIFIC


@job_type(JobType.CSV_INGEST, locks=module_of_year)
async def csv_ingest(job: Job, connection: AsyncConnection, run: Run) -> Outcome:
    """Insert the accepted rows of the uploaded file, and chain a recalculation for each of its entry types."""
    target = _target(job)
    await run.progress("Starting CSV processing")
    factors = await factor_index(connection, job.provider, target.year, target.data_entry_types, ignore_case=True)
    modules = ReportModules(connection, job.provider, target.year, target.module_type_id)
    await modules.load()
    try:
        async with run.uploaded_file() as path:
            replaced = await _delete_previous(connection, run, target)
            reader = EntryReader(
                target.format,
                factors,
                data_entry_type_id=job.data_entry_type_id,
                unit=target.unit,
                units=modules.unit_ids,
                members=await _members(connection, target),
            )
            await run.progress("Parsing rows")
            tally = Tally(keep=int(job.config.get("max_row_errors", ROW_ERRORS_KEPT)))
            inserted = await _insert(connection, run, path, target, reader, modules, tally)
    except FileRefused as refused:
        raise JobError(str(refused)) from None
    affected = sorted(replaced | inserted)
    return Outcome(
        result=tally.result,
        message=tally.message,
        meta=tally.meta,
        row_errors=tally.errors,
        affected_module_ids=affected,
        children=_recalculations(job, target, modules, affected),
    )


def _target(job: Job) -> Target:
    if job.year is None:
        raise JobError("the year of the data is missing")
    if job.module_type_id is None or not entry_types_of(job.module_type_id):
        raise JobError(f"unknown module {job.module_type_id}")
    format = entry_format(job.module_type_id, job.data_entry_type_id)
    if format is None:
        raise JobError("there is no file format for this module and data entry type")
    entry_types = format.data_entry_types if job.data_entry_type_id is None else (job.data_entry_type_id,)
    unit = job.config.get("unit_institutional_id") if job.entity_type == EntityType.MODULE_UNIT_SPECIFIC else None
    return Target(format, job.provider, job.year, job.module_type_id, entry_types, unit)


async def _delete_previous(connection: AsyncConnection, run: Run, target: Target) -> set[int]:
    """A file of the whole year replaces its predecessor; a unit's file adds. Returns the modules that lost entries."""
    if target.unit is not None:
        return set()
    await run.progress("Deleting previous entries")
    parameters = {
        "provider": target.provider,
        "year": target.year,
        "data_entry_types": list(target.data_entry_types),
        "source": target.source,
    }
    return set((await connection.scalars(_DELETE_PREVIOUS, parameters)).all())


async def _members(connection: AsyncConnection, target: Target) -> list[tuple[str, str]]:
    parameters = {"provider": target.provider, "year": target.year, "data_entry_types": list(target.data_entry_types)}
    return [(row.institutional_id, row.member) for row in await connection.execute(_MEMBERS, parameters)]


async def _insert(
    connection: AsyncConnection,
    run: Run,
    path: Path,
    target: Target,
    reader: EntryReader,
    modules: ReportModules,
    tally: Tally,
) -> set[int]:
    """Parse off the event loop, COPY batch by batch. Returns the modules that gained entries."""
    touched: set[int] = set()
    total = await asyncio.to_thread(_count_lines, path)
    rows = await asyncio.to_thread(open_rows, path, target.format, unit=target.unit)
    try:
        batches = _batches(rows, reader)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            accepted, rejected = batch
            await modules.ensure([entry.unit_institutional_id for entry in accepted])
            records = await asyncio.to_thread(_records, accepted, target, modules)
            async with driver_connection(connection) as driver:
                await driver.copy_records_to_table("data_entries", records=records, columns=ENTRY_COLUMNS)
            touched |= {modules.module_ids[entry.unit_institutional_id] for entry in accepted}
            tally.add(len(accepted), rejected)
            await run.count("inserting", tally.accepted + tally.rejected, total)
    finally:
        rows.close()
    return touched


def _count_lines(path: Path) -> int:
    """Lines below the header: the number of rows, but for cells that hold line breaks."""
    with path.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


def _batches(rows: CsvRows, reader: EntryReader) -> Iterator[tuple[list[ParsedEntry], list[RowRejected]]]:
    numbered = iter(rows)
    while chunk := list(islice(numbered, BATCH_ROWS)):
        accepted: list[ParsedEntry] = []
        rejected: list[RowRejected] = []
        for number, cells in chunk:
            parsed = reader.read(number, cells)
            if isinstance(parsed, ParsedEntry):
                accepted.append(parsed)
            else:
                rejected.append(parsed)
        yield accepted, rejected


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
        )
        for entry in accepted
    ]


def _recalculations(job: Job, target: Target, modules: ReportModules, affected: list[int]) -> list[Child]:
    entry_types = entry_types_of(target.module_type_id) if job.data_entry_type_id is None else (job.data_entry_type_id,)
    scope = None if target.unit is None else [modules.module_ids[target.unit]] if target.unit in modules.module_ids else []
    return [
        Child(
            job_type=JobType.EMISSION_RECALC,
            data_entry_type_id=entry_type,
            scope_module_ids=scope,
            affected_module_ids=affected,
        )
        for entry_type in entry_types
    ]
