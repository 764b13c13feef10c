"""The same bytes for the same unit do not add up unless that is what their sender wants."""

import asyncio

import pytest
from sqlalchemy import text

from gql_server.errors import Conflict
from tests.commands.test_retry import CAN_RETRY, client, entries, refused, retry
from tests.graph.mutations.conftest import mutate
from tests.handlers.conftest import PROCESS_FACTORS, World, world
from tests.handlers.test_spreadsheets import send

assert world
ROWS = "category,subcategory,quantity,note\nCO2,,10,\n"


@pytest.fixture
async def gases(world: World) -> World:
    await world.factors("process_emissions", PROCESS_FACTORS)
    return world


async def refusal(world: World, content: str = ROWS, *, unit: str = "10210") -> Conflict | None:
    try:
        await world.submit("process_emissions", content, unit=unit)
    except Conflict as conflict:
        return conflict
    return None


async def test_the_same_bytes_are_refused_a_second_time_with_the_pipeline_that_brought_them(gases: World) -> None:
    first = await gases.upload("process_emissions", ROWS, unit="10210")

    conflict = await refusal(gases)

    assert conflict is not None
    assert conflict.details == {"reason": "ALREADY_INGESTED", "pipelineId": str(first)}
    assert conflict.message == (
        f"pipeline {first} has read this very file for unit 10210: `retryPipeline` of it reads it again in place of its rows, "
        "`addAgain` adds them once more"
    )
    assert await entries(gases) == [("10210", 10.0)]


async def test_bytes_that_are_still_to_be_read_are_refused_too(gases: World) -> None:
    first = await gases.submit("process_emissions", ROWS, unit="10210")

    conflict = await refusal(gases)

    assert conflict is not None
    assert conflict.details["pipelineId"] == str(first)


async def test_of_two_uploads_of_the_same_bytes_at_once_one_is_taken(gases: World) -> None:
    outcomes = await asyncio.gather(*(refusal(gases) for _ in range(4)))
    await gases.drain()

    assert [outcome is None for outcome in outcomes].count(True) == 1
    assert await entries(gases) == [("10210", 10.0)]


async def test_other_bytes_another_unit_and_a_file_that_failed_are_taken(world: World) -> None:
    failed = await world.upload("process_emissions", ROWS, unit="10210")
    await world.factors("process_emissions", PROCESS_FACTORS)

    assert (await world.root(failed)).result == "ERROR"
    assert [await refusal(world), await refusal(world, unit="10208"), await refusal(world, ROWS + "CO2,,2,\n")] == [None] * 3
    await world.drain()
    assert sorted(await entries(world)) == [("10208", 10.0), ("10210", 2.0), ("10210", 10.0), ("10210", 10.0)]


async def test_whoever_says_so_adds_the_same_bytes_again(gases: World) -> None:
    await gases.upload("process_emissions", ROWS, unit="10210")

    again = await gases.upload("process_emissions", ROWS, unit="10210", add_again=True)
    await retry(gases, again)

    assert await entries(gases) == [("10210", 10.0), ("10210", 10.0)]


async def test_a_file_of_the_whole_year_replaces_its_predecessor_however_often_it_is_sent(gases: World) -> None:
    content = "unit_institutional_id,category,quantity\n10210,CO2,10\n"

    for _ in range(2):
        await gases.upload("process_emissions", content)

    assert await entries(gases) == [("10210", 10.0)]


async def test_a_failed_upload_whose_bytes_came_by_another_is_not_retried_and_the_viewer_is_told(world: World) -> None:
    failed = await world.upload("process_emissions", ROWS, unit="10210")
    await world.factors("process_emissions", PROCESS_FACTORS)
    landed = await world.upload("process_emissions", ROWS, unit="10210")

    conflict = await refused(world, failed)
    shown = await client(world).query(CAN_RETRY, id=str(failed))

    assert conflict is not None
    assert conflict.details == {"reason": "ALREADY_INGESTED", "pipelineId": str(landed)}
    assert shown["pipeline"]["viewerCan"]["retry"] == {
        "allowed": False,
        "code": "WRONG_STATE",
        "message": f"Pipeline {landed} reads another upload of the same bytes: this would add its rows twice.",
    }


async def test_an_upload_that_landed_is_read_again_although_its_bytes_came_once_more(gases: World) -> None:
    first = await gases.upload("process_emissions", ROWS, unit="10210")
    await gases.upload("process_emissions", ROWS, unit="10210", add_again=True)

    await retry(gases, first)

    assert await entries(gases) == [("10210", 10.0), ("10210", 10.0)]


async def test_an_upload_over_http_is_refused_alike_and_takes_the_parameter(gases: World) -> None:
    first = await send(gases, ROWS.encode(), unit="10210")

    with pytest.raises(AssertionError, match="ALREADY_INGESTED"):
        await send(gases, ROWS.encode(), unit="10210")
    await send(gases, ROWS.encode(), unit="10210", addAgain="true")

    assert first["result"] == "SUCCESS"
    assert await entries(gases) == [("10210", 10.0), ("10210", 10.0)]


async def test_the_mutation_takes_the_same_argument(gases: World) -> None:
    await gases.upload("process_emissions", ROWS, unit="10210")
    upload = "INSERT INTO uploads (provider, filename, sha256) SELECT provider, filename, sha256 FROM uploads"
    async with gases.engine.begin() as connection:
        copied = await connection.scalar(text(f"{upload} ORDER BY id DESC LIMIT 1 RETURNING id"))
    given = {"source": {"uploadId": str(copied)}, "year": 2025, "module": "process_emissions", "unitInstitutionalId": "10210"}

    twice = await mutate(client(gases), "startIngestion", "pipeline { pipelineId }", **given)
    taken = await mutate(client(gases), "startIngestion", "pipeline { pipelineId }", **given, addAgain=True)

    assert (twice["__typename"], twice["reason"]) == ("ConflictProblem", "ALREADY_INGESTED")
    assert taken["__typename"] == "StartIngestionPayload"
