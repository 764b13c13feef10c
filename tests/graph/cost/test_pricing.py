"""Operations are priced before they are executed: too dear ones are refused, dry runs are not executed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from graphql import get_introspection_query
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult
from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.cost.table import WEIGHTS
from gql_server.graph.schema import create_schema
from tests import build
from tests.graphql import Client, context, subscribed, viewer

PAGE = "{ pipelines(first: 10) { nodes { id } } }"
DEAR = "pipelines(first: 100) { nodes { jobs(first: 50) { nodes { id } } } }"


@pytest.fixture
def statements(engine: AsyncEngine) -> list[str]:
    """SQL that was executed."""
    seen: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    return seen


async def test_an_operation_says_its_price(engine: AsyncEngine) -> None:
    query = "{ cost { estimated limit budgetRemaining resetAt } pipelines(first: 10) { nodes { id } } }"

    cost = (await Client(engine, budgets=Budgets(500, 1000)).query(query))["cost"]

    reset_in = datetime.fromisoformat(cost.pop("resetAt")) - datetime.now(UTC)
    assert cost == {"estimated": 11, "limit": 500, "budgetRemaining": 989}
    assert timedelta(0) < reset_in <= timedelta(minutes=1)


async def test_too_dear_an_operation_is_refused_and_nothing_of_it_is_executed(
    engine: AsyncEngine, statements: list[str]
) -> None:
    answer = await Client(engine, budgets=Budgets(limit=5_000)).execute(f"{{ {DEAR} viewer {{ id }} }}")

    [error] = answer["errors"]
    assert "data" not in answer
    assert error["extensions"] == {"code": "COST_LIMIT_EXCEEDED", "estimated": 5_202, "limit": 5_000}
    assert statements == []


async def test_a_dry_run_answers_only_its_price_however_dear_it_is(engine: AsyncEngine, statements: list[str]) -> None:
    budgets = Budgets(limit=5_000, per_minute=6_000)
    client = Client(engine, budgets=budgets)

    for _ in range(3):
        answer = await client.execute(f"{{ cost(dryRun: true) {{ estimated limit budgetRemaining }} {DEAR} viewer {{ id }} }}")
        assert answer == {"data": {"cost": {"estimated": 5_202, "limit": 5_000, "budgetRemaining": 6_000}}}
    assert statements == []


async def test_a_dry_run_may_be_asked_for_by_variable_by_alias_and_in_a_fragment(engine: AsyncEngine) -> None:
    query = """
    query Q($dry: Boolean!) { ...A ...A pipelines(first: 2) { nodes { id } } }
    fragment A on Query { ...B viewer { id } }
    fragment B on Query { price: cost(dryRun: $dry) { estimated } }"""
    client = Client(engine)

    assert await client.query(query, dry=True) == {"price": {"estimated": 1 + 1 + 3}}
    assert (await client.query(query, dry=False)).keys() == {"price", "viewer", "pipelines"}


async def test_a_dry_run_of_a_wrong_document_says_what_is_wrong(engine: AsyncEngine) -> None:
    assert await Client(engine).codes("{ cost(dryRun: true) { estimated } nothing }") == ["GRAPHQL_VALIDATION_FAILED"]


async def test_a_spent_budget_is_refused_until_the_minute_is_over_and_only_to_its_viewer(engine: AsyncEngine) -> None:
    budgets = Budgets(per_minute=25)
    client = Client(engine, budgets=budgets)

    assert [len((await client.query(PAGE))["pipelines"]["nodes"]) for _ in range(2)] == [0, 0]
    [error] = (await client.execute(PAGE))["errors"]
    assert {key: error["extensions"][key] for key in ("code", "estimated", "limit", "budgetRemaining")} == {
        "code": "RATE_LIMITED",
        "estimated": 11,
        "limit": 25,
        "budgetRemaining": 3,
    }
    assert await client.query("{ viewer { id } }") == {"viewer": {"id": "superadmin"}}
    assert "errors" not in await Client(engine, "operator", budgets=budgets).execute(PAGE)
    assert "errors" not in await Client(engine, provider="ACCRED", budgets=budgets).execute(PAGE)


async def test_introspection_and_the_price_itself_are_free(engine: AsyncEngine) -> None:
    client = Client(engine, budgets=Budgets(limit=1, per_minute=1))

    for _ in range(3):
        await client.query(get_introspection_query())
        assert (await client.query("{ cost { estimated budgetRemaining } }"))["cost"] == {"estimated": 0, "budgetRemaining": 1}


async def test_the_price_does_not_depend_on_who_asks_nor_on_what_there_is(engine: AsyncEngine) -> None:
    query = """
    { cost { estimated }
      pipelines(first: 10) { nodes { scope { unit { institutionalId } } jobs { nodes { errorDetail } } } } }"""
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)

    prices = [(await Client(engine, role).query(query))["cost"] for role in ("superadmin", "operator", "standard")]

    assert prices == [{"estimated": 1 + 10 * (1 + 1 + 1 + 1 + 20)}] * 3


async def test_a_subscription_has_its_price_too(engine: AsyncEngine) -> None:
    query = 'subscription { pipeline(by: { pipelineId: "01a1e3d5-0000-7000-8000-000000000000" }) { token } }'
    poor = context(engine, viewer("operator"), budgets=Budgets(limit=9))

    with pytest.raises(Exception, match="costs 10, and one may cost 9"):
        async with subscribed(poor, query) as results:
            await anext(results)


async def test_graphiql_s_operations_are_affordable(engine: AsyncEngine) -> None:
    client = Client(engine)
    for file in sorted(Path("gql_server/http/operations").glob("*.graphql")):
        answer = await client.execute(file.read_text())
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        assert "COST_LIMIT_EXCEEDED" not in codes


def test_a_price_of_something_that_is_not_there_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gql_server.graph.cost.sdl.WEIGHTS", {**WEIGHTS, "Pipeline.nothing": 3})

    with pytest.raises(LookupError, match=r"prices of Pipeline\.nothing"):
        create_schema()


async def test_the_api_publishes_its_version_and_limits(engine: AsyncEngine) -> None:
    query = """{ api { version schemaHash feedRetentionSeconds deprecations { coordinate }
      limits { maxPageSize maxDepth maxFields maxRootFields maxAliases maxTokens maxCost budgetPerMinute } } }"""

    api = (await Client(engine, budgets=Budgets(500, 1000)).query(query))["api"]

    assert len(api.pop("schemaHash")) == 64
    assert api == {
        "version": "0.1.0",
        "feedRetentionSeconds": 86_400,
        "deprecations": [],
        "limits": {
            "maxPageSize": 200,
            "maxDepth": 20,
            "maxFields": 2000,
            "maxRootFields": 20,
            "maxAliases": 100,
            "maxTokens": 2000,
            "maxCost": 500,
            "budgetPerMinute": 1000,
        },
    }
