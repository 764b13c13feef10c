"""Phases of a subscription: catch-up for one client, live for all alike, or both."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar

from gql_server.feed.events import Heartbeat, Reading, Reset
from gql_server.feed.held import Held
from gql_server.feed.tokens import Position, Resume

HEARTBEAT_SECONDS = 15.0


class Phase(Enum):
    """Part of a subscription. Clients of equal operations differ only in where they come from: they share the live part."""

    WHOLE = "WHOLE"
    CATCH_UP = "CATCH_UP"
    LIVE = "LIVE"


class Told(NamedTuple):
    """An event as transports know it: its position, and the token that resumes after it, if it `is_resumable`, and no reset,
    which only announces what is told next. A heartbeat if `is_quiet`."""

    position: Position | None = None
    token: str = ""
    is_resumable: bool = True
    is_quiet: bool = False


NOTHING_TOLD = Told()


@dataclass(slots=True)
class Session:
    """One execution of a live operation.

    `resume` is the token of its client, if its transport says so. `told` is the event yielded last, and the last of all if
    `is_over`. Up to `position` all has been told. A catch-up goes on with the `host`, the session of the live part, which has
    its `source`. With `shows_changes_only`, a result like the one before is not sent.
    """

    phase: Phase = Phase.WHOLE
    resume: str | None = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    attached: asyncio.Event = field(default_factory=asyncio.Event)
    position: Position | None = None
    told: Told = NOTHING_TOLD
    is_over: bool = False
    host: "Session | None" = None
    source: Any = None
    shows_changes_only: bool = False

    @property
    def waiting(self) -> int:
        """Events that follow the one yielded last at once."""
        return self.source.waiting if self.source else 0

    def end(self) -> None:
        """There is nothing to follow."""
        self.is_over = True
        self.attached.set()


class Positioned(Protocol):
    """An event of the feed, and what of a list its client holds then."""

    @property
    def position(self) -> Position: ...
    @property
    def held(self) -> Held | None: ...


E = TypeVar("E", bound=Positioned, covariant=True)


class FeedSource(Protocol[E]):
    """Events that a subscription shows. Attached before anything is read, it misses nothing."""

    is_over: bool
    position: Position | None
    """Up to which a catch-up has told, whatever it had to tell; None if that of its last event says so."""
    waiting: int
    """Events that were read with the one yielded last, and follow it without being waited for."""

    def attach(self) -> AbstractAsyncContextManager[object]:
        """Begin to note changes."""
        ...

    async def begin(self) -> None:
        """Be ready to go on from now."""
        ...

    def catch_up(self, after: Resume | None, host: Any) -> AsyncIterator[E]:
        """Events for a client that saw everything up to `after`, or nothing, to go on with the source `host`.

        Sets `is_over` at a last event.
        """
        ...

    def live(self) -> AsyncIterator[E]:
        """Events from the catch-up on or, without one, from the beginning on; ends after the last event."""
        ...


Seal = Callable[[Position, Held | None], str]


async def run_session(session: Session, source: FeedSource[E], after: Resume | None, seal: Seal) -> AsyncGenerator[E, None]:
    """The events of the session's phase, each with its token in the session."""
    async with source.attach():
        if session.phase is Phase.LIVE:
            await source.begin()
        session.source = source
        session.attached.set()
        if session.phase is not Phase.LIVE:
            session.position = after and after.position
            host = session.host and session.host.source
            async for event in _noted(session, source.catch_up(after, host), seal):
                yield event
            session.is_over = source.is_over
            session.position = source.position or session.position
        if session.phase is not Phase.CATCH_UP and not session.is_over:
            async for event in _noted(session, source.live(), seal):
                yield event
            session.is_over = True


async def _noted(session: Session, events: AsyncIterator[E], seal: Seal) -> AsyncGenerator[E, None]:
    async with aclosing(events) as each:  # type: ignore[type-var]
        async for event in each:
            said: object = event
            session.position = said.delivered if isinstance(said, Reading) else event.position
            token, is_reset = seal(event.position, event.held), isinstance(said, Reset)
            session.told = Told(session.position, token, not is_reset, isinstance(said, Heartbeat))
            yield event
