"""Stopping a pipeline, and putting a job whose worker fell silent back in the queue."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands import audit
from gql_server.db import models
from gql_server.db.expressions import among
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound, RefusalReason
from gql_server.ledger import chain, interventions, reconcile
from gql_server.policy import OPERATIONS_EDIT, Viewer, job_clause, orphan_clause, pipeline_clause
from gql_server.worker import Registry

REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Aborted:
    """Outcome of an abort. The caller cancels the jobs after its commit, with `wakeup.cancel_jobs`."""

    pipeline_id: UUID
    aborted_job_ids: list[int]
    aborted_by: str


async def abort_pipeline(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    pipeline_id: UUID,
    reason: str | None = None,
    *,
    expected_updated_at: datetime | None = None,
) -> Aborted:
    """End every live job of a pipeline. Raises BadInput, NotFound, Forbidden, or Conflict: nothing is live, it changed since
    `expected_updated_at`, or it is a job without a pipeline.

    Work that its waiting jobs had taken over from other pipelines goes back to those.
    """
    check_reason(reason)
    await _visible_pipeline(connection, viewer, pipeline_id)
    aborted = await _end(connection, viewer, [pipeline_id], reason)
    if not aborted:
        raise not_live(pipeline_id, has_ended=await _has_ended(connection, pipeline_id))
    await _unchanged_since(connection, pipeline_id, expected_updated_at)
    await _settle(connection, registry, viewer, aborted, reason)
    return Aborted(pipeline_id, [job.id for job in aborted], _name(viewer))


async def abort_many(
    connection: AsyncConnection, registry: Registry, viewer: Viewer, pipeline_ids: Sequence[UUID], reason: str | None
) -> tuple[set[UUID], list[interventions.AbortedJob]]:
    """End every live job of those of these pipelines that the viewer sees. Returns which those are, and the jobs.

    One may get work back that another of them did for it, and is ended then.
    """
    row = models.Pipeline
    visible = set(await connection.scalars(select(row.id).where(among(row.id, pipeline_ids), pipeline_clause(viewer))))
    ended: list[interventions.AbortedJob] = []
    while aborted := await _end(connection, viewer, visible - {job.pipeline_id for job in ended}, reason):
        await _settle(connection, registry, viewer, aborted, reason)
        ended += aborted
    return visible, ended


async def _end(
    connection: AsyncConnection, viewer: Viewer, pipeline_ids: Collection[UUID], reason: str | None
) -> list[interventions.AbortedJob]:
    """End what is live, and lock the pipelines of that and those it did work of."""
    aborted = await interventions.abort(connection, pipeline_ids, _name(viewer), reason) if pipeline_ids else []
    await reconcile.lock(connection, _concerned(aborted))
    return aborted


async def _settle(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    aborted: Sequence[interventions.AbortedJob],
    reason: str | None,
) -> None:
    row, ended = models.Pipeline, sorted({job.pipeline_id for job in aborted})
    marks = {"aborted_at": models.NOW, "owes_aggregation": False}
    await connection.execute(update(row).where(among(row.id, ended)).values(marks))
    await chain.hand_over(connection, registry, aborted)
    await reconcile.recompute(connection, _concerned(aborted))
    jobs_of = {id: [job.id for job in aborted if job.pipeline_id == id] for id in ended}
    targets = [{"pipeline_id": id, "job_ids": jobs, "reason": reason} for id, jobs in jobs_of.items()]
    await audit.record_all(connection, viewer, "abort_pipeline", targets)


def _concerned(aborted: Sequence[interventions.AbortedJob]) -> set[UUID]:
    return {id for job in aborted for id in (job.pipeline_id, *job.serves)}


def _name(viewer: Viewer) -> str:
    return viewer.email or viewer.subject


async def recover_job(connection: AsyncConnection, viewer: Viewer, job_id: int) -> None:
    """Requeue a RUNNING job whose lease has run out, with all its attempts. Raises NotFound, Forbidden, or Conflict."""
    pipeline_id = await _visible_job(connection, viewer, job_id)
    try:
        async with connection.begin_nested():
            recovered = await interventions.requeue(connection, job_id)
    except IntegrityError:
        raise Conflict("a follow-up of this job already waits", reason=RefusalReason.FOLLOW_UP_WAITS, jobId=job_id) from None
    if not recovered:
        raise _not_stale(job_id, has_ended=await connection.scalar(_HAS_ENDED, {"id": job_id}) is True)
    if pipeline_id is not None:
        await reconcile.recompute(connection, [pipeline_id])
    await audit.record(connection, viewer, "recover_job", {"job_id": job_id, "pipeline_id": pipeline_id})


_HAS_ENDED = select(models.Job.state == models.JobState.FINISHED).where(models.Job.id == bindparam("id"))


def _not_stale(job_id: int, *, has_ended: bool) -> Conflict:
    if has_ended:
        return Conflict("the job has ended", reason=RefusalReason.ENDED, jobId=job_id)
    return Conflict("the job is not running, or its worker is alive", reason=RefusalReason.NOT_STALE, jobId=job_id)


def check_reason(reason: str | None) -> None:
    """Raises BadInput for a reason that says nothing, or too much."""
    if reason is not None and not 1 <= len(reason.strip()) <= REASON_LENGTH:
        raise BadInput(f"the reason must have 1 to {REASON_LENGTH} characters", argument="reason")


def not_live(pipeline_id: UUID, *, has_ended: bool) -> Conflict:
    """The refusal to abort a pipeline that has no live job of its own."""
    left = "what is left of this pipeline is done by another one: abort that"
    message = "nothing of this pipeline is live" if has_ended else left
    return Conflict(message, reason=RefusalReason.NOT_LIVE, pipelineId=str(pipeline_id))


async def _has_ended(connection: AsyncConnection, pipeline_id: UUID) -> bool:
    row = models.Pipeline
    return bool(await connection.scalar(select(row.status.in_(models.TERMINAL_STATUSES)).where(row.id == pipeline_id)))


async def _visible_pipeline(connection: AsyncConnection, viewer: Viewer, pipeline_id: UUID) -> None:
    row, job = models.Pipeline, models.Job
    stored = select(row.id).where(row.id == pipeline_id, pipeline_clause(viewer))
    orphan = select(job.id).where(job.time_key == pipeline_id, job.pipeline_id.is_(None), orphan_clause(viewer))
    found = await connection.scalar(stored)
    job_id = None if found else await connection.scalar(orphan)
    if found is None and job_id is None:
        raise NotFound("no such pipeline")
    may_operate(viewer)
    if found is None:
        raise Conflict("a job without a pipeline cannot be aborted", reason=RefusalReason.NO_PIPELINE, jobId=job_id)


async def _unchanged_since(connection: AsyncConnection, pipeline_id: UUID, expected: datetime | None) -> None:
    """Raises Conflict when the pipeline, which the transaction has locked, changed since the client read it."""
    row = models.Pipeline
    updated_at = await connection.scalar(select(row.updated_at).where(row.id == pipeline_id)) if expected else None
    if updated_at != expected:
        raise Conflict("the pipeline changed since you read it", reason=RefusalReason.CHANGED, pipelineId=str(pipeline_id))


async def _visible_job(connection: AsyncConnection, viewer: Viewer, job_id: int) -> UUID | None:
    job, pipeline = models.Job, models.Pipeline
    statement = (
        select(job.id, job.pipeline_id)
        .outerjoin(pipeline, pipeline.id == job.pipeline_id)
        .where(job.id == job_id, job_clause(viewer))
    )
    if (row := (await connection.execute(statement)).one_or_none()) is None:
        raise NotFound("no such job")
    may_operate(viewer)
    return row.pipeline_id


def may_operate(viewer: Viewer) -> None:
    """Raises Forbidden."""
    if not viewer.may(OPERATIONS_EDIT):
        raise Forbidden("you may not operate pipelines", permission=OPERATIONS_EDIT)
