"""Reads of pipelines. A key is a pipeline's id or, for an orphan, the time-ordered key of its job: both are UUIDv7."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Text, any_, cast, false, literal, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, among, given_keys
from gql_server.db.models import JobState
from gql_server.ledger.progress import Progress, progress
from gql_server.policy import Viewer, job_clause, sees_orphans
from gql_server.reads.jobs.queries import JOBS, ROW_PROGRESS, SHARED, in_pipelines, shared_in
from gql_server.reads.jobs.row import PIPELINE_KEY
from gql_server.reads.pagination.pages import CountQuery, Page, between
from gql_server.reads.pagination.windows import Window
from gql_server.reads.pipelines.counts import bound
from gql_server.reads.pipelines.filter import FREE, PipelineCriteria
from gql_server.reads.pipelines.ids import counted, listed
from gql_server.reads.pipelines.row import PipelineRow, orphans, stored
from gql_server.reads.position import position
from gql_server.reads.rows import Columns
from gql_server.reads.shapes import built_once, parametrized, shaped
from gql_server.reads.turns import grouped

J, P = models.Job, models.Pipeline
EVERY_PIPELINE = PipelineRow.every()
OF_LIST = EVERY_PIPELINE - ["event_sequence"]
KEY = ("key",)
KEY_OF = attrgetter("key")


async def pipelines_by_key(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, columns: Columns[PipelineRow] = EVERY_PIPELINE
) -> dict[UUID, PipelineRow]:
    """Pipelines by their key, orphans among them; one that is absent or not visible is left out."""
    columns |= KEY
    found = await _pipelines_by_key(viewer.shared(), columns).rows(connection, {"keys": list(keys)})
    return {row.key: row for row in columns.rows(found)}


@built_once
def _pipelines_by_key(viewer: Viewer, columns: Columns[PipelineRow]) -> CompoundSelect[Any]:
    parts = [stored(viewer, columns, P.id == any_(given_keys(P.id)))]
    if sees_orphans(viewer):
        parts.append(orphans(viewer, columns, J.time_key == any_(given_keys(J.time_key))))
    return union_all(*parts)


async def keys_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, UUID]:
    """The key of the pipeline that each job is in."""
    rows = await connection.execute(
        select(J.id, PIPELINE_KEY.label("key")).select_from(JOBS).where(among(J.id, keys), job_clause(viewer, by_key=True))
    )
    return {row.id: row.key for row in rows}


async def page(
    connection: AsyncConnection,
    viewer: Viewer,
    *,
    criteria: PipelineCriteria,
    window: Window,
    around: UUID | None = None,
    columns: Columns[PipelineRow] = OF_LIST,
) -> Page:
    """A page of pipelines: the keys of the window, or of those around a key, then what is shown of each.

    Rows carry the position of the feed, if that is asked for; an empty page is then read once more, after the position that it
    carries.
    """
    if around is not None:
        return await _page_around(connection, viewer, criteria=criteria, window=window, key=around, columns=columns)
    rows = await rows_of_list(connection, viewer, criteria, window, columns)
    if rows or PipelineRow.feed_position not in columns:
        return _page(rows, criteria, window)
    before = await connection.scalar(select(position()))
    rows = await rows_of_list(connection, viewer, criteria, window, columns)
    return replace(_page(rows, criteria, window), position=before)


async def rows_of_list(
    connection: AsyncConnection,
    viewer: Viewer,
    criteria: PipelineCriteria,
    window: Window,
    columns: Columns[PipelineRow] = OF_LIST,
) -> list[PipelineRow]:
    """The pipelines in the window and one more, in the order in which they are read."""
    shape, values = shaped(criteria, FREE)
    statement = _page_statement(viewer.shared(), shape, window.shape(), columns)
    return _placed(columns, window).rows(await statement.rows(connection, {**values, **window.parameters(UUID)}))


async def _page_around(
    connection: AsyncConnection,
    viewer: Viewer,
    *,
    criteria: PipelineCriteria,
    window: Window,
    key: UUID,
    columns: Columns[PipelineRow] = OF_LIST,
) -> Page:
    """The page that has the pipeline of that key in its middle, as far as the ends of the list allow.

    If the list does not hold it, the first page: as if it did not exist.
    """
    read = partial(page, connection, viewer, columns=columns)
    itself = replace(criteria, ids=(key,)) if criteria.ids is None or key in criteria.ids else replace(criteria, ids=())
    [*found] = (await read(criteria=itself, window=window)).nodes
    if not found:
        return await read(criteria=criteria, window=window)
    at = window.text(window.place(found[0], "key"))
    until = await read(criteria=criteria, window=replace(window, backward=True, before=at))
    since = await read(criteria=criteria, window=replace(window, after=at))
    return between(until, found[0], since, window.size)


@built_once
def _page_statement(viewer: Viewer, shape: PipelineCriteria, window: Window, columns: Columns[PipelineRow]) -> AnySelect | None:
    return page_statement(viewer, parametrized(shape, FREE), window, columns)


def page_statement(
    viewer: Viewer, criteria: PipelineCriteria, window: Window, columns: Columns[PipelineRow] = OF_LIST
) -> AnySelect | None:
    """The statement of a page; None when the criteria exclude everything."""
    keys, columns = listed(viewer, criteria, window), _placed(columns, window)
    if keys is None:
        return None
    parts = [
        *([stored(viewer, columns, listed=keys)] if criteria.is_orphan is not True else []),
        *([orphans(viewer, columns, listed=keys)] if criteria.of_orphans(viewer) is not None else []),
    ]
    rows = union_all(*parts).subquery()
    return select(rows).order_by(*window.sorting(rows.c.key, rows.c.get("value")))


def _placed(columns: Columns[PipelineRow], window: Window) -> Columns[PipelineRow]:
    return columns | window.placed_by("key")


async def active_by_year(
    connection: AsyncConnection,
    viewer: Viewer,
    keys: Sequence[int],
    *,
    window: Window,
    columns: Columns[PipelineRow] = OF_LIST,
) -> dict[int, Page]:
    """A page of the unfinished pipelines of each year."""
    criteria = {year: PipelineCriteria(years=(year,), is_active=True) for year in keys}
    pages = [
        select(statement.subquery(), literal(year).label("of_year"))
        for year in keys
        if (statement := page_statement(viewer, criteria[year], window, columns)) is not None
    ]
    every = union_all(*pages).subquery()
    found = (await connection.execute(select(every).order_by(window.scan(every.c.key)))).all()
    rows: defaultdict[int, list[PipelineRow]] = defaultdict(list)
    for each, row in zip(found, _placed(columns, window).rows(found), strict=True):
        rows[each[-1]].append(row)
    return {year: _page(rows[year], criteria[year], window) for year in keys}


def _page(rows: Sequence[PipelineRow], criteria: PipelineCriteria, window: Window) -> Page:
    return window.page(rows, "key", counting=CountQuery(counted, criteria, limit=bound(criteria)), criteria=criteria)


async def progress_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, Progress]:
    """Progress of each pipeline, from all jobs that work for it and its stored row."""
    facts = await _progress_facts(viewer.shared()).named(connection, {"keys": list(keys)})
    of_pipeline = await grouped(facts, KEY_OF)
    return {key: _progress(key, of_pipeline[key]) for key in keys}


@built_once
def _progress_facts(viewer: Viewer) -> AnySelect:
    keys = given_keys(P.id)
    state, result = cast(J.state, Text).label("state"), cast(J.result, Text).label("result")
    facts = (J.id, J.job_type, state, result, P.id.label("pipeline_id"), P.kind, P.status, P.expected_recalc)
    own = select(PIPELINE_KEY.label("key"), true().label("is_own"), *facts, *ROW_PROGRESS).select_from(JOBS)
    shared = select(P.id.label("key"), false().label("is_own"), *facts, *ROW_PROGRESS).select_from(SHARED)
    every = union_all(
        own.where(in_pipelines(keys), job_clause(viewer, by_key=True)), shared.where(shared_in(keys, viewer))
    ).subquery()
    return select(every).order_by(every.c.id)


def _progress(key: UUID, facts: Sequence[Any]) -> Progress:
    row = facts[0] if facts and facts[0].pipeline_id is not None else None
    counting = [job for job in facts if job.state == JobState.RUNNING and job.rows_processed is not None]
    own, shared = [job for job in facts if job.is_own], [job for job in facts if not job.is_own]
    return replace(progress(own, row, shared=shared), rows=counting[-1] if counting else None, pipeline_key=key)
