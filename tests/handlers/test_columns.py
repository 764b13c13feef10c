"""No column is lost unsaid: one that is missing, misspelt, unknown, or contradicts the upload."""

import pytest

from gql_server.db.models import TargetType
from tests.handlers.conftest import PURCHASE_FACTORS, World

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
            "buildings",
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
    assert (root.result, root.status_message) == (
        "SUCCESS",
        "Success, columns that are not read: “room”",
    )
    assert root.meta["reading"]["unread_columns"] == ["room"]


async def test_columns_that_are_not_read_are_told_before_the_first_error_which_alone_tells_the_group(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    content = "unit_institutional_id,category,quantity,a,b,c,d,e,f\n10208,CO2,1\n10208,CO2,x\n"
    pipeline_id = await world.upload("process_emissions", content)

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == (
        "WARNING",
        "WARNING: 1 inserted, 1 skipped, columns that are not read: “a”, “b”, “c”, “d”, “e” and 1 more — "
        "first error: quantity must be a number, not “x”",
    )
    assert (root.failure_class, await world.row_errors(pipeline_id)) == (
        "SOME_ROWS_REJECTED",
        [(2, "quantity must be a number, not “x”")],
    )


async def test_a_misspelt_note_changes_no_value_and_is_told_without_a_warning(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", "unit_institutional_id,category,quantity,notes\n10208,CO2,1,x\n")

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == ("SUCCESS", "Success, columns that are not read: “notes”")
    assert await world.row_errors(pipeline_id) == []


PURCHASE = "unit_institutional_id,name,purchase_institutional_code,total_spent_amount,{}\n10208,Café,S100,100,{}\n"


@pytest.mark.parametrize(
    ("module", "content", "ingestion", "column", "meant"),
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
        (
            "process_emissions",
            "unit_institutional,category,quantity\n10209,CO2,7\n",
            {"unit": "10208"},
            "unit_institutional",
            "unit_institutional_id",
        ),
        ("process_emissions", "unit,category,quantity\n10209,CO2,7\n", {"unit": "10208"}, "unit", "unit_institutional_id"),
        ("purchase", PURCHASE.format("currancy", "eur"), {}, "currancy", "currency"),
        ("purchase", PURCHASE.format("currency_code", "eur"), {}, "currency_code", "currency"),
        ("purchase", PURCHASE.format("additional_code", "AA37"), {}, "additional_code", "purchase_additional_code"),
        (
            "purchase",
            PURCHASE.format("purchase_aditional_code", "AA37"),
            {"unit": "10208"},
            "purchase_aditional_code",
            "purchase_additional_code",
        ),
    ],
)
async def test_a_misspelt_column_that_values_or_their_unit_follow_from_refuses_the_file(
    world: World, module: str, content: str, ingestion: dict[str, object], column: str, meant: str
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.factors("purchase", PURCHASE_FACTORS)

    pipeline_id = await world.upload(module, content, **ingestion)

    root = await world.root(pipeline_id)
    assert (root.result, root.failure_class, root.status_message) == (
        "ERROR",
        "VALIDATION",
        f"no column {meant} — “{column}” of the file looks like {meant}: correct the name, or leave it out",
    )
    assert [row.count for row in await world.query("SELECT count(*) FROM data_entries")] == [0]


@pytest.mark.parametrize("column", ["id", "purchase_date", "code", "supplier_id", "quantity_unit", "user_id"])
async def test_a_column_of_its_own_meaning_refuses_nothing(world: World, column: str) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)

    pipeline_id = await world.upload("purchase", PURCHASE.format(column, "x"))

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == ("SUCCESS", f"Success, columns that are not read: “{column}”")


async def test_words_of_a_columns_name_may_be_joined_or_not(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS + "CO2,dry,kg,2\n")

    pipeline_id = await world.upload(
        "process_emissions", "UnitInstitutionalID,category,sub-category,quantity\n10208,CO2,dry,3\n"
    )

    root = await world.root(pipeline_id)
    assert root.status_message == (
        "Success, columns read under another name: “unitinstitutionalid” as unit_institutional_id, “sub-category” as "
        "subcategory"
    )
    assert root.meta["reading"]["respelled_columns"] == {
        "unitinstitutionalid": "unit_institutional_id",
        "sub-category": "subcategory",
    }
    assert [row.kg_co2eq for row in await world.query("SELECT kg_co2eq FROM data_entry_emissions")] == [6.0]


async def test_emissions_given_under_another_spelling_are_taken_and_said_to_be(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload(
        "process_emissions", "unit_institutional_id,category,quantity,kg CO2eq\n10208,CO2,3,99\n10208,CO2,x,1\n"
    )

    assert (await world.root(pipeline_id)).status_message == (
        "WARNING: 1 inserted, 1 skipped, columns read under another name: “kg co2eq” as kg_co2eq — first error: quantity must "
        "be a number, not “x”"
    )
    assert [row.kg_co2eq for row in await world.query("SELECT kg_co2eq FROM data_entry_emissions")] == [99.0]


@pytest.mark.parametrize(
    ("module", "header", "row", "ingestion", "unread"),
    [
        (
            "process_emissions",
            "unit_institutional_id,category,quantity,kg_co2eq,kg CO2eq",
            "10208,CO2,3,99,1",
            {},
            "kg co2eq",
        ),
        (
            "process_emissions",
            "Unit Institutional ID,unit_institutional_id,category,quantity,kg_co2eq",
            "LAB10208,10208,CO2,3,99",
            {},
            "unit institutional id",
        ),
    ],
)
async def test_a_column_that_is_spelled_exactly_wins_and_another_of_the_name_is_not_read(
    world: World, module: str, header: str, row: str, ingestion: dict[str, object], unread: str
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload(module, f"{header}\n{row}\n", **ingestion)

    assert (await world.root(pipeline_id)).status_message == f"Success, columns that are not read: “{unread}”"
    assert [row.kg_co2eq for row in await world.query("SELECT kg_co2eq FROM data_entry_emissions")] == [99.0]


async def test_members_sent_as_students_replace_no_students(world: World) -> None:
    student = await world.upload("headcount", "unit_institutional_id,fte\n10208,12\n", data_entry_type_id=2)
    members = "unit_institutional_id,name,sius_code,user_institutional_id,fte\n10208,Zoé,51,100001,1\n"
    wrong = await world.upload("headcount", members, data_entry_type_id=2)

    assert (await world.root(student)).status_message == "Success"
    root = await world.root(wrong)
    assert (root.result, root.failure_class, root.status_message) == (
        "ERROR",
        "VALIDATION",
        "this looks like data of headcount (member): upload it with target=data, module=headcount and entryType=member",
    )
    stored = await world.query("SELECT data_entry_type_id, (data ->> 'fte')::float8 AS fte FROM data_entries")
    assert [(row.data_entry_type_id, row.fte) for row in stored] == [(2, 12.0)]


async def test_exchange_rates_sent_as_reference_data_of_another_module_are_recognised(world: World) -> None:
    rates = "currency,per_eur,source\nchf,1,x\n"

    pipeline_id = await world.upload("buildings", rates, target=TargetType.REFERENCE_DATA)

    assert (await world.root(pipeline_id)).status_message == (
        "this looks like exchange rates: upload it with target=reference and module=purchase"
    )


async def test_an_unknown_additional_code_takes_the_average_and_its_row_is_listed(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)

    pipeline_id = await world.upload("purchase", PURCHASE.format("currency,purchase_additional_code", "eur,ZZ99"))

    reason = "purchase_additional_code “ZZ99” has no factor: the average of “S100” was taken"
    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == ("WARNING", f"WARNING: 1 inserted, 0 skipped — first error: {reason}")
    assert await world.row_errors(pipeline_id) == [(1, reason)]
    assert [row.kg_co2eq for row in await world.query("SELECT kg_co2eq FROM data_entry_emissions")] == [50.0]
