"""Jobs of pipelines that there may be something to say of, the worst first, and counts of all: few of many are read."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, true, union_all

from gql_server.db import models
from gql_server.db.expressions import AnySelect, integer
from gql_server.db.models import LIVE_STATES, RECALCULATIONS, JobResult, JobState
from gql_server.ledger.endings import has_failed
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs.queries import JOBS, SHARED, in_pipelines, shared_in
from gql_server.reads.jobs.row import PIPELINE_KEY

J, P = models.Job, models.Pipeline
JOBS_MAX = 50
"""Jobs of a pipeline that its diagnosis looks at one by one."""

FAILED = has_failed()
PENDING = J.state.in_([JobState.NOT_STARTED, JobState.QUEUED])
CLAIMS_SUCCESS = and_(
    J.state == JobState.FINISHED,
    integer(J.meta["row_errors_count"]) > 0,
    case(
        (J.result == JobResult.ERROR, func.lower(func.btrim(J.status_message)) == "success"),
        else_=integer(J.meta["inserted"]) == 0,
    ),
)
URGENCY = case(
    (FAILED, 0),
    (CLAIMS_SUCCESS, 1),
    (J.state == JobState.RUNNING, 2),
    (and_(PENDING, J.attempts >= J.max_attempts), 1),
    (PENDING, 3),
    (J.result.is_distinct_from(JobResult.SUCCESS), 4),
    else_=5,
)
NOTHING_TO_SAY = 5
"""The urgency of a job that ended well."""


def noteworthy(viewer: Viewer, keys: Sequence[UUID]) -> Any:
    """Ids of at most 50 jobs of each pipeline: one of each sort of failure comes before a second of any; with the counts of all
    that work for it, own or of others."""
    own = _facts(PIPELINE_KEY, true()).select_from(JOBS).where(job_clause(viewer, by_key=True), in_pipelines(keys))
    shared = _facts(P.id, false()).select_from(SHARED).where(shared_in(keys, viewer))
    every = union_all(own, shared).subquery("every")
    counted = select(every, *_counts(every.c)).subquery("counted")
    row = counted.c
    order = (row.urgency, row.nth, row.id)
    place = func.row_number().over(partition_by=row.of_pipeline, order_by=order).label("place")
    root_failed = func.coalesce(row.root_id == row.first_failed_id, False).label("root_failed")
    placed = select(counted, place, root_failed).subquery("placed")
    kept = ("id", "of_pipeline", "urgency", "jobs", "live", "untouched", "errors", "root_failed")
    columns = [placed.c[name] for name in (*kept, "recalculations", "live_recalculations")]
    is_worth_it = or_(placed.c.place == 1, and_(placed.c.urgency < NOTHING_TO_SAY, placed.c.place <= JOBS_MAX))
    return select(*columns).where(is_worth_it).cte("noteworthy")


def _facts(pipeline: Any, is_own: ColumnElement[bool]) -> AnySelect:
    return select(
        J.id.label("id"),
        pipeline.label("of_pipeline"),
        is_own.label("is_own"),
        URGENCY.label("urgency"),
        func.coalesce(J.failure_fingerprint, "").label("sort"),
        J.state.in_(LIVE_STATES).label("is_live"),
        PENDING.label("is_pending"),
        FAILED.label("is_failed"),
        J.job_type.in_(RECALCULATIONS).label("is_recalculation"),
    )


def _counts(row: Any) -> list[ColumnElement[Any]]:
    def over(aggregate: Any, *where: ColumnElement[bool]) -> ColumnElement[Any]:
        return (aggregate.filter(*where) if where else aggregate).over(partition_by=row.of_pipeline)

    nth = func.row_number().over(partition_by=(row.of_pipeline, row.urgency, row.sort), order_by=row.id)
    return [
        nth.label("nth"),
        over(func.count()).label("jobs"),
        over(func.count(), row.is_live).label("live"),
        over(func.count(), row.is_pending).label("untouched"),
        over(func.count(), row.is_failed).label("errors"),
        over(func.count(), row.is_recalculation).label("recalculations"),
        over(func.count(), row.is_recalculation, row.is_live).label("live_recalculations"),
        over(func.min(row.id), row.is_own).label("root_id"),
        over(func.min(row.id), row.is_own, row.is_failed).label("first_failed_id"),
    ]
