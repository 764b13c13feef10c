"""Reads of workers, and of the jobs they hold. A worker serves every provider; its jobs are shown to those who may see them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow, AnySelect, among, array, constant, seconds
from gql_server.ledger.leases import IS_LIVE, IS_RUNNING, REVISION
from gql_server.policy import Viewer, job_clause, worker_clause
from gql_server.reads.jobs import queries as jobs
from gql_server.reads.pagination import CountQuery, Page, Window

J, W = models.Job, models.Pod


def _workers(viewer: Viewer) -> AnySelect:
    return select(
        constant("Worker").label("node_type"),
        W.pod_id,
        REVISION.label("git_sha"),
        W.app_version.label("version"),
        W.started_at.label("booted_at"),
        W.last_heartbeat_at,
        seconds(W.last_heartbeat_at, func.now()).label("heartbeat_age_seconds"),
        IS_LIVE.label("is_live"),
    ).where(worker_clause(viewer))


async def workers(connection: AsyncConnection, viewer: Viewer, *, live_only: bool) -> Sequence[AnyRow]:
    """The register, in order of start."""
    statement = _workers(viewer).order_by(W.started_at, W.pod_id)
    return (await connection.execute(statement.where(IS_LIVE) if live_only else statement)).all()


async def workers_by_pod_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[str]) -> dict[str, AnyRow]:
    rows = await connection.execute(_workers(viewer).where(among(W.pod_id, keys)))
    return {row.pod_id: row for row in rows}


async def jobs_by_worker(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, window: Window
) -> dict[str, Page]:
    """A page of the jobs that each worker holds, oldest first."""
    asked = func.unnest(array(W.pod_id, keys)).table_valued("pod_id").render_derived(name="asked")
    held = select(*jobs.columns(viewer)).select_from(jobs.JOBS).where(J.locked_by == asked.c.pod_id, IS_RUNNING)
    of_worker = window.limited(held.where(job_clause(viewer)), J.id, int).lateral("of_worker")
    statement = select(asked.c.pod_id, *of_worker.c).join_from(asked, of_worker, true())
    rows: defaultdict[str, list[AnyRow]] = defaultdict(list)
    for row in await connection.execute(statement.order_by(window.scan(of_worker.c.job_id))):
        rows[row.pod_id].append(row)
    return {key: replace(window.page(rows[key], "job_id"), counting=CountQuery(job_count_by_worker, key)) for key in keys}


async def job_count_by_worker(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int
) -> dict[str, int]:
    """How many jobs each worker holds: few, so that they are counted without the limit's help."""
    rows = await connection.execute(
        select(J.locked_by, func.count())
        .select_from(jobs.JOBS)
        .where(among(J.locked_by, keys), IS_RUNNING, job_clause(viewer))
        .group_by(J.locked_by)
    )
    return {str(pod_id): min(count, limit + 1) for pod_id, count in rows}
