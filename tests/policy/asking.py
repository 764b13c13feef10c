"""Asking a world as a viewer, over HTTP."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import httpx
from graphql import GraphQLArgument, is_required_argument
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.http.endpoint import GraphQLEndpoint
from gql_server.policy import Viewer
from tests.graphql import SCHEMA, context
from tests.policy.walk import Trail, Walk, objects
from tests.policy.worlds import BULK_ABORTS, all_seeing, person

ARGUMENTS = {
    "Query.node(id:)": '"VW5pdDpB"',
    "Query.abortProgress(bulkId:)": f'"{BULK_ABORTS["DEFAULT"]}"',
    "PipelineBy!": "{ jobId: 10 }",
    "JobBy!": "{ jobId: 10 }",
    "YearBy!": "{ year: 2025 }",
    "Int!": "2025",
    "UUID!": '"01930000-0000-7000-8000-ffffffffffff"',
    "[ID!]!": '["VW5pdDpB"]',
    "[PipelineFacetKey!]!": "[STATUS, KIND, MODULE, YEAR, SCOPE, FAILURE_CLASS]",
    # of another database, so that all are told to begin anew; what they are told of changes, tests/feed says
    "FeedToken!": '"YW5vdGhlcjow"',
}

IDS: dict[str, dict[str, set[str]]] = {}
"""Ids of the world of `everything`, which is always the same."""


class Asker:
    """Sends operations to one world as one viewer."""

    def __init__(self, engine: AsyncEngine, viewer: Viewer) -> None:
        app = GraphQLEndpoint(
            SCHEMA,
            authenticate=lambda _: viewer,
            create_context=lambda each: context(engine, each),
            request_max_bytes=10**6,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    async def text(self, query: str, **variables: Any) -> str:
        """The body of the answer, byte for byte."""
        return (await self.client.post("/graphql", json={"query": query, "variables": variables})).text

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = json.loads(await self.text(query, **variables))
        assert not any(error["extensions"]["code"] == "INTERNAL" for error in answer.get("errors", [])), answer["errors"]
        return answer


# Types and fields that differ between two databases or moments; and those about the caller, and not about what they see.
OF_A_DATABASE = {"FeedToken", "FeedReset.at", "FeedSnapshot.at", "QueryCost.resetAt"}
OF_A_CALLER = {"Permission", "Viewer", "Pipeline.ticketMarkdown", "Diagnosis.action", "Diagnosis.remedy"}


def required(coordinate: str, argument: GraphQLArgument) -> str | None:
    """Only what must be given."""
    if not is_required_argument(argument) and coordinate not in ARGUMENTS:
        return None
    known = [ARGUMENTS[name] for name in (coordinate, str(argument.type)) if name in ARGUMENTS]
    assert known, f"tests/policy does not know a value for {coordinate} of type {argument.type}: add one to ARGUMENTS"
    return known[0]


def walk() -> Walk:
    return Walk(SCHEMA.executable, required, OF_A_DATABASE | OF_A_CALLER)


def trail() -> Trail:
    return Trail(SCHEMA.executable, required, OF_A_DATABASE | OF_A_CALLER)


def documents(walk: Walk, ids: Mapping[str, Collection[str]]) -> list[tuple[str, dict[str, str]]]:
    """Operations that read the whole root, and those nodes in full, by type."""
    roots: list[tuple[str, dict[str, str]]] = [(query, {}) for _, query in walk.root_fields()]
    return roots + [each for type_ in walk.node_types for each in walk.node_documents(type_, ids.get(type_.name, ()))]


async def ids_by_type(engine: AsyncEngine, provider: str) -> dict[str, set[str]]:
    """Ids by type of the world of `everything`."""
    if provider not in IDS:
        IDS[provider] = await crawled(engine, provider)
    return IDS[provider]


async def crawled(engine: AsyncEngine, provider: str) -> dict[str, set[str]]:
    """Global ids of all nodes that can be reached by one who may see everything of a provider."""
    asker, plan = Asker(engine, all_seeing(person("none", provider=provider))), trail()
    known: defaultdict[str, set[str]] = defaultdict(set)
    asked = [*documents(plan, {}), ("{ viewer { views { __typename id } } }", {})]
    while asked:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for query, variables in asked:
            for each in objects((await asker.ask(query, **variables))["data"]):
                if "id" in each and each["id"] not in known[each["__typename"]]:
                    found[each["__typename"]].add(each["id"])
        for name, ids in found.items():
            known[name] |= ids
        asked = documents(plan, found)[len(documents(plan, {})) :]
    return dict(known)


def differences(found: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """Paths at which two answers differ."""
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        for key in found:
            yield from differences(found[key], wanted[key], f"{path}.{key}")
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, pair in enumerate(zip(found, wanted, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif found != wanted:
        yield f"{path}: {found!r} instead of {wanted!r}"
