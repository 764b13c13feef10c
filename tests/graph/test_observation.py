"""Reads of an operation, told to an operator who asks how long each took."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult
from tests import build
from tests.graphql import Client

QUERY = "{ pipelines(first: 3) { nodes { jobs { nodes { jobId } } } } }"


async def extensions_of(engine: AsyncEngine, role: str, **asked: Any) -> dict[str, Any]:
    async with engine.begin() as connection:
        for _ in range(3):
            await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)
    response = await Client(engine, role).post(json={"query": QUERY, **asked})
    return response.json().get("extensions") or {}


async def test_an_operator_is_told_how_long_each_read_took(engine: AsyncEngine) -> None:
    trace = (await extensions_of(engine, "operator", extensions={"trace": True}))["trace"]

    assert [(read["query"], read["keys"]) for read in trace["reads"]] == [
        ("pipelines.queries.page", 1),
        ("jobs.list.page_by_pipeline", 3),
    ]
    page, jobs = trace["reads"]
    assert 0 <= page["startMs"] <= jobs["startMs"] <= trace["durationMs"]
    assert all(0 < read["durationMs"] <= trace["durationMs"] for read in trace["reads"])


@pytest.mark.parametrize(
    ("role", "asked"),
    [("operator", {}), ("operator", {"extensions": {"trace": 1}}), ("standard", {"extensions": {"trace": True}})],
)
async def test_nobody_else_is_told_and_no_operator_who_does_not_ask(
    engine: AsyncEngine, role: str, asked: dict[str, Any]
) -> None:
    assert "trace" not in await extensions_of(engine, role, **asked)
