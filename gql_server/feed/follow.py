"""One pipeline as a stream of readings: a snapshot at once, then one for every change, until it is terminal."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from gql_server.feed.hub import Change, Hub, Subscription
from gql_server.feed.tokens import Position
from gql_server.outages import is_outage

RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a pipeline, the attributes that differ from the reading before, and the jobs touched since."""

    row: Any
    changed: tuple[str, ...] = ()
    job_ids: frozenset[int] = frozenset()


async def follow(
    hub: Hub, key: UUID, read: Callable[[], Awaitable[Any]], throttle_seconds: float
) -> AsyncGenerator[Reading, None]:
    """Readings at most once per throttle; the last one is terminal. Ends when `read` finds nothing (any more)."""
    async with hub.subscribe(key) as changes:
        row = await read()
        if row is not None:
            yield Reading(row)
        while row is not None and not row.is_terminal:
            await asyncio.sleep(throttle_seconds)
            change = await _after(changes, row)
            previous, row = row, await _persistently(read)
            if row is None:
                return
            yield Reading(row, differences(previous, row), change.job_ids)


async def _after(changes: Subscription, row: Any) -> Change:
    """The next change that the reading does not show yet."""
    seen = Position.parse(row.feed_position).sequence
    while True:
        change = await anext(changes)
        if change.is_gap or change.sequence > seen:
            return change


def differences(previous: Any, row: Any) -> tuple[str, ...]:
    """Names of the attributes in which two readings of a row differ, but for those that always do."""
    moving = {"feed_position", *(() if row.is_terminal else ("duration_seconds",))}
    return tuple(name for name in row._fields if name not in moving and getattr(previous, name) != getattr(row, name))


async def _persistently(read: Callable[[], Awaitable[Any]]) -> Any:
    """What `read` gives, however long the database is away."""
    while True:
        try:
            return await read()
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("feed.read_retried", error=repr(error), retry_seconds=RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)
