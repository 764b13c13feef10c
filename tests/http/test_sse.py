"""graphql-sse: one operation as an event stream, resumed by the id of its last event."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import JobState
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Position
from gql_server.http.endpoint import GraphQLEndpoint
from tests import build
from tests.graphql import AUTHORITY, endpoint, opened, sealed, subscriber_count

FOLLOW = """subscription ($id: UUID!) { pipeline(by: { pipelineId: $id }, throttleMs: 0) {
  token ... on PipelineChanged { pipeline { status message } }
} }"""

WHOLE = """subscription ($id: UUID!) { pipeline(by: { pipelineId: $id }, throttleMs: 0) {
  token ... on PipelineChanged { pipeline { status rootJob { worker { podId } } } }
} }"""
ENDED_WHOLE = {"status": "SUCCESS", "rootJob": {"worker": {"podId": "w1"}}}


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    hub = Hub(connect_arguments(dsn, "hub"))
    task = asyncio.create_task(hub.run())
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def graphql(engine: AsyncEngine, hub: Hub) -> GraphQLEndpoint:
    return endpoint(engine, hub)


@pytest.fixture
async def url(graphql: GraphQLEndpoint) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(graphql, port=0, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/graphql"
    server.should_exit = True
    await task


class Events:
    """The events of a stream, each a dictionary of its fields."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str] | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(60):
            async for line in self._lines:
                if line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    fields[name] = value.strip()
                elif fields:
                    return fields
        return None

    async def payload(self) -> Any:
        event = await self.next()
        assert event is not None
        return json.loads(event["data"])


@asynccontextmanager
async def streamed(url: str, query: str, headers: dict[str, str] | None = None, **variables: Any) -> AsyncGenerator[Events]:
    sent = {"Accept": "text/event-stream", "Authorization": f"Bearer {AUTHORITY.mint('operator')}", **(headers or {})}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("POST", url, json={"query": query, "variables": variables}, headers=sent) as response,
    ):
        yield Events(response)


async def _running(engine: AsyncEngine) -> tuple[UUID, int]:
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
    return pipeline_id, job_id


async def _end(engine: AsyncEngine, pipeline_id: UUID, job_id: int) -> None:
    async with engine.begin() as connection:
        await build.finish(connection, job_id)
        await build.settle(connection, pipeline_id)
        await build.notify(connection)


async def test_a_pipeline_is_followed_to_its_end(url: str, engine: AsyncEngine):
    pipeline_id, job_id = await _running(engine)

    async with streamed(url, FOLLOW, id=str(pipeline_id)) as events:
        snapshot = await events.next()
        await _end(engine, pipeline_id, job_id)
        end, complete, eof = await events.next(), await events.next(), await events.next()

    assert snapshot is not None
    assert end is not None
    assert events.response.headers["content-type"].startswith("text/event-stream")
    assert snapshot["event"] == "next"
    shown = json.loads(snapshot["data"])["data"]["pipeline"]
    assert (snapshot["id"], shown["pipeline"]["status"]) == (shown["token"], "RUNNING")
    assert opened(end["id"]) > opened(snapshot["id"])
    assert json.loads(end["data"])["data"]["pipeline"]["pipeline"]["status"] == "SUCCESS"
    assert (complete, eof) == ({"event": "complete", "data": ""}, None)


async def test_the_id_of_the_last_event_resumes_a_stream(url: str, engine: AsyncEngine):
    pipeline_id, job_id = await _running(engine)
    async with streamed(url, FOLLOW, id=str(pipeline_id)) as events:
        seen = await events.next()
    assert seen is not None
    async with engine.begin() as connection:
        await build.change(connection, job_id, status_message="meanwhile")

    async with streamed(url, FOLLOW, {"Last-Event-ID": seen["id"]}, id=str(pipeline_id)) as events:
        missed = await events.payload()
    async with streamed(url, FOLLOW, {"Last-Event-ID": missed["data"]["pipeline"]["token"]}, id=str(pipeline_id)) as events:
        await _end(engine, pipeline_id, job_id)
        end = await events.payload()

    assert missed["data"]["pipeline"]["pipeline"]["message"] == "meanwhile"
    assert end["data"]["pipeline"]["pipeline"]["status"] == "SUCCESS"


async def test_nothing_is_resumed_from_a_reset_before_its_snapshot_has_come(url: str, engine: AsyncEngine):
    pipeline_id, _ = await _running(engine)
    lost = {"Last-Event-ID": sealed(Position("elsewhere.1", 1))}

    async with streamed(url, FOLLOW, lost, id=str(pipeline_id)) as events:
        reset, snapshot = await events.next(), await events.next()

    assert reset is not None
    assert snapshot is not None
    assert "id" not in reset
    assert snapshot["id"] == json.loads(snapshot["data"])["data"]["pipeline"]["token"]


async def test_queries_and_refusals_come_as_one_event(url: str):
    async with streamed(url, "{ viewer { id } }") as events:
        answer, complete = await events.payload(), await events.next()
    async with streamed(url, "subscription { nonsense }") as events:
        refused, refused_complete = await events.payload(), await events.next()
    async with streamed(url, FOLLOW, {"Last-Event-ID": "nonsense"}, id="0190a000-0000-7000-8000-000000000000") as events:
        lost = await events.payload()

    assert answer["data"] == {"viewer": {"id": "operator"}}
    assert complete == refused_complete == {"event": "complete", "data": ""}
    assert refused["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert lost["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_client_that_also_takes_json_gets_one_answer_as_json(url: str):
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {AUTHORITY.mint('operator')}"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, json={"query": "{ __typename }"}, headers=headers)

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_a_stream_ends_with_its_token(url: str, engine: AsyncEngine):
    pipeline_id, _ = await _running(engine)
    short = {"Authorization": f"Bearer {AUTHORITY.mint('operator', lifetime=timedelta(seconds=3))}"}

    async with streamed(url, FOLLOW, short, id=str(pipeline_id)) as events:
        await events.next()
        expired = await events.payload()

    assert expired["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_server_that_stops_ends_streams_resumably_and_takes_no_new_ones(
    graphql: GraphQLEndpoint, url: str, engine: AsyncEngine, hub: Hub
):
    pipeline_id, _ = await _running(engine)
    async with streamed(url, FOLLOW, id=str(pipeline_id)) as events:
        await events.next()
        await graphql.drain()
        end = await events.next()
    async with streamed(url, FOLLOW, id=str(pipeline_id)) as late:
        status = late.response.status_code

    assert end is None
    assert status == 503
    assert subscriber_count(hub) == 0


async def test_a_stream_from_which_something_would_be_missing_ends_so_that_it_can_be_resumed(
    url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.reads.loaders.RETRY_FOR_SECONDS", 0)
    pipeline_id, job_id = await _running(engine)
    async with streamed(url, WHOLE, id=str(pipeline_id)) as events:
        last = await events.next()
        async with engine.begin() as connection:
            await build.worker(connection, "w1")
            await build.finish(connection, job_id, locked_by="w1")
            await build.settle(connection, pipeline_id)
        async with build.unreadable(engine, "pods"):
            async with engine.begin() as connection:
                await build.notify(connection)
            end = await events.next()

    assert last is not None
    async with streamed(url, WHOLE, {"Last-Event-ID": last["id"]}, id=str(pipeline_id)) as events:
        told = (await events.payload())["data"]["pipeline"]["pipeline"]
    assert (end, told) == (None, ENDED_WHOLE)


async def test_a_quiet_stream_shows_that_it_is_alive(url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gql_server.http.sse.KEEP_ALIVE_SECONDS", 0.05)
    pipeline_id, _ = await _running(engine)

    async with streamed(url, FOLLOW, id=str(pipeline_id)) as events:
        await events.next()
        line = None
        async with asyncio.timeout(60):
            async for line in events._lines:
                if line:
                    break

    assert line == ":"


async def test_without_a_token_nothing_is_streamed(url: str):
    async with streamed(url, FOLLOW, {"Authorization": ""}, id="0190a000-0000-7000-8000-000000000000") as events:
        assert events.response.status_code == 401
