"""Interventions of an operator: abort a pipeline, requeue a job that fell silent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import among
from gql_server.db.models import NOW, HistoryKind, JobResult, JobState
from gql_server.ledger.failures import record as failure_records
from gql_server.ledger.history import history
from gql_server.ledger.leases import LEASE_IS_OVER
from gql_server.ledger.serving import SERVES_ANY

jobs = models.Job
ABORTED_BY = "Aborted by "
"""Begins the message of a job that was aborted; what follows names a person."""


@dataclass(frozen=True, slots=True)
class AbortedJob:
    """A job that an abort ended, with what is needed to give the work of others it had taken over to somebody else."""

    id: int
    pipeline_id: UUID
    job_type: str | None
    provider: str
    module_type_id: int | None
    data_entry_type_id: int | None
    year: int | None
    entity_type: str
    entity_id: int | None
    ingestion_method: str
    target_type: str | None
    config: Mapping[str, Any]
    max_attempts: int
    scope_module_ids: list[int] | None
    affected_module_ids: list[int] | None
    lock_keys: list[str]
    serves: list[UUID]


async def abort(connection: AsyncConnection, pipeline_ids: Collection[UUID], by: str, reason: str | None) -> list[AbortedJob]:
    """End every live job of the pipelines with ERROR, whoever holds it; live jobs of others serve those of them no longer.

    A job that is just committing is waited for, and may leave children that this look did not see: look until none is left.
    """
    await connection.execute(_LOCK_LIVE, {"ids": list(pipeline_ids)})
    aborted: list[AbortedJob] = []
    while ended := await _abort_live(connection, pipeline_ids, by, reason):
        aborted += ended
    if aborted:
        await connection.execute(_WITHDRAW, {"ids": sorted({job.pipeline_id for job in aborted})})
    await failure_records.record(connection, [job.id for job in aborted])
    return aborted


_OF_OTHERS = f"{SERVES_ANY} AND state <> 'FINISHED'"

_LOCK_LIVE = text(f"""
SELECT id FROM data_ingestion_jobs WHERE id = ANY(ARRAY(
  SELECT id FROM data_ingestion_jobs WHERE pipeline_id = ANY(:ids) AND state <> 'FINISHED'
  UNION ALL SELECT id FROM data_ingestion_jobs WHERE {_OF_OTHERS}))
ORDER BY id FOR NO KEY UPDATE
""")

_WITHDRAW = text(f"""
UPDATE data_ingestion_jobs
SET serves = ARRAY(SELECT id FROM unnest(serves) WITH ORDINALITY AS s(id, place) WHERE id <> ALL(:ids) ORDER BY place)
WHERE {_OF_OTHERS}
""")


async def _abort_live(
    connection: AsyncConnection, pipeline_ids: Collection[UUID], by: str, reason: str | None
) -> list[AbortedJob]:
    """End live jobs of the pipelines. What these did for others is somebody else's from now on: they end without serving
    them."""
    live = (
        select(jobs.id, jobs.serves)
        .where(among(jobs.pipeline_id, pipeline_ids), jobs.state.in_(models.LIVE_STATES))
        .order_by(jobs.id)
        .with_for_update(key_share=True)
        .cte("live")
    )
    message = f"{ABORTED_BY}{by}"
    marks = func.jsonb_build_object("aborted", True, "aborted_by", by, "aborted_at", NOW, "abort_reason", reason)
    ended = await connection.execute(
        update(jobs)
        .where(jobs.id == live.c.id)
        .values(
            state=JobState.FINISHED,
            result=JobResult.ERROR,
            serves=[],
            status_message=message,
            meta=history(message, jobs.meta.op("||")(marks), HistoryKind.ABORTED),
            finished_at=func.coalesce(jobs.finished_at, NOW),
            locked_by=None,
            locked_at=None,
            is_current=False,
        )
        .returning(*((live.c if name == "serves" else jobs.__table__.c)[name] for name in AbortedJob.__dataclass_fields__))
    )
    return sorted((AbortedJob(*row) for row in ended), key=lambda job: job.id)


async def requeue(connection: AsyncConnection, job_id: int) -> bool:
    """Put one job whose lease has run out back in the queue, with all its attempts. False when its lease still holds."""
    message = "Recovered by an operator"
    result = await connection.execute(
        update(jobs)
        .where(jobs.id == job_id, LEASE_IS_OVER)
        .values(
            state=JobState.NOT_STARTED,
            status_message=message,
            meta=history(message, jobs.meta, HistoryKind.RECOVERED),
            locked_by=None,
            locked_at=None,
            is_current=False,
            run_after=None,
            attempts=0,
        )
    )
    return result.rowcount == 1
