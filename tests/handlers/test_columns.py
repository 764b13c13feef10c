"""No column is lost unsaid: one that is missing, misspelt, unknown, or contradicts the upload."""

import pytest

from gql_server.db.models import TargetType
from tests.handlers.conftest import World

PROCESS = "unit_institutional_id,category,quantity,note\n"
PROCESS_FACTORS = "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,,kg,1.5\n"


async def test_rows_of_another_unit_than_the_uploads_are_rejected_and_both_are_said(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    content = PROCESS + "10208,CO2,1,\n,CO2,2,\n10209,CO2,3,\n"
    pipeline_id = await world.upload("process_emissions", content, unit="10208")

    assert await world.row_errors(pipeline_id) == [(3, "the row is of unit 10209, but the upload of unit 10208")]
    quantities = await world.query("SELECT (data ->> 'quantity')::float8 AS quantity FROM data_entries ORDER BY id")
    assert [row.quantity for row in quantities] == [1.0, 2.0]


async def test_a_file_of_another_unit_than_the_uploads_brings_nothing(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", PROCESS + "10209,CO2,3,\n10209,CO2,4,\n", unit="10208")

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == (
        "ERROR",
        "ERROR: 0 inserted, 2 skipped — first error: the row is of unit 10209, but the upload of unit 10208",
    )


@pytest.mark.parametrize(
    ("module", "content", "ingestion", "message"),
    [
        (
            "process_emissions",
            "unit_institutional_id,category,amount\n10208,CO2,1\n",
            {},
            "missing column quantity",
        ),
        (
            "process_emissions",
            "category,ef_kg_co2_per_unit\nCO2,1\n",
            {"target": TargetType.FACTORS},
            "missing column ef_kg_co2eq_per_unit — “ef_kg_co2_per_unit” of the file looks like ef_kg_co2eq_per_unit",
        ),
        (
            "purchase",
            "Currency,per eur,sources\nchf,1,x\n",
            {"target": TargetType.REFERENCE_DATA},
            "missing column source — “sources” of the file looks like source",
        ),
        (
            "process_emissions",
            "keys,value\na,1\n",
            {"target": TargetType.REFERENCE_DATA},
            "missing column key — “keys” of the file looks like key",
        ),
        (
            "headcount",
            "unit_institutional_id,name,sius,fte\n10208,Zoé,51,1\n",
            {"data_entry_type_id": 1},
            "missing column sius_code — “sius” of the file looks like sius_code",
        ),
    ],
)
async def test_every_kind_of_file_names_the_column_that_is_missing(
    world: World, module: str, content: str, ingestion: dict[str, object], message: str
) -> None:
    pipeline_id = await world.upload(module, content, **ingestion)

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message, root.failure_class) == ("ERROR", message, "VALIDATION")


async def test_a_column_that_nothing_is_read_from_is_told(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", "unit_institutional_id,category,quantity,room\n10208,CO2,1,BC 1\n")

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == ("SUCCESS", "Success")
    assert root.meta["reading"]["unread_columns"] == ["room"]


@pytest.mark.parametrize(
    ("module", "content", "ingestion", "unread", "meant"),
    [
        (
            "process_emissions",
            "unit_institutional_id,category,quantity,subcategry\n10208,CO2,1,x\n",
            {},
            "subcategry",
            "subcategory",
        ),
        (
            "process_emissions",
            "category,ef_kg_co2eq_per_unit,subcatgory\nCO2,2,x\n",
            {"target": TargetType.FACTORS},
            "subcatgory",
            "subcategory",
        ),
    ],
)
async def test_an_optional_column_that_looks_misspelt_is_a_warning(
    world: World, module: str, content: str, ingestion: dict[str, object], unread: str, meant: str
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload(module, content, **ingestion)

    root = await world.root(pipeline_id)
    reason = f"the column “{unread}” is not read: is {meant} meant?"
    assert (root.result, root.status_message) == ("WARNING", f"WARNING: 1 inserted, 0 skipped — first error: {reason}")
    assert root.meta["reading"]["unread_columns"] == [unread]
    assert await world.row_errors(pipeline_id) == [(None, reason)]
