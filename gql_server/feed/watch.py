"""A value that is shown again whenever it may have changed: counts, health, the progress of one job."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from gql_server.db.outages import retry_on_outage
from gql_server.feed.events import Sample
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Position, Resume


class ValueSource:
    """Values that `read` gives, at once and then after every change of the pipeline of that key, or of any for None; also
    without one every so often, if `at_least_every` says so. Ends with a value that `is_last`, and when `read` finds nothing."""

    waiting = 0
    """Each event is read when it is told."""

    def __init__(
        self,
        hub: Hub,
        key: UUID | None,
        read: Callable[[], Awaitable[Any]],
        *,
        now: Callable[[], Awaitable[Position]],
        throttle_seconds: float,
        at_least_every: float | None = None,
        is_last: Callable[[Any], bool] = lambda _: False,
    ) -> None:
        self.is_over = False
        self.position: Position | None = None
        self._hub, self._key, self._read, self._now = hub, key, read, now
        self._throttle_seconds, self._at_least_every, self._is_last = throttle_seconds, at_least_every, is_last

    @asynccontextmanager
    async def attach(self) -> AsyncGenerator[None, None]:
        async with self._hub.subscribe(self._key) as self._changes:
            yield

    async def begin(self) -> None:
        """Nothing has to be known."""

    async def catch_up(self, after: Resume | None, host: object) -> AsyncIterator[Sample]:
        sample = await self._sample()
        self.is_over = sample.value is None or self._is_last(sample.value)
        if sample.value is not None:
            yield sample

    async def live(self) -> AsyncIterator[Sample]:
        while True:
            await asyncio.sleep(self._throttle_seconds)
            await self._changed()
            sample = await self._sample()
            if sample.value is None:
                return
            yield sample
            if self._is_last(sample.value):
                return

    async def _sample(self) -> Sample:
        """The position is read first: what changes meanwhile is shown again."""
        position = await retry_on_outage(self._now)
        return Sample(position, await retry_on_outage(self._read))

    async def _changed(self) -> None:
        try:
            async with asyncio.timeout(self._at_least_every):
                await anext(self._changes)
        except TimeoutError:
            return
