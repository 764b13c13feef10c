"""Reads of what happened: the stamps, histories and stages of jobs, and the stamps of their pipelines."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, among
from gql_server.db.models import TERMINAL_STATUSES
from gql_server.ledger.history import HISTORY_LIMIT
from gql_server.policy import Viewer, job_clause, pipeline_clause
from gql_server.reads.jobs import queries as jobs
from gql_server.reads.jobs.meta import shown
from gql_server.reads.pagination import Page, Window
from gql_server.reads.pipelines.timeline.entries import cut, timeline

J, P = models.Job, models.Pipeline
ENTRIES_KEPT = HISTORY_LIMIT


async def timeline_by_pipeline(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, window: Window
) -> dict[UUID, Page]:
    """A page of what happened to each pipeline and its jobs."""
    of_pipeline: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in await connection.execute(_jobs(viewer, jobs.in_pipelines(keys))):
        of_pipeline[row.pipeline_key].append(row)
    pipelines: dict[UUID, Any] = {row.key: row for row in await connection.execute(_pipelines(viewer, keys))}
    return {key: cut(timeline(pipelines.get(key), of_pipeline[key]), window) for key in keys}


async def timeline_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, window: Window
) -> dict[int, Page]:
    """A page of what happened to each job."""
    rows: Sequence[Any] = (await connection.execute(_jobs(viewer, among(J.id, keys)))).all()
    return {row.job_id: cut(timeline(None, [row]), window) for row in rows}


def _jobs(viewer: Viewer, clause: ColumnElement[bool]) -> AnySelect:
    return (
        select(
            J.id.label("job_id"),
            jobs.PIPELINE_KEY.label("pipeline_key"),
            J.parent_job_id.is_not(None).label("is_chained"),
            *jobs.creator(J.meta["created_by"]),
            J.created_at,
            J.started_at,
            J.finished_at,
            jobs.message(viewer, J.meta, J.status_message).label("message"),
            jobs.IS_ABORTED.label("is_aborted"),
            J.meta["aborted_by"].astext.label("aborted_by"),
            J.meta["abort_reason"].astext.label("abort_reason"),
            shown(viewer, "status_history").label("history"),
            J.meta["phases"].label("phases_raw"),
        )
        .select_from(jobs.JOBS)
        .where(clause, job_clause(viewer))
        .order_by(J.id)
    )


def _pipelines(viewer: Viewer, keys: Sequence[UUID]) -> AnySelect:
    return select(
        P.id.label("key"),
        P.status,
        P.created_at,
        P.started_at,
        case((P.status.in_(TERMINAL_STATUSES), P.finished_at)).label("finished_at"),
        *jobs.creator(P.created_by),
    ).where(among(P.id, keys), pipeline_clause(viewer))
