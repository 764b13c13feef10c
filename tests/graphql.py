"""A client of the graph: the ASGI app over HTTP as some viewer, and subscriptions on the schema itself."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
from graphql import GraphQLObjectType
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers
from gql_server.commands.execution import Commands
from gql_server.db.models import Provider
from gql_server.feed.held import Held
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Position, Tokens
from gql_server.graph.context import Context
from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.schema import create_schema
from gql_server.handlers.api import entry_sources
from gql_server.http.authentication import DEVELOPMENT_ROLES, TokenAuthority
from gql_server.http.endpoint import GraphQLEndpoint
from gql_server.policy import Viewer, permissions_of
from gql_server.reads.lanes import Lanes
from gql_server.reads.pagination.cursors import CursorCodec
from gql_server.reads.pagination.paging import Paging
from gql_server.worker import registry

AUTHORITY = TokenAuthority(key="a key that is long enough for HS256", issuer="tests", audience="tests")
TOKENS = Tokens(b"secret of the feed")
PAGING = Paging(CursorCodec(b"secret of the cursors"), size_max=200)
SCHEMA = create_schema()
assert handlers.__all__


def viewer(role: str, unit: str | None = None, provider: Provider = Provider.DEFAULT) -> Viewer:
    """A viewer with a development role."""
    return Viewer(subject=role, provider=provider.value, permissions=permissions_of(DEVELOPMENT_ROLES[role], unit))


def sealed(position: Position, held: Held | None = None, who: Viewer | None = None) -> str:
    """The token of a position, for an operator unless for somebody else."""
    return TOKENS.seal(position, who or viewer("operator"), held)


def opened(token: str, who: Viewer | None = None) -> Position:
    """The position that a token tells an operator's server, or somebody else's."""
    return TOKENS.open(token, who or viewer("operator")).position


def subscriber_count(hub: Hub) -> int:
    """Number of those who wait for changes, of one pipeline or of all."""
    return sum(map(len, hub.subscriptions.values()))


def context(
    engine: AsyncEngine,
    viewer: Viewer,
    hub: Hub | None = None,
    budgets: Budgets | None = None,
    lanes: Lanes | None = None,
    explores: bool = True,
    commands: Commands | None = None,
) -> Context:
    return Context(
        viewer=viewer,
        engine=engine,
        hub=hub or Hub({}),
        paging=PAGING,
        tokens=TOKENS,
        commands=commands or Commands(engine, registry, entry_sources),
        budgets=budgets or Budgets(),
        lanes=lanes,
        explores=explores,
    )


def endpoint(
    engine: AsyncEngine,
    hub: Hub | None = None,
    request_max_bytes: int = 262_144,
    budgets: Budgets | None = None,
    lanes: Lanes | None = None,
) -> GraphQLEndpoint:
    """The ASGI app."""
    commands = Commands(engine, registry, entry_sources)
    return GraphQLEndpoint(
        SCHEMA,
        authenticate=AUTHORITY.authenticate,
        create_context=lambda viewer: context(engine, viewer, hub, budgets, lanes, commands=commands),
        request_max_bytes=request_max_bytes,
    )


class Client:
    """Sends operations as one viewer."""

    def __init__(
        self, engine: AsyncEngine, role: str | None = "superadmin", budgets: Budgets | None = None, **claims: Any
    ) -> None:
        self.headers = {"Authorization": f"Bearer {AUTHORITY.mint(role, **claims)}"} if role else {}
        self.transport = httpx.ASGITransport(endpoint(engine, budgets=budgets))

    async def post(self, **request: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self.transport, base_url="http://test", headers=self.headers) as client:
            return await client.post("/graphql", **request)

    async def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        return (await self.post(json={"query": query, "variables": variables})).json()

    async def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = await self.execute(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def codes(self, query: str, **variables: Any) -> list[str]:
        """The codes of the errors of an answer."""
        answer = await self.execute(query, **variables)
        return [error["extensions"]["code"] for error in answer["errors"]]


@asynccontextmanager
async def subscribed(context: Context, query: str, **variables: Any) -> AsyncGenerator[AsyncIterator[Any], None]:
    """The results of a subscription."""
    results = await SCHEMA.subscribe(query, variable_values=variables, context_value=context)
    async with aclosing(results):
        yield results


def object_type(name: str) -> GraphQLObjectType:
    """A type of the schema, as graphql-core has it."""
    found = SCHEMA.executable.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found
