"""Stopping a pipeline, and putting a job whose worker fell silent back in the queue."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import models
from gql_server.errors import Conflict, Forbidden, NotFound
from gql_server.policy import Viewer, job_clause, pipeline_clause
from gql_server.runner import Registry, chain, ledger, reconcile

OPERATIONS_EDIT = "backoffice.pipeline_operations:edit"
REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Aborted:
    """What an abort did. The caller cancels the jobs after its commit, with `wakeup.cancel_jobs`."""

    pipeline_id: UUID
    aborted_job_ids: list[int]
    aborted_by: str


async def abort_pipeline(
    connection: AsyncConnection, registry: Registry, viewer: Viewer, pipeline_id: UUID, reason: str | None = None
) -> Aborted:
    """End every live job of a pipeline. Raises NotFound, Forbidden, or Conflict when nothing is live.

    Work that its waiting jobs had taken over from other pipelines goes back to those.
    """
    await _visible_pipeline(connection, viewer, pipeline_id)
    by = viewer.email or viewer.subject
    aborted = await ledger.abort(connection, pipeline_id, by, reason[:REASON_LENGTH] if reason else None)
    if not aborted:
        raise Conflict("nothing of this pipeline is live", reason="NOT_LIVE", pipelineId=str(pipeline_id))
    served = {pipeline for job in aborted for pipeline in job.serves}
    await reconcile.lock(connection, {pipeline_id, *served})
    await connection.execute(
        update(models.Pipeline).where(models.Pipeline.id == pipeline_id).values(aborted_at=models.NOW, owes_aggregation=False)
    )
    receivers = await chain.hand_over(connection, registry, aborted)
    await reconcile.recompute(connection, {pipeline_id, *receivers})
    return Aborted(pipeline_id, [job.id for job in aborted], by)


async def recover_job(connection: AsyncConnection, viewer: Viewer, job_id: int, lease: timedelta) -> None:
    """Requeue a RUNNING job whose lease has run out, with all its attempts. Raises NotFound, Forbidden, or Conflict."""
    pipeline_id = await _visible_job(connection, viewer, job_id)
    try:
        async with connection.begin_nested():
            recovered = await ledger.requeue(connection, job_id, lease)
    except IntegrityError:
        raise Conflict("a follow-up of this job already waits", reason="FOLLOW_UP_WAITS", jobId=job_id) from None
    if not recovered:
        raise Conflict("the job is not running, or its worker is alive", reason="NOT_STALE", jobId=job_id)
    if pipeline_id is not None:
        await reconcile.recompute(connection, [pipeline_id])


async def _visible_pipeline(connection: AsyncConnection, viewer: Viewer, pipeline_id: UUID) -> None:
    row = models.Pipeline
    if await connection.scalar(select(row.id).where(row.id == pipeline_id, pipeline_clause(viewer))) is None:
        raise NotFound("no such pipeline")
    _may_operate(viewer)


async def _visible_job(connection: AsyncConnection, viewer: Viewer, job_id: int) -> UUID | None:
    job, pipeline = models.Job, models.Pipeline
    statement = (
        select(job.id, job.pipeline_id)
        .outerjoin(pipeline, pipeline.id == job.pipeline_id)
        .where(job.id == job_id, job_clause(viewer))
    )
    if (row := (await connection.execute(statement)).one_or_none()) is None:
        raise NotFound("no such job")
    _may_operate(viewer)
    return row.pipeline_id


def _may_operate(viewer: Viewer) -> None:
    if not viewer.may(OPERATIONS_EDIT):
        raise Forbidden("you may not operate pipelines", permission=OPERATIONS_EDIT)
