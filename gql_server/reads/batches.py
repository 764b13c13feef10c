"""Batches of keys on their way to the database: what is asked for in one tick goes one after the other over one connection.

Most reads take less than to borrow a connection for each. While one takes long, the next goes over a connection of its own.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import DirectConnection
from gql_server.reads.lanes import Reading

PATIENCE_SECONDS = 0.005
"""Time that a read may take before the next one no longer waits for it."""

ReadPolicy = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Way of reading: once, or until the database is there."""


class Borrowed:
    """A connection that goes from read to read: borrowed for the first, given back after one that failed, or that left it to
    SQLAlchemy, which is slower from then on."""

    def __init__(self, engine: Reading) -> None:
        self._engine = engine
        self._lent: AbstractAsyncContextManager[AsyncConnection] | None = None
        self._connection: AsyncConnection | None = None

    async def read(self, query: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        """The result of the query. Raises what it raises, or that there is no connection."""
        try:
            found = await query(await self._borrow())
        except BaseException:
            await self.give_back()
            raise
        if isinstance(self._connection, DirectConnection) and not self._connection.is_direct:
            await self.give_back()
        return found

    async def _borrow(self) -> Any:
        if self._lent is None:
            lent = self._engine.connect()
            self._connection = await lent.__aenter__()
            self._lent = lent
        return self._connection

    async def give_back(self) -> None:
        """Give the connection back, if there is one."""
        lent, self._lent = self._lent, None
        if lent is not None:
            await lent.__aexit__(None, None, None)


Read = Callable[[Borrowed, list[Any]], Awaitable[Mapping[Any, Any]]]
"""`(connection, keys) -> {key: value}`; a key left out has the value None."""
Pick = Callable[[Mapping[Any, Any]], Any]
"""Part of what is found that somebody has asked for."""


class KeyBatch:
    """Keys that are read together, and what is found of them. Until it is begun there may come more."""

    def __init__(self, read: Read) -> None:
        self.keys: dict[Hashable, None] = {}
        self.is_begun = self.is_abandoned = False
        self._read: Read | None = read
        self._reader: asyncio.Task[Any] | None = None
        self._asked: list[tuple[asyncio.Future[Any], Pick]] = []
        self._found: Mapping[Any, Any] | None = None
        self._failure: BaseException | None = None

    def asked(self, pick: Pick) -> "asyncio.Future[Any]":
        """The part that is picked of all that is found, in a future for each who asks: who cancels it takes nothing from the
        others."""
        asked = asyncio.get_running_loop().create_future()
        self._asked.append((asked, pick))
        if self._found is not None or self._failure is not None:
            self._answer()
        else:
            asked.add_done_callback(self._left)
        return asked

    def _left(self, asked: "asyncio.Future[Any]") -> None:
        """Abandons the batch once everybody who has asked is gone: its statement is cancelled."""
        if self.is_abandoned or not asked.cancelled():
            return
        if self._asked and all(each.cancelled() for each, _ in self._asked):
            self.is_abandoned = True
            if self._reader:
                self._reader.cancel()

    async def begin(self, borrowed: Borrowed, reading: ReadPolicy) -> None:
        """Read it, unless nobody wants it. Raises nothing: who waits for it is told. What read it is let go, as that holds its
        batches."""
        read, self._read, self.is_begun, keys = self._read, None, True, [*self.keys]
        assert read is not None
        if self.is_abandoned:
            return
        self._reader = asyncio.current_task()
        try:
            self._found = await reading(lambda: read(borrowed, keys))
        except Exception as error:
            self._failure = error
        except BaseException:
            self._failure = asyncio.CancelledError()
            if not self._is_given_up():
                raise
        finally:
            self._reader = None
            self._answer()

    def _is_given_up(self) -> bool:
        """True if its reader is cancelled for its sake alone, and can go on with others."""
        return self.is_abandoned and self._reader is not None and not self._reader.uncancel()

    def _answer(self) -> None:
        waiting, self._asked = self._asked, []
        for asked, pick in waiting:
            if asked.done():
                continue
            if self._found is not None:
                asked.set_result(pick(self._found))
            elif isinstance(self._failure, Exception):
                asked.set_exception(self._failure)
            else:
                asked.cancel()


class Queue:
    """Batches of an operation that are asked for and not begun."""

    def __init__(self, engine: Reading, reading: ReadPolicy) -> None:
        self._engine, self._reading = engine, reading
        self._waiting: deque[KeyBatch] = deque()
        self._at_work = 0

    def add(self, batch: KeyBatch) -> None:
        """Have it read, with what else is asked for in this tick."""
        self._waiting.append(batch)
        if self._at_work:
            self._have_taken()
        else:
            self._work_on()

    def _have_taken(self) -> None:
        """Leave the batch to who is at work, unless that takes long."""
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._work_on)

    def _work_on(self) -> None:
        if self._waiting:
            self._at_work += 1
            task = asyncio.create_task(self._work())
            WORKING.add(task)
            task.add_done_callback(WORKING.discard)

    async def _work(self) -> None:
        borrowed = Borrowed(self._engine)
        try:
            while await self._has_more():
                batch = self._waiting.popleft()
                loop = asyncio.get_running_loop()
                helping = loop.call_later(PATIENCE_SECONDS, self._work_on) if self._waiting else None
                await batch.begin(borrowed, self._reading)
                if helping:
                    helping.cancel()
        finally:
            self._at_work -= 1
            await borrowed.give_back()

    async def _has_more(self) -> bool:
        """Some batch waits, also when who was answered just now has asked for more."""
        if not self._waiting:
            await asyncio.sleep(0)
        return bool(self._waiting)


WORKING: set["asyncio.Task[None]"] = set()
"""Tasks at work, which nobody else holds."""
