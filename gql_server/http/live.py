"""Live operations: equal ones of viewers with equal scope share one execution, one reading and one encoding of its results."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Hashable, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import GraphQLError
from strawberry.types.execution import PreExecutionError

from gql_server.db.outages import may_pass
from gql_server.errors import RateLimited
from gql_server.feed.session import Phase, Session
from gql_server.feed.tokens import NOWHERE
from gql_server.graph.context import Context
from gql_server.graph.executable_schema import Schema
from gql_server.http.masking import masked
from gql_server.http.sharing import Plan, plan, sharing_key
from gql_server.http.streams import Draining, Frame, Interrupted, Stream
from gql_server.policy import Viewer
from gql_server.reads.loaders import SharedLoaders


@dataclass(frozen=True, slots=True)
class Operation:
    """Document, variables and name of an operation."""

    query: str
    variables: Mapping[str, Any]
    name: str | None


class OperationRefused(Exception):
    """The operation was not executed, for these errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


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

    @property
    def subscribers(self) -> int:
        """Number of live operations that clients follow; those that are equal share one of `streams`."""
        return self._followed.total()

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
                told = session.told
                position, token = (told.position, told.token) if told.is_resumable else (None, None)
                yield Frame(position, self._encode(payload), told.is_quiet, session.shows_changes_only, token)

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
