"""Aggregations that pipelines owe after their recalculations."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.models import EntityType, IngestionMethod, JobType, TargetType
from gql_server.ledger import reconcile
from gql_server.ledger.deduplication import AGGREGATION, Chained, Placement, insert_job, lock_keys_of
from gql_server.ledger.locks import JobTypes
from gql_server.ledger.serving import SERVING

# What is owed, by what the jobs say: for whatever was recalculated, an aggregation of the same module and year, by whomever.
# The flag asks for one more, as in a pipeline that is retried. What does not say whom it affected, affected the whole module
# and year; but if it failed, nobody, where others tell who was.
_OWED = reconcile.ForPipelines(f"""
WITH {SERVING}
SELECT p.id AS pipeline_id, r.provider, r.module_type_id, r.year, bool_or(r.is_own) AS is_own,
  coalesce(max(r.id) FILTER (WHERE r.is_own), max(r.id)) AS parent_job_id,
  CASE WHEN NOT bool_or(r.affected_module_ids IS NULL AND r.result IS DISTINCT FROM 'ERROR')
      AND NOT bool_and(r.affected_module_ids IS NULL) THEN
    ARRAY(SELECT DISTINCT unnest(a.affected_module_ids) FROM serving a
      WHERE a.served = p.id AND a.state = 'FINISHED' ORDER BY 1)
  END AS affected
FROM pipelines p JOIN serving r ON r.served = p.id
WHERE p.id {{of}} AND p.aborted_at IS NULL
  AND r.job_type IN ('emission_recalc', 'module_emission_recalc') AND r.module_type_id IS NOT NULL AND r.year IS NOT NULL
GROUP BY p.id, r.provider, r.module_type_id, r.year
HAVING NOT EXISTS (SELECT FROM serving l WHERE l.served = p.id AND l.state IN ('NOT_STARTED', 'QUEUED', 'RUNNING'))
  AND (p.owes_aggregation OR NOT EXISTS (
    SELECT FROM serving a
    WHERE a.served = p.id AND a.job_type = 'aggregation'
      AND (a.provider, a.module_type_id, a.year) = (r.provider, r.module_type_id, r.year)))
""")

_PAID = reconcile.ForPipelines(f"""
WITH {SERVING}
UPDATE pipelines p SET owes_aggregation = false
WHERE p.id {{of}} AND NOT EXISTS (
  SELECT FROM serving l WHERE l.served = p.id AND l.state IN ('NOT_STARTED', 'QUEUED', 'RUNNING'))
RETURNING p.id
""")


async def settle(
    connection: AsyncConnection, registry: JobTypes, pipeline_ids: Collection[UUID], *, recalculated: bool = True
) -> list[Chained]:
    """Chain the aggregations that these pipelines owe, where no job that serves them is live any more. If nothing has been
    `recalculated`, only a flag can say so.

    The pipelines are locked first: of siblings that finish together, exactly one sees that it was the last.
    """
    owing = await reconcile.lock(connection, pipeline_ids)
    suspects = pipeline_ids if recalculated else owing
    if not suspects:
        return []
    owed = await _OWED.execute(connection, suspects)
    if owing:
        await _PAID.execute(connection, owing)
    # Inserted in one order everywhere, so that two who settle cannot wait for each other's rows; work's owner comes first.
    ordered = sorted(owed, key=lambda row: (row.provider, row.module_type_id, row.year, not row.is_own, row.pipeline_id))
    return [await _aggregate(connection, registry, row) for row in ordered]


async def _aggregate(connection: AsyncConnection, registry: JobTypes, owed: Row[Any]) -> Chained:
    """The aggregation of a module and year that a pipeline recalculated, with the union of what was affected."""
    values = {
        "job_type": JobType.AGGREGATION,
        "pipeline_id": owed.pipeline_id,
        "parent_job_id": owed.parent_job_id,
        "provider": owed.provider,
        "module_type_id": owed.module_type_id,
        "year": owed.year,
        "entity_type": EntityType.MODULE_PER_YEAR,
        "ingestion_method": IngestionMethod.COMPUTED,
        "target_type": TargetType.DATA_ENTRIES,
        "scope_module_ids": owed.affected,
        "lock_keys": lock_keys_of(registry, JobType.AGGREGATION, Placement(owed.provider, owed.module_type_id, owed.year)),
    }
    return await insert_job(connection, values, AGGREGATION)
