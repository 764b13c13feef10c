"""Retrying many pipelines, interrupted on the way."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from gql_server.commands.bulk_retry import retry_each
from gql_server.commands.execution import Commands
from gql_server.commands.idempotency import Key
from gql_server.errors import BadInput
from gql_server.worker import registry
from tests.handlers.conftest import OPERATOR, World, world

assert world


class Lost(Exception):
    """The server stops here."""


def until_lost(*ids: UUID) -> Iterator[UUID]:
    yield from ids
    raise Lost


async def failed(world: World, unit: str) -> UUID:
    """An upload whose factors are missing."""
    return await world.upload("process_emissions", f"category,subcategory,quantity,note\nCO2,,{unit},\n", unit=unit)


async def test_what_was_interrupted_is_gone_on_with_and_nothing_is_started_twice(world: World) -> None:
    first, second, third = [await failed(world, unit) for unit in ("10208", "10209", "10210")]
    commands, key = Commands(world.engine, registry), Key("retryPipelines", uuid4(), "of three")

    with pytest.raises(Lost):
        await retry_each(commands, OPERATOR, until_lost(first, second), key, replace_newer=False)
    [(begun,)] = await world.query("SELECT count(*) - 3 FROM pipelines WHERE kind = 'csv_ingest'")
    done = await retry_each(commands, OPERATOR, [first, second, third], key, replace_newer=False)
    again = await retry_each(commands, OPERATOR, [first, second, third], key, replace_newer=False)

    started = await world.query("SELECT p.id FROM pipelines p WHERE kind = 'csv_ingest' ORDER BY id OFFSET 3")
    assert begun == 2
    assert [UUID(outcome["pipeline_id"]) for outcome in done.values()] == [row.id for row in started]
    assert (list(done), len(started), again) == ([first, second, third], 3, done)


async def test_a_key_is_for_the_pipelines_that_it_was_used_for(world: World) -> None:
    pipeline, key = await failed(world, "10208"), uuid4()
    commands = Commands(world.engine, registry)
    await retry_each(commands, OPERATOR, [], Key("retryPipelines", key, "of none"), replace_newer=False)

    with pytest.raises(BadInput, match="used before, with another input"):
        await retry_each(commands, OPERATOR, [pipeline], Key("retryPipelines", key, "of one"), replace_newer=False)

    assert [tuple(row) for row in await world.query("SELECT count(*) FROM pipelines WHERE kind = 'csv_ingest'")] == [(1,)]
