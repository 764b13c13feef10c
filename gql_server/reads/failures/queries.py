"""Reads of failure groups. A group is what the viewer may see of it: one without a visible job does not exist for them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    TableValuedAlias,
    any_,
    case,
    extract,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, among, array, one_of
from gql_server.policy import Viewer, job_clause, orphan_clause, pipeline_clause
from gql_server.reads.failures.filter import FailureCriteria, FailureOrder
from gql_server.reads.failures.row import EVERY, FailureGroupRow, groups_of, seen_by
from gql_server.reads.jobs.queries import JOBS, SHARED, error_text, in_pipelines, shared_in
from gql_server.reads.jobs.row import PIPELINE_KEY
from gql_server.reads.pagination.pages import CountQuery, Page
from gql_server.reads.pagination.windows import Window
from gql_server.reads.pipelines.filter import PipelineCriteria, orphans_failed
from gql_server.reads.pipelines.neighbours import unresolved
from gql_server.reads.pipelines.queries import EVERY_PIPELINE, pipelines_by_key
from gql_server.reads.pipelines.row import FAILURES, PipelineRow
from gql_server.reads.rows import Columns
from gql_server.reads.turns import in_turns

G, J, P = models.FailureGroup, models.Job, models.Pipeline
ALL = "all"
"""Key of the one list of groups there is."""
DEFAULT_SPAN = timedelta(hours=24)
SHORTEST_SPAN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of equal buckets between two instants, oldest first."""

    since: datetime
    until: datetime
    counts: list[int]


async def groups_by_fingerprint(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, columns: Columns[FailureGroupRow] = EVERY
) -> dict[str, FailureGroupRow]:
    """Groups by fingerprint; one without a failure that the viewer may see is left out."""
    columns |= ["fingerprint"]
    groups = groups_of(viewer, FailureCriteria(), among(G.fingerprint, keys), columns=columns)
    return {row.fingerprint: row for row in columns.rows(await connection.execute(select(groups)))}


async def page(
    connection: AsyncConnection,
    viewer: Viewer,
    *,
    criteria: FailureCriteria,
    order: FailureOrder,
    window: Window,
    columns: Columns[FailureGroupRow] = EVERY,
) -> Page:
    """A page of groups; the tie-break is the fingerprint."""
    columns |= ["fingerprint", "value"]
    rows = columns.rows(await connection.execute(page_statement(viewer, criteria, order, window, columns)))
    return replace(window.page(rows, "fingerprint"), counting=CountQuery(counts, ALL, {"criteria": criteria}))


def page_statement(
    viewer: Viewer,
    criteria: FailureCriteria,
    order: FailureOrder,
    window: Window,
    columns: Columns[FailureGroupRow] = EVERY,
) -> AnySelect:
    """The statement of a page. All visible groups are looked at, for none of them more than the ends of its occurrences."""
    groups = groups_of(viewer, criteria, order=order, columns=columns)
    [known, *_] = window.keyset_scans(select(groups), groups.c.fingerprint, str, groups.c.value)
    return known


async def counts(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int, criteria: FailureCriteria
) -> dict[str, int]:
    """Number of groups, at most one above the limit."""
    groups = select(groups_of(viewer, criteria).c.fingerprint).limit(limit + 1).subquery()
    counted = await connection.scalar(select(func.count()).select_from(groups))
    return dict.fromkeys(keys, counted or 0)


async def fingerprints_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The groups of the failed jobs that work for each pipeline, in the order in which they first failed."""
    columns, failed = (J.id, J.failure_fingerprint.label("fingerprint")), J.failure_fingerprint.is_not(None)
    own = select(PIPELINE_KEY.label("key"), *columns).select_from(JOBS).where(in_pipelines(keys), failed)
    shared = select(P.id.label("key"), *columns).select_from(SHARED).where(shared_in(keys, viewer), failed)
    every = union_all(own.where(job_clause(viewer, by_key=True)), shared).subquery()
    first = func.min(every.c.id)
    distinct = select(every.c.key, every.c.fingerprint).group_by(every.c.key, every.c.fingerprint).order_by(first)
    found: defaultdict[UUID, list[str]] = defaultdict(list)
    async for row in in_turns(await connection.execute(distinct)):
        found[row.key].append(row.fingerprint)
    return {key: found[key] for key in keys}


async def pipelines_by_group(
    connection: AsyncConnection,
    viewer: Viewer,
    keys: Sequence[str],
    *,
    window: Window,
    columns: Columns[PipelineRow] = EVERY_PIPELINE,
) -> dict[str, Page]:
    """A page of the pipelines of each group's failed jobs, in two statements."""
    seen, asked = seen_by(viewer), _asked(keys)
    of_group = seen.c.fingerprint == asked.c.key
    stored = select(seen.c.pipeline_id.label("pipeline")).where(of_group, seen.c.pipeline_id.is_not(None)).distinct()
    orphans = select(seen.c.time_key.label("pipeline")).where(of_group, seen.c.pipeline_id.is_(None))
    parts = [
        window.limited(stored, seen.c.pipeline_id, UUID).lateral("hit"),
        window.limited(orphans, seen.c.time_key, UUID).lateral("hit"),
    ]
    hit = union_all(*(select(asked.c.key, part.c.pipeline).join_from(asked, part, true()) for part in parts)).subquery()
    named: defaultdict[str, list[UUID]] = defaultdict(list)
    for row in await connection.execute(select(hit).order_by(window.scan(hit.c.pipeline))):
        named[row.key].append(row.pipeline)
    keys_found = list({pipeline for found in named.values() for pipeline in found})
    rows = await pipelines_by_key(connection, viewer, keys_found, columns=columns)
    return {
        key: replace(
            window.page([rows[pipeline] for pipeline in named[key] if pipeline in rows], "key"),
            counting=CountQuery(affected_pipelines, key, limit=None),
            criteria=PipelineCriteria(failure_fingerprint=key),
        )
        for key in keys
    }


async def affected_jobs(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int | None
) -> dict[str, int]:
    """Failed jobs of each group, at most one above the limit, if there is one."""
    seen, asked = seen_by(viewer), _asked(keys)
    return await _counted(connection, asked, select(seen.c.job_id).where(seen.c.fingerprint == asked.c.key), limit)


async def affected_pipelines(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int | None
) -> dict[str, int]:
    """Pipelines of each group's failed jobs, at most one above the limit, if there is one; an orphan is a pipeline of one."""
    seen, asked = seen_by(viewer), _asked(keys)
    orphan = case((seen.c.pipeline_id.is_(None), seen.c.time_key))
    hit = select(seen.c.pipeline_id, orphan).where(seen.c.fingerprint == asked.c.key).distinct()
    return await _counted(connection, asked, hit, limit)


async def unresolved_pipelines(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, limit: int | None
) -> dict[str, int]:
    """The part of `affected_pipelines` that failed, and that no later run has made good.

    All such pipelines are found out first, each scope looked at once: they are few, and what fails is many.
    """
    failed = select(P.id.label("key")).where(pipeline_clause(viewer), one_of(P.status, FAILURES))
    orphans = select(J.time_key).where(J.pipeline_id.is_(None), orphan_clause(viewer), *orphans_failed())
    left = union_all(unresolved(viewer, failed, P.id, P), unresolved(viewer, orphans, J.time_key, J))
    unmade = left.cte("unmade").prefix_with("MATERIALIZED")
    seen, key = seen_by(viewer), unmade.c.key
    pipeline = func.coalesce(seen.c.pipeline_id, seen.c.time_key)
    asked = seen.c.fingerprint == any_(array(G.fingerprint, keys))
    counted = select(seen.c.fingerprint, func.count(key.distinct())).join_from(seen, unmade, key == pipeline)
    counts = await connection.execute(counted.where(asked).group_by(seen.c.fingerprint))
    return {str(fingerprint): count if limit is None else min(count, limit + 1) for fingerprint, count in counts}


async def histograms(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[str], *, buckets: int, since: datetime | None
) -> dict[str, Histogram]:
    """Occurrences of each group in so many equal buckets from `since` until now, by default of the last 24 hours."""
    seen, asked = seen_by(viewer), _asked(keys)
    until = func.now()
    start = until - DEFAULT_SPAN if since is None else func.least(literal(since), until - SHORTEST_SPAN)
    seconds = [extract("epoch", instant) for instant in (seen.c.seen_at, start, until)]
    bucket = func.least(func.width_bucket(*seconds, buckets), buckets) - 1
    filled = (
        select(bucket.label("bucket"), func.count().label("found"))
        .where(seen.c.fingerprint == asked.c.key, seen.c.seen_at.between(start, until))
        .group_by(bucket)
        .lateral("filled")
    )
    histograms: dict[str, Histogram] = {}
    columns = (asked.c.key, start.label("since"), until.label("until"), filled.c.bucket, filled.c.found)
    for row in await connection.execute(select(*columns).select_from(asked.outerjoin(filled, true()))):
        histogram = histograms.setdefault(row.key, Histogram(row.since, row.until, [0] * buckets))
        if row.bucket is not None:
            histogram.counts[row.bucket] = row.found
    return histograms


async def samples(connection: AsyncConnection, viewer: Viewer, keys: Sequence[str]) -> dict[str, str | None]:
    """Full text of the latest failure of each group."""
    seen, asked = seen_by(viewer), _asked(keys)
    latest = (
        select(seen.c.job_id)
        .where(seen.c.fingerprint == asked.c.key)
        .order_by(seen.c.seen_at.desc(), seen.c.job_id.desc())
        .limit(1)
        .lateral("latest")
    )
    rows = await connection.execute(
        select(asked.c.key, error_text(viewer).label("text")).select_from(
            asked.join(latest, true()).join(J, J.id == latest.c.job_id)
        )
    )
    return {row.key: row.text for row in rows}


def _asked(keys: Sequence[str]) -> TableValuedAlias:
    return func.unnest(array(G.fingerprint, keys)).table_valued("key").render_derived(name="asked")


async def _counted(connection: AsyncConnection, asked: TableValuedAlias, hit: AnySelect, limit: int | None) -> dict[str, int]:
    bounded = hit if limit is None else hit.limit(limit + 1)
    every = asked.join(bounded.lateral("hit"), true())
    rows = await connection.execute(select(asked.c.key, func.count().label("found")).select_from(every).group_by(asked.c.key))
    return {row.key: row.found for row in rows}
