"""Connections for one viewer: a few at a time, so that others get theirs, however much this one asks for."""

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.policy import Viewer

PER_VIEWER = 5


class Reading(Protocol):
    """Way to connections, as far as a read needs it: of an engine, or of a lane on one."""

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


class Lane:
    """The connections of one viewer: who finds all in use waits for their own."""

    def __init__(self, engine: AsyncEngine, turns: asyncio.Semaphore) -> None:
        self._engine, self._turns = engine, turns

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncConnection]:
        async with self._turns, self._engine.connect() as connection:
            yield connection


class Lanes:
    """The lanes of those who read at present, or who change something."""

    def __init__(self, per_viewer: int = PER_VIEWER) -> None:
        self._per_viewer = per_viewer
        self._turns: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, viewer: Viewer, engine: AsyncEngine) -> Lane:
        """The lane of this viewer, in whichever operation."""
        return Lane(engine, self.turns(viewer))

    def turns(self, viewer: Viewer) -> asyncio.Semaphore:
        """Turns of this viewer, each for a connection."""
        key = (viewer.provider, viewer.subject)
        turns = self._turns.get(key)
        if turns is None:
            turns = self._turns[key] = asyncio.Semaphore(self._per_viewer)
        return turns
