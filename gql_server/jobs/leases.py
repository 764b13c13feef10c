"""When a running job is stuck: judged by what its worker says of itself, on the database's clock."""

from datetime import timedelta

from sqlalchemy import and_, exists, func, literal, or_, select

from gql_server import models
from gql_server.models import JobState

J, W = models.Job, models.Pod
USUAL_LEASE = timedelta(seconds=10)
"""Of a worker that is not in the register."""

IS_LIVE = W.last_heartbeat_at > func.now() - 2 * W.heartbeat_interval
LEASE = func.coalesce(select(W.lease).where(W.pod_id == J.locked_by).scalar_subquery(), literal(USUAL_LEASE))
IS_RUNNING = J.state == JobState.RUNNING
LEASE_IS_OVER = and_(IS_RUNNING, or_(J.locked_at.is_(None), J.locked_at < func.now() - LEASE))
WORKER_IS_LOST = and_(IS_RUNNING, exists().where(W.pod_id == J.locked_by, ~IS_LIVE))
IS_STUCK = or_(LEASE_IS_OVER, WORKER_IS_LOST)
