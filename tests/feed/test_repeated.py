"""Retries, as who follows what they repeat is told of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from gql_server.commands.retry import retry_pipeline
from gql_server.db.models import Provider
from gql_server.feed.hub import Hub
from gql_server.graph.nodes import encode
from gql_server.worker import registry
from tests import build
from tests.feed.test_live_list import hub
from tests.graphql import context, subscribed, viewer
from tests.handlers.conftest import OPERATOR, PROCESS_FACTORS, World, world

assert hub
assert world
FOLLOW = """subscription ($id: ID!) { pipelines(filter: { ids: [$id] }, throttleMs: 0) {
  ... on PipelineChanged { pipeline { viewerCan { retry { allowed code } } } }
} }"""
CSV = "category,subcategory,quantity,note\nCO2,,{},\n"
AGAIN = {"allowed": True, "code": None}
NOT_NOW = {"allowed": False, "code": "WRONG_STATE"}


async def _retry(world: World, pipeline: UUID) -> None:
    async with world.engine.begin() as connection:
        await retry_pipeline(connection, registry, OPERATOR, pipeline)


async def _can(results: AsyncIterator[Any], world: World) -> dict[str, Any] | None:
    """The capability that the next event shows; None of the list's first."""
    async with world.engine.begin() as connection:
        await build.notify(connection)
    async with asyncio.timeout(60):
        result = await anext(results)
    assert result.errors is None
    event = result.data["pipelines"]
    return event and event["pipeline"]["viewerCan"]["retry"]


async def _retried(world: World, hub: Hub, failed: UUID) -> tuple[Any, Any]:
    """The capability that a follower is told while the pipeline is retried, and after that."""
    operator = context(world.engine, viewer("operator", provider=Provider.ACCRED), hub)
    async with subscribed(operator, FOLLOW, id=encode("Pipeline", failed)) as results:
        assert not await _can(results, world)
        await _retry(world, failed)
        meanwhile = await _can(results, world)
        await world.drain()
        return meanwhile, await _can(results, world)


async def test_what_is_retried_cannot_be_meanwhile_and_can_again_when_that_failed(world: World, hub: Hub) -> None:
    failed = await world.upload("process_emissions", CSV.format("many"), unit="10208")

    assert await _retried(world, hub, failed) == (NOT_NOW, AGAIN)


async def test_what_had_been_made_good_before_can_be_retried_again_after_a_retry_that_succeeds(world: World, hub: Hub) -> None:
    failed = await world.upload("process_emissions", CSV.format("many"), unit="10208")
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", CSV.format(5), unit="10208")

    assert await _retried(world, hub, failed) == (NOT_NOW, AGAIN)
