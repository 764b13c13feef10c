"""unit_sync: the units and people of a provider, and the year's reports for them; its success opens the year for uploads."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.directory import Directory, read_directory
from gql_server.db.models import NOW, JobType, Provider, YearConfiguration
from gql_server.db.models import carbon as carbon_tables
from gql_server.handlers.reports import create_modules, create_reports
from gql_server.ledger.locks import units_and_reports_of_year
from gql_server.worker import ClaimedJob, JobError, Outcome, Run, job_type

UNIT_SOURCES = "unit_sources"
PRINCIPAL = "calco2.user.principal"


class UnitSource(Protocol):
    """Source of a provider's units, page by page, as an institution's API gives them."""

    def pages(self) -> AsyncIterator[Directory]: ...


class BundledDirectory:
    """The directory that ships with the server: 2,231 units in 23 pages."""

    async def pages(self) -> AsyncIterator[Directory]:
        for page in (await asyncio.to_thread(read_directory)).pages():
            yield page


def default_unit_sources() -> dict[str, UnitSource]:
    """A source for every provider that has one. DEFAULT has none: its units are nobody's to synchronise."""
    return {Provider.ACCRED: BundledDirectory(), Provider.TEST: BundledDirectory()}


_UPSERT_UNITS = text("""
INSERT INTO units (provider, institutional_code, institutional_id, name, level, parent_code, path, unit_type,
  principal_user_institutional_id, is_active)
SELECT :provider, u.*, true
FROM unnest(CAST(:codes AS text[]), CAST(:ids AS text[]), CAST(:names AS text[]), CAST(:levels AS int[]),
  CAST(:parents AS text[]), CAST(:paths AS text[]), CAST(:types AS text[]), CAST(:principals AS text[])) AS u
ON CONFLICT (provider, institutional_code) DO UPDATE SET
  institutional_id = excluded.institutional_id, name = excluded.name, level = excluded.level,
  parent_code = excluded.parent_code, path = excluded.path, unit_type = excluded.unit_type,
  principal_user_institutional_id = excluded.principal_user_institutional_id, is_active = true
""")

_UPSERT_USERS = text("""
INSERT INTO users (provider, institutional_id, email, display_name)
SELECT :provider, u.* FROM unnest(CAST(:ids AS text[]), CAST(:emails AS text[]), CAST(:names AS text[])) AS u
ON CONFLICT (provider, institutional_id) DO UPDATE SET email = excluded.email, display_name = excluded.display_name
""")

_LINK_PRINCIPALS = text("""
INSERT INTO unit_users (unit_id, user_id, role)
SELECT n.id, s.id, :role FROM units n
JOIN users s ON s.provider = n.provider AND s.institutional_id = n.principal_user_institutional_id
WHERE n.provider = :provider
ON CONFLICT (unit_id, user_id) DO UPDATE SET role = excluded.role
""")


@job_type(JobType.UNIT_SYNC, locks=units_and_reports_of_year)
async def unit_sync(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Fetch, upsert, create reports and modules, stamp the year: all of it, or nothing."""
    year = job.config.get("target_year") or job.year
    if year is None:
        raise JobError("a unit sync needs a target year")
    sources: Mapping[str, UnitSource] = run.resources.get(UNIT_SOURCES, {})
    if (source := sources.get(job.provider)) is None:
        raise JobError(f"provider {job.provider} has no source of units")

    await run.phase("fetch_units", "Fetching units")
    pages = [page async for page in source.pages()]
    units = [unit for page in pages for unit in page.units]
    users = list({user.institutional_id: user for page in pages for user in page.users}.values())

    await run.phase("upsert_units_and_users", f"Storing {len(units)} units and {len(users)} users")
    await store_directory(connection, job.provider, Directory(tuple(units), tuple(users)))

    unit = carbon_tables.Unit
    unit_ids = list((await connection.scalars(select(unit.id).where(unit.provider == job.provider, unit.is_active))).all())
    await run.phase("create_carbon_reports", f"Creating the reports of {year} for {len(unit_ids)} units")
    reports = await create_reports(connection, year, unit_ids)

    await run.phase("ensure_modules", "Creating the modules of the reports")
    modules = await create_modules(connection, year, unit_ids)

    stamped = await connection.execute(
        update(YearConfiguration)
        .where(YearConfiguration.year == year, YearConfiguration.provider == job.provider)
        .values(configuration_completed=NOW, updated_at=NOW)
    )
    return Outcome(
        message="Unit sync completed" if stamped.rowcount else f"Unit sync completed, but year {year} no longer exists",
        meta={
            "units_synced": len(units),
            "users_synced": len(users),
            "carbon_reports_created": reports,
            "modules_created": modules,
            "carbon_report_year": year,
        },
    )


async def store_directory(connection: AsyncConnection, provider: str, directory: Directory) -> None:
    """Insert or update the units and people of a provider, and link each unit to the person who heads it."""
    units, users = directory.units, directory.users
    await connection.execute(
        _UPSERT_UNITS,
        {
            "provider": provider,
            "codes": [unit.institutional_code for unit in units],
            "ids": [unit.institutional_id for unit in units],
            "names": [unit.name for unit in units],
            "levels": [unit.level for unit in units],
            "parents": [unit.parent_code for unit in units],
            "paths": [unit.path for unit in units],
            "types": [unit.unit_type for unit in units],
            "principals": [unit.principal_user_institutional_id for unit in units],
        },
    )
    await connection.execute(
        _UPSERT_USERS,
        {
            "provider": provider,
            "ids": [user.institutional_id for user in users],
            "emails": [user.email for user in users],
            "names": [user.display_name for user in users],
        },
    )
    await connection.execute(_LINK_PRINCIPALS, {"provider": provider, "role": PRINCIPAL})
