"""Questions to each server: the same answers from the same rows, each in the words of the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import text

from bench.database import connected
from bench.rivals.load import Target, once, target
from bench.rivals.operations import (
    CONSOLE,
    DEEP,
    FACETS,
    POSTGRAPHILE_CONSOLE,
    POSTGRAPHILE_CURSOR,
    POSTGRAPHILE_WIDE,
    VIEWER,
    WIDE,
)
from gql_server.graph.nodes import encode

DEEP_PIPELINES = 2_000
FIRST = 50
WALK = 200
WIDE_FIRST = 100
CURSORS = "query ($first: Int!, $after: String) { pipelines(first: $first, after: $after) { pageInfo { endCursor } } }"
AROUND = "query ($id: ID!) { pipelines(around: $id, first: 1) { edges { cursor } } }"
_BEFORE = text("""
SELECT id FROM pipelines WHERE provider = 'ACCRED' ORDER BY id DESC
OFFSET (SELECT least(:skipped, count(*) / 2) FROM pipelines WHERE provider = 'ACCRED') LIMIT 1
""")
"""Of a small ledger the one in the middle."""
_NEWEST = text("SELECT id FROM pipelines WHERE provider = 'ACCRED' ORDER BY id DESC LIMIT 1")

Targets = Mapping[str, Mapping[str, Target]]
"""Targets by operation and by the name of the server."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Our servers, by name, a token for them, and tokens of those who follow."""

    ports: Mapping[str, int]
    token: str
    followers: Sequence[str] = ()

    def ours(self, query: str, variables: Mapping[str, Any] | None = None, *, name: str = "ours") -> Target:
        return target(self.ports[name], "/graphql", {"query": query, "variables": variables or {}}, self.token)

    async def cursor(self, depth: int) -> str:
        """Cursor of the pipeline so many below the newest, or of the last one."""
        after: str | None = None
        for _ in range(depth // WALK):
            answer = orjson.loads(await once(self.ours(CURSORS, {"first": WALK, "after": after})))
            after = answer["data"]["pipelines"]["pageInfo"]["endCursor"] or after
        assert after
        return after

    async def cursor_at(self, pipeline_id: str) -> str:
        """Cursor of that pipeline."""
        answer = orjson.loads(await once(self.ours(AROUND, {"id": encode("Pipeline", pipeline_id)})))
        [edge] = answer["data"]["pipelines"]["edges"]
        return edge["cursor"]


async def targets(dsn: str, asking: Asking) -> Targets:
    """The targets of the table, each tried once."""
    ports = asking.ports
    async with connected(dsn) as engine, engine.connect() as connection:
        before = str(await connection.scalar(_BEFORE, {"skipped": DEEP_PIPELINES}))
        newest = str(await connection.scalar(_NEWEST))

    def bare(operation: str, **variables: Any) -> Target:
        return target(ports["bare"], f"/{operation}", {"query": "", "variables": variables})

    def stock(query: str, **variables: Any) -> Target:
        return target(ports["stock"], "/graphql", {"query": query, "variables": variables})

    ours, pipeline = asking.ours, {"id": encode("Pipeline", newest)}
    asked = {
        "console": {
            "ours": ours(CONSOLE, {"first": FIRST, "after": await asking.cursor_at(before)}),
            "bare": bare("console", first=FIRST, before=before),
            "stock": stock(CONSOLE, first=FIRST, after=before),
        },
        "deep": {"ours": ours(DEEP, pipeline), "bare": bare("deep"), "stock": ours(DEEP, pipeline, name="stock view")},
        "facets": {"ours": ours(FACETS), "bare": bare("facets"), "stock": ours(FACETS, name="stock view")},
        "viewer": {"ours": ours(VIEWER), "bare": bare("viewer"), "stock": stock(VIEWER)},
        "wide": {
            "ours": ours(WIDE, {"first": WIDE_FIRST}),
            "bare": bare("wide", first=WIDE_FIRST),
            "stock": stock(WIDE, first=WIDE_FIRST),
        },
    }
    if (port := ports.get("PostGraphile")) is not None:
        asked["console"]["PostGraphile"] = await _postgraphile_console(port)
        wide = {"query": POSTGRAPHILE_WIDE, "variables": {"first": WIDE_FIRST}}
        asked["wide"]["PostGraphile"] = target(port, "/graphql", wide)
    await tried(asked)
    return asked


async def tried(asked: Targets) -> None:
    """Asks each once. Raises RuntimeError for an answer that is none."""
    for operation, of_operation in asked.items():
        for name, each in of_operation.items():
            try:
                answer = await once(each)
            except RuntimeError as error:
                raise RuntimeError(f"{operation}, {name}: {error}") from None
            if b'"errors"' in answer:
                raise RuntimeError(f"{operation}, {name}: {answer[:500]!r}")


async def _postgraphile_console(port: int) -> Target:
    walked = target(port, "/graphql", {"query": POSTGRAPHILE_CURSOR, "variables": {"first": DEEP_PIPELINES}})
    after = orjson.loads(await once(walked))["data"]["allPipelines"]["pageInfo"]["endCursor"]
    return target(port, "/graphql", {"query": POSTGRAPHILE_CONSOLE, "variables": {"first": FIRST, "after": after}})
