"""Rows of pipelines: stored ones, and orphan jobs as pipelines of one, under the same labels."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Text, Uuid, and_, case, cast, false, func, null, select, true
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, Column, constant, excerpt, found, member, seconds
from gql_server.db.models import LIVE_STATES, TERMINAL_STATUSES, EntityType, JobResult, JobState, PipelineStatus, Provider
from gql_server.policy import OPERATIONS_VIEW, Viewer, orphan_clause, pipeline_clause
from gql_server.reads.jobs import queries as jobs
from gql_server.reads.position import latest_event, position

J, P = models.Job, models.Pipeline
LIVE = aliased(models.Job)
ROOT = (
    select(J.id, J.job_type, J.state, J.status_message, J.meta, J.data_entry_type_id, J.started_at)
    .where(J.pipeline_id == P.id)
    .order_by(J.id)
    .limit(1)
    .lateral("root")
)

STEP_FAILED = "A step after the upload failed."
FAILURES = (PipelineStatus.PARTIAL, PipelineStatus.FAILED)
ORPHAN_FAILED = and_(J.state == JobState.FINISHED, J.result.is_not_distinct_from(JobResult.ERROR))
ORPHAN_STATUS = case(
    (ORPHAN_FAILED, constant("FAILED")),
    (J.state == JobState.FINISHED, constant("SUCCESS")),
    (J.state == JobState.RUNNING, constant("RUNNING")),
    (J.state.in_([JobState.NOT_STARTED, JobState.QUEUED]), constant("NOT_STARTED")),
    else_=constant("UNKNOWN"),
)


def tone(status: ColumnElement[str], has_warning: Column) -> ColumnElement[str]:
    return case(
        (status == PipelineStatus.FAILED, constant("DANGER")),
        (status == PipelineStatus.PARTIAL, constant("WARNING")),
        (and_(status == PipelineStatus.SUCCESS, has_warning), constant("WARNING")),
        (status == PipelineStatus.SUCCESS, constant("SUCCESS")),
        (status == PipelineStatus.RUNNING, constant("PROGRESS")),
        else_=constant("NEUTRAL"),
    )


def times(created_at: Column, started_at: Column, finished_at: Column) -> tuple[ColumnElement[Any], ...]:
    return (
        created_at.label("created_at"),
        started_at.label("started_at"),
        finished_at.label("finished_at"),
        seconds(created_at, started_at).label("queued_seconds"),
        seconds(started_at, func.coalesce(finished_at, func.now())).label("duration_seconds"),
    )


def last_error(viewer: Viewer) -> ColumnElement[str | None]:
    """Why it failed, as this viewer may know it: `jobs.message` of the root if that failed, else only that a step did."""
    if viewer.may(OPERATIONS_VIEW):
        return excerpt(P.last_error)
    of_root = jobs.message(viewer, ROOT.c.meta, ROOT.c.status_message)
    return case((P.status == PipelineStatus.FAILED, of_root), (P.error_count > 0, constant(STEP_FAILED)))


def _live_message(viewer: Viewer) -> ColumnElement[str | None]:
    """What the job says that is at work now, else the next to be."""
    working = case((LIVE.state == JobState.RUNNING, 0), else_=1)
    said = select(jobs.message(viewer, LIVE.meta, LIVE.status_message))
    live = said.where(LIVE.pipeline_id == P.id, LIVE.state.in_(LIVE_STATES)).order_by(working, LIVE.id).limit(1)
    return live.correlate(P).scalar_subquery()


def stored(viewer: Viewer, *clauses: ColumnElement[bool], listed: FromClause | None = None) -> AnySelect:
    """Pipelines that have a row, with what their root job says: those of a list, with the value that orders it, or any."""
    job_type = func.coalesce(P.kind, ROOT.c.job_type)
    root_message = jobs.message(viewer, ROOT.c.meta, ROOT.c.status_message)
    message = case(
        (P.status.in_(FAILURES), func.coalesce(last_error(viewer), root_message)),
        (and_(P.status == PipelineStatus.RUNNING, ROOT.c.state == JobState.FINISHED), _live_message(viewer)),
        else_=root_message,
    )
    status = member(P.status, PipelineStatus, "UNKNOWN")
    is_terminal = P.status.in_(TERMINAL_STATUSES)
    columns = (
        constant("Pipeline").label("node_type"),
        P.id.label("key"),
        P.id.label("pipeline_id"),
        false().label("is_orphan"),
        jobs.kind_of(job_type).label("kind"),
        job_type.label("kind_raw"),
        status.label("status"),
        P.status.label("status_raw"),
        constant("STORED").label("status_source"),
        tone(status, P.has_warning).label("tone"),
        is_terminal.label("is_terminal"),
        P.aborted_at.is_not(None).label("is_aborted"),
        P.has_warning.label("has_warning"),
        func.coalesce(member(P.entity_type, EntityType, "UNKNOWN"), "UNKNOWN").label("level"),
        P.year.label("year"),
        P.module_type_id.label("module_type_id"),
        ROOT.c.data_entry_type_id.label("data_entry_type_id"),
        P.unit_institutional_id.label("unit_institutional_id"),
        member(P.provider, Provider, "OTHER").label("provider"),
        *jobs.creator(P.created_by),
        *times(P.created_at, func.coalesce(P.started_at, ROOT.c.started_at), case((is_terminal, P.finished_at))),
        P.updated_at.label("updated_at"),
        message.label("message"),
        last_error(viewer).label("last_error"),
        P.job_count.label("job_count"),
        P.error_count.label("error_count"),
        found(LIVE.pipeline_id == P.id, LIVE.state.in_(LIVE_STATES)).label("has_live_jobs"),
        ROOT.c.id.label("root_id"),
        position().label("feed_position"),
    )
    rows = P.__table__ if listed is None else listed.join(P, listed.c.key == P.id)
    further = [latest_event(P.id)] if listed is None else [listed.c.value]
    return select(*columns, *further).select_from(rows.outerjoin(ROOT, true())).where(pipeline_clause(viewer), *clauses)


def orphans(viewer: Viewer, *clauses: ColumnElement[bool], listed: FromClause | None = None) -> AnySelect:
    """Jobs without a pipeline, each shown as a pipeline of one under its own time-ordered key."""
    has_warning = and_(J.state == JobState.FINISHED, J.result.is_not_distinct_from(JobResult.WARNING))
    columns = (
        constant("Pipeline").label("node_type"),
        J.time_key.label("key"),
        cast(null(), Uuid()).label("pipeline_id"),
        true().label("is_orphan"),
        jobs.KIND.label("kind"),
        J.job_type.label("kind_raw"),
        ORPHAN_STATUS.label("status"),
        cast(null(), Text).label("status_raw"),
        constant("DERIVED").label("status_source"),
        tone(ORPHAN_STATUS, has_warning).label("tone"),
        (J.state == JobState.FINISHED).is_(True).label("is_terminal"),
        jobs.IS_ABORTED.label("is_aborted"),
        func.coalesce(has_warning, false()).label("has_warning"),
        member(J.entity_type, EntityType, "UNKNOWN").label("level"),
        J.year.label("year"),
        J.module_type_id.label("module_type_id"),
        J.data_entry_type_id.label("data_entry_type_id"),
        cast(null(), Text).label("unit_institutional_id"),
        member(J.provider, Provider, "OTHER").label("provider"),
        *jobs.creator(J.meta["created_by"]),
        *times(J.created_at, J.started_at, J.finished_at),
        func.greatest(J.created_at, J.started_at, J.finished_at).label("updated_at"),
        excerpt(J.status_message).label("message"),
        case((ORPHAN_FAILED, excerpt(J.status_message))).label("last_error"),
        cast(1, Integer).label("job_count"),
        case((ORPHAN_FAILED, 1), else_=0).label("error_count"),
        func.coalesce(J.state.in_(LIVE_STATES), False).label("has_live_jobs"),
        J.id.label("root_id"),
        position().label("feed_position"),
    )
    rows = J.__table__ if listed is None else listed.join(J, listed.c.key == J.time_key)
    further = [latest_event(J.time_key)] if listed is None else [listed.c.value]
    return select(*columns, *further).select_from(rows).where(J.pipeline_id.is_(None), orphan_clause(viewer), *clauses)
