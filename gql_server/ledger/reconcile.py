"""The stored status of pipelines: always recomputed from their jobs, in one set-based statement."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.ledger.serving import SERVING

FEW = 4


class ForPipelines:
    """A statement about some pipelines, with `{of}` where their ids are compared and `{ids}` for an array of them.

    For one id PostgreSQL keeps the plan; for an array it plans anew each time, which takes longer than the statement. So a
    few pipelines are done one by one, in order of id.
    """

    def __init__(self, sql: str, **parts: str) -> None:
        self.one = text(sql.format(of="= :id", ids="ARRAY[CAST(:id AS uuid)]", **parts))
        self.many = text(sql.format(of="= ANY(:ids)", ids="CAST(:ids AS uuid[])", **parts))

    async def execute(self, connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> Sequence[Row[Any]]:
        if len(pipeline_ids) > FEW:
            return (await connection.execute(self.many, {"ids": list(pipeline_ids)})).all()
        return [row for id in sorted(set(pipeline_ids)) for row in await connection.execute(self.one, {"id": id})]


# The same rules as `progress.pipeline_status`; a property test holds the two together.
_RECOMPUTE = f"""
WITH {SERVING}, facts AS (
  SELECT j.served AS id,
    count(*) AS job_count,
    count(*) FILTER (WHERE j.state = 'FINISHED' AND j.result = 'ERROR') AS error_count,
    count(*) FILTER (WHERE j.job_type = 'emission_recalc') AS recalc_count,
    coalesce(bool_or(j.state IN ('NOT_STARTED', 'QUEUED', 'RUNNING')), false) AS live,
    coalesce(bool_and(j.state IN ('NOT_STARTED', 'QUEUED')), false) AS untouched,
    coalesce(bool_or(j.state = 'FINISHED' AND j.result = 'WARNING'), false) AS has_warning,
    (array_agg(j.state = 'FINISHED' AND j.result = 'ERROR' ORDER BY j.id) FILTER (WHERE j.is_own))[1] AS root_failed,
    min(j.started_at) FILTER (WHERE j.is_own) AS started_at,
    max(j.finished_at) AS finished_at,
    (array_agg(j.status_message ORDER BY lower(btrim(coalesce(j.status_message, ''))) = 'success', j.id)
       FILTER (WHERE j.state = 'FINISHED' AND j.result = 'ERROR'))[1] AS last_error
  FROM serving j
  GROUP BY j.served
), statuses AS (
  SELECT f.*, CASE
      WHEN (f.live OR p.owes_aggregation) AND f.untouched THEN 'NOT_STARTED'
      WHEN f.live OR p.owes_aggregation THEN 'RUNNING'
      WHEN f.root_failed THEN 'FAILED'
      WHEN f.error_count > 0 THEN 'PARTIAL'
      ELSE 'SUCCESS' END AS status
  FROM facts f JOIN pipelines p ON p.id = f.id
  WHERE p.id {{of}}
), wanted AS (
  SELECT v.id, v.status, v.recalc_count AS expected_recalc, v.job_count, v.error_count, v.has_warning, v.last_error,
    v.started_at,
    CASE WHEN v.status IN ('SUCCESS', 'PARTIAL', 'FAILED') THEN v.finished_at END AS finished_at
  FROM statuses v
)
UPDATE pipelines p SET
  status = w.status, expected_recalc = w.expected_recalc, job_count = w.job_count, error_count = w.error_count,
  has_warning = w.has_warning, last_error = w.last_error, started_at = w.started_at, finished_at = w.finished_at,
  updated_at = clock_timestamp()
FROM wanted w
WHERE p.id = w.id AND ({{always}} OR
  (p.status, p.expected_recalc, p.job_count, p.error_count, p.has_warning, p.last_error, p.started_at, p.finished_at)
  IS DISTINCT FROM
  (w.status, w.expected_recalc, w.job_count, w.error_count, w.has_warning, w.last_error, w.started_at, w.finished_at))
RETURNING p.id
"""

_AFTER_A_CHANGE = ForPipelines(_RECOMPUTE, always="true")
_IF_DRIFTED = ForPipelines(_RECOMPUTE, always="false")

# A statement that waits for a lock still sees the ledger as it was before it waited: lock first, then look.
_LOCK = ForPipelines("""
SELECT id, owes_aggregation AND aborted_at IS NULL AS owes FROM pipelines WHERE id {of} ORDER BY id FOR NO KEY UPDATE
""")

# What can have drifted: whatever is not terminal, what has a live job, and what changed lately. A pipeline that is
# locked is being changed by somebody who will recompute it.
_LOCK_SUSPECTS = text("""
SELECT id FROM pipelines
WHERE id = ANY(ARRAY(
  SELECT id FROM pipelines WHERE status IN ('NOT_STARTED', 'RUNNING')
  UNION SELECT unnest(pipeline_id || serves) FROM data_ingestion_jobs
    WHERE state IN ('NOT_STARTED', 'QUEUED') AND locked_by IS NULL AND job_type IS NOT NULL
  UNION SELECT unnest(pipeline_id || serves) FROM data_ingestion_jobs WHERE state = 'RUNNING'
  UNION SELECT id FROM pipelines WHERE updated_at > (SELECT clock_timestamp() - interval '10 minutes')
))
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED
""")


async def lock(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> list[UUID]:
    """Lock these pipelines until the transaction ends, in order of id. Returns those that owe an aggregation."""
    if not pipeline_ids:
        return []
    return [row.id for row in await _LOCK.execute(connection, pipeline_ids) if row.owes]


async def recompute(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> None:
    """Lock these pipelines, and store what their jobs say."""
    if pipeline_ids:
        await lock(connection, pipeline_ids)
        await store(connection, pipeline_ids)


async def store(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> None:
    """Store what the jobs of these pipelines say, as `recompute` does, for pipelines that the transaction has locked."""
    await _AFTER_A_CHANGE.execute(connection, pipeline_ids)


async def suspects(connection: AsyncConnection) -> list[UUID]:
    """Lock and return the pipelines whose stored status may have drifted."""
    return list((await connection.scalars(_LOCK_SUSPECTS)).all())


async def correct(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> list[UUID]:
    """Correct the stored status of these locked pipelines where their jobs contradict it; touches no other row."""
    return [row.id for row in await _IF_DRIFTED.execute(connection, pipeline_ids)]
