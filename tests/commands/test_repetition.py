"""A retry resumes: rows are never doubled, only what failed runs again, and newer data is not replaced unasked."""

from uuid import UUID

import pytest

from gql_server.commands.ingestion import Ingestion, start_ingestion
from gql_server.commands.repetition import retry_pipeline
from gql_server.handlers.api import entry_sources
from gql_server.worker import registry
from tests.handlers.conftest import OPERATOR, PROCESS_FACTORS, YEAR, World, world

assert world
UNIT_ROWS = "category,subcategory,quantity,note\nCO2,,10,\nCH4,,1,\n"
MEMBERS = "name,sius_code,user_institutional_id,fte,note\nZoé,51,200001,1,\nMax,52,200002,0.5,\n"
HEADCOUNT_FACTORS = "category,class,subclass,number_of_unit_per_fte,ef_kg_co2eq_per_unit\nfood,vegetarian,,100,1\n"


async def retry(world: World, pipeline_id: UUID, *, drain: bool = True) -> UUID:
    """Retry a pipeline and let everything run; returns the new one."""
    async with world.engine.begin() as connection:
        submitted = await retry_pipeline(connection, registry, OPERATOR, pipeline_id, entry_sources)
    if drain:
        await world.drain()
    return submitted.pipeline_id


async def entries(world: World) -> list[tuple[str, float]]:
    rows = await world.query(
        "SELECT u.institutional_id AS unit, coalesce((e.data ->> 'quantity')::float8, (e.data ->> 'fte')::float8) AS amount "
        "FROM data_entries e JOIN units u ON u.id = e.unit_id ORDER BY e.id"
    )
    return [(row.unit, row.amount) for row in rows]


@pytest.mark.parametrize("content", [UNIT_ROWS, UNIT_ROWS + "CO2,,many,\n"], ids=["success", "warning"])
async def test_a_unit_upload_that_is_read_again_and_again_brings_its_rows_once(world: World, content: str) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", content, unit="10210")

    again = await retry(world, await retry(world, first))

    assert await entries(world) == [("10210", 10.0), ("10210", 1.0)]
    assert await world.totals(8) == {"10210": (43.0, 2, 43.0)}
    assert (await world.root(again)).result == (await world.root(first)).result


async def test_rows_of_another_upload_and_of_another_unit_stay_when_an_upload_is_read_again(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", UNIT_ROWS, unit="10209")
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")
    await world.upload("process_emissions", "category,subcategory,quantity,note\nCO2,,5,\n", unit="10210")

    await retry(world, first)

    assert await entries(world) == [("10209", 10.0), ("10209", 1.0), ("10210", 5.0), ("10210", 10.0), ("10210", 1.0)]
    assert await world.totals(8) == {"10209": (43.0, 2, 43.0), "10210": (50.5, 3, 50.5)}


async def test_rejected_rows_that_are_right_now_join_those_that_landed(world: World) -> None:
    await world.factors("process_emissions", "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,,kg,1.5\n")
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")
    assert await world.totals(8) == {"10210": (15.0, 1, 15.0)}
    await world.factors("process_emissions", PROCESS_FACTORS)

    await retry(world, first)

    assert await world.totals(8) == {"10210": (43.0, 2, 43.0)}


async def test_members_of_a_unit_that_are_read_again_are_no_duplicates_of_themselves(world: World) -> None:
    await world.factors("headcount", HEADCOUNT_FACTORS)
    first = await world.upload("headcount", MEMBERS, unit="10210", data_entry_type_id=1)

    again = await retry(world, first)

    assert (await world.root(again)).status_message == "Success"
    assert await world.totals(1) == {"10210": (150.0, 2, 150.0)}


async def test_an_upload_that_is_started_once_more_for_its_unit_is_no_second_upload(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    root = await world.root(await world.upload("process_emissions", UNIT_ROWS, unit="10210"))

    async with world.engine.begin() as connection:
        ingestion = Ingestion(year=YEAR, module_type_id=8, unit="10210")
        await start_ingestion(connection, registry, OPERATOR, ingestion, root.upload_id, owned=False)
    await world.drain()

    assert await entries(world) == [("10210", 10.0), ("10210", 1.0)]
