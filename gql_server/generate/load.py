"""A generated ledger into the database: all of it in one transaction, or nothing."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import handlers
from gql_server.carbon.directory import read_directory
from gql_server.carbon.year_configuration import default_config
from gql_server.db import driver_connection, dumps
from gql_server.db.models import Job, Pipeline, Pod, YearConfiguration
from gql_server.db.models import carbon as carbon_tables
from gql_server.errors import Stop
from gql_server.generate.calendar import reporting_years
from gql_server.generate.drafts import JOB_COLUMNS, PIPELINE_COLUMNS
from gql_server.generate.ledger import ROW_ERROR_COLUMNS, UPLOAD_COLUMNS, Ledger, LedgerBatch
from gql_server.generate.story import World
from gql_server.generate.texts import PEOPLE
from gql_server.handlers.reports import create_modules, create_reports
from gql_server.handlers.units import store_directory
from gql_server.ledger.failures.record import name_groups
from gql_server.ledger.signatures import sign_all
from gql_server.worker import registry

assert handlers.__all__  # importing it registers the job types

BATCH = 20_000
TABLES = ("uploads", "pipelines", "data_ingestion_jobs", "row_errors")
WORKERS = 6

Report = Callable[[str, int], None]
"""Told what is being done, and how many jobs are in."""

# Foreign keys and indexes that only speed up reads: both are far cheaper to check and to build once, at the end.
_CONSTRAINTS = text("""
SELECT conrelid::regclass::text AS table, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[])) ORDER BY conname
""")
_INDEXES = text("""
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i
WHERE i.indrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
ORDER BY 1
""")
_MODULES = text("""
SELECT m.module_type_id, r.year, array_agg(m.id ORDER BY u.id) AS ids
FROM carbon_report_modules m JOIN carbon_reports r ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id
WHERE u.provider = :provider AND r.year = ANY(:years) GROUP BY 1, 2
""")
_WAITING = text("""
SELECT job_type, module_type_id, data_entry_type_id, year FROM data_ingestion_jobs
WHERE provider = :provider AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0
""")
_NEXT_JOB_ID = text("SELECT nextval(pg_get_serial_sequence('data_ingestion_jobs', 'id'))")
_RESTART_JOB_IDS = text("""
SELECT setval(pg_get_serial_sequence('data_ingestion_jobs', 'id'), (SELECT max(id) FROM data_ingestion_jobs))
""")


def quiet(stage: str, jobs: int) -> None:
    """Reports nothing."""


async def generate(
    engine: AsyncEngine,
    *,
    pipelines: int,
    seed: int,
    provider: str,
    append: bool = False,
    until: datetime | None = None,
    report: Report = quiet,
) -> int:
    """Fill the database with `pipelines` pipelines, and orphans beside them, that end at `until` (now). Returns the number of
    jobs. The same seed and end give the same ledger. Raises Stop when there are pipelines already, unless `append`.

    No event is recorded: nobody was there to be told.
    """
    until = until or datetime.now(UTC)
    async with engine.begin() as connection:
        await _require_room(connection, append)
        report("units and years", 0)
        world = await _world(connection, Random(seed), provider, until)
        async with _bare_tables(connection, report):
            ledger = Ledger(world, pipelines, await _first_id(connection))
            jobs = await _copy(connection, ledger, report)
            report("current jobs", jobs)
            current = ledger.current
            await connection.execute(update(Job).where(Job.provider == provider, Job.is_current).values(is_current=False))
            await connection.execute(update(Job).where(Job.id.in_(current)).values(is_current=True))
            await connection.execute(_RESTART_JOB_IDS)
            await name_groups(connection, ledger.failures.values())
            await sign_all(connection)
    report("vacuum", jobs)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(f"VACUUM ANALYZE {', '.join(TABLES)}"))
    return jobs


async def _require_room(connection: AsyncConnection, append: bool) -> None:
    if not append and await connection.scalar(select(Pipeline.id).limit(1)) is not None:
        raise Stop("the database has pipelines already: give --append to add to them, or another database")


async def _first_id(connection: AsyncConnection) -> int:
    return int((await connection.execute(_NEXT_JOB_ID)).scalar_one())


async def _world(connection: AsyncConnection, random: Random, provider: str, until: datetime) -> World:
    """The units, reports and years that the ledger is about, created where they are missing, and its people and workers."""
    await store_directory(connection, provider, await asyncio.to_thread(read_directory))
    unit = carbon_tables.Unit
    units = (
        await connection.execute(select(unit.id, unit.institutional_id).where(unit.provider == provider).order_by(unit.id))
    ).all()
    years = [*reporting_years(until)]
    for year in years:
        await create_reports(connection, year, [row.id for row in units])
        await create_modules(connection, year, [row.id for row in units])
        begun = datetime(year, 1, 5, tzinfo=UTC)
        values = {
            "year": year,
            "provider": provider,
            "is_started": True,
            "configuration_completed": begun,
            "config": default_config(enables=lambda *_: True),
        }
        await connection.execute(insert(YearConfiguration).values(values).on_conflict_do_nothing())
    workers = [f"worker-{number}" for number in range(1, WORKERS + 1)]
    pods = [
        {"pod_id": name, "git_sha": "0123abc", "app_version": "0.1.0", "started_at": until, "last_heartbeat_at": until}
        for name in workers
    ]
    await connection.execute(insert(Pod).values(pods).on_conflict_do_nothing())
    waiting = await connection.execute(_WAITING, {"provider": provider})
    modules = await connection.execute(_MODULES, {"provider": provider, "years": years})
    return World(
        random=random,
        registry=registry,
        provider=provider,
        units=[row.institutional_id for row in units if row.institutional_id is not None],
        modules={(row.module_type_id, row.year): row.ids for row in modules},
        authors=[_author(name) for name in PEOPLE],
        workers=workers,
        until=until,
        waiting={tuple(row) for row in waiting},
    )


def _author(name: str) -> str:
    user = f"user-{PEOPLE.index(name) + 1}"
    return dumps({"user_id": user, "email": f"{user}@example.org", "name": name})


@asynccontextmanager
async def _bare_tables(connection: AsyncConnection, report: Report) -> AsyncGenerator[None]:
    """The tables without what each row would pay for: events, foreign keys, secondary indexes. All are back at the end."""
    parameters = {"tables": list(TABLES)}
    constraints = (await connection.execute(_CONSTRAINTS, parameters)).all()
    indexes = (await connection.execute(_INDEXES, parameters)).all()
    drops = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in TABLES]
    drops += [f"ALTER TABLE {row.table} DROP CONSTRAINT {row.name}" for row in constraints]
    drops += [f"DROP INDEX {row.name}" for row in indexes]
    try:
        await _execute(connection, f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE", *drops)
    except ProgrammingError as error:
        raise Stop(f"only the owner of the tables can generate a ledger: {error.orig}") from None
    yield
    await _execute(connection, "SET LOCAL maintenance_work_mem = '256MB'")
    for row in indexes:
        report(f"index {row.name}", 0)
        await _execute(connection, row.definition)
    for row in constraints:
        report(f"foreign key {row.name}", 0)
        await _execute(connection, f"ALTER TABLE {row.table} ADD CONSTRAINT {row.name} {row.definition}")
    await _execute(connection, *(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in TABLES))


async def _execute(connection: AsyncConnection, *statements: str) -> None:
    for statement in statements:
        await connection.exec_driver_sql(statement)


async def _copy(connection: AsyncConnection, ledger: Ledger, report: Report) -> int:
    """Copy batch by batch, the next one made meanwhile. Returns the number of jobs."""
    batches = ledger.batches(BATCH)
    coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
    jobs = 0
    while (batch := await coming) is not None:
        coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
        await _copy_batch(connection, batch)
        report("jobs", jobs := jobs + len(batch.jobs))
    return jobs


async def _copy_batch(connection: AsyncConnection, batch: LedgerBatch) -> None:
    parts = (
        ("uploads", UPLOAD_COLUMNS, batch.uploads),
        ("pipelines", PIPELINE_COLUMNS, batch.pipelines),
        ("data_ingestion_jobs", JOB_COLUMNS, batch.jobs),
        ("row_errors", ROW_ERROR_COLUMNS, batch.row_errors),
    )
    async with driver_connection(connection) as driver:
        for table, columns, records in parts:
            await driver.copy_records_to_table(table, records=records, columns=columns)
