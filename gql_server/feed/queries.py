"""Changes since an earlier position of the feed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Subquery,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import Column, array
from gql_server.feed.tokens import Position
from gql_server.policy import Viewer, job_clause, orphan_clause, pipeline_clause, sees_all_pipelines
from gql_server.reads.jobs.queries import EVERY_JOB, JOBS
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.position import EPOCH, position
from gql_server.reads.rows import Columns

E, J, P = models.Event, models.Job, models.Pipeline

NOBODY = UUID(int=0)
"""The pipeline of the event with which a feed begins."""
# What was created before the oldest event that is kept may have had others before.
OLDEST_KEPT = (
    select(case((E.pipeline_key == NOBODY, literal_column("timestamptz '-infinity'", DateTime(timezone=True))), else_=E.at))
    .order_by(E.seq)
    .limit(1)
    .scalar_subquery()
)


async def now(connection: AsyncConnection) -> Position:
    """The position of the newest event."""
    return Position.parse(str(await connection.scalar(select(position()))))


async def is_resumable(connection: AsyncConnection, after: Position) -> bool:
    """True if every event after that position is still there.

    They are if the event itself is: it is of this database and not of another history of it, and has not been pruned.
    """
    is_there = select(E.seq).where(E.seq == after.sequence).exists()
    row = (await connection.execute(select(EPOCH.columns(epoch=Text).scalar_subquery(), is_there))).one()
    return row[0] == after.epoch and row[1]


class Changed(NamedTuple):
    """A pipeline that changed, the numbers of its first and last events since, whether it was not there before, and whether it
    is visible."""

    key: UUID
    first: int
    sequence: int
    is_new: bool
    is_visible: bool


async def changed_since(
    connection: AsyncConnection,
    viewer: Viewer,
    after: int,
    *,
    limit: int,
    beyond: int,
    begun_by: int | None = None,
    marks: Sequence[int] | None = None,
) -> list[Changed]:
    """At most so many of the pipelines that changed after that event, in the order of their last events.

    Those that the viewer may see and those with these marks, or all for None; of whose events the last is beyond one, and the
    first not after another.
    """
    first, last = func.min(E.seq), func.max(E.seq)
    told = [last > beyond, *([first <= begun_by] if begun_by is not None else [])]
    changed = (
        select(E.pipeline_key.label("key"), first.label("first"), last.label("sequence"))
        .where(E.seq > after, *_is_told(viewer))
        .group_by(E.pipeline_key)
        .having(and_(*told))
        .subquery("changed")
    )
    seen = select(changed, _created_at(viewer, changed).label("created_at")).subquery("seen")
    earlier = aliased(E)
    was_there = select(earlier.seq).where(earlier.pipeline_key == seen.c.key, earlier.seq <= after).exists()
    is_visible = seen.c.created_at.is_not(None)
    is_new = and_(~was_there, func.coalesce(seen.c.created_at >= OLDEST_KEPT, False))
    statement = select(seen.c.key, seen.c.first, seen.c.sequence, is_new, is_visible)
    if marks is not None:
        statement = statement.where(or_(is_visible, _mark(seen.c.key) == any_(literal(list(marks), ARRAY(BigInteger)))))
    rows = await connection.execute(statement.order_by(seen.c.sequence).limit(limit))
    return [Changed(*row) for row in rows]


def _is_told(viewer: Viewer) -> list[ColumnElement[bool]]:
    """Clause on events, for who does not see all pipelines: what caused a change is visible."""
    if sees_all_pipelines(viewer):
        return []
    cause = aliased(P)
    return [
        or_(E.cause_key.is_(None), select(cause.id).where(cause.id == E.cause_key, pipeline_clause(viewer, cause)).exists())
    ]


def _created_at(viewer: Viewer, changed: Subquery) -> ColumnElement[Any]:
    """Time at which the pipeline was created; null if the viewer may not see it."""
    stored = select(P.created_at).where(P.id == changed.c.key, pipeline_clause(viewer))
    orphan = select(J.created_at).where(J.time_key == changed.c.key, J.pipeline_id.is_(None), orphan_clause(viewer)).limit(1)
    return func.coalesce(stored.scalar_subquery(), orphan.scalar_subquery())


def _mark(key: Column) -> ColumnElement[int]:
    """SQL of `held.mark`."""
    digits = func.replace(cast(key, Text), "-", "")
    bits = func.concat("x", func.left(digits, 12), func.right(digits, 4))
    return cast(cast(bits, BIT(64)), BigInteger)


async def has_changed_since(connection: AsyncConnection, after: Position, viewer: Viewer, pipeline_key: UUID) -> bool:
    """True if that pipeline changed after that position, as far as the viewer may know."""
    changed = select(E.seq).where(E.pipeline_key == pipeline_key, E.seq > after.sequence, *_is_told(viewer)).exists()
    return bool(await connection.scalar(select(changed)))


EventSpan = tuple[UUID, tuple[int, int]]
"""A pipeline, and the numbers of two events of it."""


async def jobs_by_event_span(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[EventSpan], *, columns: Columns[JobRow] = EVERY_JOB
) -> dict[EventSpan, list[JobRow]]:
    """Jobs that the pipeline's events after the first number, up to the second, name; lowest id first."""
    spans = {key: number for number, key in enumerate(keys)}
    asked = _spans(keys)
    named = (
        select(asked.c.number, E.job_id)
        .distinct()
        .join(E, and_(E.pipeline_key == asked.c.key, E.seq > asked.c.after, E.seq <= asked.c.until))
        .where(E.job_id.is_not(None))
        .subquery("named")
    )
    rows = (
        await connection.execute(
            select(*columns.select(viewer), named.c.number)
            .select_from(JOBS.join(named, named.c.job_id == J.id))
            .where(job_clause(viewer, by_key=True))
            .order_by(J.id)
        )
    ).all()
    found: defaultdict[int, list[JobRow]] = defaultdict(list)
    for each, row in zip(rows, columns.rows(rows), strict=True):
        found[each[-1]].append(row)
    return {key: found[number] for key, number in spans.items()}


def _spans(keys: Sequence[EventSpan]) -> Any:
    numbers = list(range(len(keys)))
    columns = (
        literal(numbers, ARRAY(Integer)),
        array(P.id, [key for key, _ in keys]),
        literal([after for _, (after, _) in keys], ARRAY(BigInteger)),
        literal([until for _, (_, until) in keys], ARRAY(BigInteger)),
    )
    return func.unnest(*columns).table_valued("number", "key", "after", "until").render_derived(name="asked")
