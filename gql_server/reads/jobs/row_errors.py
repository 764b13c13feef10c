"""Reads of rejected rows, for all the jobs that are asked for at once. A key is the id of a job.

`contains` keeps the rows in whose reason or column it occurs, letter for letter but for case; None keeps all.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow, among, integer
from gql_server.db.models import RowError
from gql_server.ledger.failures.fingerprint import cause_of
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs import search
from gql_server.reads.jobs.queries import JOBS
from gql_server.reads.pagination.pages import CountQuery, Page
from gql_server.reads.pagination.windows import Window

J = models.Job


class RowErrorCount(NamedTuple):
    """Number of rejected rows of a job. Some are not kept: then `matching` is of the others, and not `complete`."""

    matching: int
    complete: bool


@dataclass(frozen=True, slots=True)
class RowErrorGroup:
    """Rows whose reasons differ only in numbers, names and quoted values."""

    reason: str
    count: int
    sample_row: int | None


async def row_errors_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, window: Window, contains: str | None
) -> dict[int, Page]:
    """A page of the kept rows of each job, in the order in which they were read."""
    kept = select(RowError.id.label("error_id"), RowError.row, RowError.column, RowError.reason, RowError.value)
    of_job = window.limited(kept.where(RowError.job_id == J.id, _matching(contains)), RowError.id, int).lateral("of_job")
    statement = select(J.id.label("job_id"), *of_job.c).select_from(JOBS.outerjoin(of_job, true()))
    rows: defaultdict[int, list[AnyRow]] = defaultdict(list)
    for row in await connection.execute(
        statement.where(among(J.id, keys), job_clause(viewer, by_key=True)).order_by(window.scan(of_job.c.error_id))
    ):
        rows[row.job_id] += [] if row.error_id is None else [row]
    return {job_id: _page(window, of_job, job_id, contains) for job_id, of_job in rows.items()}


def _page(window: Window, rows: Sequence[AnyRow], job_id: int, contains: str | None) -> Page:
    counting = CountQuery(row_error_counts, job_id, {"contains": contains})
    return replace(window.page(rows, "error_id"), counting=counting)


async def row_error_counts(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, contains: str | None
) -> dict[int, RowErrorCount]:
    """Numbers of rejected rows of each job: as the job counted them, or of the kept ones, those that match."""
    total = func.coalesce(integer(J.meta["row_errors_count"]), 0).label("total")
    kept, matching = func.count(RowError.id), func.count(RowError.id).filter(_matching(contains))
    rows = await connection.execute(
        select(J.id, total, kept.label("kept"), matching.label("matching"))
        .select_from(JOBS.outerjoin(RowError.__table__, RowError.job_id == J.id))
        .where(among(J.id, keys), job_clause(viewer, by_key=True))
        .group_by(J.id)
    )
    return {row.id: _count(row.total, row.kept, None if contains is None else row.matching) for row in rows}


def _count(total: int, kept: int, matching: int | None) -> RowErrorCount:
    return RowErrorCount(max(total, kept), True) if matching is None else RowErrorCount(matching, total <= kept)


async def row_error_groups(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, contains: str | None
) -> dict[int, list[RowErrorGroup]]:
    """The kept rows of each job by reason, the most frequent first."""
    rows = await connection.execute(
        select(RowError.job_id, RowError.reason, func.count().label("rows"), func.min(RowError.row).label("first_row"))
        .select_from(JOBS.join(RowError.__table__, RowError.job_id == J.id))
        .where(among(J.id, keys), job_clause(viewer, by_key=True), _matching(contains))
        .group_by(RowError.job_id, RowError.reason)
        .order_by(RowError.job_id, RowError.reason)
    )
    reasons: defaultdict[int, defaultdict[str, list[AnyRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        reasons[row.job_id][cause_of(row.reason)].append(row)
    return {job_id: sorted(_groups(of_job.items()), key=_by_frequency) for job_id, of_job in reasons.items()}


def _groups(reasons: Iterable[tuple[str, Sequence[AnyRow]]]) -> Iterable[RowErrorGroup]:
    """One group for each cause; where all its rows give the same reason, that is what it is called."""
    for cause, rows in reasons:
        samples = [row.first_row for row in rows if row.first_row is not None]
        reason = rows[0].reason if len(rows) == 1 else cause
        yield RowErrorGroup(reason, sum(row.rows for row in rows), min(samples, default=None))


def _by_frequency(group: RowErrorGroup) -> tuple[int, str]:
    return -group.count, group.reason


def _matching(contains: str | None) -> ColumnElement[bool]:
    if contains is None:
        return true()
    return or_(*(search.contains(text, contains) for text in (RowError.reason, RowError.column)))
