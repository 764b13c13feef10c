"""Doing again what a job did: its file read once more, or the same work as a new pipeline."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands.checks import creator, lock_year, year_accepts_uploads
from gql_server.commands.ingestion import (
    ApiSource,
    Ingestion,
    authorize,
    start_api_ingestion,
    start_ingestion,
    submit_ingestion,
)
from gql_server.commands.recalculation import submit_once
from gql_server.db import models
from gql_server.db.expressions import AnyRow
from gql_server.db.models import (
    FILE_JOBS,
    READING_JOBS,
    RECALCULATIONS,
    EntityType,
    IngestionMethod,
    JobState,
    JobType,
    TargetType,
)
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound, PublicError, RefusalReason
from gql_server.ledger import NewJob, Submitted
from gql_server.ledger.endings import LANDED
from gql_server.ledger.resume import RESUMED
from gql_server.policy import OPERATIONS_EDIT, Viewer, job_clause, pipeline_clause
from gql_server.policy.retry import NO_JOB, RetryRefusal, refuse_retry, resumes
from gql_server.reads.jobs.queries import in_pipeline
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline
from gql_server.reads.pipelines.same_file import ADD_AGAIN
from gql_server.worker import Registry

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
        raise Conflict("the job has not landed its data", reason=RefusalReason.NOT_LANDED, jobId=job_id)
    _require_file(job)
    # who sees the job may use its file, whoever uploaded it
    config = {"copied_from_job_id": job_id}
    return await start_ingestion(connection, registry, viewer, ingestion, job.upload_id, config=config, owned=False)


async def retry_pipeline(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    key: UUID,
    sources: Collection[ApiSource] = (),
    *,
    replace_newer: bool = False,
) -> Submitted:
    """Start the work of an ended pipeline again, as a new one: the same file, API, recalculation, unit sync or job of your own.

    Where its data landed, only its failed steps run again. Raises NotFound, Forbidden, or Conflict, as `refuse_retry` says: it
    has not ended, say, or a newer pipeline brought the same data and `replace_newer` was not asked for.
    """
    root = await _job(connection, viewer, in_pipeline(literal(key)))
    if root is None:
        raise await _without_job(connection, viewer, key)
    await connection.execute(select(P.id).where(P.id == root.pipeline_id).with_for_update())
    facts = (await retry_facts_by_pipeline(connection, viewer, [key]))[key]
    if refusal := refuse_retry(viewer, facts, registry.names, sources, replace_newer=replace_newer):
        raise _error(refusal, root)
    try:
        return await _repeat(connection, registry, viewer, root, sources, _config(root, resumes=resumes(facts)))
    except BadInput as error:
        # what was accepted once: an entry type that this version does not know, say
        raise Conflict(error.message, reason=RefusalReason.NOT_REPEATABLE, **_named(root)) from None


async def _without_job(connection: AsyncConnection, viewer: Viewer, key: UUID) -> PublicError:
    seen = await connection.scalar(select(P.id).where(P.id == key, pipeline_clause(viewer)))
    return (
        Conflict(NO_JOB.message, reason=RefusalReason.NOT_REPEATABLE, pipelineId=str(key))
        if seen
        else NotFound("no such pipeline")
    )


def _error(refusal: RetryRefusal, root: AnyRow) -> PublicError:
    match refusal.reason:
        case None:
            return Forbidden(refusal.message, permission=OPERATIONS_EDIT)
        case RefusalReason.YEAR_NOT_CREATED:
            return NotFound(refusal.message, year=root.year)
        case RefusalReason.YEAR_NOT_PROVISIONED:
            return Conflict(refusal.message, reason=refusal.reason, year=root.year)
        case RefusalReason.FILE_GONE:
            return Conflict(refusal.message, reason=refusal.reason, jobId=root.id)
        case reason:
            blocking = {"pipelineId": str(refusal.pipeline)} if refusal.pipeline and root.pipeline_id else _named(root)
            return Conflict(refusal.message, reason=reason, **blocking)


def _config(root: AnyRow, *, resumes: bool) -> dict[str, Any]:
    """The configuration of the new root. One that resumed and did not get to it is resumed in its stead."""
    kept = {name: value for name, value in root.config.items() if name != RESUMED}
    landed = root.id if root.result in LANDED else root.config.get(RESUMED)
    return {**kept, "retry_of_job_id": root.id, **({RESUMED: landed} if resumes else {})}


async def _repeat(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    root: AnyRow,
    sources: Collection[ApiSource],
    config: Mapping[str, Any],
) -> Submitted:
    if RESUMED in config and root.job_type in READING_JOBS:
        return await submit_ingestion(connection, registry, viewer, _same(viewer, root, config))
    if root.job_type in FILE_JOBS:
        return await start_ingestion(connection, registry, viewer, _ingestion(root), root.upload_id, config=config, owned=False)
    if root.job_type == JobType.API_INGEST:
        filters = root.config.get("filters")
        return await start_api_ingestion(connection, registry, viewer, _ingestion(root), sources, filters, config=config)
    if root.job_type in RECALCULATIONS:
        await year_accepts_uploads(connection, viewer.provider, root.year, lock=True)
    if root.job_type == JobType.UNIT_SYNC:
        await lock_year(connection, viewer, root.year)
    return await submit_once(connection, registry, viewer, _same(viewer, root, config))


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


def _require_file(job: AnyRow) -> None:
    if not job.has_file:
        raise Conflict("the file is not kept any more: upload it again", reason=RefusalReason.FILE_GONE, jobId=job.id)


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
        add_again=job.config.get(ADD_AGAIN, False),
    )


def _same(viewer: Viewer, root: AnyRow, config: Mapping[str, Any]) -> NewJob:
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
        config=config,
        meta={name: root.meta[name] for name in ("provider_name", "filters", "filename") if name in root.meta},
        upload_id=root.upload_id,
        created_by=creator(viewer),
        max_attempts=root.max_attempts,
    )


def _named(job: AnyRow) -> dict[str, Any]:
    return {"pipelineId": str(job.pipeline_id)} if job.pipeline_id else {"jobId": job.id}
