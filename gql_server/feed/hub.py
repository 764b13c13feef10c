"""The one reader of events in a process: it follows their numbers and wakes who subscribed to a pipeline."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

CHANNEL = "gql_events"
BATCH = 1000

log = structlog.get_logger(__name__)


class Change(NamedTuple):
    """Something happened to a pipeline, up to this event.

    After a gap nobody knows what happened, nor whether sequences go on from where they were.
    """

    sequence: int
    is_gap: bool = False


class Subscription:
    """An endless iterator of changes; those that pile up while nobody looks are one."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._sequence = 0
        self._is_gap = False

    def wake(self, sequence: int, *, is_gap: bool = False) -> None:
        self._sequence = sequence
        self._is_gap |= is_gap
        self._woken.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Change:
        await self._woken.wait()
        self._woken.clear()
        change = Change(self._sequence, self._is_gap)
        self._is_gap = False
        return change


class Hub:
    """Follows `events.seq`, which is commit order. A notification only says "now"; a poll beside it says so too.

    After every (re)connection all subscribers are woken, because nobody knows what they missed.
    """

    def __init__(
        self, connect_arguments: Mapping[str, Any], *, poll_seconds: float = 1.0, back_off_max_seconds: float = 5.0
    ) -> None:
        self._connect_arguments = connect_arguments
        self._poll_seconds = poll_seconds
        self._back_off_max_seconds = back_off_max_seconds
        self._subscriptions: defaultdict[UUID, set[Subscription]] = defaultdict(set)
        self._sequence: int | None = None
        self._notified = asyncio.Event()
        self.connected = asyncio.Event()

    @property
    def subscriber_count(self) -> int:
        return sum(map(len, self._subscriptions.values()))

    @asynccontextmanager
    async def subscribe(self, pipeline_key: UUID) -> AsyncGenerator[Subscription, None]:
        """Changes of that pipeline from now on. Subscribe before reading, and nothing is missed."""
        subscription = Subscription()
        self._subscriptions[pipeline_key].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[pipeline_key].discard(subscription)
            if not self._subscriptions[pipeline_key]:
                del self._subscriptions[pipeline_key]

    async def run(self) -> None:
        """Follow the events until cancelled, through any loss of the connection."""
        back_off = 0.1
        while True:
            try:
                await self._follow()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                back_off = 0.1 if self.connected.is_set() else min(back_off * 2, self._back_off_max_seconds)
                self.connected.clear()
                log.warning("feed.lost", error=repr(error), retry_seconds=back_off)
                await asyncio.sleep(back_off)

    async def _follow(self) -> None:
        connection = await asyncpg.connect(**self._connect_arguments)
        try:
            await connection.add_listener(CHANNEL, self._heard)
            connection.add_termination_listener(self._heard)
            await self._catch_up(connection)
            await self._read(connection)
            self.connected.set()
            while True:
                await self._wait()
                self._notified.clear()
                await self._read(connection)
        finally:
            connection.terminate()

    def _heard(self, *_: object) -> None:
        self._notified.set()

    async def _catch_up(self, connection: asyncpg.Connection) -> None:
        newest = int(await connection.fetchval("SELECT coalesce(max(seq), 0) FROM events", timeout=2) or 0)
        if self._sequence is None or newest < self._sequence:
            self._sequence = newest
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.wake(newest, is_gap=True)

    async def _read(self, connection: asyncpg.Connection) -> None:
        """Mark what follows our number. The deadline also finds a connection that died without a word."""
        while True:
            events = await connection.fetch(
                f"SELECT seq, pipeline_key FROM events WHERE seq > $1 ORDER BY seq LIMIT {BATCH}",
                self._sequence,
                timeout=2,
            )
            for event in events:
                self._sequence = event["seq"]
                for subscription in self._subscriptions.get(event["pipeline_key"], ()):
                    subscription.wake(event["seq"])
            if len(events) < BATCH:
                return

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._notified.wait()
        except TimeoutError:
            return
