"""Reads of the vital signs of an installation."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, func, null, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import seconds
from gql_server.ledger.leases import CLAIMABLE, IS_LIVE, IS_STUCK, REVISION
from gql_server.policy import Viewer, job_clause, worker_clause
from gql_server.reads.fleet.checks import HealthChecks
from gql_server.reads.jobs.queries import EVERY_JOB, JOBS, select_jobs
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pagination.pages import CountQuery, Page
from gql_server.reads.pagination.windows import Window
from gql_server.reads.rows import Columns

E, J, W = models.Event, models.Job, models.Pod


async def health_checks(
    connection: AsyncConnection, viewer: Viewer, *, feed_sequence: int | None, feed_is_deaf: bool = False
) -> HealthChecks:
    """The vital signs, in one statement. `feed_sequence` is the number of the newest event that this process has read."""
    due_at = func.greatest(J.created_at, J.run_after)
    due = select(J.id, seconds(due_at, func.now()).label("waited")).select_from(JOBS)
    due = due.where(CLAIMABLE, due_at <= func.now(), job_clause(viewer)).order_by(J.id).limit(1).subquery("due")
    stuck = (
        select(
            func.count().label("count"),
            func.min(J.id).label("id"),
            func.array_agg(aggregate_order_by(J.locked_by, J.id)).label("workers"),
        )
        .select_from(JOBS)
        .where(IS_STUCK, job_clause(viewer))
        .subquery("stuck")
    )
    live = (
        select(func.count().label("workers"), func.array_agg(REVISION.distinct()).label("revisions"))
        .where(IS_LIVE, worker_clause(viewer))
        .subquery("live")
    )
    statement = select(
        live.c.workers,
        live.c.revisions,
        due.c.id.label("due_id"),
        due.c.waited,
        stuck.c.count.label("stuck"),
        stuck.c.id.label("stuck_id"),
        stuck.c.workers.label("stuck_workers"),
        _lag(feed_sequence).label("lag"),
    )
    row = (await connection.execute(statement.select_from(live).join(stuck, true()).outerjoin(due, true()))).one()
    return HealthChecks(
        live_workers=row.workers,
        revisions=sorted(sha for sha in row.revisions or () if sha),
        oldest_queued_seconds=row.waited,
        oldest_queued_id=row.due_id,
        stuck_count=row.stuck,
        stuck_id=row.stuck_id,
        stuck_worker_id=row.stuck_workers[0] if row.stuck_workers else None,
        feed_lag_seconds=row.lag,
        feed_is_deaf=feed_is_deaf,
    )


def _lag(feed_sequence: int | None) -> ColumnElement[Any]:
    if feed_sequence is None:
        return cast(null(), Float)
    unread = select(E.at).where(E.seq > feed_sequence).order_by(E.seq).limit(1).scalar_subquery()
    return func.coalesce(seconds(unread, func.now()), 0.0)


async def stuck_jobs(
    connection: AsyncConnection, viewer: Viewer, *, window: Window, columns: Columns[JobRow] = EVERY_JOB
) -> Page:
    """A page of the jobs that are stuck, oldest first."""
    columns |= window.placed_by("job_id")
    statement = select_jobs(viewer, columns).where(IS_STUCK)
    rows = columns.rows(await connection.execute(window.limited(statement, J.id, int)))
    return window.page(rows, "job_id", counting=CountQuery(stuck_count, viewer.provider))


async def stuck_count(connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int) -> dict[str, int]:
    """Number of stuck jobs of a provider: never more than run, so that they are counted without the limit's help."""
    statement = select(func.count()).select_from(JOBS).where(IS_STUCK, job_clause(viewer))
    count = await connection.scalar(statement) or 0
    return dict.fromkeys(keys, min(count, limit + 1))
