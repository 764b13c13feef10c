"""Jobs that a worker may claim, and running ones that are stuck: judged by what its worker says, on the database's clock."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, not_, or_, select
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import constant, duration, found, number, one_of
from gql_server.db.models import JobState, JobType

J, W = models.Job, models.Pod
UNREGISTERED_LEASE = timedelta(seconds=10)
"""Of a worker that is not in the register: a worker registers before it claims."""


UNCLAIMED = (JobState.NOT_STARTED, JobState.QUEUED)


def claimable(job: type[models.Job]) -> ColumnElement[bool]:
    """The job can be claimed by some worker, now or once it is due: the words of the partial index of pending jobs."""
    return and_(
        one_of(job.state, UNCLAIMED),
        job.locked_by.is_(None),
        job.job_type.is_not(None),
        job.attempts < job.max_attempts,
    )


CLAIMABLE = claimable(J)
IS_LIVE = W.last_heartbeat_at > func.now() - number(2) * W.heartbeat_interval
REVISION = func.coalesce(W.git_sha, W.app_version)
"""Revision that a worker runs: the one it was told, else its version."""
LEASE = func.coalesce(select(W.lease).where(W.pod_id == J.locked_by).scalar_subquery(), duration(UNREGISTERED_LEASE))
IS_RUNNING = one_of(J.state, [JobState.RUNNING])
LEASE_IS_OVER = and_(IS_RUNNING, or_(J.locked_at.is_(None), J.locked_at < func.now() - LEASE))
WORKER_IS_LOST = and_(IS_RUNNING, exists().where(W.pod_id == J.locked_by, ~IS_LIVE))
IS_STUCK = or_(LEASE_IS_OVER, WORKER_IS_LOST)

WAITING = aliased(models.Job)


def _follow_up_waits(job_type: JobType, *scope: str) -> ColumnElement[bool]:
    """A job of the same scope that no worker has claimed yet, of which there may be one: see `deduplication.DedupConfig`."""
    same = [getattr(WAITING, name) == getattr(J, name) for name in ("provider", "module_type_id", "year", *scope)]
    unclaimed = (one_of(WAITING.state, UNCLAIMED), WAITING.attempts == number(0))
    return and_(one_of(J.job_type, [job_type]), found(one_of(WAITING.job_type, [job_type]), *unclaimed, *same))


RECOVER_OBSTACLE = case(
    (one_of(J.state, [JobState.FINISHED]), constant("ENDED")),
    (J.state.is_distinct_from(constant(JobState.RUNNING)), constant("NOT_RUNNING")),
    (not_(LEASE_IS_OVER), constant("HELD")),
    (
        or_(_follow_up_waits(JobType.AGGREGATION), _follow_up_waits(JobType.EMISSION_RECALC, "data_entry_type_id")),
        constant("FOLLOW_UP_WAITS"),
    ),
)
"""Obstacle that keeps an operator from putting the job back in the queue; null when nothing does."""
