"""Rows of jobs: what is read of a job, and what follows from it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, cast, false, func

from gql_server.db import models
from gql_server.db.expressions import Column as Sql
from gql_server.db.expressions import at, constant, excerpt, found, integer, number, one_of, run_seconds, seconds, text_at
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, Provider, TargetType
from gql_server.ledger.leases import IS_STUCK, RECOVER_OBSTACLE
from gql_server.policy import OPERATIONS_VIEW, Viewer
from gql_server.reads import values
from gql_server.reads.jobs.meta import UNEXPECTED, nameless
from gql_server.reads.rows import Column, Row, derived
from gql_server.reads.values import known_or_null, known_or_other

J, P, U = models.Job, models.Pipeline, models.Upload
PIPELINE_KEY = func.coalesce(J.pipeline_id, J.time_key)
FINISHED = one_of(J.state, [JobState.FINISHED])
IS_ABORTED = func.coalesce(text_at(J.meta, "aborted") == constant("true"), false())


def on_the_way(value: Sql) -> ColumnElement[Any]:
    """Progress as an unfinished job says it; null once it ended."""
    return case((J.state.is_distinct_from(constant(JobState.FINISHED)), value))


ROWS_STAGE = on_the_way(text_at(at(J.meta, "progress"), "phase"))
ROWS_PROCESSED = func.coalesce(on_the_way(integer(at(J.meta, "progress", "processed"))), integer(at(J.meta, "rows_processed")))
ROWS_TOTAL = on_the_way(integer(at(J.meta, "progress", "total")))


def message_of(viewer: Viewer, meta: Sql, status_message: Sql) -> ColumnElement[str | None]:
    """Message of the job, as this viewer may know it: the text of an unexpected error can hold SQL and row values, and
    that of an abort says by whom."""
    told = excerpt(nameless(viewer, status_message))
    return told if viewer.may(OPERATIONS_VIEW) else case((at(meta, "error").is_not(None), constant(UNEXPECTED)), else_=told)


def creator(created_by: Sql) -> tuple[ColumnElement[Any], ...]:
    """Kind, name and email of an actor, from `{user_id, email, name}`."""
    name, email = (func.nullif(text_at(created_by, key), constant("")) for key in ("name", "email"))
    is_user = func.jsonb_typeof(created_by) == constant("object")
    return (
        case((is_user, constant("USER")), else_=constant("UNKNOWN")).label("actor_kind"),
        func.coalesce(name, email).label("actor_name"),
        email.label("actor_email"),
    )


def actor(*created_by: Sql) -> tuple[Column[str | None], Column[str | None], Column[str | None]]:
    """The columns of an actor, for each source of rows."""
    kinds, names, emails = zip(*map(creator, created_by), strict=True)
    return Column(*kinds), Column(*names), Column(*emails)


class JobRow(Row):
    """A job, over jobs outer-joined to their pipelines."""

    node_type = "Job"
    job_id = Column(J.id)
    pipeline_key: Column[Any] = Column(PIPELINE_KEY)
    kind_raw = Column(J.job_type)
    kind = derived(values.kind_name, kind_raw)
    _state: Column[str | None] = Column(cast(J.state, Text))
    state = derived(known_or_other(JobState, "UNKNOWN"), _state)
    _result: Column[str | None] = Column(cast(J.result, Text))
    result = derived(known_or_null(JobResult, "UNKNOWN"), _result)
    failed_id: Column[int | None] = Column(case((one_of(J.result, [JobResult.ERROR]), J.id)))
    """Its id if it has failed."""
    tone = derived(values.job_tone, _state, _result)
    _level: Column[str | None] = Column(cast(J.entity_type, Text))
    level = derived(known_or_other(EntityType, "UNKNOWN"), _level)
    year = Column(J.year)
    module_type_id = Column(J.module_type_id)
    data_entry_type_id = Column(J.data_entry_type_id)
    unit_institutional_id = Column(P.unit_institutional_id)
    _provider: Column[str | None] = Column(cast(J.provider, Text))
    provider = derived(known_or_null(Provider, "OTHER"), _provider)
    _target: Column[str | None] = Column(cast(J.target_type, Text))
    target = derived(known_or_null(TargetType, "UNKNOWN"), _target)
    _method: Column[str | None] = Column(cast(J.ingestion_method, Text))
    method = derived(known_or_null(IngestionMethod, "UNKNOWN"), _method)
    message: Column[str | None] = Column(lambda viewer: message_of(viewer, J.meta, J.status_message))
    created_at = Column(J.created_at)
    started_at = Column(J.started_at)
    finished_at = Column(J.finished_at)
    _now: Column[datetime] = Column(func.now())
    duration_seconds: Column[float | None] = Column(
        func.coalesce(run_seconds(J), seconds(J.started_at, func.coalesce(J.finished_at, func.now())))
    )
    rows_stage: Column[str | None] = Column(ROWS_STAGE)
    rows_processed: Column[int | None] = Column(ROWS_PROCESSED)
    rows_total: Column[int | None] = Column(ROWS_TOTAL)
    rows_per_second = derived(values.rate, rows_processed, started_at, finished_at, _now)
    phases_raw: Column[list[Any] | None] = Column(
        case((func.jsonb_typeof(at(J.meta, "phases")) == constant("array"), at(J.meta, "phases")))
    )
    attempt = Column(J.attempts)
    max_attempts = Column(J.max_attempts)
    retries_left: Column[int] = Column(case((FINISHED, number(0)), else_=func.greatest(J.max_attempts - J.attempts, number(0))))
    next_attempt_at: Column[datetime | None] = Column(on_the_way(J.run_after))
    is_current = Column(J.is_current)
    is_aborted: Column[bool] = Column(IS_ABORTED)
    is_stuck: Column[bool] = Column(func.coalesce(IS_STUCK, false()))
    recover_obstacle: Column[str | None] = Column(RECOVER_OBSTACLE)
    has_source: Column[bool] = Column(and_(J.upload_id.is_not(None), found(U.id == J.upload_id, U.pruned_at.is_(None))))
    worker_id: Column[str | None] = Column(func.coalesce(J.claimed_by, J.locked_by))
    locked_at = Column(J.locked_at)
    row_error_count: Column[int | None] = Column(integer(at(J.meta, "row_errors_count")))
    failure_fingerprint = Column(J.failure_fingerprint)
    value: Column[Any] = Column()
