"""Rows of pipelines: stored ones, and orphan jobs as pipelines of one. Each attribute says how both are read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Text, and_, case, cast, false, func, not_, null, select, true
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, at, constant, excerpt, found, number, one_of
from gql_server.db.models import LIVE_STATES, TERMINAL_STATUSES, EntityType, JobResult, JobState, PipelineStatus, Provider
from gql_server.policy import OPERATIONS_VIEW, Viewer, orphan_clause, pipeline_clause
from gql_server.reads.jobs.meta import nameless
from gql_server.reads.jobs.row import IS_ABORTED, actor, message_of
from gql_server.reads.position import latest_event, position
from gql_server.reads.rows import Column, Columns, Expression, Row, derived, mentions
from gql_server.reads.values import (
    duration,
    is_terminal,
    kind_name,
    known_or_null,
    known_or_other,
    pipeline_tone,
    seconds_between,
)

J, P = models.Job, models.Pipeline
LIVE = aliased(models.Job)
ROOT = (
    select(J.id, J.job_type, J.state, J.status_message, J.meta, J.data_entry_type_id, J.started_at)
    .where(J.pipeline_id == P.id)
    .order_by(J.id)
    .limit(number(1))
    .lateral("root")
)
T = TypeVar("T")

STEP_FAILED = "A step after the upload failed."
FAILURES = (PipelineStatus.PARTIAL, PipelineStatus.FAILED)
IS_FINISHED = one_of(J.state, [JobState.FINISHED])
ORPHAN_FAILED = and_(IS_FINISHED, J.result.is_not_distinct_from(constant(JobResult.ERROR)))
ORPHAN_WARNED = and_(IS_FINISHED, J.result.is_not_distinct_from(constant(JobResult.WARNING)))
ORPHAN_STATUS = case(
    (ORPHAN_FAILED, constant("FAILED")),
    (IS_FINISHED, constant("SUCCESS")),
    (one_of(J.state, [JobState.RUNNING]), constant("RUNNING")),
    (one_of(J.state, [JobState.NOT_STARTED, JobState.QUEUED]), constant("NOT_STARTED")),
)
HAS_ENDED = one_of(P.status, TERMINAL_STATUSES)


def last_error(viewer: Viewer) -> ColumnElement[str | None]:
    """Last error of the pipeline, as this viewer may know it: the message of the root if that failed, else only that a step
    did."""
    if viewer.may(OPERATIONS_VIEW):
        return excerpt(nameless(viewer, P.last_error))
    of_root = message_of(viewer, ROOT.c.meta, ROOT.c.status_message)
    failed = one_of(P.status, [PipelineStatus.FAILED])
    return case((failed, of_root), (P.error_count > number(0), constant(STEP_FAILED)))


def message(viewer: Viewer) -> ColumnElement[str | None]:
    """Message of the pipeline: of what went wrong; of what goes on after its root, that of the job at work; else that of the
    root."""
    of_root = message_of(viewer, ROOT.c.meta, ROOT.c.status_message)
    goes_on = and_(one_of(P.status, [PipelineStatus.RUNNING]), ROOT.c.state == constant(JobState.FINISHED))
    failed = one_of(P.status, FAILURES)
    return case((failed, func.coalesce(last_error(viewer), of_root)), (goes_on, _live_message(viewer)), else_=of_root)


def _of_orphan(viewer: Viewer) -> ColumnElement[str | None]:
    """Message of an orphan: only operators see one."""
    return excerpt(nameless(viewer, J.status_message))


def _live_message(viewer: Viewer) -> ColumnElement[str | None]:
    """Message of the job that is at work now, else of the next to be."""
    working = case((one_of(LIVE.state, [JobState.RUNNING]), number(0)), else_=number(1))
    said = select(message_of(viewer, LIVE.meta, LIVE.status_message))
    live = said.where(LIVE.pipeline_id == P.id, one_of(LIVE.state, LIVE_STATES)).order_by(working, LIVE.id).limit(number(1))
    return live.correlate(P).scalar_subquery()


STORED, ORPHAN = range(2)


def column(*, stored: Expression[T], orphan: Expression[T]) -> Column[T]:
    """A column of stored pipelines and of orphans."""
    return Column(stored, orphan)


def _stored_status(status: str | None, is_orphan: bool) -> str | None:
    return None if is_orphan else status


def _failed_key(key: UUID, status: str | None) -> UUID | None:
    """The key of one that is FAILED or PARTIAL."""
    return key if status in FAILURES else None


def _status_source(is_orphan: bool) -> str:
    return "DERIVED" if is_orphan else "STORED"


class PipelineRow(Row):
    """A pipeline. Where the stored SQL names the root job, a statement joins it."""

    node_type = "Pipeline"
    key = column(stored=P.id, orphan=J.time_key)
    pipeline_id: Column[UUID | None] = column(stored=P.id, orphan=null())
    is_orphan: Column[bool] = column(stored=false(), orphan=true())
    kind_raw: Column[str | None] = column(stored=func.coalesce(P.kind, ROOT.c.job_type), orphan=J.job_type)
    kind = derived(kind_name, kind_raw)
    _status: Column[str | None] = column(stored=P.status, orphan=ORPHAN_STATUS)
    status = derived(known_or_other(PipelineStatus, "UNKNOWN"), _status)
    status_raw = derived(_stored_status, _status, is_orphan)
    status_source = derived(_status_source, is_orphan)
    has_warning: Column[bool] = column(stored=P.has_warning, orphan=func.coalesce(ORPHAN_WARNED, false()))
    tone = derived(pipeline_tone, _status, has_warning)
    is_terminal = derived(is_terminal, _status)
    is_aborted: Column[bool] = column(stored=P.aborted_at.is_not(None), orphan=IS_ABORTED)
    _level: Column[str | None] = column(stored=cast(P.entity_type, Text), orphan=cast(J.entity_type, Text))
    level = derived(known_or_other(EntityType, "UNKNOWN"), _level)
    year = column(stored=P.year, orphan=J.year)
    module_type_id = column(stored=P.module_type_id, orphan=J.module_type_id)
    data_entry_type_id: Column[int | None] = column(stored=ROOT.c.data_entry_type_id, orphan=J.data_entry_type_id)
    unit_institutional_id: Column[str | None] = column(stored=P.unit_institutional_id, orphan=null())
    _provider: Column[str | None] = column(stored=cast(P.provider, Text), orphan=cast(J.provider, Text))
    provider = derived(known_or_null(Provider, "OTHER"), _provider)
    actor_kind, actor_name, actor_email = actor(P.created_by, at(J.meta, "created_by"))
    created_at = column(stored=P.created_at, orphan=J.created_at)
    started_at: Column[datetime | None] = column(stored=func.coalesce(P.started_at, ROOT.c.started_at), orphan=J.started_at)
    finished_at: Column[datetime | None] = column(stored=case((HAS_ENDED, P.finished_at)), orphan=J.finished_at)
    _now: Column[datetime] = column(stored=func.now(), orphan=func.now())
    queued_seconds = derived(seconds_between, created_at, started_at)
    duration_seconds = derived(duration, started_at, finished_at, _now)
    updated_at: Column[datetime] = column(stored=P.updated_at, orphan=func.greatest(J.created_at, J.started_at, J.finished_at))
    message: Column[str | None] = column(stored=message, orphan=_of_orphan)
    last_error: Column[str | None] = column(stored=last_error, orphan=lambda viewer: case((ORPHAN_FAILED, _of_orphan(viewer))))
    job_count = column(stored=P.job_count, orphan=number(1))
    error_count = column(stored=P.error_count, orphan=case((ORPHAN_FAILED, number(1)), else_=number(0)))
    has_live_jobs: Column[bool] = column(
        stored=found(LIVE.pipeline_id == P.id, one_of(LIVE.state, LIVE_STATES)),
        orphan=func.coalesce(one_of(J.state, LIVE_STATES), false()),
    )
    failed_key = derived(_failed_key, key, _status)
    root_id: Column[int | None] = column(stored=ROOT.c.id, orphan=J.id)
    feed_position: Column[str] = column(stored=position(), orphan=position())
    event_sequence: Column[int | None] = column(stored=latest_event(P.id), orphan=latest_event(J.time_key))
    value: Column[Any] = Column()


def stored(
    viewer: Viewer, columns: Columns[PipelineRow], *clauses: ColumnElement[bool], listed: FromClause | None = None
) -> AnySelect:
    """These columns of pipelines that have a row: those of a list, with the value that orders it, or any."""
    selected = columns.select(viewer, STORED, given=_given(listed))
    rows = P.__table__ if listed is None else listed.join(P, and_(not_(listed.c.is_orphan), listed.c.key == P.id))
    if mentions(selected, ROOT):
        rows = rows.outerjoin(ROOT, true())
    return select(*selected).select_from(rows).where(pipeline_clause(viewer), *clauses)


def orphans(
    viewer: Viewer, columns: Columns[PipelineRow], *clauses: ColumnElement[bool], listed: FromClause | None = None
) -> AnySelect:
    """The same of jobs without a pipeline, each shown as a pipeline of one under its own time-ordered key."""
    selected = columns.select(viewer, ORPHAN, given=_given(listed))
    rows = J.__table__ if listed is None else listed.join(J, and_(listed.c.is_orphan, listed.c.key == J.time_key))
    return select(*selected).select_from(rows).where(J.pipeline_id.is_(None), orphan_clause(viewer), *clauses)


def _given(listed: FromClause | None) -> Mapping[str, ColumnElement[Any]] | None:
    return None if listed is None else {"value": listed.c.value}
