"""What a live operation is executed for: to bring one client up to now, to go on from now for all alike, or both."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeVar
from uuid import UUID

from gql_server.feed.events import Heartbeat, Reset
from gql_server.feed.tokens import Position

HEARTBEAT_SECONDS = 15.0


class Phase(Enum):
    """Part of a subscription. Clients of equal operations differ only in where they come from: they share the live part."""

    WHOLE = "WHOLE"
    CATCH_UP = "CATCH_UP"
    LIVE = "LIVE"


@dataclass(slots=True)
class Session:
    """One execution of a live operation.

    `resume` is the token of its client, if its transport says so. `position` is that of the event yielded last, `token` resumes
    after it; the event is a heartbeat if `is_quiet`, and the last one if `is_over`. `told` are the members of a list that a
    catch-up showed, which the live part is to `welcome`. With `shows_changes_only`, a result like the one before is not sent.
    """

    phase: Phase = Phase.WHOLE
    resume: str | None = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    attached: asyncio.Event = field(default_factory=asyncio.Event)
    position: Position | None = None
    token: str = ""
    is_quiet: bool = False
    is_over: bool = False
    told: frozenset[UUID] = frozenset()
    welcome: Callable[[frozenset[UUID], Position], None] = lambda told, at: None
    shows_changes_only: bool = False

    def end(self) -> None:
        """There is nothing to follow."""
        self.is_over = True
        self.attached.set()


class Positioned(Protocol):
    """An event of the feed."""

    @property
    def position(self) -> Position: ...


E = TypeVar("E", bound=Positioned, covariant=True)


class Source(Protocol[E]):
    """What a subscription shows. Attached before anything is read, it misses nothing."""

    def attach(self) -> AbstractAsyncContextManager[object]:
        """Begin to note changes."""
        ...

    def catch_up(self, after: Position | None) -> AsyncIterator[E]:
        """What a client must be told that saw everything up to `after`, or that saw nothing. Sets `is_over` at a last event."""
        ...

    def live(self) -> AsyncIterator[E]:
        """What happens from the catch-up on or, without one, from now on; ends after the last event."""
        ...

    def welcome(self, told: frozenset[UUID], at: Position) -> None:
        """Somebody begins to follow the live part who was told of these, as they were then or later."""
        ...

    is_over: bool
    told: frozenset[UUID]


async def play(
    session: Session, source: Source[E], after: Position | None, seal: Callable[[Position], str]
) -> AsyncGenerator[E, None]:
    """The events of the session's phase, each with its token in the session."""
    async with source.attach():
        session.welcome = source.welcome
        session.attached.set()
        if session.phase is not Phase.LIVE:
            session.position = after
            async for event in _noted(session, source.catch_up(after), seal):
                yield event
            session.is_over, session.told = source.is_over, source.told
            if session.position is not None:
                source.welcome(source.told, session.position)
        if session.phase is not Phase.CATCH_UP and not session.is_over:
            async for event in _noted(session, source.live(), seal):
                yield event
            session.is_over = True


async def _noted(session: Session, events: AsyncIterator[E], seal: Callable[[Position], str]) -> AsyncGenerator[E, None]:
    async with aclosing(events) as each:  # type: ignore[type-var]
        async for event in each:
            # from a reset alone nothing can be resumed: what it announces has not been told yet
            said: object = event
            session.position = None if isinstance(said, Reset) else event.position
            session.token = seal(event.position)
            session.is_quiet = isinstance(said, Heartbeat)
            yield event
