"""A live list: what enters, changes and leaves it, from exactly where a page was read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import EntityType, JobResult, JobState
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Position
from gql_server.graph.nodes import encode
from tests import build
from tests.graphql import Client, context, opened, sealed, subscribed, viewer

LIST = """subscription ($filter: PipelineFilter, $after: FeedToken, $snapshot: Boolean) {
  pipelines(filter: $filter, after: $after, snapshot: $snapshot, throttleMs: 0) {
    __typename token
    ... on FeedSnapshot { pipelines { nodes { kindRaw status } } }
    ... on PipelineEntered { position pipeline { kindRaw status } }
    ... on PipelineChanged { changed changedJobs { jobId } pipeline { kindRaw status } }
    ... on PipelineLeft { pipelineNodeId leaveReason }
    ... on FeedReset { resetReason }
  }
}"""
PAGE = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { kindRaw } feedToken } }"
POLL = """query ($after: FeedToken!, $filter: PipelineFilter, $first: Int) {
  changes(after: $after, filter: $filter, first: $first) { hasMore nextToken events {
    __typename token
    ... on PipelineEntered { pipeline { kindRaw } } ... on PipelineChanged { pipeline { kindRaw } }
    ... on PipelineLeft { pipelineNodeId } ... on FeedReset { resetReason }
  } }
}"""
FAILED = {"status": {"in": ["FAILED"]}}


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    task = asyncio.create_task(hub.run())
    async with asyncio.timeout(10):
        await hub.connected.wait()
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _next(results: AsyncIterator[Any]) -> dict[str, Any]:
    async with asyncio.timeout(5):
        result = await anext(results)
    assert result.errors is None
    return result.data["pipelines"]


def _said(event: dict[str, Any]) -> tuple[str, str]:
    """What sort of event, about which pipeline."""
    about = event["pipeline"]["kindRaw"] if "pipeline" in event else event.get("pipelineNodeId", "")
    return event["__typename"], about


async def _running(engine: AsyncEngine, kind: str, **values: Any) -> tuple[UUID, int]:
    async with engine.begin() as connection:
        key = await build.pipeline(connection, kind=kind, **values)
        job_id = await build.job(connection, key, state=JobState.RUNNING)
        await build.settle(connection, key)
    return key, job_id


async def _finish(engine: AsyncEngine, key: UUID, job_id: int, result: JobResult = JobResult.SUCCESS) -> None:
    async with engine.begin() as connection:
        await build.finish(connection, job_id, result)
        await build.settle(connection, key)
        await build.notify(connection)


async def test_a_list_begins_with_its_page_and_goes_on_from_it(engine: AsyncEngine, hub: Hub):
    key, job_id = await _running(engine, "old")

    async with subscribed(context(engine, viewer("operator"), hub), LIST) as results:
        snapshot = await _next(results)
        await _finish(engine, key, job_id)
        changed = await _next(results)
        await _running(engine, "new")
        async with engine.begin() as connection:
            await build.notify(connection)
        entered = await _next(results)

    assert snapshot["pipelines"]["nodes"] == [{"kindRaw": "old", "status": "RUNNING"}]
    assert (_said(changed), changed["pipeline"]["status"]) == (("PipelineChanged", "old"), "SUCCESS")
    assert [job["jobId"] for job in changed["changedJobs"]] == [job_id]
    assert (_said(entered), entered["position"]) == (("PipelineEntered", "new"), "HEAD")


async def test_a_pipeline_enters_and_leaves_a_filter_as_it_changes(engine: AsyncEngine, hub: Hub):
    key, job_id = await _running(engine, "one")
    async with engine.begin() as connection:
        await build.run(connection, JobResult.ERROR, kind="newer failure")
    reader = context(engine, viewer("operator"), hub)

    async with subscribed(reader, LIST, filter=FAILED, snapshot=False) as results:
        following = asyncio.ensure_future(_next(results))
        await asyncio.sleep(0.2)
        await _finish(engine, key, job_id, JobResult.ERROR)
        entered = await following
        async with engine.begin() as connection:
            await build.change(connection, job_id, result=JobResult.SUCCESS)
            await build.settle(connection, key)
            await build.notify(connection)
        left = await _next(results)

    assert (_said(entered), entered["position"]) == (("PipelineEntered", "one"), "ELSEWHERE")
    assert (_said(left), left["leaveReason"]) == (("PipelineLeft", encode("Pipeline", key)), "NO_LONGER_MATCHES")


async def test_a_page_goes_live_from_its_own_reading(engine: AsyncEngine, hub: Hub):
    await _running(engine, "before")
    page = (await Client(engine, "operator").query(PAGE))["pipelines"]
    await _running(engine, "between")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, after=page["feedToken"]) as results:
        entered = await _next(results)

    assert [node["kindRaw"] for node in page["nodes"]] == ["before"]
    assert _said(entered) == ("PipelineEntered", "between")


async def test_an_empty_page_goes_live_too(engine: AsyncEngine, hub: Hub):
    page = (await Client(engine, "operator").query(PAGE, filter=FAILED))["pipelines"]
    async with engine.begin() as connection:
        await build.run(connection, JobResult.ERROR, kind="failed")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, filter=FAILED, after=page["feedToken"]) as results:
        entered = await _next(results)

    assert page["nodes"] == []
    assert _said(entered) == ("PipelineEntered", "failed")


async def test_each_event_resumes_right_after_itself(engine: AsyncEngine, hub: Hub):
    page = (await Client(engine, "operator").query(PAGE))["pipelines"]
    reader = context(engine, viewer("operator"), hub)
    async with engine.begin() as connection:
        for number in range(5):
            await build.pipeline(connection, kind=f"kind {number}")

    seen, after = [], page["feedToken"]
    for _ in range(5):
        async with subscribed(reader, LIST, after=after) as results:
            event = await _next(results)
        seen.append(_said(event))
        after = event["token"]

    assert seen == [("PipelineEntered", f"kind {number}") for number in range(5)]


async def test_what_a_viewer_may_not_see_makes_no_event(engine: AsyncEngine, hub: Hub):
    own = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    key, job_id = await _running(engine, "own", **own)
    reader = context(engine, viewer("principal", "A"), hub)

    async with subscribed(reader, LIST) as results:
        snapshot = await _next(results)
        other, other_job = await _running(engine, "others")
        await _finish(engine, other, other_job)
        await _finish(engine, key, job_id)
        changed = await _next(results)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE pipelines SET unit_institutional_id = 'B' WHERE id = :id"), {"id": key})
            await build.change(connection, job_id, status_message="moved")
            await build.notify(connection)
        left = await _next(results)

    assert [node["kindRaw"] for node in snapshot["pipelines"]["nodes"]] == ["own"]
    assert _said(changed) == ("PipelineChanged", "own")
    assert (left["pipelineNodeId"], left["leaveReason"]) == (encode("Pipeline", key), "ACCESS_REVOKED")


async def test_a_token_whose_history_is_gone_resets_the_list(engine: AsyncEngine, hub: Hub):
    await _running(engine, "kept")
    token = sealed(Position("elsewhere.1", 1))

    async with subscribed(context(engine, viewer("operator"), hub), LIST, after=token) as results:
        reset, snapshot = await _next(results), await _next(results)

    assert (reset["__typename"], reset["resetReason"]) == ("FeedReset", "SERVER_RESTART")
    assert [node["kindRaw"] for node in snapshot["pipelines"]["nodes"]] == ["kept"]


async def test_polling_tells_the_same_in_slices(engine: AsyncEngine):
    client = Client(engine, "operator")
    after = (await client.query(PAGE))["pipelines"]["feedToken"]
    key, job_id = await _running(engine, "first")
    await _running(engine, "second")

    first = (await client.query(POLL, after=after, first=1))["changes"]
    second = (await client.query(POLL, after=first["nextToken"], first=1))["changes"]
    await _finish(engine, key, job_id)
    third = (await client.query(POLL, after=second["nextToken"]))["changes"]
    failed = (await client.query(POLL, after=second["nextToken"], filter=FAILED))["changes"]
    quiet = (await client.query(POLL, after=third["nextToken"]))["changes"]
    lost = (await client.query(POLL, after=sealed(Position("elsewhere.1", 1))))["changes"]

    assert (list(map(_said, first["events"])), first["hasMore"]) == ([("PipelineEntered", "first")], True)
    assert (list(map(_said, second["events"])), second["hasMore"]) == ([("PipelineEntered", "second")], False)
    assert list(map(_said, third["events"])) == [("PipelineChanged", "first")]
    assert list(map(_said, failed["events"])) == [("PipelineLeft", encode("Pipeline", key))]
    assert (quiet["events"], opened(quiet["nextToken"]), quiet["hasMore"]) == ([], opened(third["nextToken"]), False)
    assert [event["resetReason"] for event in lost["events"]] == ["SERVER_RESTART"]


async def test_a_snapshot_can_be_paged_through(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        for number in range(3):
            await build.pipeline(connection, kind=f"kind {number}")
    pages = """subscription { pipelines { ... on FeedSnapshot {
      whole: pipelines { nodes { kindRaw } }
      first: pipelines(first: 1) { nodes { kindRaw } pageInfo { endCursor hasNextPage } }
    } } }"""

    async with subscribed(context(engine, viewer("operator"), hub), pages) as results:
        shown = await _next(results)
    after = shown["first"]["pageInfo"]["endCursor"]
    rest = await Client(engine, "operator").query(
        "query ($after: String) { pipelines(after: $after) { nodes { kindRaw } } }", after=after
    )

    assert [node["kindRaw"] for node in shown["whole"]["nodes"]] == ["kind 2", "kind 1", "kind 0"]
    assert [node["kindRaw"] for node in shown["first"]["nodes"]] == ["kind 2"]
    assert shown["first"]["pageInfo"]["hasNextPage"] is True
    assert [node["kindRaw"] for node in rest["pipelines"]["nodes"]] == ["kind 1", "kind 0"]
