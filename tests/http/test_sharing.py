"""Clients of one live list come and go at any moment: what each is told is relative to what it holds."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from random import Random
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import JobResult, JobState
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Position
from gql_server.http.live import LiveOperations, Operation
from tests import build
from tests.graphql import Client, endpoint, opened, viewer

LIST = """subscription ($filter: PipelineFilter, $after: FeedToken) {
  pipelines(filter: $filter, after: $after, first: 100, throttleMs: 100) {
    __typename token
    ... on FeedSnapshot { pipelines { nodes { id message status } } }
    ... on PipelineEntered { position newerNodeId olderNodeId pipeline { id message status } }
    ... on PipelineChanged { pipeline { id message status } }
    ... on PipelineLeft { pipelineNodeId }
  }
}"""
PAGE = "query ($filter: PipelineFilter) { pipelines(filter: $filter, first: 100) { nodes { id message status } } }"


class Follower:
    """Keeps the list, and what of it was wrong."""

    def __init__(self, operations: LiveOperations, filter: Any, chance: Random) -> None:
        self._operations, self._filter, self._chance = operations, filter, chance
        self.stays = False
        self.rows: dict[str, Any] = {}
        self.token: str | None = None
        self.mistakes: list[Any] = []
        self.told: set[tuple[str, Position]] = set()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.stays else self._chance.uniform(0.1, 0.8)):
                    await self.follow()

    async def follow(self) -> None:
        variables = {"filter": self._filter, "after": self.token}
        async with aclosing(self._operations.frames(Operation(LIST, variables, None), viewer("operator"))) as frames:
            async for frame in frames:
                self._apply(json.loads(frame.payload)["data"]["pipelines"])

    def _apply(self, event: Any) -> None:
        self.token = event["token"]
        kind, row = event["__typename"], event.get("pipeline", {})
        id = row.get("id", event.get("pipelineNodeId"))
        if kind == "FeedSnapshot":
            self.rows = {node["id"]: node for node in event["pipelines"]["nodes"]}
        elif kind != "FeedHeartbeat":
            self._check(event, id)
            self.rows.pop(id, None)
            self.rows |= {id: row} if row else {}

    def _check(self, event: Any, id: str) -> None:
        where = (id, opened(event["token"]))
        if (id in self.rows) == (event["__typename"] == "PipelineEntered") or where in self.told:
            self.mistakes.append(event)
        self.told.add(where)
        if event["__typename"] == "PipelineEntered":
            order = sorted([*self.rows, id], key=b64decode)
            at = order.index(id)
            neighbours = [order[at + 1] if at + 1 < len(order) else None, order[at - 1] if at else None]
            if neighbours != [event["newerNodeId"], event["olderNodeId"]]:
                self.mistakes.append((event, neighbours))


@pytest.fixture
async def operations(engine: AsyncEngine, dsn: str) -> AsyncIterator[LiveOperations]:
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=0.1)
    task = asyncio.create_task(hub.run())
    async with asyncio.timeout(60):
        await hub.connected.wait()
    yield endpoint(engine, hub).live
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _live_a_while(engine: AsyncEngine, chance: Random) -> None:
    """Pipelines that run, fail, and are mended or not."""
    for turn in range(8):
        async with engine.begin() as connection:
            key = await build.pipeline(connection)
            job_id = await build.job(connection, key, state=JobState.RUNNING)
            await build.settle(connection, key)
        for result in (None, JobResult.ERROR, chance.choice([JobResult.SUCCESS, JobResult.ERROR])):
            async with engine.begin() as connection:
                values = {"state": JobState.FINISHED, "result": result} if result else {}
                await build.change(connection, job_id, status_message=f"{turn} {result}", **values)
                await build.settle(connection, key)
                await build.notify(connection)
            await asyncio.sleep(chance.uniform(0, 0.1))


@pytest.mark.parametrize("filter", [None, {"status": {"in": ["FAILED"]}}, {"isActive": True}], ids=["all", "failed", "active"])
async def test_what_a_client_is_told_is_relative_to_what_it_holds_whenever_it_comes(
    engine: AsyncEngine, operations: LiveOperations, filter: Any
):
    chance = Random(7)
    followers = [Follower(operations, filter, Random(number)) for number in range(6)]
    following = [asyncio.create_task(follower.run()) for follower in followers]
    await asyncio.gather(*[_live_a_while(engine, chance) for _ in range(3)])
    for follower in followers:
        follower.stays = True
    page = (await Client(engine, "operator").query(PAGE, filter=filter))["pipelines"]["nodes"]
    wanted = {row["id"]: row for row in page}
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            while any(follower.rows != wanted for follower in followers):
                await asyncio.sleep(0.05)
    for task in following:
        task.cancel()
    ends = await asyncio.gather(*following, return_exceptions=True)

    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
    assert [follower.mistakes for follower in followers] == [[]] * len(followers)
    assert [follower.rows for follower in followers] == [wanted] * len(followers)
