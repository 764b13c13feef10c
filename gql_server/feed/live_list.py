"""A filtered list of pipelines as a source of events: what enters it, changes in it, and leaves it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from gql_server.db.outages import persistently
from gql_server.feed.events import Entered, Heartbeat, LeaveReason, Left, Reading, Reset, Snapshot, differences, reset_reason
from gql_server.feed.hub import Change, Hub
from gql_server.feed.queries import Changed
from gql_server.feed.session import HEARTBEAT_SECONDS
from gql_server.feed.tokens import Position

RESUMED_AT_ONCE = 1000
"""Pipelines that changed since a token, above which the client is told to begin anew."""
ROWS_KEPT = 1000
"""Pipelines whose last reading is kept to say what differs."""

MEMBERS_KEPT = 20_000
"""Pipelines whose membership is certain: when a long-lived list has grown to twice as many, the oldest are forgotten."""

Event = Snapshot | Entered | Reading | Left | Reset | Heartbeat


class Members(NamedTuple):
    """Keys of the pipelines that are in the list, newest first. If there are more, nothing is known below the last."""

    position: Position
    keys: Sequence[UUID]
    are_all: bool


class Slice(NamedTuple):
    """Some of what happened, and where the rest follows."""

    events: Sequence[Event]
    next: Position
    has_more: bool


class ListReader(Protocol):
    """What a list asks of the database, as its viewer."""

    async def now(self) -> Position: ...
    async def snapshot(self) -> Snapshot: ...
    async def members(self) -> Members: ...
    async def is_resumable(self, after: Position) -> bool: ...
    async def changed_since(self, after: Position, limit: int) -> list[Changed]: ...

    async def read(self, keys: Sequence[UUID]) -> Mapping[UUID, Any]:
        """Rows of those of the pipelines that are in the list."""
        ...

    async def visible(self, keys: Sequence[UUID]) -> set[UUID]:
        """Those that the viewer may see, in the list or not."""
        ...


class ListSource:
    """The events of a list, each with the position that resumes right after it."""

    is_over = False

    def __init__(
        self,
        hub: Hub,
        reader: ListReader,
        *,
        with_snapshot: bool,
        throttle_seconds: float,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._hub, self._reader, self._with_snapshot = hub, reader, with_snapshot
        self._throttle_seconds, self._heartbeat_seconds = throttle_seconds, heartbeat_seconds
        self._rows: dict[UUID, Any] = {}
        self._newcomers: dict[UUID, int] = {}
        self.told: frozenset[UUID] = frozenset()

    @asynccontextmanager
    async def attach(self) -> AsyncGenerator[None, None]:
        async with self._hub.subscribe(None) as self._changes:
            await self._know_members()
            yield

    def welcome(self, told: frozenset[UUID], at: Position) -> None:
        """Note what a newcomer holds that is not in the list here: it may come and go within one reading, and must be told."""
        if strange := told - self._members:
            self._newcomers |= dict.fromkeys(strange, at.sequence)
            self._changes.nudge()

    async def catch_up(self, after: Position | None) -> AsyncIterator[Event]:
        async with aclosing(self._catch_up(after)) as events:
            async for event in events:
                self._tell(event)
                yield event

    def _tell(self, event: Event) -> None:
        rows = event.page.nodes if isinstance(event, Snapshot) else [event.row] if isinstance(event, Entered | Reading) else []
        self.told |= {row.key for row in rows}

    async def _catch_up(self, after: Position | None) -> AsyncGenerator[Event, None]:
        if after is None:
            if self._with_snapshot:
                yield await persistently(self._reader.snapshot)
            return
        if await persistently(lambda: self._reader.is_resumable(after)):
            changed = await persistently(lambda: self._reader.changed_since(after, RESUMED_AT_ONCE))
            if len(changed) <= RESUMED_AT_ONCE:
                async for event in self._resumed(after, changed):
                    yield event
                return
        snapshot = await persistently(self._reader.snapshot)
        yield Reset(snapshot.position, reset_reason(after, snapshot.position))
        yield snapshot

    async def live(self) -> AsyncIterator[Event]:
        told_at = time.monotonic()
        while True:
            if change := await self._change(told_at + self._heartbeat_seconds - time.monotonic()):
                async for event in self._began_anew() if change.is_gap else self._events(change):
                    yield event
                    told_at = time.monotonic()
            if time.monotonic() - told_at >= self._heartbeat_seconds:
                yield self._hub.heartbeat(self._seen, self._changes)
                told_at = time.monotonic()
            await asyncio.sleep(self._throttle_seconds if change else 0)

    async def _change(self, seconds: float) -> Change | None:
        """The next change; None without one. A heartbeat is due after so many seconds whatever is hidden from the viewer."""
        try:
            async with asyncio.timeout(seconds):
                return await anext(self._changes)
        except TimeoutError:
            return None

    async def slice(self, after: Position, limit: int) -> Slice:
        """What happened after that position to at most so many pipelines."""
        now = await self._reader.now()
        if not await self._reader.is_resumable(after):
            return Slice([Reset(now, reset_reason(after, now))], now, has_more=False)
        changed = await self._reader.changed_since(after, limit)
        told, has_more = changed[:limit], len(changed) > limit
        events = [event async for event in self._resumed(after, told)]
        return Slice(events, Position(after.epoch, told[-1].sequence) if has_more else max(after, now), has_more)

    async def _know_members(self) -> None:
        members = await persistently(self._reader.members)
        self._seen = members.position
        self._members = set(members.keys)
        self._newest = members.keys[0] if members.keys else None
        self._floor = None if members.are_all else members.keys[-1]
        self._newcomers.clear()

    async def _began_anew(self) -> AsyncIterator[Event]:
        """After a gap: nobody knows what was missed."""
        before = self._seen
        self._rows.clear()
        await self._know_members()
        snapshot = await persistently(self._reader.snapshot)
        self.welcome(frozenset(row.key for row in snapshot.page.nodes), snapshot.position)
        yield Reset(snapshot.position, reset_reason(before, snapshot.position))
        yield snapshot

    async def _resumed(self, after: Position, changed: Sequence[Changed]) -> AsyncIterator[Event]:
        """What a client that saw everything up to `after` has missed. What it holds is not known, only what is so now."""
        keys = [each.key for each in changed]
        rows = await persistently(lambda: self._reader.read(keys))
        visible = await persistently(lambda: self._reader.visible([key for key in keys if key not in rows]))
        for each in changed:
            position = Position(after.epoch, each.sequence)
            if (row := rows.get(each.key)) is None:
                if each.key in visible:
                    yield Left(position, each.key, LeaveReason.NO_LONGER_MATCHES)
            elif each.is_new:
                yield Entered(position, row, at_head=True)
            else:
                yield Reading(row, after, differences(None, row), position)

    async def _events(self, change: Change) -> AsyncIterator[Event]:
        since, until = self._seen, max(self._seen.sequence, change.sequence)
        missed = dict.fromkeys(self._missed(until), until)
        news = missed | {key: sequence for key, sequence in change.keys.items() if sequence > since.sequence}
        if not news:
            return
        rows = await persistently(lambda: self._reader.read(list(news)))
        gone = [key for key in news if key not in rows and (key in missed or self._may_be_member(key))]
        visible = await persistently(lambda: self._reader.visible(gone)) if gone else set[UUID]()
        for key, sequence in sorted(news.items(), key=lambda item: item[1]):
            position = Position(since.epoch, sequence)
            if (row := rows.get(key)) is not None:
                yield self._entered_or_changed(key, row, since, position)
            elif key in visible or key in missed or key in self._members:
                yield self._left(key, position, is_visible=key in visible)
        self._seen = Position(since.epoch, until)

    def _missed(self, until: int) -> list[UUID]:
        """What newcomers hold and the list does not, now that all they have seen has been read here too."""
        strange = {key: at for key, at in self._newcomers.items() if key not in self._members}
        self._newcomers = {key: at for key, at in strange.items() if at >= until}
        return [key for key in strange if key not in self._newcomers]

    def _entered_or_changed(self, key: UUID, row: Any, since: Position, position: Position) -> Event:
        was_member, is_newest = self._may_be_member(key), self._newest is None or key > self._newest
        before = self._rows.pop(key, None)
        self._rows[key] = row
        if len(self._rows) > ROWS_KEPT:
            del self._rows[next(iter(self._rows))]
        self._members.add(key)
        self._forget_oldest()
        self._newest = key if is_newest else self._newest
        return Reading(row, since, differences(before, row), position) if was_member else Entered(position, row, is_newest)

    def _forget_oldest(self) -> None:
        if len(self._members) > 2 * MEMBERS_KEPT:
            kept = sorted(self._members)[-MEMBERS_KEPT:]
            self._members, self._floor = set(kept), kept[0]

    def _left(self, key: UUID, position: Position, *, is_visible: bool) -> Event:
        self._members.discard(key)
        self._rows.pop(key, None)
        return Left(position, key, LeaveReason.NO_LONGER_MATCHES if is_visible else LeaveReason.ACCESS_REVOKED)

    def _may_be_member(self, key: UUID) -> bool:
        """In the list or, below what is known of it, perhaps."""
        return key in self._members or (self._floor is not None and key < self._floor)
