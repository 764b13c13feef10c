"""The graph is answered by plan as graphql-core would answer it: documents and mishaps made up from seeds, over a world."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Hashable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, ClassVar

import orjson
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from bench.plans import recorded
from gql_server.feed.hub import Hub
from gql_server.graph.context import Context
from gql_server.graph.nodes import decode
from gql_server.graph.planned import Executor
from gql_server.graph.schema import create_schema
from gql_server.policy import Viewer
from gql_server.reads import batches
from gql_server.reads.pagination.pages import Page
from gql_server.reads.rows import Row
from tests.execution.documents import Documents
from tests.execution.library import LEFT_BEHIND, Dice, Junk, Mishap
from tests.graphql import PAGING, SCHEMA, TOKENS, context
from tests.policy.asking import ARGUMENTS, OF_A_DATABASE, ids_by_type
from tests.policy.test_feed import following
from tests.policy.worlds import PERSONAS, database, everything

STOCK = create_schema()
STOCK.execution_context_class = StrawberryGraphQLCoreExecutionContext
CHUNK = 60
FOLLOWED = 20
QUIET_SECONDS = 1.5
NOT_FOLLOWED = {f"Subscription.{name}" for name in ("facets", "health", "abortProgress", "jobProgress")}
GIVEN = {
    **{name: [value] for name, value in ARGUMENTS.items()},
    "first": ["1", "3", "0"],
    "last": ["2"],
    "after": ['"nonsense"'],
    "filter": ["{}"],
    "PipelineFilter": ["{}", "{ ids: [] }", "{ isActive: false }"],
    "Query.pipelines(around:)": ['"nonsense"'],
    "PipelineBy!": ["{ jobId: 10 }", "{ jobId: 30 }", "{ jobId: 99 }", '{ id: "nonsense" }'],
    "Viewer.fieldAccess(coordinates:)": ['["Job.worker", "Actor.email"]'],
    "throttleMs": ["0"],
    "JobBy!": ["{ jobId: 10 }", "{ jobId: 32 }"],
}
EVENTS = ("FeedEvent", "PipelineEntered", "PipelineChanged", "PipelineLeft", "FeedHeartbeat")
LEFT_OUT = frozenset({*OF_A_DATABASE, *(f"{name}.at" for name in EVENTS), "Query.health", "Query.api"})

DECLARED = {
    f"Query.{name}" for name in ("pipeline", "job", "pipelines", "jobs", "failureGroups", "yearConfigurations", "viewer")
}

pytestmark = LEFT_BEHIND


class Unlucky(Context):
    """A context whose reads fail now and then, or have something in them that should not be there."""

    def __init__(self, engine: AsyncEngine, viewer: Viewer, dice: Dice, hub: Hub | None = None) -> None:
        lucky = context(engine, viewer, hub)
        super().__init__(
            viewer=viewer,
            engine=engine,
            hub=lucky.hub,
            paging=PAGING,
            tokens=TOKENS,
            commands=lucky.commands,
            budgets=lucky.budgets,
        )
        self._dice = dice

    def load(self, query: Any, key: Hashable, **arguments: Any) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._one(super().load(query, key, **arguments), query, key))

    async def values(self, query: Any, keys: Sequence[Hashable], **arguments: Any) -> Sequence[Any]:
        found = await super().values(query, keys, **arguments)
        self._risk(query)
        return [self._spoilt(value, query.__name__, key) for value, key in zip(found, keys, strict=True)]

    async def alone(self, query: Any, **arguments: Any) -> Sequence[Any]:
        [found] = await super().alone(query, **arguments)
        self._risk(query)
        return [self._spoilt(found, query.__name__)]

    async def _one(self, value: Awaitable[Any], query: Any, key: Hashable) -> Any:
        found = await value
        self._risk(query)
        return self._spoilt(found, query.__name__, key)

    def _risk(self, query: Any) -> None:
        if self._dice.trouble("read", query.__name__):
            raise Mishap(query.__name__)

    def _spoilt(self, value: Any, *purpose: object) -> Any:
        match value:
            case Row():
                return self._spoilt_row(value, *purpose)
            case list():
                return [self._spoilt(each, *purpose, number) for number, each in enumerate(value)]
            case Page():
                return replace(value, nodes=self._spoilt([*value.nodes], *purpose))
            case _:
                return None if self._dice.trouble("value", *purpose) else value

    def _spoilt_row(self, row: Row, *purpose: object) -> Row:
        if not self._dice.trouble("row", *purpose):
            return row
        values = [*row]
        place = self._dice.roll(len(values), "place", *purpose)
        values[place] = (None, Junk(), Mishap("spoilt"))[self._dice.roll(3, "kind", *purpose)]
        return tuple.__new__(type(row), values)


def argue(ids: list[str]) -> Any:
    named = {kind: [f'{{ id: "{id}" }}' for id in ids if decode(id)[0] == kind] for kind in ("Pipeline", "Job")}
    known = {**GIVEN, "Query.node(id:)": [f'"{id}"' for id in ids]}
    known |= {f"{kind}By!": [*GIVEN[f"{kind}By!"], *by_id] for kind, by_id in named.items()}

    def literals(coordinate: str, name: str, type_name: str) -> list[str]:
        return next((known[each] for each in (coordinate, type_name, name) if each in known), [])

    return literals


async def answered(schema: Any, document: str, variables: dict[str, Any], asker: Context) -> tuple[bytes, Any, Any]:
    return formatted(await schema.execute(document, variable_values=variables, context_value=asker))


def formatted(result: Any) -> tuple[bytes, Any, Any]:
    data = orjson.dumps(result.data, option=orjson.OPT_UTC_Z, default=repr)
    return data, [error.formatted for error in result.errors or ()], result.extensions


def nulled(data: Any, error: Any) -> str:
    """Paths at which the answer is null because of the error."""
    for depth, key in enumerate(error.get("path", ())):
        if data is None:
            return repr(error["path"][:depth])
        data = data[key]
    return repr((error.get("path"), error["message"]))


@pytest.mark.parametrize("trouble", [0.0, 0.01])
@pytest.mark.parametrize(
    "persona",
    [
        "superadmin",
        "principal of A",
        "nobody",
        *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("operator", "standard")),
    ],
)
async def test_an_answer_by_plan_is_graphql_core_s_own(whole: AsyncEngine, persona: str, trouble: float) -> None:
    await compare(whole, persona, trouble, LEFT_OUT)


@pytest.mark.parametrize(("persona", "trouble"), [("superadmin", 0.0), ("principal of A", 0.01)])
async def test_whole_queries_by_plan_are_graphql_core_s_own(whole: AsyncEngine, persona: str, trouble: float) -> None:
    """Objects that are looked up, of what there is for the viewer and of what is not, and lists."""
    root: Any = SCHEMA.executable.query_type
    others = {f"Query.{name}" for name in root.fields} - DECLARED
    await compare(whole, persona, trouble, LEFT_OUT | others)


async def compare(whole: AsyncEngine, persona: str, trouble: float, left_out: frozenset[str]) -> None:
    same = 0
    ids = [id for each in (await ids_by_type(whole, "DEFAULT")).values() for id in sorted(each)[:5]]
    documents = Documents(SCHEMA.executable, argue(ids), left_out)
    for seed in range(CHUNK):
        document, variables = documents.make(seed)
        stock, planned = [
            await answered(schema, document, variables, Unlucky(whole, PERSONAS[persona], Dice(seed, trouble)))
            for schema in (STOCK, SCHEMA)
        ]
        if planned == stock:
            same += 1
            continue
        data = orjson.loads(stock[0])
        assert planned[0] == stock[0], document
        assert {nulled(data, error) for error in planned[1]} == {nulled(data, error) for error in stock[1]}, document
    assert same >= CHUNK * (1 - 5 * trouble)


async def touch(engine: AsyncEngine, message: str) -> None:
    """Change all pipelines in one transaction, so that nobody is told of half of it."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE data_ingestion_jobs SET status_message = :message"), {"message": message})
        await connection.execute(text("NOTIFY gql_events"))


async def told(results: AsyncIterator[Any]) -> Any:
    """The next message, unless the operation ends or says nothing in a while."""
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            result = await anext(results)
    except (StopAsyncIteration, TimeoutError):
        return None
    return formatted(result)


@pytest.mark.parametrize("persona", ["superadmin", "principal of A"])
async def test_messages_of_live_operations_by_plan_are_graphql_core_s_own(postgres: str, template: str, persona: str) -> None:
    documents = Documents(SCHEMA.executable, argue([]), LEFT_OUT | NOT_FOLLOWED)
    seen = 0
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(database(postgres, template, everything()))
        hub = await stack.enter_async_context(following(engine, postgres))
        for seed in range(FOLLOWED):
            document, variables = documents.make(seed, "subscription")
            both = [
                await schema.subscribe(
                    document,
                    variable_values=variables,
                    context_value=Unlucky(engine, PERSONAS[persona], Dice(seed, 0.01 if seed % 2 else 0.0), hub),
                )
                for schema in (STOCK, SCHEMA)
            ]
            for results in both:
                await stack.enter_async_context(aclosing(results))
            stock, planned = await asyncio.gather(*map(told, both))
            assert planned == stock, document
            await touch(engine, f"touched for {seed}")
            stock, planned = await asyncio.gather(*map(told, both))
            assert planned == stock, document
            seen += stock is not None
    assert seen, "some changes are told"


class Counting(Executor):
    """Counts what graphql-core executes, by response key."""

    executed: ClassVar[Counter[str]] = Counter()

    def execute_field(self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any) -> Any:
        self.executed[path.key] += 1
        return super().execute_field(parent_type, source, field_details_list, path, position_context)


async def test_what_follows_from_rows_or_is_loaded_by_key_is_not_executed_row_by_row(whole: AsyncEngine) -> None:
    schema = create_schema()
    schema.execution_context_class = Counting
    document = """{ pipelines { totalCount { value } nodes { feedToken failures { id }
      jobs { totalCount(limit: 2) { value precision }
      nodes { phases { name durationSeconds } rowErrors(first: 2) { nodes { reason } } } } } } }"""
    asker = context(whole, PERSONAS["superadmin"])
    Counting.executed.clear()
    result: Any = await schema.execute(document, context_value=asker)
    assert result.errors is None
    assert Counting.executed == {}
    assert sum(len(node["failures"]) for node in result.data["pipelines"]["nodes"]) > 0


async def test_one_pipeline_is_looked_up_with_all_that_has_its_key_over_one_connection(
    whole: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 60.0)
    schema = create_schema()
    schema.execution_context_class = Counting
    document = """query ($id: ID!) { pipeline(by: {id: $id}) { progress { fraction } viewerCan { retry { allowed } }
      jobs { nodes { jobId } totalCount { value } } } }"""
    [id, *_] = sorted((await ids_by_type(whole, "DEFAULT"))["Pipeline"])
    borrowed: list[Any] = []
    event.listen(whole.sync_engine, "checkout", lambda *_: borrowed.append(1))
    Counting.executed.clear()
    result: Any = await schema.execute(
        document, variable_values={"id": id}, context_value=context(whole, PERSONAS["superadmin"])
    )
    assert result.errors is None
    assert result.data["pipeline"]["jobs"]["nodes"]
    assert (Counting.executed, len(borrowed)) == ({}, 1)


async def test_nothing_is_shown_of_a_pipeline_that_is_not_visible_although_it_was_asked_for(
    whole: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 60.0)
    document = "query ($id: ID!) { pipeline(by: {id: $id}) { progress { phase } jobs { nodes { jobId } } } }"
    ids = sorted((await ids_by_type(whole, "DEFAULT"))["Pipeline"])
    for name, is_shown in (("nobody", False), ("principal of B", False), ("superadmin", True)):
        asker = context(whole, PERSONAS[name])
        with recorded(whole) as executed:
            result: Any = await SCHEMA.execute(document, variable_values={"id": ids[0]}, context_value=asker)
        assert (result.errors, result.data["pipeline"] is not None) == (None, is_shown), name
        assert (result.extensions, asker.redactions) == ({}, {}), name
        assert len(executed) > 1, name  # what has its key was asked for with it


def test_the_server_executes_by_plan_and_the_comparison_does_not() -> None:
    assert (SCHEMA.execution_context_class, STOCK.execution_context_class) == (Executor, StrawberryGraphQLCoreExecutionContext)
