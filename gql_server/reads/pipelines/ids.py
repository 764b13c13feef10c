"""Keys of the pipelines in a list: these alone, found and ordered through indexes, before anything else is read of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Executable,
    ScalarSelect,
    Subquery,
    and_,
    case,
    exists,
    false,
    func,
    not_,
    null,
    or_,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, Column, number, run_seconds
from gql_server.policy import Viewer, orphan_clause, pipeline_clause
from gql_server.reads.jobs.search import indexed_match, is_frequent, matches, once
from gql_server.reads.pagination.cursors import SortValue
from gql_server.reads.pagination.windows import Window, newest
from gql_server.reads.pipelines.alternatives import Clauses
from gql_server.reads.pipelines.counts import bound, matching
from gql_server.reads.pipelines.filter import FREE, Branch, PipelineCriteria
from gql_server.reads.pipelines.neighbours import unresolved
from gql_server.reads.pipelines.row import ORPHAN_FAILED
from gql_server.reads.shapes import built_once, parametrized, shaped

J, P = models.Job, models.Pipeline
PROBE_ROWS = 500
"""Pipelines in which a text is looked for one after the other, before the index of trigrams is asked."""
SCAN_HIT_RATIO = 0.2
"""Share of a page that they must fill for the rest to be looked for in the same way."""


@dataclass(frozen=True, slots=True)
class PipelineOrdering:
    """An order of pipelines, and the columns that hold its value."""

    order: SortValue
    stored: Column
    orphans: Column


ORDERINGS: Mapping[str, PipelineOrdering] = {
    name: PipelineOrdering(SortValue(name, parse), stored, orphans)
    for name, parse, stored, orphans in (
        ("STARTED_AT", datetime.fromisoformat, P.started_at, J.started_at),
        ("FINISHED_AT", datetime.fromisoformat, P.finished_at, J.finished_at),
        ("DURATION", float, run_seconds(P), run_seconds(J)),
        ("UPDATED_AT", datetime.fromisoformat, P.updated_at, func.greatest(J.created_at, J.started_at, J.finished_at)),
        ("ERROR_COUNT", int, P.error_count, case((ORPHAN_FAILED, 1), else_=0)),
    )
}
"""Orders by a value. CREATED_AT is the order of the keys themselves."""


@dataclass(frozen=True, slots=True)
class IdSource:
    """Source of keys: statements of keys and values, and the columns that order them."""

    keys: AnySelect
    with_jobs: AnySelect
    """The same with a job in reach, for more clauses on that one."""
    key: Column
    value: Column | None
    is_job_of: Callable[[Column], ColumnElement[bool]]
    """Such a job, given the key."""

    def keyset_scans(self, window: Window, statement: AnySelect | None = None) -> list[AnySelect]:
        """Each in the order of an index, and no longer than the window."""
        return window.keyset_scans(self.keys if statement is None else statement, self.key, UUID, self.value)


def listed(viewer: Viewer, criteria: PipelineCriteria, window: Window) -> CTE | None:
    """Key and value of each pipeline in the window and of one more, and whether it is an orphan, as a part of a statement; None
    when nothing can match."""
    sources = _sources(viewer, criteria, ORDERINGS[window.order.name] if window.order else None)
    if not sources:
        return None
    if text := criteria.indexed_search(viewer):
        frequent = once(is_frequent(text))
        found = [scan for source in sources for scan in _found(source, viewer, text, window, frequent)]
        return _limited(found, window, overlapping=True)
    scans = [scan for source in sources for scan in source.keyset_scans(window)]
    return _limited(scans, window, overlapping=len(criteria.of_stored(viewer)) > 1)


async def counted(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[PipelineCriteria], *, limit: int | None
) -> dict[PipelineCriteria, int]:
    """Number of pipelines that match each of the criteria, up to one above the limit; without one, above their own bound."""
    found: dict[PipelineCriteria, int] = {}
    for criteria in keys:
        shape, values = shaped(criteria, FREE)
        counts = _counts(viewer.shared(), shape, limit if limit is not None else bound(criteria))
        found[criteria] = sum(row[0] for row in await counts.rows(connection, values))
    return found


@built_once
def _counts(viewer: Viewer, shape: PipelineCriteria, limit: int | None) -> Executable | None:
    counts = counts_of(viewer, parametrized(shape, FREE), limit)
    return union_all(*map(select, counts)) if counts else None


def counts_of(viewer: Viewer, criteria: PipelineCriteria, limit: int | None) -> list[Subquery]:
    """Counts that add up to how many match; to one above the limit at most, if there is one."""
    if limit is None:
        return [part.subquery() for part in matching(viewer, criteria, (), ())]
    keys = listed(viewer, criteria, newest(limit))
    return [] if keys is None else [select(func.count().label("counted")).select_from(keys).subquery()]


def glimpse(
    viewer: Viewer, criteria: PipelineCriteria, text: str, limit: int, frequent: ColumnElement[bool]
) -> Subquery | None:
    """Number of those that match a search, to one above the limit at most, and whether these are all. A text that is `frequent`
    is looked for in no more than the newest of each source, as many as the limit."""
    window = newest(limit)
    glimpses = [_glimpse(source, viewer, text, window, frequent) for source in _sources(viewer, criteria, None)]
    if not glimpses:
        return None
    keys = _limited([scan for scans, _ in glimpses for scan in scans], window, overlapping=True)
    is_all = and_(*(is_all for _, is_all in glimpses))
    return select(func.count().label("counted"), is_all.label("complete")).select_from(keys).subquery()


async def members(connection: AsyncConnection, viewer: Viewer, *, criteria: PipelineCriteria, limit: int) -> list[UUID]:
    """Keys of the newest pipelines that match, newest first; at most one more than the limit."""
    matching = listed(viewer, criteria, newest(limit))
    if matching is None:
        return []
    return list(await connection.scalars(select(matching.c.key).order_by(matching.c.key.desc())))


def _sources(viewer: Viewer, criteria: PipelineCriteria, by: PipelineOrdering | None) -> list[IdSource]:
    stored = [_stored(viewer, branch, by, criteria.unresolved) for branch in criteria.of_stored(viewer)]
    clauses = criteria.of_orphans(viewer)
    return stored if clauses is None else [*stored, _orphans(viewer, clauses, by, criteria.unresolved)]


def _limited(scans: Sequence[AnySelect], window: Window, *, overlapping: bool) -> CTE:
    merged = _merged(scans, overlapping=overlapping)
    return select(merged).order_by(*window.sorting(merged.c.key, merged.c.value)).limit(window.most).cte()


def _stored(viewer: Viewer, branch: Branch, by: PipelineOrdering | None, is_unresolved: bool | None) -> IdSource:
    value = by and by.stored
    columns = (P.id.label("key"), _labelled(value), false().label("is_orphan"))
    statement = select(*columns).where(pipeline_clause(viewer), *branch.pipeline)
    if is_unresolved:
        statement = unresolved(viewer, statement, P.id, P)
    of_one_job = and_(J.provider == viewer.provider, *branch.job)
    with_jobs = statement.join(J, J.pipeline_id == P.id).where(of_one_job).distinct()
    keys = with_jobs if branch.job else statement
    return IdSource(keys, with_jobs, P.id, value, lambda key: and_(J.pipeline_id == key, of_one_job))


def _orphans(viewer: Viewer, clauses: Clauses, by: PipelineOrdering | None, is_unresolved: bool | None) -> IdSource:
    value = by and by.orphans
    columns = (J.time_key.label("key"), _labelled(value), true().label("is_orphan"))
    keys = select(*columns).where(J.pipeline_id.is_(None), orphan_clause(viewer), *clauses)
    if is_unresolved:
        keys = unresolved(viewer, keys, J.time_key, J)
    return IdSource(keys, keys, J.time_key, value, lambda key: J.time_key == key)


def _found(source: IdSource, viewer: Viewer, text: str, window: Window, frequent: ColumnElement[bool]) -> list[AnySelect]:
    """Ids of pipelines with a job whose message contains the text: probes the newest 500 of the list; if they do not fill the
    window, scans on for a common term, and looks a rare one up in the index of trigrams.

    PostgreSQL cannot tell how often a text occurs. It counts as common where those few promise a full page, or where it is
    `frequent`, so that the index would name too many.
    """
    hits, more = _probed(source, viewer, text, window, PROBE_ROWS)
    is_left = and_(_count(hits) <= number(window.size), more)
    promising = or_(_fills(hits, window), frequent)
    return [select(hits), *_rest(source, viewer, text, window, and_(is_left, promising), and_(is_left, not_(promising)))]


def _glimpse(
    source: IdSource, viewer: Viewer, text: str, window: Window, frequent: ColumnElement[bool]
) -> tuple[list[AnySelect], ColumnElement[bool]]:
    """Likewise, but a text that is `frequent` only among the newest of the list; and whether these are all."""
    hits, more = _probed(source, viewer, text, window, window.size + 1)
    is_left = and_(_count(hits) <= number(window.size), more, not_(frequent))
    fills = _fills(hits, window)
    rest = _rest(source, viewer, text, window, and_(is_left, fills), and_(is_left, not_(fills)))
    return [select(hits), *rest], not_(and_(more, frequent))


def _rest(
    source: IdSource, viewer: Viewer, text: str, window: Window, is_common: ColumnElement[bool], is_rare: ColumnElement[bool]
) -> list[AnySelect]:
    """Scans on in the order of the list, or looks up in the index of trigrams."""
    walk = source.with_jobs.where(is_common, matches(viewer, text))
    look_up = source.with_jobs.where(is_rare, indexed_match(viewer, text))
    return [*source.keyset_scans(window, walk), *source.keyset_scans(window, look_up)]


def _fills(hits: CTE, window: Window) -> ColumnElement[bool]:
    """True if those that were found promise the page to be full soon."""
    return _count(hits) >= number(max(1, round(window.size * SCAN_HIT_RATIO)))


def _probed(source: IdSource, viewer: Viewer, text: str, window: Window, rows: int) -> tuple[CTE, ColumnElement[bool]]:
    """Pipelines of the first so many of the list that have the text, and whether the list goes on."""
    first = _merged(source.keyset_scans(replace(window, size=rows - 1)), overlapping=False)
    looked = select(first).order_by(*window.sorting(first.c.key, first.c.value)).limit(number(rows)).cte()
    says = exists().where(source.is_job_of(looked.c.key), matches(viewer, text)).correlate(looked)
    hits = select(looked).where(says).order_by(*window.sorting(looked.c.key, looked.c.value)).limit(window.most).cte()
    return hits, _count(looked) == number(rows)


def _count(rows: CTE) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _merged(scans: Sequence[AnySelect], *, overlapping: bool) -> Subquery:
    """The scans as one; a pipeline that several of them hold is there once."""
    parts = [select(scan.subquery()) for scan in scans]
    return (union(*parts) if overlapping else union_all(*parts)).subquery()


def _labelled(value: Column | None) -> ColumnElement[Any]:
    return (null() if value is None else value).label("value")
