"""Reads of the year × module matrix, for all the cells that are asked for at once.

A key is a year and a module of the viewer's provider. The policy of `ModuleYear` says who may see a cell; its jobs and
pipelines are named by their keys here, and read through their own row clauses.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, TextClause, and_, func, literal, select, text, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.db import models
from gql_server.db.expressions import AnyRow
from gql_server.db.models import LIVE_STATES, PipelineStatus
from gql_server.errors import BadInput
from gql_server.policy import OPERATIONS_VIEW, Viewer, pipeline_clause, sees_all_jobs
from gql_server.reads.pipelines.filter import OPEN_STATUSES
from gql_server.reads.years.freshness import UP_TO_DATE, EntryTypeRecalculation, ModuleFreshness, freshness
from gql_server.reads.years.visible_jobs import CellKey, VisibleJobs, newest_visible

J, P = models.Job, models.Pipeline
MINUTES = range(1, 525_601)
ENTRY_TYPES = {
    "entry_type_modules": [info.module_id for info in DATA_ENTRY_TYPES.values()],
    "entry_types": list(DATA_ENTRY_TYPES),
}


class ModuleYearKey(NamedTuple):
    """A module in a year: the source of `ModuleYear`. Totals count as stale when older than so many minutes."""

    year: int
    module_type_id: int
    older_than_minutes: int = 60

    @property
    def key(self) -> CellKey:
        return self.year, self.module_type_id


_BEGUN = """
begun AS NOT MATERIALIZED (
  SELECT *, state = 'FINISHED' AND result IS NOT DISTINCT FROM 'ERROR' AS failed FROM data_ingestion_jobs
  WHERE provider = :provider AND job_type IN ('emission_recalc', 'module_emission_recalc') AND state IN ('RUNNING', 'FINISHED')
)
"""

# What failed for some units is done once the same has succeeded for those.
_UNREPAIRED = """
j.failed AND NOT EXISTS (
  SELECT FROM begun later WHERE later.year = j.year AND later.module_type_id = j.module_type_id
    AND later.data_entry_type_id = j.data_entry_type_id AND later.id > j.id AND later.state = 'FINISHED' AND NOT later.failed
    AND later.scope_module_ids @> j.scope_module_ids)
"""


def _newest_recalculation(condition: str) -> str:
    """SQL of the newest recalculation `j` of the entry type `e` in the cell `c`: one of its own, or one that lists it."""
    of_cell = f"SELECT j.id FROM begun j WHERE j.year = c.year AND j.module_type_id = c.module_type_id AND {condition}"
    own = f"{of_cell} AND j.data_entry_type_id = e.id"
    listed = f"{of_cell} AND j.data_entry_type_id IS NULL AND j.config -> 'data_entry_type_ids' @> to_jsonb(e.id)"
    return f"greatest(({own} ORDER BY j.id DESC LIMIT 1), ({listed} ORDER BY j.id DESC LIMIT 1))"


def _enabled(year: str, module: str, entry_type: str | None = None) -> str:
    """SQL that is true unless the settings of the year disable the module of that number, or the entry type in it."""
    settings = f"y.config -> 'modules' -> CAST({module} AS text)"
    submodule = f" OR {settings} -> 'submodules' -> CAST({entry_type} AS text) -> 'enabled' = 'false'" if entry_type else ""
    return f"""NOT EXISTS (
    SELECT 1 FROM year_configuration y
    WHERE y.provider = :provider AND y.year = {year} AND ({settings} -> 'enabled' = 'false'{submodule})
  )"""


def _last_aggregations(scopes: str) -> TextClause:
    """The newest aggregation of each scope, when its data or factors last changed, whether a recalculation of it failed or gave
    entries no emission, and whether it is enabled; `scopes` says `year, module_type_id`."""
    return text(f"""
WITH {_BEGUN}
SELECT c.year, c.module_type_id, {_enabled("c.year", "c.module_type_id")} AS is_enabled,
  a.*, change.changed_at, failure.job_id IS NOT NULL AS recalculation_failed, EXISTS (
    SELECT FROM unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id)
    JOIN data_entries d ON d.provider = :provider AND d.year = c.year AND d.data_entry_type_id = e.id AND d.lack IS NOT NULL
    WHERE e.module_type_id = c.module_type_id AND {_enabled("c.year", "c.module_type_id", "e.id")}
  ) AS lacks_emissions, clock_timestamp() AS now
FROM ({scopes}) c
LEFT JOIN LATERAL (
  SELECT j.id AS job_id, j.state, j.result, j.created_at, j.finished_at, least(j.started_at, j.finished_at) AS aggregated_at
  FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = c.year AND j.module_type_id = c.module_type_id AND j.job_type = 'aggregation'
  ORDER BY j.id DESC LIMIT 1
) a ON true
LEFT JOIN LATERAL (
  SELECT max(j.finished_at) AS changed_at
  FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = c.year AND j.module_type_id = c.module_type_id
    AND j.state = 'FINISHED' AND j.result <> 'ERROR' AND j.target_type IN ('DATA_ENTRIES', 'FACTORS')
    AND j.job_type <> 'aggregation'
) change ON true
LEFT JOIN LATERAL (
  SELECT max(failed.job_id) AS job_id
  FROM unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id)
  CROSS JOIN LATERAL (
    SELECT {_newest_recalculation("j.state = 'FINISHED' AND NOT j.failed AND j.scope_module_ids IS NULL")} AS complete
  ) r
  CROSS JOIN LATERAL (
    SELECT {_newest_recalculation(f"{_UNREPAIRED} AND j.id > coalesce(r.complete, 0)")} AS job_id
  ) failed
  WHERE e.module_type_id = c.module_type_id AND {_enabled("c.year", "c.module_type_id", "e.id")}
) failure ON true
ORDER BY c.year DESC, c.module_type_id
""")


LAST_AGGREGATIONS = _last_aggregations(
    "SELECT * FROM unnest(CAST(:years AS int[]), CAST(:modules AS int[])) AS asked (year, module_type_id)"
)


async def freshness_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey], *, older_than_minutes: int
) -> dict[CellKey, ModuleFreshness]:
    """Freshness of the totals of each module and year, whether or not the viewer may see the jobs that say so, and the newest
    aggregation that they may see."""
    years, modules = zip(*keys, strict=True)
    asked = {"provider": viewer.provider, "years": list(years), "modules": list(modules), **ENTRY_TYPES}
    rows = await connection.execute(LAST_AGGREGATIONS, asked)
    found = {(row.year, row.module_type_id): _module_freshness(row, older_than_minutes) for row in rows}
    if sees_all_jobs(viewer):
        return found
    seen = await newest_visible(connection, viewer, keys)
    return {cell: replace(module, last_aggregation_job_id=seen[cell].aggregation_job_id) for cell, module in found.items()}


_OF_REPORTS = _last_aggregations("""
SELECT DISTINCT r.year, m.module_type_id
FROM carbon_report_modules m
JOIN carbon_reports r ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id
WHERE u.provider = :provider AND m.module_type_id = ANY(:modules)
""")


async def stale_aggregations(
    connection: AsyncConnection, viewer: Viewer, older_than_minutes: int = 60
) -> list[ModuleFreshness]:
    """Enabled modules of the provider's reports whose totals are to be computed anew, newest year first; for operators, others
    see none.

    Raises BadInput for an age of less than a minute or more than a year.
    """
    if older_than_minutes not in MINUTES:
        raise BadInput(f"olderThanMinutes must be between 1 and {MINUTES.stop - 1}", argument="olderThanMinutes")
    if not viewer.may(OPERATIONS_VIEW):
        return []
    asked = {"provider": viewer.provider, "modules": list(MODULES), **ENTRY_TYPES}
    rows = await connection.execute(_OF_REPORTS, asked)
    every = [_module_freshness(row, older_than_minutes) for row in rows]
    return [module for module in every if module.freshness not in (None, *UP_TO_DATE)]


def _module_freshness(row: AnyRow, older_than_minutes: int) -> ModuleFreshness:
    """Freshness that a row of `_last_aggregations` says."""
    cutoff = row.now - timedelta(minutes=older_than_minutes)
    last: Any = row
    state = freshness(last, cutoff) if row.is_enabled else None
    return ModuleFreshness(row.year, row.module_type_id, state, row.job_id)


# A failed factor job has changed nothing, and hides no good one before it; `is_current` cannot tell, as it marks the failed.
RECALCULATIONS = text(f"""
WITH {_BEGUN}
SELECT c.year, c.module_type_id, e.id, factor.id, r.newest, r.complete, {
    _newest_recalculation(f"{_UNREPAIRED} AND j.id > coalesce(r.complete, 0)")
}, {_enabled("c.year", "c.module_type_id", "e.id")}
FROM unnest(CAST(:years AS int[]), CAST(:modules AS int[])) AS c (year, module_type_id)
JOIN unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id) USING (module_type_id)
JOIN LATERAL (
  SELECT max(j.id) AS id FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = c.year AND j.module_type_id = c.module_type_id AND j.target_type = 'FACTORS'
    AND j.state = 'FINISHED' AND j.result <> 'ERROR' AND (j.data_entry_type_id = e.id OR j.data_entry_type_id IS NULL)
) factor ON true
JOIN LATERAL (
  SELECT {_newest_recalculation("true")} AS newest,
    {_newest_recalculation("NOT j.failed AND j.scope_module_ids IS NULL")} AS complete
) r ON true
ORDER BY c.year, c.module_type_id, e.id
""")


async def recalculations_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, dict[int, EntryTypeRecalculation]]:
    """The entry types of each cell, by their number, with the newest jobs that the viewer may see. Everything is looked up by
    index, newest first."""
    parameters = {
        "provider": viewer.provider,
        "years": [year for year, _ in keys],
        "modules": [module for _, module in keys],
        **ENTRY_TYPES,
    }
    found: defaultdict[CellKey, dict[int, EntryTypeRecalculation]] = defaultdict(dict)
    for row in await connection.execute(RECALCULATIONS, parameters):
        found[row[0], row[1]][row[2]] = EntryTypeRecalculation(*row[1:], seen=VisibleJobs(*row[3:5]))
    if sees_all_jobs(viewer):
        return found
    seen = await newest_visible(connection, viewer, keys)
    return {
        cell: {entry_type: replace(of_type, seen=seen[cell].of(entry_type)) for entry_type, of_type in of_cell.items()}
        for cell, of_cell in found.items()
    }


async def entry_types_to_recalculate(connection: AsyncConnection, viewer: Viewer, year: int, module_type_id: int) -> list[int]:
    """Entry types of a module whose emissions are older than their factors: for commands, which check what is asked."""
    cell = (year, module_type_id)
    found = (await recalculations_by_module_year(connection, viewer, [cell])).get(cell, {})
    return [entry_type for entry_type, recalculation in found.items() if recalculation.needs_recalculation]


async def current_pipeline_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, UUID]:
    """The newest unfinished pipeline at work on each cell: where its unfinished jobs are, or itself when it has none."""
    live = and_(J.pipeline_id == P.id, J.provider == viewer.provider, J.state.in_(LIVE_STATES))
    year, module = func.coalesce(J.year, P.year), func.coalesce(J.module_type_id, P.module_type_id)
    rows = await connection.execute(
        select(year.label("year"), module.label("module_type_id"), P.id)
        .select_from(P)
        .outerjoin(J, live)
        .where(pipeline_clause(viewer), P.status.in_(OPEN_STATUSES), tuple_(year, module).in_(keys))
        .order_by(year, module, P.id.desc())
        .ext(distinct_on(year, module))
    )
    return {(row.year, row.module_type_id): row.id for row in rows}


async def last_successful_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, UUID]:
    """The newest pipeline about each cell that ended in SUCCESS."""
    years, modules = ([*part] for part in zip(*keys, strict=True))
    asked = (
        func.unnest(literal(years, ARRAY(Integer)), literal(modules, ARRAY(Integer)))
        .table_valued("year", "module_type_id")
        .render_derived(name="asked")
    )
    last = (
        select(P.id)
        .where(P.year == asked.c.year, P.module_type_id == asked.c.module_type_id)
        .where(P.status == PipelineStatus.SUCCESS, pipeline_clause(viewer))
        .order_by(P.id.desc())
        .limit(1)
        .lateral("last")
    )
    rows = await connection.execute(select(asked.c.year, asked.c.module_type_id, last.c.id).join_from(asked, last, true()))
    return {(row.year, row.module_type_id): row.id for row in rows}
