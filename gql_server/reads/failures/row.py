"""Rows of failure groups: what a viewer may see of their occurrences, and what follows from those."""

from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Subquery, and_, any_, case, exists, func, not_, select, true
from sqlalchemy.sql.selectable import LateralFromClause

from gql_server.db import models
from gql_server.db.expressions import AnySelect, among, array, constant
from gql_server.ledger.failures.rules import FailureClass
from gql_server.policy import OPERATIONS_VIEW, Viewer, job_clause, sees_all_jobs
from gql_server.reads.failures.filter import FailureCriteria, FailureOrder
from gql_server.reads.jobs.queries import JOBS
from gql_server.reads.jobs.row import actor
from gql_server.reads.rows import Column, Columns, Row, derived
from gql_server.reads.values import kind_name, known_or_null

A, G, J, R = models.Acknowledgement, models.FailureGroup, models.Job, models.Revision
SEEN_AT = func.coalesce(J.finished_at, J.created_at)

# New is what appeared since the latest revision began to work. While only one has ever worked, nothing is.
_CURRENT_REVISION = select(func.max(R.started_at)).having(func.count() > 1).scalar_subquery()


def occurrences(viewer: Viewer) -> AnySelect:
    """Failed jobs the viewer may see. Who sees all of a provider's needs no look at their pipelines."""
    columns = (
        J.failure_fingerprint.label("fingerprint"),
        SEEN_AT.label("seen_at"),
        J.year.label("year"),
        J.module_type_id.label("module_type_id"),
        J.pipeline_id.label("pipeline_id"),
        J.time_key.label("time_key"),
        J.id.label("job_id"),
    )
    failed = select(*columns).where(J.failure_fingerprint.is_not(None))
    if sees_all_jobs(viewer):
        return failed.where(J.provider == viewer.provider)
    return failed.select_from(JOBS).where(job_clause(viewer))


Occurrences = CTE | Subquery


def seen_by(viewer: Viewer) -> Occurrences:
    """The occurrences: read once for a viewer of few, and through their index for a viewer of all."""
    seen = occurrences(viewer)
    return seen.subquery("seen") if sees_all_jobs(viewer) else seen.cte("seen").prefix_with("MATERIALIZED")


def title(viewer: Viewer) -> ColumnElement[str]:
    """Title of the group: what failed, and with operations view the error's words, without values."""
    if not viewer.may(OPERATIONS_VIEW):
        return G.title.expression
    return case((G.cause == constant(""), G.title), else_=G.title + constant(": ") + G.cause)


class FailureGroupRow(Row):
    """Failures of one cause. What has no SQL here follows from the occurrences that the viewer may see."""

    node_type = "FailureGroup"
    fingerprint = Column(G.fingerprint)
    _failure_class: Column[str | None] = Column(G.failure_class)
    failure_class = derived(known_or_null(FailureClass, FailureClass.UNCLASSIFIED.name), _failure_class)
    kind_raw = Column(G.job_type)
    kind = derived(kind_name, kind_raw)
    title: Column[str] = Column(title)
    rule = Column(G.rule)
    first_seen_at: Column[datetime] = Column()
    last_seen_at: Column[datetime] = Column()
    is_new: Column[bool] = Column()
    acknowledged_at: Column[datetime | None] = Column(A.at)
    acknowledged_until = Column(A.until)
    acknowledged_note = Column(A.note)
    actor_kind, actor_name, actor_email = actor(A.by)
    reopened_at: Column[datetime | None] = Column()
    value: Column[Any] = Column()


EVERY = FailureGroupRow.columns(FailureGroupRow.attributes)


def groups_of(
    viewer: Viewer,
    criteria: FailureCriteria,
    *clauses: ColumnElement[bool],
    order: FailureOrder = FailureOrder.LAST_SEEN,
    columns: Columns[FailureGroupRow] = EVERY,
) -> Subquery:
    """The visible groups that meet the criteria, with what the list is ordered by as `value`."""
    seen = seen_by(viewer)
    of_group = seen.c.fingerprint == G.fingerprint
    span = (
        select(func.min(seen.c.seen_at).label("first"), func.max(seen.c.seen_at).label("last")).where(of_group).lateral("span")
    )
    reopened_at = _reopened_at(seen, of_group)
    is_new = func.coalesce(span.c.first >= _CURRENT_REVISION, False)
    acknowledged = and_(A.at.is_not(None), reopened_at.is_(None))
    hit = _pipelines_hit(seen, of_group) if order == FailureOrder.PIPELINE_COUNT else None
    order_value = hit.c.count if hit is not None else span.c.first if order == FailureOrder.FIRST_SEEN else span.c.last
    given = {
        "first_seen_at": span.c.first,
        "last_seen_at": span.c.last,
        "is_new": is_new,
        "reopened_at": reopened_at,
        "value": order_value,
    }
    visible = () if sees_all_jobs(viewer) else (G.fingerprint.in_(select(seen.c.fingerprint)),)
    return (
        select(*columns.select(viewer, given=given))
        .select_from(G.__table__.join(span, true()) if hit is None else G.__table__.join(span, true()).join(hit, true()))
        .outerjoin(A, and_(A.provider == G.provider, A.fingerprint == G.fingerprint))
        .where(G.provider == viewer.provider, span.c.last.is_not(None), *visible, *clauses)
        .where(*_meeting(criteria, seen, of_group, acknowledged=acknowledged, is_new=is_new))
        .subquery("groups")
    )


def _reopened_at(seen: Occurrences, of_group: ColumnElement[bool]) -> ColumnElement[datetime | None]:
    """Time at which the acknowledgement ended: at its own, or when it happened again on a revision that began to work after
    it."""
    next_revision = select(func.min(R.started_at)).where(R.started_at > A.at).correlate(A).scalar_subquery()
    again = select(func.min(seen.c.seen_at)).where(of_group, seen.c.seen_at >= next_revision).scalar_subquery()
    return func.least(case((A.until <= func.now(), A.until)), again)


def _pipelines_hit(seen: Occurrences, of_group: ColumnElement[bool]) -> LateralFromClause:
    """The pipelines of each group, counted once a group; an orphan is a pipeline of one."""
    orphans = func.count().filter(seen.c.pipeline_id.is_(None))
    pipelines = func.count(seen.c.pipeline_id.distinct()) + orphans
    return select(pipelines.label("count")).where(of_group).lateral("hit")


def _meeting(
    criteria: FailureCriteria,
    seen: Occurrences,
    of_group: ColumnElement[bool],
    *,
    acknowledged: ColumnElement[bool],
    is_new: ColumnElement[bool],
) -> list[ColumnElement[bool]]:
    modules, years = criteria.module_type_ids, criteria.years
    of_a_job = [
        *([seen.c.seen_at >= criteria.seen_from] if criteria.seen_from else []),
        *([seen.c.seen_at < criteria.seen_to] if criteria.seen_to else []),
        *([seen.c.year == any_(array(J.year, years))] if years is not None else []),
        *([seen.c.module_type_id == any_(array(J.module_type_id, modules))] if modules is not None else []),
    ]
    return [
        *([among(G.failure_class, criteria.classes)] if criteria.classes is not None else []),
        *([exists().where(of_group, *of_a_job)] if of_a_job else []),
        *([acknowledged if criteria.acknowledged else not_(acknowledged)] if criteria.acknowledged is not None else []),
        *([is_new if criteria.is_new else not_(is_new)] if criteria.is_new is not None else []),
    ]
