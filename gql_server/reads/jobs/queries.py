"""Reads of jobs. Labels are the names under which the types read them; JSON is taken apart in the database."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, Text, and_, any_, case, cast, func, literal_column, null, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow, Column, among, array, constant, excerpt, found, integer, member, seconds
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.ledger.leases import IS_STUCK, RECOVER_OBSTACLE
from gql_server.policy import OPERATIONS_VIEW, Viewer, job_clause, pipeline_clause
from gql_server.reads.jobs import meta
from gql_server.reads.jobs.meta import UNEXPECTED

J, P, U = models.Job, models.Pipeline, models.Upload
JOBS = J.__table__.outerjoin(P.__table__, J.pipeline_id == P.id)


def kind_of(job_type: Column) -> ColumnElement[str]:
    """Name of the kind, OTHER for job types this version does not know."""
    return case((job_type.in_([kind.value for kind in JobType]), func.upper(job_type)), else_=constant("OTHER"))


KIND = kind_of(J.job_type)
PIPELINE_KEY = func.coalesce(J.pipeline_id, J.time_key)
STATE = func.coalesce(member(J.state, JobState, "UNKNOWN"), "UNKNOWN")
RESULT = member(J.result, JobResult, "UNKNOWN")
FINISHED = J.state == JobState.FINISHED
METHOD = func.upper(member(J.ingestion_method, IngestionMethod, "UNKNOWN"))
DURATION = seconds(J.started_at, func.coalesce(J.finished_at, func.now()))
IS_ABORTED = func.coalesce(J.meta["aborted"].astext == "true", False)
TONE = case(
    (RESULT == JobResult.ERROR, constant("DANGER")),
    (RESULT == JobResult.WARNING, constant("WARNING")),
    (RESULT == JobResult.SUCCESS, constant("SUCCESS")),
    (J.state == JobState.RUNNING, constant("PROGRESS")),
    else_=constant("NEUTRAL"),
)

ERROR_TEXT = func.coalesce(J.meta["error"].astext, J.meta["validation_error"].astext, J.status_message, type_=Text())


def on_the_way(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """What an unfinished job says of its progress; how it ended stands elsewhere."""
    return case((J.state.is_distinct_from(JobState.FINISHED), value))


ROWS_PROCESSED = func.coalesce(on_the_way(integer(J.meta["progress"]["processed"])), integer(J.meta["rows_processed"]))
ROW_PROGRESS = (
    on_the_way(J.meta["progress"]["phase"].astext).label("rows_stage"),
    ROWS_PROCESSED.label("rows_processed"),
    on_the_way(integer(J.meta["progress"]["total"])).label("rows_total"),
    (cast(ROWS_PROCESSED, Float) / func.nullif(DURATION, 0)).label("rows_per_second"),
)


def creator(created_by: Column) -> tuple[ColumnElement[Any], ...]:
    """Columns of an actor from `{user_id, email, name}`."""
    name, email = (func.nullif(created_by[key].astext, "") for key in ("name", "email"))
    return (
        case((func.jsonb_typeof(created_by) == "object", constant("USER")), else_=constant("UNKNOWN")).label("actor_kind"),
        func.coalesce(name, email).label("actor_name"),
        email.label("actor_email"),
    )


def message(viewer: Viewer, meta: Column, status_message: Column) -> ColumnElement[str | None]:
    """What happened, as this viewer may know it: the text of an unexpected error can hold SQL and row values."""
    if viewer.may(OPERATIONS_VIEW):
        return excerpt(status_message)
    return case((meta["error"].is_not(None), constant(UNEXPECTED)), else_=excerpt(status_message))


def columns(viewer: Viewer) -> tuple[ColumnElement[Any], ...]:
    """What is read of a job."""
    return (*COLUMNS, message(viewer, J.meta, J.status_message).label("message"))


COLUMNS = (
    constant("Job").label("node_type"),
    J.id.label("job_id"),
    PIPELINE_KEY.label("pipeline_key"),
    KIND.label("kind"),
    J.job_type.label("kind_raw"),
    STATE.label("state"),
    RESULT.label("result"),
    TONE.label("tone"),
    member(J.entity_type, EntityType, "UNKNOWN").label("level"),
    J.year.label("year"),
    J.module_type_id.label("module_type_id"),
    J.data_entry_type_id.label("data_entry_type_id"),
    P.unit_institutional_id.label("unit_institutional_id"),
    member(J.provider, Provider, "OTHER").label("provider"),
    member(J.target_type, TargetType, "UNKNOWN").label("target"),
    METHOD.label("method"),
    J.created_at.label("created_at"),
    J.started_at.label("started_at"),
    J.finished_at.label("finished_at"),
    DURATION.label("duration_seconds"),
    *ROW_PROGRESS,
    case((func.jsonb_typeof(J.meta["phases"]) == "array", J.meta["phases"])).label("phases_raw"),
    J.attempts.label("attempt"),
    J.max_attempts.label("max_attempts"),
    case((FINISHED, 0), else_=func.greatest(J.max_attempts - J.attempts, 0)).label("retries_left"),
    case((FINISHED, null()), else_=J.run_after).label("next_attempt_at"),
    J.is_current.label("is_current"),
    IS_ABORTED.label("is_aborted"),
    func.coalesce(IS_STUCK, False).label("is_stuck"),
    RECOVER_OBSTACLE.label("recover_obstacle"),
    and_(J.upload_id.is_not(None), found(U.id == J.upload_id, U.pruned_at.is_(None))).label("has_source"),
    func.coalesce(J.claimed_by, J.locked_by).label("worker_id"),
    J.locked_at.label("locked_at"),
    integer(J.meta["row_errors_count"]).label("row_error_count"),
    J.failure_fingerprint.label("failure_fingerprint"),
)


def in_pipeline(key: Column) -> ColumnElement[bool]:
    """Jobs of the pipeline of that key: of an orphan, itself."""
    return or_(J.pipeline_id == key, and_(J.pipeline_id.is_(None), J.time_key == key))


def in_pipelines(keys: Sequence[UUID]) -> ColumnElement[bool]:
    """Jobs of any of these pipelines."""
    return or_(among(J.pipeline_id, keys), and_(J.pipeline_id.is_(None), among(J.time_key, keys)))


NO_PIPELINES = literal_column("'{}'::uuid[]")
SHARED = J.__table__.join(P.__table__, P.id == any_(J.serves))
"""Jobs with each of the pipelines whose work was merged into them: those, not their own, are `P` here."""


def shared_in(keys: Sequence[UUID], viewer: Viewer) -> ColumnElement[bool]:
    """`SHARED` of these pipelines: what works for a pipeline is known to whoever may see that one."""
    asked = and_(J.serves.overlap(array(P.id, keys)), J.serves != NO_PIPELINES, among(P.id, keys))
    return and_(asked, J.pipeline_id.is_distinct_from(P.id), J.provider == viewer.provider, pipeline_clause(viewer))


def serves(key: Column) -> ColumnElement[bool]:
    """Jobs of other pipelines that work of this one was merged into."""
    return and_(J.serves.contains(postgresql.array([key])), J.serves != NO_PIPELINES)


async def jobs_by_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, AnyRow]:
    rows = await connection.execute(select(*columns(viewer)).select_from(JOBS).where(among(J.id, keys), job_clause(viewer)))
    return {row.job_id: row for row in rows}


async def meta_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, AnyRow]:
    """The small, typed part of the bag."""
    target_year = func.coalesce(integer(J.config["target_year"]), case((J.entity_type == EntityType.GLOBAL_PER_YEAR, J.year)))
    rows = await connection.execute(
        select(
            J.id.label("job_id"),
            meta.small(J.meta["provider_name"], shown=J.meta["provider_name"].astext).label("provider_name"),
            meta.small(J.meta["filters"]).label("filters"),
            target_year.label("target_year"),
        )
        .select_from(JOBS)
        .where(among(J.id, keys), job_clause(viewer))
    )
    return {row.job_id: row for row in rows}


async def meta_entries_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, names: tuple[str, ...]
) -> dict[int, dict[str, Any]]:
    """Allow-listed keys of the bag that it has, unless they are too large."""
    rows = await connection.execute(
        select(J.id, meta.projection(viewer, meta.allowed(names)).label("entries"))
        .select_from(JOBS)
        .where(among(J.id, keys), job_clause(viewer))
    )
    return {row.id: {name: value for name, value in row.entries.items() if value is not None} for row in rows}


async def meta_omissions_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, dict[str, int]]:
    """Keys of the bag that are not shown, with the bytes of their JSON, by name."""
    rows = await connection.execute(
        select(J.id, meta.omissions().label("sizes")).select_from(JOBS).where(among(J.id, keys), job_clause(viewer))
    )
    return {row.id: dict(sorted((row.sizes or {}).items())) for row in rows}


async def meta_raw_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The whole bag."""
    rows = await connection.execute(
        select(J.id, meta.whole_meta().label("meta")).select_from(JOBS).where(among(J.id, keys), job_clause(viewer))
    )
    return {row.id: row.meta for row in rows}


async def error_detail_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, str | None]:
    """Full text of the error of failed jobs."""
    rows = await connection.execute(
        select(J.id, ERROR_TEXT.label("detail"))
        .select_from(JOBS)
        .where(among(J.id, keys), J.result == JobResult.ERROR, job_clause(viewer))
    )
    return {row.id: row.detail for row in rows}
