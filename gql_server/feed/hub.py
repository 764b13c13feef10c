"""The one reader of events in a process: it follows their numbers and wakes who subscribed to a pipeline, or to all."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid4

import asyncpg
import structlog

from gql_server.feed.events import Heartbeat
from gql_server.feed.tokens import Position
from gql_server.reads.position import EPOCH

CHANNEL = "gql_events"
BATCH = 1000
KEYS_MAX = 10_000
"""Pipelines that may change before a subscriber looks; of more, it is told that it missed something."""
DEADLINE_SECONDS = 1
DEAF_POLL_SECONDS = 0.2
"""Interval at which events are looked for while notifications do not arrive."""
SELF_TEST_EVERY_SECONDS = 60
CHECK_EVERY_SECONDS = 5.0
"""Interval at which listeners look for what they did not hear."""

NO_KEYS: Mapping[UUID, int] = MappingProxyType({})

log = structlog.get_logger(__name__)


class Change(NamedTuple):
    """Something happened, up to this event; to a subscriber of all pipelines, `keys` say to which, with their last events.

    After a gap nobody knows what happened, nor whether sequences go on from where they were.
    """

    sequence: int
    is_gap: bool = False
    keys: Mapping[UUID, int] = NO_KEYS


class HubSubscription:
    """Changes without end, by `anext`; those that pile up while nobody looks are one."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._change = Change(0)

    def wake(self, sequence: int, keys: Mapping[UUID, int] = NO_KEYS, *, is_gap: bool = False) -> None:
        """Tell that something happened up to this event; to a subscriber of all pipelines, by key with their last events."""
        known = {**self._change.keys, **keys} if keys else self._change.keys
        is_gap = is_gap or self._change.is_gap or len(known) > KEYS_MAX
        self._change = Change(sequence, is_gap, NO_KEYS if is_gap else known)
        self._woken.set()

    @property
    def is_woken(self) -> bool:
        """There is something to look at."""
        return self._woken.is_set()

    def nudge(self) -> None:
        """Let it look, though nothing happened."""
        self._woken.set()

    async def __anext__(self) -> Change:
        await self._woken.wait()
        self._woken.clear()
        change, self._change = self._change, Change(self._change.sequence)
        return change


class NoticeListener(Protocol):
    """Someone who must know of notifications before events that come after them are told."""

    channel: str

    def heard(self, payload: str) -> None: ...

    async def check(self, connection: asyncpg.Connection) -> None:
        """Look for what was not heard."""
        ...


class Hub:
    """Follows `events.seq`, which is commit order. A notification only says "now"; a poll beside it says so too.

    A listener that does not hear its own notification, as behind a pooler of transactions, polls more often instead.
    """

    def __init__(
        self,
        connect_arguments: Mapping[str, Any],
        *,
        poll_seconds: float = 1.0,
        back_off_max_seconds: float = 5.0,
        listeners: Sequence[NoticeListener] = (),
    ) -> None:
        self._connect_arguments = connect_arguments
        self._listeners = listeners
        self._checked_at = float("-inf")
        self._poll_seconds = poll_seconds
        self._back_off_max_seconds = back_off_max_seconds
        self.subscriptions: defaultdict[UUID | None, set[HubSubscription]] = defaultdict(set)
        self._position: Position | None = None
        self._read_at = time.monotonic()
        self._notified = asyncio.Event()
        self._echo = ""
        self.is_deaf = False
        self.generation = 0
        self.connected = asyncio.Event()

    @property
    def position(self) -> Position | None:
        """Up to where it has read; None before it first reached the database."""
        return self._position

    @property
    def sequence(self) -> int | None:
        """Number of the newest event it has read; None before it first reached the database."""
        return self._position and self._position.sequence

    def health_arguments(self) -> dict[str, Any]:
        """Arguments of `health_checks`: how far this process has read, and whether it is notified."""
        return {"feed_sequence": self.sequence, "feed_is_deaf": self.is_deaf}

    def heartbeat(self, seen: Position, changes: HubSubscription) -> Heartbeat:
        """Heartbeat: nothing happened after what a reader has seen, up to where events were read if it has looked at all of
        them."""
        read = self._position
        goes_on = read and read.epoch == seen.epoch and read > seen and not changes.is_woken
        latest = read if read and goes_on else seen
        return Heartbeat(latest, time.monotonic() - self._read_at)

    @asynccontextmanager
    async def subscribe(self, pipeline_key: UUID | None) -> AsyncGenerator[HubSubscription, None]:
        """Changes of that pipeline, or of all for None, from now on. Subscribe before reading, and nothing is missed."""
        subscription = HubSubscription()
        self.subscriptions[pipeline_key].add(subscription)
        try:
            yield subscription
        finally:
            self.subscriptions[pipeline_key].discard(subscription)
            if not self.subscriptions[pipeline_key]:
                del self.subscriptions[pipeline_key]

    async def run(self) -> None:
        """Follow the events until cancelled, through any loss of the connection."""
        back_off = 0.1
        while True:
            try:
                await self._follow()
            # Whatever it is: of a feed that ended, readers would believe that nothing happens.
            except Exception as error:
                back_off = 0.1 if self.connected.is_set() else min(back_off * 2, self._back_off_max_seconds)
                self.connected.clear()
                log.warning("feed.lost", error=repr(error), retry_seconds=back_off)
                await asyncio.sleep(back_off)

    async def _follow(self) -> None:
        connection = await asyncpg.connect(**self._connect_arguments)
        try:
            await connection.add_listener(CHANNEL, self._heard)
            for listener in self._listeners:
                await connection.add_listener(listener.channel, _passing_on(listener))
            connection.add_termination_listener(self._terminated)
            self._checked_at = float("-inf")
            await self._check(connection)
            await self._catch_up(connection)
            await self._read(connection)
            self.connected.set()
            tested_at = float("-inf")
            while True:
                if time.monotonic() - tested_at > SELF_TEST_EVERY_SECONDS:
                    await self._test_hearing(connection)
                    tested_at = time.monotonic()
                await self._wait(self._interval)
                self._notified.clear()
                await self._check(connection)
                await self._read(connection)
        finally:
            connection.terminate()

    async def _check(self, connection: asyncpg.Connection) -> None:
        """Let listeners look for what they did not hear: now and then, and each time where nothing is heard."""
        if self.is_deaf or time.monotonic() - self._checked_at > CHECK_EVERY_SECONDS:
            for listener in self._listeners:
                await listener.check(connection)
            self._checked_at = time.monotonic()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if payload and payload == self._echo:
            self._echo = ""
        self._notified.set()

    def _terminated(self, _connection: object) -> None:
        self._notified.set()

    async def _test_hearing(self, connection: asyncpg.Connection) -> None:
        """True if a notification of our own comes back."""
        self._echo = uuid4().hex
        try:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, self._echo, timeout=DEADLINE_SECONDS)
        except asyncpg.ProgramLimitExceededError as error:  # the queue of notifications is full
            log.warning("feed.cannot_notify", error=repr(error))
            await connection.execute(
                "SELECT pg_notification_queue_usage()", timeout=DEADLINE_SECONDS
            )  # drops what all have read
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._echo and (left := deadline - time.monotonic()) > 0:
            await self._wait(min(left, self._interval))
            self._notified.clear()
            await self._read(connection)
        if self.is_deaf != bool(self._echo):
            self.is_deaf = bool(self._echo)
            log.warning("feed.deaf" if self.is_deaf else "feed.hears_again", poll_seconds=DEAF_POLL_SECONDS)

    async def _catch_up(self, connection: asyncpg.Connection) -> None:
        """Find our place. If events went on from it, reading them suffices; else nobody knows what was missed."""
        row = await connection.fetchrow(
            f"""SELECT {EPOCH} AS epoch, (SELECT coalesce(max(seq), 0) FROM events) AS newest,
            EXISTS(SELECT FROM events WHERE seq = $1) AS goes_on""",
            self.sequence or 0,
            timeout=DEADLINE_SECONDS,
        )
        assert row is not None
        newest = Position(row["epoch"], row["newest"])
        before = self._position
        if before and before.epoch == newest.epoch and row["goes_on"]:
            return
        self._position = newest
        self.generation += 1
        self._wake_everybody()

    def _wake_everybody(self) -> None:
        assert self._position is not None
        for subscriptions in self.subscriptions.values():
            for subscription in subscriptions:
                subscription.wake(self._position.sequence, is_gap=True)

    async def _read(self, connection: asyncpg.Connection) -> None:
        """Mark what follows our event. Where that has gone, the database was restored under us.

        The deadline also finds a connection that died without a word.
        """
        assert self._position is not None
        epoch = self._position.epoch
        while True:
            found = await connection.fetch(
                f"SELECT seq, pipeline_key FROM events WHERE seq >= $1 ORDER BY seq LIMIT {BATCH + 1}",
                self._position.sequence,
                timeout=DEADLINE_SECONDS,
            )
            if (found[0]["seq"] if found else 0) != self._position.sequence:
                await self._catch_up(connection)
                return
            if events := found[1:]:
                self._position = Position(epoch, events[-1]["seq"])
                self.generation += 1
                self._wake({event["pipeline_key"]: event["seq"] for event in events})
            if len(events) < BATCH:
                self._read_at = time.monotonic()
                return

    def _wake(self, changed: Mapping[UUID, int]) -> None:
        for key, sequence in changed.items():
            for subscription in self.subscriptions.get(key, ()):
                subscription.wake(sequence)
        for subscription in self.subscriptions.get(None, ()):
            subscription.wake(max(changed.values()), changed)

    @property
    def _interval(self) -> float:
        """Seconds after which it looks for events, though nothing was heard."""
        return DEAF_POLL_SECONDS if self.is_deaf else self._poll_seconds

    async def _wait(self, seconds: float) -> None:
        """Wait for a notification, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._notified.wait()
        except TimeoutError:
            return


def _passing_on(listener: NoticeListener) -> Callable[..., None]:
    def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        listener.heard(str(payload))

    return heard
