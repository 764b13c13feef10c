"""A filtered list of pipelines as a source of events: what enters it, changes in it, and leaves it."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from gql_server.db.outages import retry_on_outage
from gql_server.feed.events import Heartbeat, Reset, Snapshot, reset_reason
from gql_server.feed.held import Held, digest
from gql_server.feed.hub import Hub
from gql_server.feed.list_reader import ListReader, ListSnapshot, held_of
from gql_server.feed.list_state import Delivered, ListState, ResumedState
from gql_server.feed.members import Members
from gql_server.feed.session import HEARTBEAT_SECONDS
from gql_server.feed.tokens import Position, Resume

RESUMED_AT_ONCE = 1000
"""Pipelines that changed since a token, above which the client is told to begin anew."""
MEMBERS_MAX = 10_000
"""Newest pipelines of a list that are looked up when somebody begins to follow it."""
PLACES_MAX = 1000
"""Newest pipelines among which a poll says where another one belongs."""

Event = Snapshot | Delivered | Reset | Heartbeat


class Slice(NamedTuple):
    """Some of what happened, and where the rest follows."""

    events: Sequence[Event]
    next: Resume
    has_more: bool


class ListSource:
    """The events of a list, each with the position that resumes right after it.

    All of a reading is from one snapshot: what was told up to a position is exactly what happened up to there. Whoever joins
    those that follow a source is caught up in a snapshot to which that source is brought first, so that from there on the
    list is the same to all. `renew` is called before what is told is read further.
    """

    is_over = False

    def __init__(
        self,
        hub: Hub,
        reader: ListReader,
        *,
        renew: Callable[[], None],
        with_snapshot: bool = False,
        throttle_seconds: float = 0,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._hub, self._reader, self._with_snapshot = hub, reader, with_snapshot
        self._renew = renew
        self._throttle_seconds, self._heartbeat_seconds = throttle_seconds, heartbeat_seconds
        self._listing = digest(reader.criteria)
        self._state = ListState(Members(), self._listing, is_settled=reader.is_settled)
        self._pending: deque[Event] = deque()
        self._is_pending = asyncio.Event()
        self._reading = asyncio.Lock()
        self.position: Position | None = None
        """Up to which everything has been read."""
        self.waiting = 0

    @asynccontextmanager
    async def attach(self) -> AsyncGenerator[None, None]:
        async with self._hub.subscribe(None) as self._changes:
            yield

    async def begin(self) -> None:
        """Know the list as it is now."""
        await retry_on_outage(self._advance)

    async def catch_up(self, after: Resume | None, host: "ListSource | None") -> AsyncIterator[Event]:
        """Events for a client that comes from there, to go on with the host, if there is one."""
        for event in self._told(await retry_on_outage(lambda: self._caught_up(after, host or self))):
            yield event

    async def live(self) -> AsyncIterator[Event]:
        delivered_at = time.monotonic()
        while True:
            async with aclosing(self._delivered_until(delivered_at + self._heartbeat_seconds)) as events:
                async for event in events:
                    yield event
                    delivered_at = time.monotonic()
            if time.monotonic() - delivered_at >= self._heartbeat_seconds:
                assert self.position
                yield replace(self._hub.heartbeat(self.position, self._changes), held=self._state.held_at())
                delivered_at = time.monotonic()

    async def slice(self, after: Resume, limit: int) -> Slice:
        """Events after that of at most so many pipelines that the viewer may see, or saw."""
        async with self._reader.snapshot() as snapshot:
            if not await snapshot.is_resumable(after.position):
                [*events] = await self._anew(snapshot, after.position)
                return Slice(events, Resume(snapshot.position, events[-1].held), has_more=False)
            state = self._resumed(after.held, Members())
            changed = await snapshot.changed_since(after.position.sequence, limit + 1, state.is_deliverable, state.marks)
            delivered, has_more = changed[:limit], len(changed) > limit
            rows = await snapshot.rows([change.key for change in delivered])
            if any(change.key in rows and not state.had(change) for change in delivered):
                state = self._resumed(after.held, await self._members(snapshot, PLACES_MAX))
                state.rewind(delivered, rows)
            if not has_more:
                events = state.deliver(delivered, rows, after.position)
                return Slice(events, Resume(snapshot.position, state.held_at()), has_more)
            last = Position(after.position.epoch, delivered[-1].sequence)
            state.expect(await snapshot.begun(after.position.sequence, last.sequence))
            events = state.deliver(delivered, rows, after.position)
            return Slice(events, Resume(last, state.held_at(last.sequence)), has_more)

    async def _delivered_until(self, deadline: float) -> AsyncGenerator[Event]:
        """Events until the deadline, read once and followed by a throttle."""
        if not await self._is_woken(deadline):
            return
        await retry_on_outage(self._advance)
        self._is_pending.clear()
        while self._pending:
            events = [*self._pending]
            self._pending.clear()
            for event in self._told(events):  # what a catch-up adds meanwhile is newer than what has been read for these
                yield event
        with suppress(TimeoutError):
            async with asyncio.timeout(self._throttle_seconds):
                await self._is_pending.wait()

    def _told(self, events: Sequence[Event]) -> Iterator[Event]:
        """These events, which were read together."""
        self._renew()
        for place, event in enumerate(events, start=1):
            self.waiting = len(events) - place
            yield event

    async def _is_woken(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await anext(self._changes)
        except TimeoutError:
            return False
        return True

    async def _advance(self) -> None:
        async with self._known_snapshot():
            pass

    @asynccontextmanager
    async def _known_snapshot(self) -> AsyncGenerator[ListSnapshot]:
        """A snapshot to which the list is known; what happened up to there waits to be told."""
        async with self._reading, self._reader.snapshot() as snapshot:
            self._pending.extend(await self._until(snapshot))
            self.position = snapshot.position
            if self._pending:
                self._is_pending.set()
            yield snapshot

    async def _until(self, snapshot: ListSnapshot) -> Sequence[Event]:
        since = self.position
        if since and await snapshot.is_resumable(since):
            changed = await snapshot.changed_since(since.sequence, RESUMED_AT_ONCE + 1, self._state.is_deliverable)
            if len(changed) <= RESUMED_AT_ONCE:
                return self._state.deliver(changed, await snapshot.rows([change.key for change in changed]), since)
        events = await self._anew(snapshot, since) if since else []
        self._state = ListState(await self._members(snapshot, MEMBERS_MAX), self._listing, is_settled=self._reader.is_settled)
        return events

    async def _caught_up(self, after: Resume | None, host: "ListSource") -> Sequence[Event]:
        async with host._known_snapshot() as snapshot:
            self.position = snapshot.position
            if host is not self:
                host._changes.nudge()
            if after is None:
                return [await self._snapshot(snapshot)] if self._with_snapshot else []
            if await snapshot.is_resumable(after.position):
                state = self._resumed(after.held, host._state.members.copy())
                changed = await snapshot.changed_since(
                    after.position.sequence, RESUMED_AT_ONCE + 1, state.is_deliverable, state.marks
                )
                if len(changed) <= RESUMED_AT_ONCE:
                    rows = await snapshot.rows([change.key for change in changed])
                    state.rewind(changed, rows)
                    return state.deliver(changed, rows, after.position)
            return await self._anew(snapshot, after.position)

    async def _anew(self, snapshot: ListSnapshot, before: Position) -> Sequence[Event]:
        """Nobody knows what was missed since then."""
        first = await self._snapshot(snapshot)
        return [Reset(snapshot.position, reset_reason(before, snapshot.position), first.held), first]

    async def _snapshot(self, snapshot: ListSnapshot) -> Snapshot:
        page = await snapshot.page()
        return Snapshot(snapshot.position, page, held_of(page, self._reader.viewer))

    async def _members(self, snapshot: ListSnapshot, limit: int) -> Members:
        keys = await snapshot.members(limit)
        return Members(keys[:limit], are_all=len(keys) <= limit)

    def _resumed(self, held: Held | None, members: Members) -> ResumedState:
        return ResumedState(held, members, self._listing, is_settled=self._reader.is_settled)
