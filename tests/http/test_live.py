"""Equal live operations are one execution, and whoever joins misses nothing."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import EntityType, JobState
from gql_server.feed import queries
from gql_server.feed.hub import Hub
from gql_server.graph.nodes import encode
from gql_server.http import live
from gql_server.http.live import LiveOperations, Operation
from gql_server.http.streams import BACKLOG_MAX, Follower, Frame, Interrupted, TooSlow
from gql_server.policy import Viewer
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import endpoint, sealed, viewer

FOLLOW = """subscription ($id: UUID!, $after: FeedToken) { pipeline(by: { pipelineId: $id }, after: $after, throttleMs: 0) {
  token ... on PipelineChanged { pipeline { status message jobs { nodes { state } } } }
} }"""
WHOLE = FOLLOW.replace("status message jobs { nodes { state } }", "status rootJob { worker { podId } }")
ENDED_WHOLE = {"status": "SUCCESS", "rootJob": {"worker": {"podId": "w1"}}}


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    task = asyncio.create_task(hub.run())
    async with asyncio.timeout(60):
        await hub.connected.wait()
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def operations(engine: AsyncEngine, hub: Hub) -> LiveOperations:
    return endpoint(engine, hub).live


class Watcher:
    """A client that follows one pipeline."""

    def __init__(
        self, operations: LiveOperations, key: UUID, who: Viewer, after: str | None = None, query: str = FOLLOW
    ) -> None:
        variables = {"id": str(key), **({"after": after} if after else {})}
        self._frames = operations.frames(Operation(query, variables, None), who)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            return json.loads((await anext(self._frames)).payload)["data"]["pipeline"]

    async def rest(self) -> list[str]:
        """Statuses until the end."""
        statuses = []
        async with asyncio.timeout(60):
            async for frame in self._frames:
                shown = json.loads(frame.payload)["data"]["pipeline"]
                statuses.append(shown["pipeline"]["status"])
        return statuses

    async def close(self) -> None:
        await self._frames.aclose()


async def _running(engine: AsyncEngine, **values: Any) -> tuple[UUID, int]:
    async with engine.begin() as connection:
        key = await build.pipeline(connection, **values)
        job_id = await build.job(connection, key, state=JobState.RUNNING)
        await build.settle(connection, key)
    return key, job_id


async def _notify(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await build.notify(connection)


async def _end(engine: AsyncEngine, *ends: tuple[UUID, int]) -> None:
    async with engine.begin() as connection:
        for key, job_id in ends:
            await build.finish(connection, job_id)
            await build.settle(connection, key)
        await build.notify(connection)


async def _read_by(hub: Hub, engine: AsyncEngine) -> None:
    """Return when the hub has read all events, so that it tells nobody of them later."""
    await _notify(engine)
    async with asyncio.timeout(60), engine.connect() as connection:
        newest = await connection.scalar(text("SELECT max(seq) FROM events"))
        while hub.sequence != newest:
            await asyncio.sleep(0.002)


async def test_a_change_costs_the_same_statements_for_one_and_for_many(
    engine: AsyncEngine, hub: Hub, operations: LiveOperations
):
    costs = []
    for count in (1, 40):
        key, job_id = await _running(engine)
        await _read_by(hub, engine)
        watchers = [Watcher(operations, key, viewer("operator")) for _ in range(count)]
        snapshots = await asyncio.gather(*[watcher.next() for watcher in watchers])
        streams = len(operations.streams)
        with statements(engine) as seen:
            await _end(engine, (key, job_id))
            ends = await asyncio.gather(*[watcher.rest() for watcher in watchers])
        costs.append(seen)
        assert {snapshot["pipeline"]["status"] for snapshot in snapshots} == {"RUNNING"}
        assert ends == [["SUCCESS"]] * count
        assert (streams, len(operations.streams)) == (1, 0)

    assert len(costs[0]) == len(costs[1]), costs


async def test_many_pipelines_that_change_at_once_are_read_together(engine: AsyncEngine, hub: Hub, operations: LiveOperations):
    costs = []
    for count in (2, 20):
        running = [await _running(engine) for _ in range(count)]
        await _read_by(hub, engine)
        watchers = [Watcher(operations, key, viewer("operator")) for key, _ in running]
        await asyncio.gather(*[watcher.next() for watcher in watchers])
        with statements(engine) as seen:
            await _end(engine, *running)
            assert await asyncio.gather(*[watcher.rest() for watcher in watchers]) == [["SUCCESS"]] * count
        costs.append(sum(statement.startswith(("SELECT", "WITH", "(SELECT")) for statement in seen) - 2 * count)

    assert costs[1] <= costs[0] + 1


async def test_whoever_joins_a_list_is_told_what_came_and_went_within_one_reading(
    engine: AsyncEngine, operations: LiveOperations
):
    query = """subscription { pipelines(filter: { status: { in: [RUNNING] } }, throttleMs: 1000) { __typename
      ... on FeedSnapshot { pipelines { nodes { id } } } ... on PipelineEntered { pipeline { id } }
      ... on PipelineLeft { pipelineNodeId } } }"""
    first, second = [operations.frames(Operation(query, {}, None), viewer("operator")) for _ in range(2)]

    async def told(frames: Any) -> Any:
        async with asyncio.timeout(60):
            return json.loads((await anext(frames)).payload)["data"]["pipelines"]

    assert (await told(first))["pipelines"]["nodes"] == []
    stays, _ = await _running(engine)
    await _notify(engine)
    assert (await told(first))["pipeline"]["id"] == encode("Pipeline", stays)
    goes, job_id = await _running(engine)
    assert [node["id"] for node in (await told(second))["pipelines"]["nodes"]] == [
        encode("Pipeline", goes),
        encode("Pipeline", stays),
    ]
    await _end(engine, (goes, job_id))

    assert await told(second) == {"__typename": "PipelineLeft", "pipelineNodeId": encode("Pipeline", goes)}
    await first.aclose()
    await second.aclose()


async def test_viewers_of_another_scope_do_not_share(engine: AsyncEngine, operations: LiveOperations):
    key, job_id = await _running(engine, unit_institutional_id="A", entity_type=EntityType.MODULE_UNIT_SPECIFIC)
    operator, principal = [Watcher(operations, key, who) for who in (viewer("operator"), viewer("principal", "A"))]
    stranger = Watcher(operations, key, viewer("principal", "B"))

    await operator.next()
    await principal.next()
    assert len(operations.streams) == 2
    assert await stranger.rest() == []
    await _end(engine, (key, job_id))
    assert [await operator.rest(), await principal.rest()] == [["SUCCESS"], ["SUCCESS"]]


async def test_a_herd_that_resumes_from_one_place_is_caught_up_together(engine: AsyncEngine, operations: LiveOperations):
    key, job_id = await _running(engine)
    async with engine.connect() as connection:
        after = sealed(await queries.now(connection))
    async with engine.begin() as connection:
        await build.change(connection, job_id, status_message="half of it")
    with statements(engine) as seen:
        watchers = [Watcher(operations, key, viewer("operator"), after) for _ in range(200)]
        missed = await asyncio.gather(*[watcher.next() for watcher in watchers])
        reads = len(seen)
    await _end(engine, (key, job_id))
    await asyncio.gather(*[watcher.rest() for watcher in watchers])

    assert {each["pipeline"]["message"] for each in missed} == {"half of it"}
    assert reads < 20


async def test_whoever_comes_at_any_moment_ends_with_the_last_state(engine: AsyncEngine, operations: LiveOperations):
    key, job_id = await _running(engine)
    chance = random.Random(7)

    async def come_and_stay() -> str:
        await asyncio.sleep(chance.uniform(0, 0.4))
        watcher = Watcher(operations, key, viewer("operator"))
        last = ""
        async with asyncio.timeout(60):
            async for frame in watcher._frames:
                last = json.loads(frame.payload)["data"]["pipeline"]["pipeline"]["message"]
        return last

    watching = [asyncio.create_task(come_and_stay()) for _ in range(60)]
    for number in range(40):
        async with engine.begin() as connection:
            await build.change(connection, job_id, status_message=f"row {number}")
            await build.notify(connection)
        await asyncio.sleep(0.005)
    async with engine.begin() as connection:
        await build.finish(connection, job_id, status_message="all of it")
        await build.settle(connection, key)
        await build.notify(connection)

    assert set(await asyncio.gather(*watching)) == {"all of it"}
    assert len(operations.streams) == 0


async def test_an_operation_may_insist_on_where_it_comes_from(engine: AsyncEngine, operations: LiveOperations):
    key, job_id = await _running(engine)
    insisting = FOLLOW.replace("$after: FeedToken", "$after: FeedToken!")
    async with engine.connect() as connection:
        after = sealed(await queries.now(connection))
    async with engine.begin() as connection:
        await build.change(connection, job_id, status_message="half of it")
    frames = operations.frames(Operation(insisting, {"id": str(key), "after": after}, None), viewer("operator"))
    async with asyncio.timeout(60):
        shown = [json.loads((await anext(frames)).payload)]
        await _end(engine, (key, job_id))
        shown += [json.loads(frame.payload) async for frame in frames]

    with pytest.raises(live.OperationRefused):
        await anext(operations.frames(Operation(insisting, {"id": str(key)}, None), viewer("operator")))
    assert [each["data"]["pipeline"]["pipeline"]["status"] for each in shown] == ["RUNNING", "SUCCESS"]


async def test_a_client_that_takes_nothing_in_is_let_go(engine: AsyncEngine):
    follower = Follower()
    for number in range(BACKLOG_MAX + 1):
        follower.put(Frame(None, str(number)))

    with pytest.raises(TooSlow):
        async with aclosing(follower.frames()) as frames:
            await anext(frames)


async def test_an_operation_that_is_refused_says_why(engine: AsyncEngine, operations: LiveOperations):
    frames = operations.frames(Operation("subscription { nonsense }", {}, None), viewer("operator"))

    with pytest.raises(live.OperationRefused) as refused:
        await anext(frames)
    assert [(error.extensions or {})["code"] for error in refused.value.errors] == ["GRAPHQL_VALIDATION_FAILED"]
    assert len(operations.streams) == 0


async def _end_unseen(engine: AsyncEngine, key: UUID, job_id: int) -> None:
    async with engine.begin() as connection:
        await build.worker(connection, "w1")
        await build.finish(connection, job_id, locked_by="w1")
        await build.settle(connection, key)


async def test_what_cannot_be_read_for_a_moment_is_told_whole_when_it_can(engine: AsyncEngine, operations: LiveOperations):
    key, job_id = await _running(engine)
    watcher = Watcher(operations, key, viewer("operator"), query=WHOLE)
    await watcher.next()
    await _end_unseen(engine, key, job_id)

    with structlog.testing.capture_logs() as logs:
        async with build.unreadable(engine, "pods"):
            telling = asyncio.create_task(watcher.next())
            await _notify(engine)
            async with asyncio.timeout(60):
                while not any(entry["event"] == "feed.read_retried" for entry in logs) and not telling.done():
                    await asyncio.sleep(0.01)
    told = await telling

    assert told["pipeline"] == ENDED_WHOLE


async def test_what_cannot_be_read_for_long_is_not_told_by_half(
    engine: AsyncEngine, operations: LiveOperations, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.reads.loaders.RETRY_FOR_SECONDS", 0)
    key, job_id = await _running(engine)
    watcher = Watcher(operations, key, viewer("operator"), query=WHOLE)
    last = await watcher.next()
    await _end_unseen(engine, key, job_id)

    async with build.unreadable(engine, "pods"):
        await _notify(engine)
        with pytest.raises(Interrupted):
            await watcher.next()
    again = await Watcher(operations, key, viewer("operator"), after=last["token"], query=WHOLE).next()

    assert again["pipeline"] == ENDED_WHOLE
