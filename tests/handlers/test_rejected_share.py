"""A file of which too many rows are bad replaces nothing, whatever the few good ones say."""

from typing import Any

import pytest

from gql_server.db.models import TargetType
from gql_server.errors import BadInput
from gql_server.handlers.results import MAX_REJECTED_SHARE
from tests.graph.mutations.test_ingestion import retry
from tests.graphql import Client
from tests.handlers.conftest import PROCESS_FACTORS, World

HEADER = "unit_institutional_id,category,quantity\n"
GOOD, BAD = "10208,CO2,100\n", "10208,CO2,many\n"
REASON = "quantity must be a number, not “many”"
QUERY = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  status failures { class title } diagnosis { code severity message remedy }
} }"""


async def quantities(world: World) -> list[float]:
    return [float(row.quantity) for row in await world.query("SELECT data ->> 'quantity' AS quantity FROM data_entries")]


@pytest.fixture
async def filled(world: World) -> World:
    """A world whose process emissions of the year are 150 kg."""
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", HEADER + GOOD)
    return world


async def test_one_good_row_among_many_bad_ones_replaces_nothing(filled: World) -> None:
    pipeline_id = await filled.upload("process_emissions", HEADER + BAD * 199 + "10209,CO2,7\n")

    (root,) = await filled.jobs(pipeline_id)
    assert (root.result, root.status_message) == (
        "ERROR",
        f"ERROR: 199 of 200 rows were rejected, more than 50 %, so nothing was replaced — first error: {REASON}",
    )
    counts = ("rows_processed", "inserted", "skipped", "row_errors_count", "too_many_rows_rejected", "max_rejected_share")
    assert [root.meta[name] for name in counts] == [200, 0, 199, 199, True, 0.5]
    assert await filled.status(pipeline_id) == "FAILED"
    assert len(await filled.row_errors(pipeline_id)) == 100
    assert await quantities(filled) == [100.0]
    assert await filled.totals(8) == {"10208": (150.0, 1, 150.0)}


async def test_it_has_a_failure_class_and_a_diagnosis_of_its_own(filled: World) -> None:
    pipeline_id = await filled.upload("process_emissions", HEADER + BAD * 2 + GOOD)

    answer = await Client(filled.engine, "operator", provider="ACCRED").query(QUERY, id=str(pipeline_id))

    [failure], [reason] = answer["pipeline"]["failures"], answer["pipeline"]["diagnosis"]
    assert failure == {
        "class": "TOO_MANY_ROWS_REJECTED",
        "title": "Too many rows were rejected: quantity must be a number, not <value>",
    }
    assert (reason["code"], reason["severity"]) == ("TOO_MANY_ROWS_REJECTED", "DANGER")
    assert reason["message"] == (
        f"It was refused: 2 of 3 rows were rejected, more than 50 %, so nothing was replaced — first error: {REASON}"
    )
    assert "maxRejectedShare" in reason["remedy"]


@pytest.mark.parametrize(
    ("bad", "share", "result", "left"),
    [
        (1, None, "WARNING", [7.0]),
        (2, None, "ERROR", [100.0]),
        (0, 0, "SUCCESS", [7.0]),
        (1, 0, "ERROR", [100.0]),
        (3, 0.75, "WARNING", [7.0]),
        (4, 0.75, "ERROR", [100.0]),
        (9, 1, "WARNING", [7.0]),
    ],
)
async def test_half_may_be_rejected_or_the_share_that_the_upload_says(
    filled: World, bad: int, share: float | None, result: str, left: list[float]
) -> None:
    pipeline_id = await filled.upload("process_emissions", HEADER + BAD * bad + "10209,CO2,7\n", max_rejected_share=share)

    assert ((await filled.root(pipeline_id)).result, await quantities(filled)) == (result, left)


async def test_a_worker_that_was_set_to_allow_none_refuses_a_file_with_one_bad_row(filled: World) -> None:
    strict = {MAX_REJECTED_SHARE: 0.0}
    pipeline_id = await filled.submit("process_emissions", HEADER + BAD + GOOD * 3)
    lenient = await filled.submit(
        "headcount", "unit_institutional_id,fte\n10208,x\n10208,1\n", data_entry_type_id=2, max_rejected_share=1
    )

    await filled.drain(resources=strict)

    assert (await filled.root(pipeline_id)).status_message == (
        f"ERROR: 1 of 4 rows were rejected, more than 0 %, so nothing was replaced — first error: {REASON}"
    )
    assert (await filled.root(lenient)).result == "WARNING"


async def test_a_unit_keeps_what_it_had_too(filled: World) -> None:
    pipeline_id = await filled.upload("process_emissions", "category,quantity\nCO2,x\nCO2,y\nCO2,5\n", unit="10208")

    assert await filled.status(pipeline_id) == "FAILED"
    assert await quantities(filled) == [100.0]


@pytest.mark.parametrize(
    ("module", "target", "content", "table"),
    [
        ("process_emissions", TargetType.FACTORS, "category,ef_kg_co2eq_per_unit\nN2O,x\nSF6,x\nXe,1\n", "factors"),
        ("buildings", TargetType.REFERENCE_DATA, "key,surface\n,1\n,2\nBC 001,3\n", "reference_data"),
    ],
)
async def test_factors_and_reference_data_are_refused_alike(
    filled: World, module: str, target: TargetType, content: str, table: str
) -> None:
    before = await filled.query(f"SELECT * FROM {table} ORDER BY id")

    pipeline_id = await filled.upload(module, content, target=target)

    (root,) = await filled.jobs(pipeline_id)
    assert (root.result, root.failure_class) == ("ERROR", "TOO_MANY_ROWS_REJECTED")
    assert await filled.query(f"SELECT * FROM {table} ORDER BY id") == before


async def test_a_retry_allows_what_the_upload_allowed(filled: World) -> None:
    first = await filled.upload("process_emissions", HEADER + BAD * 3, max_rejected_share=0.9)
    operator = Client(filled.engine, "operator", provider="ACCRED")

    again = (await retry(operator, first))["pipeline"]["pipelineId"]

    assert (await filled.root(again)).config["max_rejected_share"] == 0.9


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
async def test_a_share_that_is_none_is_refused_before_anything_is_read(world: World, share: Any) -> None:
    with pytest.raises(BadInput, match="maxRejectedShare must be between 0 and 1"):
        await world.submit("process_emissions", HEADER + GOOD, max_rejected_share=share)
