"""Changes since an earlier position of the feed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Text, and_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnyRow, array
from gql_server.feed.tokens import Position
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs import queries as jobs
from gql_server.reads.position import EPOCH, position

E, J, P = models.Event, models.Job, models.Pipeline


async def now(connection: AsyncConnection) -> Position:
    """The position of the newest event."""
    return Position.parse(str(await connection.scalar(select(position()))))


async def is_resumable(connection: AsyncConnection, after: Position) -> bool:
    """Whether every event after that position is still there: it is of this database, not of its future, and not pruned."""
    newest = func.coalesce(func.max(E.seq), 0)
    row = (await connection.execute(select(EPOCH.columns(epoch=Text).scalar_subquery(), newest, func.min(E.seq)))).one()
    return row[0] == after.epoch and (row[2] or 1) - 1 <= after.sequence <= row[1]


class Changed(NamedTuple):
    """A pipeline that changed, the number of its last event, and whether it was not there before."""

    key: UUID
    sequence: int
    is_new: bool


async def changed_since(connection: AsyncConnection, after: Position, *, limit: int) -> list[Changed]:
    """Pipelines that changed after that position, in the order of their last events; at most one more than the limit."""
    last = func.max(E.seq).label("sequence")
    earlier = aliased(E)
    recent = select(E.pipeline_key, last).where(E.seq > after.sequence).group_by(E.pipeline_key).order_by(last).limit(limit + 1)
    changed = recent.subquery("changed")
    was_there = (
        select(earlier.seq).where(earlier.pipeline_key == changed.c.pipeline_key, earlier.seq <= after.sequence).exists()
    )
    rows = await connection.execute(select(changed.c.pipeline_key, changed.c.sequence, ~was_there).order_by(changed.c.sequence))
    return [Changed(*row) for row in rows]


async def has_changed_since(connection: AsyncConnection, after: Position, pipeline_key: UUID) -> bool:
    """Whether that pipeline changed after that position."""
    changed = select(E.seq).where(E.pipeline_key == pipeline_key, E.seq > after.sequence).exists()
    return bool(await connection.scalar(select(changed)))


EventSpan = tuple[UUID, tuple[int, int]]
"""A pipeline, and the numbers of two events of it."""


async def jobs_by_event_span(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[EventSpan]
) -> dict[EventSpan, list[AnyRow]]:
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
    found: defaultdict[int, list[AnyRow]] = defaultdict(list)
    rows = await connection.execute(
        select(named.c.number, *jobs.columns(viewer))
        .select_from(jobs.JOBS.join(named, named.c.job_id == J.id))
        .where(job_clause(viewer))
        .order_by(J.id)
    )
    for row in rows:
        found[row.number].append(row)
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
