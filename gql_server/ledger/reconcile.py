"""The stored status of pipelines: always recomputed from their jobs, by a function of the database."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import words

FEW = 4

OWES = and_(models.Pipeline.owes_aggregation, models.Pipeline.aborted_at.is_(None))
"""Pipelines that have an aggregation to chain once nothing of theirs is live. One that was aborted owes nothing."""


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


# The rules are in `db/sql/triggers/store_status.sql`, where PostgreSQL keeps their plan, and can go on after an error.
_IDS = "CAST(:ids AS uuid[])"
_STORE = text(f"SELECT gql_store_status({_IDS}, false)")
_TRY_TO_STORE = text(f"SELECT gql_try_store_status({_IDS})")
_CORRECT = text(f"SELECT gql_store_status({_IDS}, true)")

# A statement that waits for a lock still sees the ledger as it was before it waited: lock first, then look.
_LOCK = ForPipelines(f"""
SELECT id, {words(OWES)} AS owes FROM pipelines WHERE id {{of}} ORDER BY id FOR NO KEY UPDATE
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
    await connection.execute(_STORE, {"ids": list(pipeline_ids)})


async def try_to_store(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> str | None:
    """The same, or the error for which nothing is stored: the transaction can go on."""
    return await connection.scalar(_TRY_TO_STORE, {"ids": list(pipeline_ids)})


async def suspects(connection: AsyncConnection) -> list[UUID]:
    """Lock and return the pipelines whose stored status may have drifted."""
    return list((await connection.scalars(_LOCK_SUSPECTS)).all())


async def correct(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> list[UUID]:
    """Correct the stored status of these locked pipelines where their jobs contradict it; touches no other row."""
    return list((await connection.scalars(_CORRECT, {"ids": list(pipeline_ids)})).all())
