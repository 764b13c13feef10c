"""Two uploads whose recalculation was merged into one job, as clients of each see it."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db.models import EntityType, JobResult, JobState, JobType
from gql_server.feed.hub import Hub
from gql_server.graph.nodes import encode
from gql_server.ledger import reconcile
from tests import build
from tests.graph.feed.test_subscription import FOLLOW, hub
from tests.graphql import Client, context, subscribed, viewer

__all__ = ["hub"]

PIPELINE = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  status jobCount errorCount lastError isResolved resolvedBy { pipelineId }
  progress { phase finishedJobs expectedJobs fraction }
  rootJob { jobId } jobs { nodes { jobId } }
  diagnosis { code job { jobId } } viewerCan { abort { allowed message } }
} }"""


async def two_uploads(connection: AsyncConnection, **values: Any) -> tuple[UUID, UUID, int]:
    """The recalculation of the second was merged into that of the first, which waits."""
    first, second = [await build.pipeline(connection, **values) for _ in range(2)]
    await build.job(connection, first, result=JobResult.SUCCESS, status_message="Success")
    kind = {"job_type": JobType.EMISSION_RECALC, "data_entry_type_id": 10}
    shared = await build.job(connection, first, serves=[second], **kind)
    await build.job(connection, second, result=JobResult.SUCCESS, status_message="Success")
    await reconcile.recompute(connection, [first, second])
    return first, second, shared


async def test_an_upload_whose_work_another_does_is_as_far_as_that_and_fails_with_it(engine: AsyncEngine):
    async with engine.begin() as connection:
        first, second, shared = await two_uploads(connection)
    client = Client(engine, "operator")

    waiting = (await client.query(PIPELINE, id=str(second)))["pipeline"]
    async with engine.begin() as connection:
        await build.finish(connection, shared, JobResult.ERROR, status_message="deadlock detected")
        await reconcile.recompute(connection, [first, second])
    ended = (await client.query(PIPELINE, id=str(second)))["pipeline"]
    other = (await client.query(PIPELINE, id=str(first)))["pipeline"]

    root = waiting["rootJob"]["jobId"]
    assert shared < root
    assert (waiting["status"], waiting["jobCount"], waiting["errorCount"]) == ("RUNNING", 2, 0)
    assert waiting["progress"] == {"phase": "EMISSIONS", "finishedJobs": 1, "expectedJobs": 3, "fraction": 1 / 3}
    assert [job["jobId"] for job in waiting["jobs"]["nodes"]] == [shared, root]
    assert waiting["viewerCan"]["abort"] == {
        "allowed": False,
        "message": "What is left of it is done by another pipeline: stop that.",
    }
    assert (ended["status"], ended["errorCount"], ended["lastError"]) == ("PARTIAL", 1, "deadlock detected")
    assert {"jobId": shared} in [reason["job"] for reason in ended["diagnosis"]]
    assert "STATUS_OUT_OF_DATE" not in [reason["code"] for reason in ended["diagnosis"]]
    assert [(each["status"], each["isResolved"], each["resolvedBy"]) for each in (other, ended)] == [
        ("PARTIAL", False, None)
    ] * 2


GRAPH = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  graph { nodes { jobId kind } edges { from to } sharedJobs omittedJobs }
} }"""


async def test_the_graph_of_an_upload_shows_the_work_that_another_does_and_says_that_it_is_shared(engine: AsyncEngine):
    async with engine.begin() as connection:
        first, second, shared = await two_uploads(connection)

    own = (await Client(engine, "operator").query(GRAPH, id=str(first)))["pipeline"]["graph"]
    other = (await Client(engine, "operator").query(GRAPH, id=str(second)))["pipeline"]["graph"]

    root, merged = [encode("Job", node["jobId"]) for node in other["nodes"]]
    assert [node["kind"] for node in other["nodes"]] == ["CSV_INGEST", "EMISSION_RECALC"]
    assert (other["edges"], other["sharedJobs"], other["omittedJobs"]) == ([{"from": root, "to": merged}], [merged], 0)
    assert (merged, own["sharedJobs"]) == (encode("Job", shared), [])


async def test_the_graph_of_an_upload_hides_the_work_of_one_that_may_not_be_seen(engine: AsyncEngine):
    async with engine.begin() as connection:
        of_units = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        _, second, _ = await two_uploads(connection, unit_institutional_id="A", **of_units)
        await connection.execute(text("UPDATE pipelines SET unit_institutional_id = 'B' WHERE id = :id"), {"id": second})

    graph = (await Client(engine, "principal", unit="B").query(GRAPH, id=str(second)))["pipeline"]["graph"]

    assert ([node["kind"] for node in graph["nodes"]], graph["edges"], graph["sharedJobs"]) == (["CSV_INGEST"], [], [])


async def test_neither_of_two_uploads_is_resolved_by_the_other_when_their_shared_work_failed(engine: AsyncEngine):
    async with engine.begin() as connection:
        first, second, shared = await two_uploads(connection)
        await build.finish(connection, shared, JobResult.ERROR, status_message="deadlock detected")
        await reconcile.recompute(connection, [first, second])

    found = await Client(engine, "operator").query("{ pipelines(filter: { unresolved: true }) { nodes { pipelineId } } }")

    assert found["pipelines"]["nodes"] == [{"pipelineId": str(second)}, {"pipelineId": str(first)}]


async def test_whoever_sees_one_upload_only_sees_it_wait_for_the_work_of_the_hidden_one(engine: AsyncEngine):
    async with engine.begin() as connection:
        of_units = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        first, second, shared = await two_uploads(connection, unit_institutional_id="A", **of_units)
        await connection.execute(text("UPDATE pipelines SET unit_institutional_id = 'B' WHERE id = :id"), {"id": second})
    query = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
      status progress { finishedJobs expectedJobs } jobs { nodes { jobId } } } }"""
    client = Client(engine, "principal", unit="B")

    found = (await client.query(query, id=str(second)))["pipeline"]

    assert (found["status"], found["progress"]) == ("RUNNING", {"finishedJobs": 1, "expectedJobs": 3})
    assert [job["jobId"] for job in found["jobs"]["nodes"]] == [shared + 1]
    assert (await client.query(query, id=str(first)))["pipeline"] is None


async def test_a_live_viewer_of_the_second_upload_sees_the_shared_job_move(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        first, second, shared = await two_uploads(connection)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(second), throttle=0) as results:
        seen = [await _next(results)]
        async with engine.begin() as connection:
            await build.change(connection, shared, state=JobState.RUNNING)
            await build.notify(connection)
        seen.append(await _next(results))
        async with engine.begin() as connection:
            await build.finish(connection, shared, JobResult.ERROR, status_message="deadlock detected")
            await reconcile.recompute(connection, [first, second])
            await build.notify(connection)
        seen.append(await _next(results))

    assert [event["pipeline"]["status"] for event in seen] == ["RUNNING", "RUNNING", "PARTIAL"]
    assert [event["changedJobs"] for event in seen] == [
        [],
        [{"jobId": shared, "state": "RUNNING", "result": None}],
        [{"jobId": shared, "state": "FINISHED", "result": "ERROR"}],
    ]


async def _next(results: Any) -> Any:
    async with asyncio.timeout(20):
        result = await anext(results)
    assert result.errors is None
    return result.data["pipeline"]


async def test_an_upload_is_stuck_when_the_work_that_another_does_for_it_is(engine: AsyncEngine):
    async with engine.begin() as connection:
        first, second, shared = await two_uploads(connection)
        await build.change(connection, shared, state=JobState.RUNNING)
        await build.run(connection, JobResult.SUCCESS, JobState.NOT_STARTED)
    query = "query ($stuck: Boolean) { pipelines(filter: { isStuck: $stuck }) { nodes { pipelineId } totalCount { value } } }"

    stuck = (await Client(engine, "operator").query(query, stuck=True))["pipelines"]
    others = (await Client(engine, "operator").query(query, stuck=False))["pipelines"]

    assert stuck == {"nodes": [{"pipelineId": str(second)}, {"pipelineId": str(first)}], "totalCount": {"value": 2}}
    assert others["totalCount"] == {"value": 1}
