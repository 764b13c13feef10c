"""One pipeline as a source of readings: a snapshot, then one for every change, until it is terminal."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from gql_server.db.outages import retry_on_outage
from gql_server.feed.events import LOOKED_AT, Heartbeat, Reading, Reset, differences, reset_reason
from gql_server.feed.hub import Change, Hub, HubSubscription
from gql_server.feed.session import HEARTBEAT_SECONDS
from gql_server.feed.tokens import Position, Resume


class PipelineSource:
    """Readings at most once per throttle; the last one is terminal. Ends when `read` finds nothing (any more).

    `is_resumable` and `has_changed` answer for a position.
    """

    waiting = 0

    LOOKED_AT = (*LOOKED_AT, "feed_position", "event_sequence")
    """Attributes of a row that have to be read."""

    def __init__(
        self,
        hub: Hub,
        key: UUID,
        read: Callable[[], Awaitable[Any]],
        *,
        is_resumable: Callable[[Position], Awaitable[bool]],
        has_changed: Callable[[Position], Awaitable[bool]],
        throttle_seconds: float,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.is_over = False
        self.position: Position | None = None
        self._hub, self._key, self._read = hub, key, read
        self._is_resumable, self._has_changed = is_resumable, has_changed
        self._throttle_seconds, self._heartbeat_seconds = throttle_seconds, heartbeat_seconds
        self._last: Reading | None = None

    @asynccontextmanager
    async def attach(self) -> AsyncGenerator[None, None]:
        async with self._hub.subscribe(self._key) as self._changes:
            yield

    async def begin(self) -> None:
        """Nothing has to be known."""

    async def catch_up(self, after: Resume | None, host: object) -> AsyncIterator[Reading | Reset]:
        async with aclosing(self._caught_up(after and after.position)) as events:
            async for event in events:
                yield event

    async def _caught_up(self, after: Position | None) -> AsyncGenerator[Reading | Reset]:
        row = await retry_on_outage(self._read)
        self.is_over = row is None or row.is_terminal
        if row is None:
            return
        self._last = Reading(row)
        if after is None:
            yield self._last
        elif not await retry_on_outage(lambda: self._is_resumable(after)):
            yield Reset(self._last.position, reset_reason(after, self._last.position))
            yield self._last
        elif self._last.position > after and await retry_on_outage(lambda: self._has_changed(after)):
            yield Reading(row, after, differences(None, row))

    async def live(self) -> AsyncIterator[Reading | Reset | Heartbeat]:
        if self._last is None:
            row = await retry_on_outage(self._read)
            if row is None:
                return
            self._last = Reading(row)
            yield self._last  # whoever was caught up before this reading has not seen it
        while not self._last.row.is_terminal:
            await asyncio.sleep(self._throttle_seconds)
            try:
                async with asyncio.timeout(self._heartbeat_seconds):
                    change = await _after(self._changes, self._last.position)
            except TimeoutError:
                yield self._hub.heartbeat(self._last.position, self._changes)
                continue
            row = await retry_on_outage(self._read)
            if row is None:
                return
            before, self._last = self._last, Reading(row)
            if change.is_gap and not await retry_on_outage(partial(self._is_resumable, before.position)):
                yield Reset(self._last.position, reset_reason(before.position, self._last.position))
                yield self._last
            else:
                yield Reading(row, before.position, differences(before.row, row))


async def _after(changes: HubSubscription, seen: Position) -> Change:
    """The next change that the reading does not show yet."""
    while True:
        change = await anext(changes)
        if change.is_gap or change.sequence > seen.sequence:
            return change
