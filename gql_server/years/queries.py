"""Reads of year configurations, and of how far the jobs of a year are. A key is a provider and a year."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, TextClause, cast, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import models
from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.errors import BadInput
from gql_server.jobs.queries import PIPELINE_KEY
from gql_server.models import LIVE_STATES, JobType, Provider
from gql_server.policy import OPERATIONS_VIEW, Viewer, year_clause
from gql_server.sql import AnyRow, AnySelect, constant, integer, member
from gql_server.years.blockers import UnitSync
from gql_server.years.freshness import (
    EntryTypeRecalculation,
    Freshness,
    ModuleFreshness,
    freshness,
)
from gql_server.years.readiness import ModuleReadiness, readiness

J = models.Job
Y = models.YearConfiguration
YearKey = tuple[str, int]
CellKey = tuple[int, int]
Pointer = tuple[str, ...]
MINUTES = range(1, 525_601)


def _years(viewer: Viewer) -> AnySelect:
    return select(
        constant("YearConfiguration").label("node_type"),
        Y.year,
        member(Y.provider, Provider, "OTHER").label("provider"),
        Y.is_started,
        Y.configuration_completed.is_not(None).label("is_provisioned"),
        Y.configuration_completed.label("provisioned_at"),
        Y.updated_at,
    ).where(year_clause(viewer))


async def years(connection: AsyncConnection, viewer: Viewer) -> Sequence[AnyRow]:
    """Years the viewer may see, newest first."""
    return (await connection.execute(_years(viewer).order_by(Y.year.desc()))).all()


async def years_by_key(connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]) -> dict[YearKey, AnyRow]:
    rows = await connection.execute(_years(viewer).where(_named(keys)))
    return {(row.provider, row.year): row for row in rows}


async def config_by_key(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey], *, pointers: tuple[Pointer, ...] | None
) -> dict[YearKey, Any]:
    """The settings of each year; given pointers, only those parts, in that order."""
    parts = [Y.config] if pointers is None else [Y.config[list(pointer)] for pointer in pointers]
    columns = [part.label(f"part_{index}") for index, part in enumerate(parts)]
    rows = await connection.execute(
        select(cast(Y.provider, Text).label("provider"), Y.year, *columns).where(_named(keys), year_clause(viewer))
    )
    return {(row.provider, row.year): row[2:] for row in rows}


async def current_jobs_by_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]
) -> dict[YearKey, list[AnyRow]]:
    """The jobs that represent their combination of module, entry type, target and method in each year."""
    statement = select(
        cast(J.provider, Text).label("provider"),
        J.year,
        J.id.label("job_id"),
        J.entity_type,
        J.module_type_id,
        J.data_entry_type_id,
        J.target_type,
        J.ingestion_method,
        J.state,
        J.result,
    )
    found: defaultdict[YearKey, list[AnyRow]] = defaultdict(list)
    for row in await connection.execute(statement.where(J.is_current, _in_years(viewer, keys)).order_by(J.id)):
        found[row.provider, row.year].append(row)
    return found


async def readiness_by_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]
) -> dict[YearKey, dict[int, ModuleReadiness]]:
    """The modules in the settings of each year, by their number, and what they lack."""
    configs = await config_by_key(connection, viewer, keys, pointers=None)
    jobs: dict[YearKey, Any] = {**await current_jobs_by_year(connection, viewer, keys)}
    return {
        key: {module.module_type_id: module for module in readiness(config, jobs.get(key, []))}
        for key, (config,) in configs.items()
    }


async def unit_sync_by_year(connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]) -> dict[YearKey, UnitSync]:
    """The newest unit sync of each year."""
    year = func.coalesce(integer(J.config["target_year"]), J.year)
    rows = await connection.execute(
        select(year.label("year"), PIPELINE_KEY.label("key"), J.state.in_(LIVE_STATES).label("is_live"))
        .where(J.job_type == JobType.UNIT_SYNC, J.provider == viewer.provider, year.in_([year for _, year in keys]))
        .order_by(year, J.id.desc())
        .ext(distinct_on(year))
    )
    return {(viewer.provider, row.year): UnitSync(row.key, row.is_live is True) for row in rows}


async def entry_types_to_recalculate(connection: AsyncConnection, provider: str, year: int, module_type_id: int) -> list[int]:
    """Entry types of a module whose emissions are older than their factors: for commands, which check who asks."""
    cell = (year, module_type_id)
    found = (await recalculations(connection, provider, [cell])).get(cell, {})
    return [entry_type for entry_type, recalculation in found.items() if recalculation.needs_recalculation]


def _newest_recalculation(condition: str) -> str:
    """SQL of the newest recalculation `j` of the entry type `e` in the cell `c`: one of its own, or one that lists it."""
    of_cell = f"SELECT j.id FROM begun j WHERE j.year = c.year AND j.module_type_id = c.module_type_id AND {condition}"
    own = f"{of_cell} AND j.data_entry_type_id = e.id"
    listed = f"{of_cell} AND j.data_entry_type_id IS NULL AND j.config -> 'data_entry_type_ids' @> to_jsonb(e.id)"
    return f"greatest(({own} ORDER BY j.id DESC LIMIT 1), ({listed} ORDER BY j.id DESC LIMIT 1))"


# A failed factor job has changed nothing, and hides no good one before it; `is_current` cannot tell, as it marks the failed.
RECALCULATIONS = text(f"""
WITH begun AS NOT MATERIALIZED (
  SELECT *, state = 'FINISHED' AND result IS NOT DISTINCT FROM 'ERROR' AS failed FROM data_ingestion_jobs
  WHERE provider = :provider AND job_type IN ('emission_recalc', 'module_emission_recalc') AND state IN ('RUNNING', 'FINISHED')
)
SELECT c.year, c.module_type_id, e.id, factor.id, r.newest, r.complete, {
    _newest_recalculation("j.failed AND j.id > coalesce(r.complete, 0)")
}
FROM unnest(CAST(:years AS int[]), CAST(:modules AS int[])) AS c (year, module_type_id)
JOIN unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id) USING (module_type_id)
JOIN LATERAL (
  SELECT max(j.id) AS id FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = c.year AND j.module_type_id = c.module_type_id AND j.target_type = 'FACTORS'
    AND j.state = 'FINISHED' AND j.result <> 'ERROR' AND (j.data_entry_type_id = e.id OR j.data_entry_type_id IS NULL)
) factor ON factor.id IS NOT NULL
JOIN LATERAL (
  SELECT {_newest_recalculation("true")} AS newest,
    {_newest_recalculation("NOT j.failed AND j.scope_module_ids IS NULL")} AS complete
) r ON true
ORDER BY c.year, c.module_type_id, e.id
""")


async def recalculations(
    connection: AsyncConnection, provider: str, cells: Sequence[CellKey]
) -> dict[CellKey, dict[int, EntryTypeRecalculation]]:
    """The entry types of each cell that have factors, by their number. Everything is looked up by index, newest first."""
    parameters = {
        "provider": provider,
        "years": [year for year, _ in cells],
        "modules": [module for _, module in cells],
        "entry_type_modules": [info.module_id for info in DATA_ENTRY_TYPES.values()],
        "entry_types": list(DATA_ENTRY_TYPES),
    }
    found: defaultdict[CellKey, dict[int, EntryTypeRecalculation]] = defaultdict(dict)
    for row in await connection.execute(RECALCULATIONS, parameters):
        found[row[0], row[1]][row[2]] = EntryTypeRecalculation(*row[1:])
    return found


def last_aggregations(scopes: str) -> TextClause:
    """The newest aggregation of each scope, and when its data or factors last changed; `scopes` says `year, module_type_id`."""
    return text(f"""
SELECT s.year, s.module_type_id, a.*, c.changed_at, clock_timestamp() AS now
FROM ({scopes}) s
LEFT JOIN LATERAL (
  SELECT j.id AS job_id, j.state, j.result, j.created_at, j.finished_at, least(j.started_at, j.finished_at) AS aggregated_at
  FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = s.year AND j.module_type_id = s.module_type_id AND j.job_type = 'aggregation'
  ORDER BY j.id DESC LIMIT 1
) a ON true
LEFT JOIN LATERAL (
  SELECT max(j.finished_at) AS changed_at
  FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = s.year AND j.module_type_id = s.module_type_id
    AND j.state = 'FINISHED' AND j.result <> 'ERROR' AND j.target_type IN ('DATA_ENTRIES', 'FACTORS')
    AND j.job_type <> 'aggregation'
) c ON true
ORDER BY s.year DESC, s.module_type_id
""")


_OF_REPORTS = last_aggregations("""
SELECT DISTINCT r.year, m.module_type_id
FROM carbon_report_modules m
JOIN carbon_reports r ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id
WHERE u.provider = :provider AND m.module_type_id = ANY(:modules)
""")


async def stale_aggregations(
    connection: AsyncConnection, viewer: Viewer, older_than_minutes: int = 60
) -> list[ModuleFreshness]:
    """Modules of the provider's reports whose totals are not fresh, newest year first; for operators, others see none.

    Raises BadInput for an age of less than a minute or more than a year.
    """
    if older_than_minutes not in MINUTES:
        raise BadInput(f"olderThanMinutes must be between 1 and {MINUTES.stop - 1}", argument="olderThanMinutes")
    if not viewer.may(OPERATIONS_VIEW):
        return []
    rows = await connection.execute(_OF_REPORTS, {"provider": viewer.provider, "modules": list(MODULES)})
    every = [module_freshness(row, older_than_minutes) for row in rows]
    return [module for module in every if module.freshness != Freshness.FRESH]


def module_freshness(row: AnyRow, older_than_minutes: int) -> ModuleFreshness:
    """What a row of `last_aggregations` says of its module."""
    cutoff = row.now - timedelta(minutes=older_than_minutes)
    last: Any = row
    return ModuleFreshness(row.year, row.module_type_id, freshness(last, cutoff), row.finished_at, row.job_id)


def _in_years(viewer: Viewer, keys: Sequence[YearKey]) -> ColumnElement[bool]:
    """Jobs of these years, as far as the viewer may see the years."""
    return tuple_(J.provider, J.year).in_(select(Y.provider, Y.year).where(_named(keys), year_clause(viewer)))


def _named(keys: Sequence[YearKey]) -> Any:
    return tuple_(cast(Y.provider, Text), Y.year).in_(keys)
