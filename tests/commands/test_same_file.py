"""The same bytes for the same unit do not add up unless that is what their sender wants."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from gql_server.commands.ingestion import Ingestion, start_ingestion
from gql_server.commands.retry import start_from_job
from gql_server.errors import Conflict
from gql_server.worker import registry
from tests.commands.test_retry import CAN_RETRY, client, entries, refused, retry
from tests.graph.mutations.conftest import mutate
from tests.handlers.conftest import OPERATOR, PROCESS_FACTORS, PURCHASE_FACTORS, YEAR, World, world
from tests.handlers.test_spreadsheets import send

assert world
ROWS = "category,subcategory,quantity,note\nCO2,,10,\n"
PROCESS_EMISSIONS = 50
SERVICES = 64
ADDS = "`addAgain` adds its rows once more"


@pytest.fixture
async def gases(world: World) -> World:
    await world.factors("process_emissions", PROCESS_FACTORS)
    return world


async def refusal(world: World, content: str = ROWS, *, unit: str = "10210", entry_type: int | None = None) -> Conflict | None:
    try:
        await world.submit("process_emissions", content, unit=unit, data_entry_type_id=entry_type)
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
        "`addAgain` adds its rows once more"
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


@pytest.mark.parametrize("entry_type", [None, PROCESS_EMISSIONS])
async def test_an_upload_read_for_the_wrong_unit_is_refused_for_the_right_one_that_has_its_bytes(
    gases: World, entry_type: int | None
) -> None:
    wrong = await gases.root(await gases.upload("process_emissions", ROWS, unit="10209"))
    right = await gases.upload("process_emissions", ROWS, unit="10210")
    wanted = Ingestion(year=YEAR, module_type_id=8, unit="10210", data_entry_type_id=entry_type)

    async with gases.engine.begin() as connection:
        with pytest.raises(Conflict) as by_upload:
            await start_ingestion(connection, registry, OPERATOR, wanted, wrong.upload_id)
        with pytest.raises(Conflict) as by_job:
            await start_from_job(connection, registry, OPERATOR, wanted, wrong.id)

    assert by_upload.value.details == by_job.value.details == {"reason": "ALREADY_INGESTED", "pipelineId": str(right)}
    assert await entries(gases) == [("10209", 10.0), ("10210", 10.0)]


async def test_an_upload_read_for_the_wrong_unit_is_read_for_the_right_one_and_then_again_in_place_of_its_rows(
    gases: World,
) -> None:
    wrong = await gases.root(await gases.upload("process_emissions", ROWS, unit="10209"))

    for _ in range(2):
        await start_again(gases, wrong.id, unit="10210")

    assert await entries(gases) == [("10209", 10.0), ("10210", 10.0)]


@pytest.mark.parametrize("types", [(None, PROCESS_EMISSIONS), (PROCESS_EMISSIONS, None)])
async def test_naming_the_only_entry_type_of_a_module_makes_no_other_file(
    gases: World, types: tuple[int | None, int | None]
) -> None:
    first = await gases.upload("process_emissions", ROWS, unit="10210", data_entry_type_id=types[0])
    root = await gases.root(first)

    conflict = await refusal(gases, entry_type=types[1])
    await start_again(gases, root.id, unit="10210", data_entry_type_id=types[1])

    assert conflict is not None
    assert conflict.details == {"reason": "ALREADY_INGESTED", "pipelineId": str(first)}
    assert await entries(gases) == [("10210", 10.0)]


async def test_a_file_read_for_one_entry_type_is_no_licence_to_read_it_for_all(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    content = "name,purchase_institutional_code,total_spent_amount,currency\nConseil,S100,200,eur\n"
    every = await world.upload("purchase", content, unit="10210")
    services = await world.upload("purchase", content, unit="10210", data_entry_type_id=SERVICES, add_again=True)
    job = await world.root(services)

    with pytest.raises(Conflict) as refused_for_all:
        await start_again(world, job.id, unit="10210", module_type_id=5)
    with pytest.raises(Conflict) as refused_anew:
        await world.submit("purchase", content, unit="10210", data_entry_type_id=SERVICES)

    assert refused_for_all.value.details["pipelineId"] == str(every)
    assert refused_anew.value.details["pipelineId"] == str(services)


async def test_the_refusal_does_not_send_to_a_retry_when_the_file_is_gone_and_the_retry_not_to_an_upload(gases: World) -> None:
    first = await gases.upload("process_emissions", ROWS, unit="10210")
    await lose_files(gases)

    conflict, again = await refusal(gases), await refused(gases, first)

    assert conflict is not None
    assert conflict.message == (
        f"pipeline {first} has read this very file for unit 10210: its file is not kept any more, so that rows it left out can "
        f"only be uploaded alone, {ADDS}"
    )
    assert again is not None
    assert again.details["reason"] == "FILE_GONE"
    assert again.message == "Its file is not kept any more: its rows are in, upload those that it left out alone."


async def test_a_failed_upload_that_is_gone_is_uploaded_again_unless_others_brought_its_bytes(world: World) -> None:
    failed = await world.upload("process_emissions", ROWS, unit="10210")
    await world.factors("process_emissions", PROCESS_FACTORS)
    await lose_files(world)

    before = await refused(world, failed)
    landed = await world.upload("process_emissions", ROWS, unit="10210")
    after = await refused(world, failed)

    assert before is not None
    assert before.message == "Its file is not kept any more: upload it again."
    assert after is not None
    assert after.details == {"reason": "ALREADY_INGESTED", "pipelineId": str(landed)}


async def test_of_a_file_whose_recalculation_failed_the_refusal_says_what_a_retry_does_and_what_reads_it_again(
    gases: World,
) -> None:
    async with gases.engine.begin() as connection:
        await connection.execute(text("UPDATE factors SET values = values - 'ef_kg_co2eq_per_unit'"))
    content = ROWS + "SF6,,3,\n"
    first = await gases.upload("process_emissions", content, unit="10210")
    await gases.factors("process_emissions", PROCESS_FACTORS + "SF6,,kg,100\n")

    conflict = await refusal(gases, content)
    await retry(gases, first)
    resumed = await entries(gases)
    await start_again(gases, (await gases.root(first)).id, unit="10210")

    assert conflict is not None
    assert conflict.message == (
        f"pipeline {first} has read this very file for unit 10210: `retryPipeline` of it does only its failed steps again, "
        f"`startIngestion` with the job that read it as `source` reads it again in place of its rows, {ADDS}"
    )
    assert resumed == [("10210", 10.0)]
    assert await entries(gases) == [("10210", 10.0), ("10210", 3.0)]


async def test_of_a_file_that_is_still_to_be_read_no_retry_is_advised(gases: World) -> None:
    first = await gases.submit("process_emissions", ROWS, unit="10210")

    conflict = await refusal(gases)

    assert conflict is not None
    assert conflict.message == f"pipeline {first} reads, or is about to read, this very file for unit 10210: {ADDS}"


async def start_again(world: World, job_id: int, *, module_type_id: int = 8, **ingestion: Any) -> None:
    """Ingest once more the file that a job has read."""
    async with world.engine.begin() as connection:
        wanted = Ingestion(year=YEAR, module_type_id=module_type_id, **ingestion)
        await start_from_job(connection, registry, OPERATOR, wanted, job_id)
    await world.drain()


async def lose_files(world: World) -> None:
    """Prune every file, as after its time of retention."""
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE uploads SET pruned_at = now()"))
        await connection.execute(text("DELETE FROM upload_chunks"))
