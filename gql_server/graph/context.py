"""Context of resolvers while ONE operation, or ONE event of a subscription, is executed."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import strawberry

from gql_server.commands.execution import Commands
from gql_server.db import Engine, direct
from gql_server.feed.held import Held
from gql_server.feed.hub import Hub
from gql_server.feed.queries import now
from gql_server.feed.session import Session
from gql_server.feed.tokens import Position, Tokens
from gql_server.graph.cost.budgets import Budgets
from gql_server.policy import Viewer
from gql_server.reads.lanes import Lanes, Reading
from gql_server.reads.loaders import KeylessQuery, Loaders, Query, ReadPolicy, SharedLoaders, once, retried_on_outage
from gql_server.reads.pagination.paging import Paging
from gql_server.reads.pagination.windows import Window


class Context:
    """The viewer, the loaders, the paging rules, the price, the feed and its tokens, and the commands.

    Its engine runs single reads, each its own snapshot; those of one viewer in their lane, those of live operations together.
    """

    def __init__(
        self,
        *,
        viewer: Viewer,
        engine: Engine,
        hub: Hub,
        paging: Paging,
        tokens: Tokens,
        commands: Commands,
        budgets: Budgets,
        lanes: Lanes | None = None,
        explores: bool = True,
    ) -> None:
        self.viewer = viewer
        self.commands = commands
        self.hub = hub
        self.paging = paging
        self.tokens = tokens
        self.budgets = budgets
        self.explores = explores
        self.estimated = 0
        self._engine = engine
        self._lanes = lanes
        self._shared: SharedLoaders | None = None
        self._reading: ReadPolicy = once
        self._made: Loaders | None = None
        self.redactions: dict[str, int] = {}

    @cached_property
    def engine(self) -> Engine:
        """The engine that runs its reads, each a snapshot of its own."""
        return direct(self._engine)

    @cached_property
    def _lane(self) -> Reading:
        """Way to connections, of which an operation that reads nothing needs none."""
        return self._lanes.of(self.viewer, self.engine) if self._lanes else self.engine

    @cached_property
    def session(self) -> Session:
        """The part of a subscription that is executed; for an operation that is none, nothing comes of it."""
        return Session()

    def share(self, loaders: SharedLoaders, session: Session) -> "Context":
        """This context, as one of several that read together."""
        self._shared, self.session, self._reading, self._lane = loaders, session, retried_on_outage, self.engine
        self.renew()
        return self

    def renew(self) -> None:
        """Begin anew: the next event reads afresh, and reports its own redactions."""
        self.forget()
        self.redactions = {}

    def renew_alone(self) -> None:
        """Begin anew, and read together with nobody: what others have read may be older than the event."""
        self.renew()
        self._made = Loaders(self._lane, self.viewer, self._reading)

    def beside(self) -> "Context":
        """This context for one of several events that are executed together: they read together, and each reports its own
        redactions."""
        self._made = self._loaders
        other = copy(self)
        other.redactions = {}
        return other

    def redact(self, coordinate: str, count: int = 1) -> None:
        """Note so many values that the viewer is not shown."""
        self.redactions[coordinate] = self.redactions.get(coordinate, 0) + count

    def forget(self) -> None:
        """Forget what was loaded: what is read after a command is what it left."""
        self._made = None

    @property
    def _loaders(self) -> Loaders:
        """The loaders of this operation or event, made when something is loaded."""
        if self._made is None:
            self._made = self._shared.of(self.viewer) if self._shared else Loaders(self._lane, self.viewer)
        return self._made

    def load(self, query: Query, key: Hashable, **arguments: Any) -> "asyncio.Future[Any]":
        """The value of a batched query for one key."""
        return self._loaders.load(query, key, **arguments)

    def values(self, query: Query, keys: Sequence[Hashable], **arguments: Any) -> Awaitable[Sequence[Any]]:
        """The values of a batched query for many keys, in their order, asked for at once."""
        return self._loaders.values(query, keys, **arguments)

    def prepare(self, query: Query, keys: Sequence[Hashable], **arguments: Any) -> None:
        """Ask for the values of a batched query for many keys: they will be wanted."""
        self._loaders.prepare(query, keys, **arguments)

    async def position(self) -> Position:
        """Up to where this process has read the feed, which no read is older than; else where the feed is now."""
        if self.hub.position is not None:
            return self.hub.position
        return await self.now()

    async def now(self) -> Position:
        """Present position of the feed."""
        return await self._on_connection(now)

    def token(self, position: Position, held: Held | None = None) -> str:
        """The token of that position for the viewer, who holds those pipelines of a list then."""
        return self.tokens.seal(position, self.viewer, held)

    def window(self, coordinate: str, **arguments: Any) -> Window:
        """The window that a connection's arguments ask for; those left out count as null."""
        given = {name: value for name, value in arguments.items() if value is not strawberry.UNSET}
        return self.paging.window(coordinate, **given)

    def alone(self, query: KeylessQuery, **arguments: Any) -> Awaitable[Sequence[Any]]:
        """The result of a query that has no key, as the only value; asked for at once."""
        return self._loaders.alone(query, **arguments)

    async def read(self, query: KeylessQuery, **arguments: Any) -> Any:
        """The result of a query that has no key."""
        [found] = await self.alone(query, **arguments)
        return found

    async def _on_connection(self, query: Callable[[Any], Awaitable[Any]]) -> Any:
        async def read() -> Any:
            async with self._lane.connect() as connection:
                return await query(connection)

        return await self._reading(read)


Info = strawberry.Info[Context, None]
