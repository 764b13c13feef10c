"""Hidden things change nothing of what a viewer is told: by polling with their own tokens, and live."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.feed import session
from gql_server.feed.hub import Hub
from gql_server.feed.session import Session
from gql_server.policy import Viewer
from tests.databases import on_database
from tests.graphql import SCHEMA, context
from tests.policy.asking import Asker
from tests.policy.test_non_interference import NUMBERS, any_world
from tests.policy.worlds import PERSONAS, database, key, known_to, sees_pipeline

EVENT = """__typename
  ... on FeedSnapshot { pipelines { nodes { id status } pageInfo { hasNextPage } } }
  ... on PipelineEntered { position newerNodeId olderNodeId pipeline { id status message jobs { nodes { id state } } } }
  ... on PipelineChanged { changed changedJobs { id } pipeline { id status message jobs { nodes { id state } } } }
  ... on PipelineLeft { pipelineNodeId leaveReason }
  ... on FeedReset { resetReason }"""
PAGE = "query ($filter: PipelineFilter) { pipelines(first: 3, filter: $filter) { feedToken } }"
POLL = f"""query ($after: FeedToken!, $first: Int, $filter: PipelineFilter) {{
  changes(after: $after, first: $first, filter: $filter) {{ hasMore nextToken events {{ {EVENT} }} }} }}"""
LIVE = f"""subscription ($after: FeedToken, $filter: PipelineFilter) {{
  pipelines(after: $after, first: 3, filter: $filter, throttleMs: 0) {{ {EVENT} }} }}"""
FILTERS: list[Any] = [None, {"status": {"in": ["FAILED", "PARTIAL"]}}, {"isActive": True}, {"years": [2025]}]
TOUCH = """UPDATE data_ingestion_jobs SET status_message = :message, attempts = attempts + 1
WHERE pipeline_id = :key OR time_key = :key"""
TURN = "UPDATE pipelines SET status = :status WHERE id = :key"
STATUSES = ("RUNNING", "FAILED", "SUCCESS", "PARTIAL")


async def change(worlds: list[AsyncEngine], random: Random, number: int) -> None:
    """The same to a pipeline of every world that has it."""
    given = {"key": key(number), "message": f"message {random.random()}", "status": random.choice(STATUSES)}
    for world in worlds:
        async with world.begin() as connection:
            await connection.execute(text(TOUCH), {name: given[name] for name in ("key", "message")})
            await connection.execute(text(TURN), {name: given[name] for name in ("key", "status")})
            await connection.execute(text("NOTIFY gql_events"))


async def polled(asker: Asker, token: str, **variables: Any) -> tuple[str, list[Any]]:
    """The last token, and the pages up to it."""
    pages: list[Any] = []
    while not pages or pages[-1]["hasMore"]:
        page = (await asker.ask(POLL, after=token, **variables))["data"]["changes"]
        token = page.pop("nextToken")
        pages.append(page)
    return token, pages


async def caught_up(world: AsyncEngine, viewer: Viewer, hub: Hub, token: str, filter: Any) -> list[Any]:
    """Events for a client that comes again with that token."""
    reader = context(world, viewer, hub)
    reader.session = Session(session.Phase.CATCH_UP)
    results = await SCHEMA.subscribe(LIVE, variable_values={"after": token, "filter": filter}, context_value=reader)
    return [result.data async for result in results]


@asynccontextmanager
async def following(world: AsyncEngine, postgres: str) -> AsyncGenerator[Hub]:
    async with world.connect() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
    hub = Hub(connect_arguments(on_database(postgres, str(name)), "hub"), poll_seconds=0.05)
    task = asyncio.create_task(hub.run())
    try:
        async with asyncio.timeout(30):
            await hub.connected.wait()
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def lived(world: AsyncEngine, viewer: Viewer, hub: Hub, filter: Any, changed: asyncio.Event) -> Any:
    """The first that a client is told after a snapshot, once everything has changed."""
    results = await SCHEMA.subscribe(LIVE, variable_values={"filter": filter}, context_value=context(world, viewer, hub))
    snapshot = (await anext(results)).data
    changed.set()
    async with asyncio.timeout(30):
        event = (await anext(results)).data
    await results.aclose()
    return snapshot, event


async def compare(postgres: str, template: str, viewer: Viewer, random: Random) -> None:
    world = any_world(random)
    seen = [row["id"] for row in world.pipelines if sees_pipeline(viewer, row)]
    visible = [number for number in NUMBERS if key(number) in seen]
    filter = random.choice(FILTERS)
    async with database(postgres, template, world) as whole, database(postgres, template, known_to(viewer, world)) as known:
        worlds = [whole, known]
        askers = [Asker(each, viewer) for each in worlds]
        pages = [(await each.ask(PAGE, filter=filter))["data"]["pipelines"] for each in askers]
        first = [page["feedToken"] for page in pages]
        tokens = list(first)
        for _ in range(3):
            for number in random.choices(NUMBERS, k=6):
                await change(worlds, random, number)
            size = random.randint(1, 3)
            found = [await polled(asker, token, first=size, filter=filter) for asker, token in zip(askers, tokens, strict=True)]
            tokens = [token for token, _ in found]
            assert found[0][1] == found[1][1], f"{viewer} polling {json.dumps(filter)}"
        async with following(whole, postgres) as hub, following(known, postgres) as other:
            hubs = [hub, other]
            resumed = [
                await caught_up(each, viewer, hub, token, filter) for each, hub, token in zip(worlds, hubs, first, strict=True)
            ]
            assert resumed[0] == resumed[1], f"{viewer} resuming {json.dumps(filter)}"
            if visible:
                await live_in_both(worlds, hubs, viewer, random, visible)


async def live_in_both(worlds: list[AsyncEngine], hubs: list[Hub], viewer: Viewer, random: Random, visible: list[int]) -> None:
    """Much changes that is hidden, and then one pipeline that is not."""
    ready = [asyncio.Event() for _ in worlds]
    told = [
        asyncio.create_task(lived(world, viewer, hub, None, event))
        for world, hub, event in zip(worlds, hubs, ready, strict=True)
    ]
    async with asyncio.timeout(30):
        await asyncio.gather(*[event.wait() for event in ready])
    for number in [number for number in NUMBERS if number not in visible]:
        await change(worlds, random, number)
    await change(worlds, random, random.choice(visible))
    whole, known = await asyncio.gather(*told)
    assert whole == known, f"{viewer} live"


@settings(max_examples=6, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(persona=st.sampled_from(list(PERSONAS)), seed=st.integers(0, 2**32))
def test_what_a_viewer_may_not_see_changes_nothing_that_they_are_told(
    postgres: str, template: str, persona: str, seed: int
) -> None:
    asyncio.run(compare(postgres, template, PERSONAS[persona], Random(seed)))
