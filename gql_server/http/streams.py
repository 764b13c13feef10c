"""A stream: the shared execution of equal live operations, its followers, and the catch-ups of those who join.

It is executed in two parts. The live part goes on from now on, for all who follow; a catch-up brings those who come at the
same time, from the same place, up to now. A client is attached to the live part before its catch-up reads.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import Any, NamedTuple

from gql_server.feed.session import Phase, Session
from gql_server.feed.tokens import Position

BACKLOG_MAX = 256
BACKLOG_BYTES_MAX = 1024 * 1024


class Frame(NamedTuple):
    """A result as JSON, and the position of the feed that it shows: `is_quiet` for a mere sign of life, `is_value` if it says
    nothing when it is like the one before. Its `token` resumes after it."""

    position: Position | None
    payload: str
    is_quiet: bool = False
    is_value: bool = False
    token: str | None = None


class TooSlow(Exception):
    """The client takes in less than happens: it may come again, with its last token."""


class Interrupted(Exception):
    """The database was away for too long to tell what happened: the client may come again, with its last token."""


class Draining(Exception):
    """The server is about to stop: the client may come again, with its last token."""


class Follower:
    """The frames of a live part that one client has not taken yet."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()
        self._end: BaseException | None = None
        self._ended = False

    def put(self, frame: Frame) -> None:
        if self._ended:
            return
        self._frames.append(frame)
        self._bytes += len(frame.payload)
        self._woken.set()
        if len(self._frames) > BACKLOG_MAX or self._bytes > BACKLOG_BYTES_MAX:
            self._frames.clear()
            self.end(TooSlow())

    def end(self, error: BaseException | None = None) -> None:
        if not self._ended:
            self._ended, self._end = True, error
            self._woken.set()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        while True:
            while self._frames:
                frame = self._frames.popleft()
                self._bytes -= len(frame.payload)
                yield frame
            if self._ended:
                if self._end:
                    raise self._end
                return
            self._woken.clear()
            await self._woken.wait()


Execute = Callable[[Session, Any], AsyncGenerator[Frame, None]]
"""`(session, resume values)` → the frames of an execution."""


class CaughtUp(NamedTuple):
    """Frames of a catch-up."""

    frames: list[Frame]
    is_over: bool
    position: Position | None


class Stream:
    """The live part of one operation, those who follow it, and the catch-ups of those who join."""

    def __init__(self, execute: Execute) -> None:
        self.followers: set[Follower] = set()
        self.is_ended = False
        self._execute = execute
        self._session = Session(Phase.LIVE)
        self._waiting: dict[Hashable, asyncio.Task[CaughtUp]] = {}
        self._running: dict[Hashable, asyncio.Task[CaughtUp]] = {}
        self._task = asyncio.create_task(self._run())

    async def follow(self, resume: Any) -> AsyncGenerator[Frame, None]:
        """Frames for a client that comes from there: the catch-up, then what happens from now on."""
        follower = Follower()
        self.followers.add(follower)
        try:
            await self._session.attached.wait()
            caught_up = await self._caught_up(resume)
            for frame in caught_up.frames:
                yield frame
            if not caught_up.is_over:
                last = caught_up.frames[-1] if caught_up.frames else None
                seen = caught_up.position
                del caught_up  # it may be large, and the stream long
                async with aclosing(follower.frames()) as frames:
                    async for frame in frames:
                        if frame.position is None:
                            seen = None  # a reset: what was seen may be of another history
                        if not _is_shown(frame, seen) and not (frame.is_value and last and frame.payload == last.payload):
                            yield frame
                            last = frame
        finally:
            self.followers.discard(follower)

    def end(self, error: BaseException) -> None:
        """Let everybody go."""
        for follower in self.followers:
            follower.end(error)

    async def stop(self) -> None:
        tasks: set[asyncio.Task[Any]] = {self._task, *self._waiting.values(), *self._running.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            async with aclosing(self._execute(self._session, None)) as frames:
                async for frame in frames:
                    for follower in tuple(self.followers):
                        follower.put(frame)
        except Exception as failure:
            error = failure
        finally:
            self.is_ended = True
            self._session.attached.set()
            for follower in self.followers:
                follower.end(error)

    async def _caught_up(self, resume: Any) -> CaughtUp:
        """One catch-up at a time for all who come from the same place; those who come while one reads share the next."""
        task = self._waiting.get(resume)
        if task is None:
            task = self._waiting[resume] = asyncio.create_task(self._catch_up(resume, self._running.get(resume)))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _catch_up(self, resume: Any, before: "asyncio.Task[CaughtUp] | None") -> CaughtUp:
        if before is not None:
            await asyncio.wait([before])
        self._running[resume] = self._waiting.pop(resume)
        try:
            session = Session(Phase.CATCH_UP, host=self._session)
            async with aclosing(self._execute(session, resume)) as frames:
                return CaughtUp([frame async for frame in frames], session.is_over, session.position)
        finally:
            if self._running.get(resume) is asyncio.current_task():
                del self._running[resume]


def _is_shown(frame: Frame, seen: Position | None) -> bool:
    """True if the catch-up has shown all that the frame says."""
    if frame.is_quiet or seen is None or frame.position is None or frame.position.epoch != seen.epoch:
        return False
    return frame.position.sequence < seen.sequence + (not frame.is_value)
