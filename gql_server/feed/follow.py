"""One pipeline as a stream of readings: a snapshot at once, then one for every change, until it is terminal."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from gql_server.feed.hub import Hub, Subscription
from gql_server.feed.tokens import Position
from gql_server.outages import is_outage

RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a pipeline and, if there was a reading before, its position and the attributes that differ."""

    row: Any
    since: Position | None = None
    changed: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """The newest event that the row shows."""
        return Position.parse(self.row.feed_position)

    @property
    def span(self) -> tuple[int, int] | None:
        """The events that the row shows and the reading before did not; None without one."""
        return None if self.since is None else self.position.span_since(self.since)


async def follow(
    hub: Hub, key: UUID, read: Callable[[], Awaitable[Any]], throttle_seconds: float
) -> AsyncGenerator[Reading, None]:
    """Readings at most once per throttle; the last one is terminal. Ends when `read` finds nothing (any more)."""
    async with hub.subscribe(key) as changes:
        row = await _persistently(read)
        if row is None:
            return
        yield (reading := Reading(row))
        while not row.is_terminal:
            await asyncio.sleep(throttle_seconds)
            await _after(changes, reading.position)
            previous, row = row, await _persistently(read)
            if row is None:
                return
            yield (reading := Reading(row, reading.position, differences(previous, row)))


async def _after(changes: Subscription, seen: Position) -> None:
    """Until there is a change that the reading does not show yet."""
    async for change in changes:
        if change.is_gap or change.sequence > seen.sequence:
            return


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
