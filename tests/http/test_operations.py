"""The operations of the default tabs answer what they are for."""

import re
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.year_configuration import default_config
from gql_server.db.models import JobResult, JobState, RowError
from gql_server.http.graphiql import Tab
from gql_server.http.tabs import operator_tabs
from tests import build
from tests.graphql import Client


async def ledger(engine: AsyncEngine) -> int:
    """A year with a pipeline that runs, one that failed and one that left rows out; the job of the last is returned."""
    async with engine.begin() as connection:
        await build.year(connection, 2025, config=default_config())
        await build.run(connection, JobResult.SUCCESS, JobState.RUNNING, module_type_id=8)
        await build.run(connection, JobResult.ERROR, module_type_id=4)
        pipeline_id = await build.pipeline(connection, module_type_id=1)
        job_id = await build.job(connection, pipeline_id, result=JobResult.WARNING, meta={"row_errors_count": 3, "error": "x"})
        await build.settle(connection, pipeline_id)
        errors = [{"job_id": job_id, "row": row, "column": "fte", "reason": "fte is blank"} for row in (2, 5, 9)]
        await connection.execute(insert(RowError), errors)
    return job_id


def name_of(tab: Tab) -> str:
    return re.findall(r"(?:query|mutation|subscription) (\w+)", tab.query)[0]


async def answer(engine: AsyncEngine, name: str, role: str = "superadmin") -> dict[str, Any]:
    [tab] = [tab for tab in operator_tabs(ingest_id=await ledger(engine)) if name_of(tab) == name]
    return await Client(engine, role).query(tab.query, **tab.variables)


@pytest.mark.parametrize("name", [name_of(tab) for tab in operator_tabs() if "subscription" not in tab.query])
async def test_every_query_answers_an_operator_without_errors(engine: AsyncEngine, name: str):
    assert all(value is not None for value in (await answer(engine, name, "operator")).values())


async def test_the_board_of_a_year_says_what_blocks_it_and_what_runs(engine: AsyncEngine):
    year = (await answer(engine, "YearBoard"))["yearConfiguration"]

    assert (year["readiness"]["ready"], year["readiness"]["blockers"][0]["code"]) == (False, "MISSING_FACTOR")
    running = [module["module"]["key"] for module in year["modules"] if module["currentPipeline"]]
    assert running == ["process_emissions"]
    assert year["viewerCan"]["open"] == {"allowed": True, "code": None, "message": None}


async def test_rejected_rows_are_told_by_reason(engine: AsyncEngine):
    job = (await answer(engine, "RowErrors"))["job"]

    assert job["rowErrors"]["groups"] == [{"reason": "fte is blank", "count": 3, "sampleRow": 2}]
    assert [omitted["key"] for omitted in job["meta"]["omitted"]] == ["error", "row_errors_count"]


async def test_the_fleet_without_a_worker_is_in_danger(engine: AsyncEngine):
    health = (await answer(engine, "Fleet"))["health"]

    assert (health["tone"], health["liveWorkers"]) == ("DANGER", 0)


async def test_a_price_executes_nothing_else(engine: AsyncEngine):
    found = await answer(engine, "PriceFirst")

    assert found["cost"]["estimated"] > 100
    assert found.keys() == {"cost"}
