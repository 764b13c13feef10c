"""Doing again what a job did: its file read once more, or the same work as a new pipeline."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands.gate import creator, lock_year, year_accepts_uploads
from gql_server.commands.ingestion import ApiSource, Ingestion, authorize, start_api_ingestion, start_ingestion
from gql_server.commands.pipelines import may_operate
from gql_server.commands.recalculation import submit_once
from gql_server.db import models
from gql_server.db.expressions import AnyRow
from gql_server.db.models import (
    FILE_JOBS,
    LIVE_STATES,
    RECALCULATIONS,
    TERMINAL_STATUSES,
    EntityType,
    IngestionMethod,
    JobResult,
    JobState,
    JobType,
    TargetType,
)
from gql_server.errors import BadInput, Conflict, NotFound, Reason
from gql_server.ledger.verbs import NewJob, Submitted
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs.queries import PIPELINE_KEY, in_pipeline
from gql_server.worker import Registry

LANDED = (JobResult.SUCCESS, JobResult.WARNING)
J, P, U = models.Job, models.Pipeline, models.Upload


async def start_from_job(
    connection: AsyncConnection, registry: Registry, viewer: Viewer, ingestion: Ingestion, job_id: int
) -> Submitted:
    """Ingest once more the file that a job has read: that of another year, say. Its data must have landed, also with a WARNING.

    Raises what `start_ingestion` does, NotFound for a job the viewer does not see, and Conflict when the job has not landed or
    its file is gone.
    """
    module = authorize(viewer, ingestion)
    job = await _job(connection, viewer, J.id == job_id)
    if job is None:
        raise NotFound("no such job")
    if job.ingestion_method != IngestionMethod.CSV or job.upload_id is None:
        raise BadInput("the job has read no file", argument="source")
    if (job.module_type_id, job.target_type) != (module.id, ingestion.target):
        raise BadInput("the job is of another module or target", argument="source")
    if job.state != JobState.FINISHED or job.result not in LANDED:
        raise Conflict("the job has not landed its data", reason=Reason.NOT_LANDED, jobId=job_id)
    _require_file(job)
    # who sees the job may use its file, whoever uploaded it
    config = {"copied_from_job_id": job_id}
    return await start_ingestion(connection, registry, viewer, ingestion, job.upload_id, config=config, owned=False)


async def retry_pipeline(
    connection: AsyncConnection, registry: Registry, viewer: Viewer, key: UUID, sources: Collection[ApiSource] = ()
) -> Submitted:
    """Start the work of an ended pipeline again, as a new one: the same file, API, recalculation, unit sync or job of your own.

    Raises NotFound, Forbidden, or Conflict: it has not ended, its file is gone, the same work waits or runs, its year takes
    none, or it cannot be started by hand.
    """
    root = await _job(connection, viewer, in_pipeline(literal(key)))
    if root is None:
        raise NotFound("no such pipeline")
    try:
        return await _repeat(connection, registry, viewer, root, sources)
    except BadInput as error:
        # what was accepted once: a module or entry type that this version does not know, an API that is gone
        raise Conflict(error.message, reason=Reason.NOT_REPEATABLE, **_named(root)) from None


def is_repeatable(job_type: str | None, year: int | None, registry: Registry) -> bool:
    """Whether a root job of this type is one that somebody starts."""
    needs_year = job_type in {*FILE_JOBS, *RECALCULATIONS, JobType.API_INGEST, JobType.UNIT_SYNC}
    return job_type in registry.names and job_type != JobType.AGGREGATION and (year is not None or not needs_year)


async def _repeat(
    connection: AsyncConnection, registry: Registry, viewer: Viewer, root: AnyRow, sources: Collection[ApiSource]
) -> Submitted:
    _may_repeat(viewer, root)
    if not is_repeatable(root.job_type, root.year, registry):
        raise Conflict("this cannot be started by hand", reason=Reason.NOT_REPEATABLE, **_named(root))
    await _require_ended(connection, root)
    again = {"retry_of_job_id": root.id}
    if root.job_type in FILE_JOBS:
        _require_file(root)
        await _require_unread(connection, root)
        return await start_ingestion(connection, registry, viewer, _ingestion(root), root.upload_id, config=again, owned=False)
    if root.job_type == JobType.API_INGEST:
        filters = root.config.get("filters")
        return await start_api_ingestion(connection, registry, viewer, _ingestion(root), sources, filters, config=again)
    if root.job_type in RECALCULATIONS:
        await year_accepts_uploads(connection, viewer.provider, root.year, lock=True)
    if root.job_type == JobType.UNIT_SYNC:
        await lock_year(connection, viewer, root.year)
    return await submit_once(connection, registry, viewer, _same(viewer, root, again))


async def _job(connection: AsyncConnection, viewer: Viewer, which: ColumnElement[bool]) -> AnyRow | None:
    """The first such job that the viewer sees, with what its pipeline and upload say."""
    columns = (
        *(J.id, J.pipeline_id, J.job_type, J.state, J.result, J.entity_type, J.entity_id, J.ingestion_method, J.target_type),
        *(J.module_type_id, J.data_entry_type_id, J.year, J.config, J.meta, J.upload_id, J.max_attempts),
        P.unit_institutional_id,
        and_(U.id.is_not(None), U.pruned_at.is_(None)).label("has_file"),
    )
    tables = J.__table__.outerjoin(P.__table__, J.pipeline_id == P.id).outerjoin(U.__table__, J.upload_id == U.id)
    statement = select(*columns).select_from(tables).where(which, job_clause(viewer)).order_by(J.id).limit(1)
    return (await connection.execute(statement)).one_or_none()


def _may_repeat(viewer: Viewer, root: AnyRow) -> None:
    if root.job_type in FILE_JOBS and root.module_type_id is not None:
        authorize(viewer, _ingestion(root))
    else:
        may_operate(viewer)


async def _require_ended(connection: AsyncConnection, root: AnyRow) -> None:
    """Locks the pipeline, so that those who repeat it take turns. Raises Conflict while something of it is unfinished."""
    locked = select(P.status).where(P.id == root.pipeline_id).with_for_update()
    status = await connection.scalar(locked) if root.pipeline_id else None
    if status not in TERMINAL_STATUSES and (status is not None or root.state != JobState.FINISHED):
        raise Conflict("the pipeline has not ended", reason=Reason.NOT_ENDED, **_named(root))


async def _require_unread(connection: AsyncConnection, root: AnyRow) -> None:
    reading = select(PIPELINE_KEY).where(J.upload_id == root.upload_id, J.state.in_(LIVE_STATES), J.year == root.year)
    if (live := await connection.scalar(reading.limit(1))) is not None:
        raise Conflict("this file is being read already", reason=Reason.ALREADY_RUNNING, pipelineId=str(live))


def _require_file(job: AnyRow) -> None:
    if not job.has_file:
        raise Conflict("the file is not kept any more: upload it again", reason=Reason.FILE_GONE, jobId=job.id)


def _ingestion(job: AnyRow) -> Ingestion:
    return Ingestion(
        year=job.year,
        module_type_id=job.module_type_id,
        target=TargetType(job.target_type),
        data_entry_type_id=job.data_entry_type_id,
        unit=job.unit_institutional_id,
        max_rejected_share=job.config.get("max_rejected_share"),
        sheet=job.config.get("sheet"),
        decimal=job.config.get("decimal"),
    )


def _same(viewer: Viewer, root: AnyRow, again: Mapping[str, Any]) -> NewJob:
    return NewJob(
        job_type=root.job_type,
        provider=viewer.provider,
        entity_type=EntityType(root.entity_type),
        entity_id=root.entity_id,
        ingestion_method=IngestionMethod(root.ingestion_method),
        target_type=TargetType(root.target_type),
        module_type_id=root.module_type_id,
        data_entry_type_id=root.data_entry_type_id,
        year=root.year,
        unit_institutional_id=root.unit_institutional_id,
        config={**root.config, **again},
        meta={name: root.meta[name] for name in ("provider_name", "filters") if name in root.meta},
        upload_id=root.upload_id,
        created_by=creator(viewer),
        max_attempts=root.max_attempts,
    )


def _named(job: AnyRow) -> dict[str, Any]:
    return {"pipelineId": str(job.pipeline_id)} if job.pipeline_id else {"jobId": job.id}
