"""The advice of a diagnosis beside what the server would do: it names no retry that is refused, and hardly ever says OTHER."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.generate.load import generate
from tests import build
from tests.commands.test_retry import YEAR_ROWS
from tests.graphql import Client
from tests.handlers.conftest import PROCESS_FACTORS, World, world

assert world
UNTIL = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUERY = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  isResolved diagnosis { code remedy action blockedBy { pipelineId } } viewerCan { retry { allowed } }
} }"""
FAILED = """query ($after: String) { pipelines(first: 100, after: $after, filter: { status: { in: [FAILED, PARTIAL] } }) {
  nodes { isResolved viewerCan { retry { allowed } retryReplacingNewer { allowed } }
    diagnosis { code severity action remedy job { failure { class } } } }
  pageInfo { hasNextPage endCursor }
} }"""
STARTS = {"RETRY_PIPELINE", "REPLACE_NEWER"}


async def advice(world: World, pipeline_id: UUID) -> dict[str, Any]:
    answer = await Client(world.engine, "operator", provider="ACCRED").query(QUERY, id=str(pipeline_id))
    return answer["pipeline"]


async def test_advice_follows_what_came_after_the_failure(world: World) -> None:
    rows = YEAR_ROWS + "10208,CO2,,100,\n"
    old = await world.upload("process_emissions", rows)
    await world.factors("process_emissions", PROCESS_FACTORS)

    alone = await advice(world, old)
    new = await world.submit("process_emissions", YEAR_ROWS + "10209,CO2,,10,\n")
    superseded = await advice(world, old)
    await world.drain()
    resolved = await advice(world, old)

    assert (alone["viewerCan"], superseded["viewerCan"]) == ({"retry": {"allowed": True}}, {"retry": {"allowed": False}})
    assert alone["diagnosis"] == [
        {
            "code": "MISSING_FACTOR",
            "remedy": "They have come since. Retry the pipeline.",
            "action": "RETRY_PIPELINE",
            "blockedBy": None,
        }
    ]
    [reason] = superseded["diagnosis"]
    assert (reason["action"], reason["blockedBy"]) == ("REPLACE_NEWER", {"pipelineId": str(new)})
    [reason] = resolved["diagnosis"]
    assert (resolved["isResolved"], reason["action"]) == (True, None)
    assert reason["remedy"] == (
        "Nothing is left to do here: a later run of the same has succeeded, and says itself if it left something out."
    )


async def test_a_pipeline_that_goes_on_after_its_root_says_what_it_is_at(engine: AsyncEngine) -> None:
    query = "query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { status message } }"
    recalculation = {"job_type": JobType.EMISSION_RECALC}
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS, status_message="Success")
        waits = await build.job(connection, pipeline_id, status_message="Job created", **recalculation)
        running = {"state": JobState.RUNNING, "status_message": "Recalculating emissions..."}
        works = await build.job(connection, pipeline_id, data_entry_type_id=11, **running, **recalculation)
        await build.settle(connection, pipeline_id)

    shown = await Client(engine, "operator").query(query, id=str(pipeline_id))
    async with engine.begin() as connection:
        await build.finish(connection, works, status_message="Success")
    later = await Client(engine, "operator").query(query, id=str(pipeline_id))

    assert waits < works
    assert shown["pipeline"] == {"status": "RUNNING", "message": "Recalculating emissions..."}
    assert later["pipeline"] == {"status": "RUNNING", "message": "Job created"}


async def failed_pipelines(engine: AsyncEngine) -> list[dict[str, Any]]:
    client, found, after = Client(engine, "operator", provider="ACCRED"), list[dict[str, Any]](), None
    while True:
        page = (await client.query(FAILED, after=after))["pipelines"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_of_a_generated_ledger_hardly_a_failure_is_other_and_no_refused_retry_is_advised(engine: AsyncEngine) -> None:
    await generate(engine, pipelines=600, seed=11, provider="ACCRED", until=UNTIL)

    failed = await failed_pipelines(engine)

    first = Counter(each["diagnosis"][0]["code"] for each in failed)
    assert len(failed) > 60
    assert first["OTHER"] + first["UNEXPECTED_ERROR"] <= 0.05 * len(failed)
    for each in failed:
        actions = {reason["action"] for reason in each["diagnosis"]}
        assert "RETRY_PIPELINE" not in actions or each["viewerCan"]["retry"]["allowed"]
        assert "REPLACE_NEWER" not in actions or each["viewerCan"]["retryReplacingNewer"]["allowed"]
        assert not each["isResolved"] or not actions & STARTS
        assert not each["isResolved"] or not any("etry the" in (reason["remedy"] or "") for reason in each["diagnosis"])
