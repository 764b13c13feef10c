"""Aggregations in the year × module matrix: how fresh the totals of its cells are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import MODULES
from gql_server.db.expressions import AnyRow
from gql_server.errors import BadInput
from gql_server.policy import OPERATIONS_VIEW, Viewer, sees_all_jobs
from gql_server.reads.years.freshness import UP_TO_DATE, ModuleFreshness, freshness
from gql_server.reads.years.recalculations import BEGUN, ENTRY_TYPES, UNREPAIRED, enabled, newest_recalculation
from gql_server.reads.years.visible_jobs import CellKey, newest_visible

MINUTES = range(1, 525_601)


_AGGREGATIONS = """
FROM data_ingestion_jobs j WHERE j.provider = :provider AND j.year = c.year AND j.module_type_id = c.module_type_id
  AND j.job_type = 'aggregation'
"""

# One of some units neither hides that one of the whole year failed, nor does its work. What repairs it came after the newest
# complete one, which is said once more: else PostgreSQL reads all that there ever were.
_FAILED_AGGREGATION = f"""
EXISTS (
  SELECT {_AGGREGATIONS} AND j.state = 'FINISHED' AND j.result = 'ERROR' AND j.id > coalesce(complete.job_id, 0)
  AND NOT EXISTS (
    SELECT FROM data_ingestion_jobs later WHERE later.provider = :provider AND later.year = c.year
      AND later.module_type_id = c.module_type_id AND later.job_type = 'aggregation'
      AND later.id > j.id AND later.id > coalesce(complete.job_id, 0)
      AND later.state = 'FINISHED' AND later.result IS DISTINCT FROM 'ERROR' AND later.scope_module_ids @> j.scope_module_ids
  )
)
"""


def _last_aggregations(scopes: str) -> TextClause:
    """The newest aggregation of each scope, whether one of it failed, when its data or factors last changed, whether a
    recalculation of it failed or gave entries no emission, and whether it is enabled and has any; `scopes` says
    `year, module_type_id`."""
    return text(f"""
WITH {BEGUN}
SELECT c.year, c.module_type_id, {enabled("c.year", "c.module_type_id")} AS is_enabled,
  a.*, {_FAILED_AGGREGATION} AS aggregation_failed, change.changed_at, change.changed_at IS NOT NULL OR EXISTS (
    SELECT FROM unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id)
    JOIN data_entries d ON d.provider = :provider AND d.year = c.year AND d.data_entry_type_id = e.id
    WHERE e.module_type_id = c.module_type_id
  ) AS has_data, failure.job_id IS NOT NULL AS recalculation_failed, EXISTS (
    SELECT FROM unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id)
    JOIN data_entries d ON d.provider = :provider AND d.year = c.year AND d.data_entry_type_id = e.id AND d.lack IS NOT NULL
    WHERE e.module_type_id = c.module_type_id AND {enabled("c.year", "c.module_type_id", "e.id")}
  ) AS lacks_emissions, clock_timestamp() AS now
FROM ({scopes}) c
LEFT JOIN LATERAL (
  SELECT j.id AS job_id, j.state, j.created_at, j.finished_at, least(j.started_at, j.finished_at) AS aggregated_at
  {_AGGREGATIONS}
  ORDER BY j.id DESC LIMIT 1
) a ON true
LEFT JOIN LATERAL (
  SELECT j.id AS job_id {_AGGREGATIONS} AND j.state = 'FINISHED' AND j.result IS DISTINCT FROM 'ERROR'
    AND j.scope_module_ids IS NULL
  ORDER BY j.id DESC LIMIT 1
) complete ON true
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
    SELECT {newest_recalculation("j.state = 'FINISHED' AND NOT j.failed AND j.scope_module_ids IS NULL")} AS complete
  ) r
  CROSS JOIN LATERAL (
    SELECT {newest_recalculation(f"{UNREPAIRED} AND j.id > coalesce(r.complete, 0)")} AS job_id
  ) failed
  WHERE e.module_type_id = c.module_type_id AND {enabled("c.year", "c.module_type_id", "e.id")}
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
    """Enabled modules of the provider's reports whose totals are to be computed anew, newest year first, and not those that
    never had any data or factors; for operators, others see none.

    Raises BadInput for an age of less than a minute or more than a year.
    """
    if older_than_minutes not in MINUTES:
        raise BadInput(f"olderThanMinutes must be between 1 and {MINUTES.stop - 1}", argument="olderThanMinutes")
    if not viewer.may(OPERATIONS_VIEW):
        return []
    asked = {"provider": viewer.provider, "modules": list(MODULES), **ENTRY_TYPES}
    rows = await connection.execute(_OF_REPORTS, asked)
    every = [_module_freshness(row, older_than_minutes) for row in rows if row.has_data or row.job_id is not None]
    return [module for module in every if module.freshness not in (None, *UP_TO_DATE)]


def _module_freshness(row: AnyRow, older_than_minutes: int) -> ModuleFreshness:
    """Freshness that a row of `_last_aggregations` says."""
    cutoff = row.now - timedelta(minutes=older_than_minutes)
    last: Any = row
    state = freshness(last, cutoff) if row.is_enabled else None
    return ModuleFreshness(row.year, row.module_type_id, state, row.job_id)
