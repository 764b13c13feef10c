"""Reads of lists of jobs, by filter and order: all of them, or those of each of many pipelines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Select, func, literal, null, or_, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, Column, given_keys, number, run_seconds
from gql_server.ledger.serving import serves
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs.filter import FREE, JobCriteria
from gql_server.reads.jobs.queries import EVERY_JOB, JOBS, in_pipeline, select_jobs
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pagination.cursors import SortValue
from gql_server.reads.pagination.pages import CountQuery, Page
from gql_server.reads.pagination.windows import Window, newest
from gql_server.reads.rows import Columns
from gql_server.reads.shapes import built_once, parametrized, shaped

J, P = models.Job, models.Pipeline
PLACE: Callable[[Any], int] = itemgetter(-1)
"""The place of the key that a row was found for."""


@dataclass(frozen=True, slots=True)
class JobOrdering:
    """An order of jobs, and the column that holds its value."""

    order: SortValue
    value: Column


ORDERINGS: Mapping[str, JobOrdering] = {
    name: JobOrdering(SortValue(name, parse), value)
    for name, parse, value in (
        ("STARTED_AT", datetime.fromisoformat, J.started_at),
        ("FINISHED_AT", datetime.fromisoformat, J.finished_at),
        ("DURATION", float, run_seconds(J)),
        ("ATTEMPT", int, J.attempts),
    )
}
"""Orders by a value. CREATED is the order of the ids themselves."""


async def page(
    connection: AsyncConnection, viewer: Viewer, *, criteria: JobCriteria, window: Window, columns: Columns[JobRow] = EVERY_JOB
) -> Page:
    """A page of the viewer's jobs."""
    columns |= window.placed_by("job_id")
    shape, values = shaped(criteria, FREE)
    statement = _page(viewer.shared(), shape, window.shape(), columns)
    found = await statement.rows(connection, {**values, **window.parameters(int)})
    return window.page(columns.rows(found), "job_id", counting=CountQuery(counted, criteria))


@built_once
def _page(viewer: Viewer, shape: JobCriteria, window: Window, columns: Columns[JobRow]) -> Select[Any]:
    keys = _listed(viewer, parametrized(shape, FREE), window)
    statement = select(*columns.select(viewer, given={"value": keys.c.value})).select_from(keys).join(J, J.id == keys.c.key)
    statement = statement.outerjoin(P, J.pipeline_id == P.id)
    return statement.order_by(*window.sorting(keys.c.key, keys.c.value))


async def counted(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[JobCriteria], *, limit: int
) -> dict[JobCriteria, int]:
    """Number of jobs that match each of the criteria, up to one above the limit."""
    counts = [
        select(literal(place).label("place"), func.count().label("counted")).select_from(_listed(viewer, each, newest(limit)))
        for place, each in enumerate(keys)
    ]
    found = {row.place: row.counted for row in await connection.execute(union_all(*counts))}
    return {each: found[place] for place, each in enumerate(keys)}


async def page_by_pipeline(
    connection: AsyncConnection,
    viewer: Viewer,
    keys: Sequence[UUID],
    *,
    criteria: JobCriteria,
    window: Window,
    columns: Columns[JobRow] = EVERY_JOB,
) -> dict[UUID, Page]:
    """A page of the jobs of each pipeline, with those of others that work of it was merged into."""
    columns |= window.placed_by("job_id")
    shape, values = shaped(criteria, FREE)
    statement = _page_by_pipeline(viewer.shared(), shape, window.shape(), columns)
    found = await statement.rows(connection, {"keys": list(keys), **values, **window.parameters(int)})
    rows: list[list[JobRow]] = [[] for _ in keys]
    for place, row in zip(map(PLACE, found), columns.rows(found), strict=True):
        rows[place - 1].append(row)
    counting = {"criteria": criteria}
    counts = [CountQuery(counted_by_pipeline, key, counting) for key in keys]
    return dict(zip(keys, window.pages(rows, "job_id", counts), strict=True))


@built_once
def _page_by_pipeline(viewer: Viewer, shape: JobCriteria, window: Window, columns: Columns[JobRow]) -> Select[Any]:
    criteria = parametrized(shape, FREE)
    asked = func.unnest(given_keys(P.id)).table_valued("key", with_ordinality="place")
    pipelines = asked.render_derived(name="asked")
    jobs = select_jobs(viewer, columns, {"value": _value(window)}, are_pipelines_seen=True)
    jobs = jobs.where(_works_for(pipelines.c.key), *criteria.clauses(viewer))
    of_key = window.sorted(jobs, J.id, int, _ordered_by(window)).lateral("of_key")
    return (
        select(*of_key.c, pipelines.c.place)
        .join_from(pipelines, of_key, true())
        .order_by(*window.sorting(of_key.c.job_id, of_key.c.get("value")))
    )


async def counted_by_pipeline(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, criteria: JobCriteria, limit: int
) -> dict[UUID, int]:
    """Number of jobs of each pipeline that match, up to one above the limit."""
    shape, values = shaped(criteria, FREE)
    return dict(await _counted_by_pipeline(viewer.shared(), shape, limit).rows(connection, {"keys": list(keys), **values}))


@built_once
def _counted_by_pipeline(viewer: Viewer, shape: JobCriteria, limit: int) -> AnySelect:
    clauses = parametrized(shape, FREE).clauses(viewer)
    asked = func.unnest(given_keys(P.id)).table_valued("key").render_derived(name="asked")
    jobs = select(J.id).select_from(JOBS).where(_works_for(asked.c.key), job_clause(viewer, by_key=True), *clauses)
    of_key = jobs.limit(number(limit + 1)).lateral("of_key")
    return select(asked.c.key, func.count().label("counted")).join_from(asked, of_key, true()).group_by(asked.c.key)


def _works_for(key: Column) -> ColumnElement[bool]:
    return or_(in_pipeline(key), serves(key))


def _listed(viewer: Viewer, criteria: JobCriteria, window: Window) -> CTE:
    """Id and value of each job in the window and of one more, as a part of a statement."""
    jobs = select(J.id.label("key"), _value(window)).select_from(JOBS)
    jobs = jobs.where(job_clause(viewer), *criteria.clauses(viewer))
    scans = window.keyset_scans(jobs, J.id, int, _ordered_by(window))
    merged = union_all(*(select(scan.subquery()) for scan in scans)).subquery()
    return select(merged).order_by(*window.sorting(merged.c.key, merged.c.value)).limit(window.most).cte()


def _ordered_by(window: Window) -> Column | None:
    return ORDERINGS[window.order.name].value if window.order else None


def _value(window: Window) -> ColumnElement[Any]:
    by = _ordered_by(window)
    return (null() if by is None else by).label("value")
