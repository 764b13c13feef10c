"""Reads of workers, and of the jobs they hold. A worker serves every provider; its jobs are shown to those who may see them."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, among, array, seconds
from gql_server.ledger.leases import IS_LIVE, IS_RUNNING, REVISION
from gql_server.policy import Viewer, job_clause, worker_clause
from gql_server.reads.jobs.queries import EVERY_JOB, JOBS, select_jobs
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pagination.pages import CountQuery, Page
from gql_server.reads.pagination.windows import Window
from gql_server.reads.rows import Column, Columns, Row

J, W = models.Job, models.Pod


class WorkerRow(Row):
    """A worker."""

    node_type = "Worker"
    pod_id = Column(W.pod_id)
    git_sha: Column[str | None] = Column(REVISION)
    version = Column(W.app_version)
    booted_at = Column(W.started_at)
    last_heartbeat_at = Column(W.last_heartbeat_at)
    heartbeat_age_seconds: Column[float] = Column(seconds(W.last_heartbeat_at, func.now()))
    is_live: Column[bool] = Column(IS_LIVE)


EVERY = WorkerRow.every()


def _workers(viewer: Viewer) -> AnySelect:
    return select(*EVERY.select(viewer)).where(worker_clause(viewer))


async def workers(connection: AsyncConnection, viewer: Viewer, *, live_only: bool) -> list[WorkerRow]:
    """The register, in order of start."""
    statement = _workers(viewer).order_by(W.started_at, W.pod_id)
    return EVERY.rows(await connection.execute(statement.where(IS_LIVE) if live_only else statement))


async def workers_by_pod_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[str]) -> dict[str, WorkerRow]:
    """Workers by the id of their pod; one that is not registered, or not visible, is left out."""
    rows = EVERY.rows(await connection.execute(_workers(viewer).where(among(W.pod_id, keys))))
    return {row.pod_id: row for row in rows}


async def jobs_by_worker(
    connection: AsyncConnection,
    viewer: Viewer,
    keys: Sequence[str],
    *,
    window: Window,
    columns: Columns[JobRow] = EVERY_JOB,
) -> dict[str, Page]:
    """A page of the jobs that each worker holds, oldest first."""
    columns |= window.placed_by("job_id")
    asked = func.unnest(array(W.pod_id, keys)).table_valued("pod_id").render_derived(name="asked")
    held = select_jobs(viewer, columns).where(J.locked_by == asked.c.pod_id, IS_RUNNING)
    of_worker = window.limited(held, J.id, int).lateral("of_worker")
    statement = select(*of_worker.c, asked.c.pod_id).join_from(asked, of_worker, true())
    found = (await connection.execute(statement.order_by(window.scan(of_worker.c.job_id)))).all()
    rows: defaultdict[str, list[JobRow]] = defaultdict(list)
    for each, row in zip(found, columns.rows(found), strict=True):
        rows[each[-1]].append(row)
    return {key: window.page(rows[key], "job_id", counting=CountQuery(job_count_by_worker, key)) for key in keys}


async def job_count_by_worker(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int
) -> dict[str, int]:
    """Number of jobs that each worker holds: few, so that they are counted without the limit's help."""
    rows = await connection.execute(
        select(J.locked_by, func.count())
        .select_from(JOBS)
        .where(among(J.locked_by, keys), IS_RUNNING, job_clause(viewer, by_key=True))
        .group_by(J.locked_by)
    )
    return {str(pod_id): min(count, limit + 1) for pod_id, count in rows}
