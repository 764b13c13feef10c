"""Live operations: equal ones of viewers with equal scope share one execution, one reading and one encoding of its results.

An operation is executed in two parts. The live part goes on from now on, for all who follow alike; the catch-up brings those
who come at the same time, from the same place, up to now. Whoever joins is attached to the live part before the catch-up reads.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Hashable, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLError
from strawberry.types.execution import PreExecutionError

from gql_server.db.outages import may_pass
from gql_server.errors import RateLimited
from gql_server.feed.session import Phase, Session
from gql_server.feed.tokens import NOWHERE, Position
from gql_server.graph.context import Context
from gql_server.graph.schema import Schema
from gql_server.http.masking import masked
from gql_server.http.sharing import Plan, plan, sharing_key
from gql_server.policy import Viewer
from gql_server.reads.loaders import SharedLoaders

BACKLOG_MAX = 256
BACKLOG_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Operation:
    """Document, variables and name of an operation."""

    query: str
    variables: Mapping[str, Any]
    name: str | None


class Frame(NamedTuple):
    """A result as JSON, and the position of the feed that it shows: `is_quiet` for a mere sign of life, `is_value` if it says
    nothing when it is like the one before. Its `token` resumes after it."""

    position: Position | None
    payload: str
    is_quiet: bool = False
    is_value: bool = False
    token: str | None = None


class OperationRefused(Exception):
    """The operation was not executed, for these errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


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
    if frame.is_quiet or seen is None or frame.position is None:
        return False
    return frame.position.epoch == seen.epoch and frame.position.sequence <= seen.sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """Live operations at a time."""

    per_viewer: int = 1_000
    per_process: int = 10_000


class LiveOperations:
    """The live operations of this process."""

    def __init__(
        self,
        schema: Schema,
        create_context: Callable[[Viewer], Context],
        encode: Callable[[object], str],
        limits: Limits = Limits(),
    ) -> None:
        self._schema, self._create_context, self._encode, self._limits = schema, create_context, encode, limits
        self.streams: dict[Hashable, Stream] = {}
        self._followed: Counter[tuple[str, str]] = Counter()
        self._loaders: SharedLoaders | None = None
        self.is_draining = False

    def plan(self, operation: Operation) -> Plan:
        """Plan for sharing the operation."""
        return plan(self._schema.executable, operation.query, operation.name)

    def drain(self) -> None:
        """End every operation so that it can be resumed elsewhere, and begin none."""
        self.is_draining = True
        for stream in self.streams.values():
            stream.end(Draining())

    async def frames(self, operation: Operation, viewer: Viewer, *, resume: str | None = None) -> AsyncGenerator[Frame, None]:
        """The results of a subscription, after `resume` if given, whatever its arguments say.

        Raises Refused, RateLimited, TooSlow, Interrupted, Draining, or what its resolvers raise.
        """
        if self.is_draining:
            raise Draining
        with self._counted(viewer):
            async with aclosing(self._frames(operation, viewer, resume)) as frames:
                async for frame in frames:
                    yield frame

    @contextmanager
    def _counted(self, viewer: Viewer) -> Generator[None]:
        who = (viewer.provider, viewer.subject)
        if self._followed[who] >= self._limits.per_viewer or self._followed.total() >= self._limits.per_process:
            raise RateLimited("Too many live operations at a time: end one first.", limit=self._limits.per_viewer)
        self._followed[who] += 1
        try:
            yield
        finally:
            self._followed[who] -= 1
            if not self._followed[who]:
                del self._followed[who]

    async def _frames(self, operation: Operation, viewer: Viewer, last: str | None) -> AsyncGenerator[Frame, None]:
        planned = self.plan(operation)
        apart = planned.resume_variables
        shared = {name: value for name, value in operation.variables.items() if name not in apart}
        variables = orjson.dumps(shared, option=orjson.OPT_SORT_KEYS).decode()
        everyone = sharing_key(planned, variables, viewer)
        key = (operation.query, operation.name, variables, everyone)
        stream = self.streams.get(key)
        if stream is None or stream.is_ended:
            stream = self.streams[key] = Stream(
                lambda session, resume: self._execute(operation, shared, everyone, session, resume)
            )
        resume = (last, *sorted((name, value) for name, value in operation.variables.items() if name in apart))
        try:
            async with aclosing(stream.follow(resume)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            if not stream.followers:
                if self.streams.get(key) is stream:
                    del self.streams[key]
                await stream.stop()

    async def _execute(
        self, operation: Operation, shared: Mapping[str, Any], viewer: Viewer, session: Session, resume: Any
    ) -> AsyncGenerator[Frame, None]:
        context = self._create_context(viewer)
        session.resume, *coming = resume or (None,)
        if session.phase is Phase.LIVE:  # it does not look where it comes from, but a variable may have to have a value
            coming = [(name, NOWHERE) for name in self.plan(operation).resume_variables]
        self._loaders = self._loaders or SharedLoaders(context.engine, lambda: context.hub.generation)
        results = await self._schema.stream(
            operation.query,
            variable_values={**shared, **dict(coming)},
            context_value=context.share(self._loaders, session),
            operation_name=operation.name,
        )
        async with aclosing(results):
            async for result in self._masked(results):
                payload = {"data": result.data}
                if result.errors:
                    payload["errors"] = [error.formatted for error in result.errors]
                if result.extensions:
                    payload["extensions"] = result.extensions
                position, token = (session.position, session.token) if session.is_resumable else (None, None)
                yield Frame(position, self._encode(payload), session.is_quiet, session.shows_changes_only, token)

    async def _masked(self, results: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """The results as clients may see them. Raises Interrupted before one that is not whole because the database is away."""
        async for result in results:
            if result.errors:
                if any(may_pass(error.original_error) for error in result.errors):
                    raise Interrupted
                result.errors = masked(result.errors, self._schema.executable)
                if isinstance(result, PreExecutionError) or result.data is None:
                    raise OperationRefused(result.errors)
            yield result
