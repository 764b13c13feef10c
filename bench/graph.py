"""The graph's own endpoint, asked in this process as some viewer."""

from collections.abc import Mapping
from typing import Any, cast

import httpx
from graphql import GraphQLInputObjectType, GraphQLSchema
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.commands.execution import Commands
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Tokens
from gql_server.graph.context import Context
from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.schema import create_schema
from gql_server.handlers.api import entry_sources
from gql_server.http.endpoint import GraphQLEndpoint
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.reads.pagination.cursors import CursorCodec
from gql_server.reads.pagination.paging import Paging
from gql_server.worker import registry

UNLIMITED = 10**12


class Graph:
    """Sends operations over ASGI, as a superadmin of ACCRED who is `subject`, or a principal of a unit."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.schema = create_schema()
        self.subject, self.unit = "user-1", cast(str | None, None)
        budgets = Budgets(UNLIMITED, UNLIMITED)
        paging, tokens = Paging(CursorCodec(b"bench"), size_max=200), Tokens(b"bench")
        commands = Commands(engine, registry, entry_sources)
        hub = Hub({})
        endpoint = GraphQLEndpoint(
            self.schema,
            authenticate=lambda _: Viewer(self.subject, "ACCRED", permissions_of(self.role, self.unit)),
            create_context=lambda viewer: Context(
                viewer=viewer, engine=engine, hub=hub, paging=paging, tokens=tokens, commands=commands, budgets=budgets
            ),
            request_max_bytes=262_144,
        )
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(endpoint), base_url="http://bench")

    @property
    def role(self) -> Role:
        return Role.PRINCIPAL if self.unit else Role.SUPERADMIN

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of the answer. Raises RuntimeError with its errors."""
        answer = (await self._client.post("/graphql", json={"query": query, "variables": dict(variables)})).json()
        if "errors" in answer:
            raise RuntimeError(f"{query} with {variables}: {answer['errors']}")
        return answer["data"]

    def has_argument(self, name: str) -> bool:
        """True if `Query.pipelines` takes it."""
        query = self._executable.query_type
        return query is not None and name in query.fields["pipelines"].args

    def members(self, name: str) -> set[str]:
        """Names of an enum's members, or of an input's fields; none of a type that is not there."""
        found: Any = self._executable.type_map.get(name)
        if found is None:
            return set()
        return set(found.fields if isinstance(found, GraphQLInputObjectType) else getattr(found, "values", ()))

    def fields(self, name: str) -> set[str]:
        """Names of an object's fields."""
        return set(cast(Any, self._executable.type_map[name]).fields)

    @property
    def _executable(self) -> GraphQLSchema:
        return self.schema.executable
