"""Reads of what happened: pages of timelines, cut in the database, however much it keeps of a pipeline."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow, AnySelect, Column, among, at, text_at
from gql_server.db.models import TERMINAL_STATUSES
from gql_server.ledger.history import HISTORY_LIMIT
from gql_server.policy import Viewer, job_clause, pipeline_clause
from gql_server.reads.jobs.meta import shown
from gql_server.reads.jobs.queries import JOBS, in_pipelines
from gql_server.reads.jobs.row import IS_ABORTED, PIPELINE_KEY, creator, message_of
from gql_server.reads.pagination.pages import Page
from gql_server.reads.pagination.windows import Window
from gql_server.reads.pipelines.timeline.entries import (
    AFTER_ALL_JOBS,
    TimelineKind,
    entries_of_jobs,
    entries_of_pipelines,
    told_of,
)

J, P = models.Job, models.Pipeline
ENTRIES_KEPT = HISTORY_LIMIT
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One thing that happened to a job, or to the pipeline when there is no `job_id`."""

    at: datetime
    kind: TimelineKind
    message: str | None
    actor_kind: str | None
    actor_name: str | None
    actor_email: str | None
    job_id: int | None
    position: str


async def timeline_by_pipeline(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, window: Window
) -> dict[UUID, Page]:
    """A page of what happened to each pipeline and its jobs."""
    told = _jobs(viewer, in_pipelines(keys), PIPELINE_KEY).cte("jobs")
    whole = _pipelines(viewer, keys).cte("wholes")
    entries = told_of([*entries_of_jobs(told), *entries_of_pipelines(whole)])
    return await _pages(connection, entries, keys, window)


async def timeline_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, window: Window
) -> dict[int, Page]:
    """A page of what happened to each job."""
    told = _jobs(viewer, among(J.id, keys), J.id.expression).cte("jobs")
    return await _pages(connection, told_of(entries_of_jobs(told)), keys, window)


async def _pages(connection: AsyncConnection, entries: Any, keys: Sequence[Any], window: Window) -> dict[Any, Page]:
    """The page of each key: no more is read of any than its window shows, and one entry more."""
    first = _first if len(keys) == 1 else _first_of_each
    found: defaultdict[Any, list[TimelineRow]] = defaultdict(list)
    for row in await connection.execute(first(entries, window)):
        found[row.key].append(_entry(row))
    return {key: window.page(found[key], "position") for key in keys}


def _first(entries: Any, window: Window) -> AnySelect:
    """The first entries of the window, and one more, of which PostgreSQL keeps no others in mind."""
    place = _place(entries)
    return select(entries).where(*_inside(window, place)).order_by(*_scanned(window, place)).limit(window.size + 1)


def _first_of_each(entries: Any, window: Window) -> AnySelect:
    """The same for each key."""
    place = _place(entries)
    number = func.row_number().over(partition_by=entries.c.key, order_by=_scanned(window, place)).label("number")
    numbered = select(entries, number).where(*_inside(window, place)).subquery("numbered")
    return select(numbered).where(numbered.c.number <= window.size + 1).order_by(numbered.c.key, numbered.c.number)


def _place(entries: Any) -> tuple[Column, ...]:
    return entries.c.at, entries.c.place, entries.c.index


def _scanned(window: Window, place: Sequence[Column]) -> list[Any]:
    return [column.desc() if window.backward else column for column in place]


def _inside(window: Window, place: Sequence[Column]) -> list[ColumnElement[bool]]:
    row: Any = tuple_(*place)
    after = [row > tuple_(*_parsed(window.after))] if window.after is not None else []
    before = [row < tuple_(*_parsed(window.before))] if window.before is not None else []
    return [*after, *before]


def _parsed(position: str) -> tuple[datetime, int, int]:
    microseconds, place, index = map(int, position.split("."))
    return _EPOCH + microseconds * _MICROSECOND, place, index


def _entry(row: AnyRow) -> TimelineRow:
    return TimelineRow(
        at=row.at,
        kind=TimelineKind(row.kind),
        message=row.message,
        actor_kind=row.actor_kind,
        actor_name=row.actor_name,
        actor_email=row.actor_email,
        job_id=row.place if 0 < row.place < AFTER_ALL_JOBS else None,
        position=f"{(row.at - _EPOCH) // _MICROSECOND}.{row.place}.{row.index}",
    )


def _jobs(viewer: Viewer, clause: ColumnElement[bool], key: ColumnElement[Any]) -> AnySelect:
    return (
        select(
            key.label("key"),
            J.id.label("job_id"),
            J.parent_job_id.is_not(None).label("is_chained"),
            *creator(at(J.meta, "created_by")),
            J.created_at,
            J.started_at,
            J.finished_at,
            message_of(viewer, J.meta, J.status_message).label("message"),
            IS_ABORTED.label("is_aborted"),
            text_at(J.meta, "aborted_by").label("aborted_by"),
            text_at(J.meta, "abort_reason").label("abort_reason"),
            shown(viewer, "status_history").label("history"),
            at(J.meta, "phases").label("phases_raw"),
        )
        .select_from(JOBS)
        .where(clause, job_clause(viewer))
    )


def _pipelines(viewer: Viewer, keys: Sequence[UUID]) -> AnySelect:
    return select(
        P.id.label("key"),
        P.status,
        P.created_at,
        P.started_at,
        case((P.status.in_(TERMINAL_STATUSES), P.finished_at)).label("finished_at"),
        *creator(P.created_by),
    ).where(among(P.id, keys), pipeline_clause(viewer))
