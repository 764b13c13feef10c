"""A file in, entries, emissions and totals out; and nothing changed when it is refused."""

import pytest
from sqlalchemy import text

from gql_server.db.models import JobResult
from gql_server.handlers.results import ingest_message
from gql_server.worker import RejectedRow
from tests.handlers.conftest import EQUIPMENT_FACTORS, PROCESS_FACTORS, PURCHASE_FACTORS, World

PROCESS = "unit_institutional_id,category,subcategory,quantity,note\n"
EQUIPMENT = (
    "unit_institutional_id,equipment_id,name,equipment_class,sub_class,active_usage_hours_per_week,"
    "standby_usage_hours_per_week,note\n"
)


async def test_d1_a_hundred_units_at_one_and_a_half_are_150_kg_everywhere(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n10209,CO2,,50,\n")

    assert await world.totals(8) == {"10208": (150.0, 1, 150.0), "10209": (75.0, 1, 75.0)}
    assert [(job.job_type, job.result) for job in await world.jobs(pipeline_id)] == [
        ("csv_ingest", "SUCCESS"),
        ("emission_recalc", "SUCCESS"),
        ("aggregation", "SUCCESS"),
    ]
    emissions = await world.query("SELECT kg_co2eq, scope FROM data_entry_emissions ORDER BY kg_co2eq")
    assert [(row.kg_co2eq, row.scope) for row in emissions] == [(75.0, 1), (150.0, 1)]


async def test_d1_a_changed_factor_changes_totals_and_keeps_its_id(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n")
    before = await world.query("SELECT id FROM factors ORDER BY id")

    await world.factors("process_emissions", PROCESS_FACTORS.replace("1.5", "2"))

    assert await world.totals(8) == {"10208": (200.0, 1, 200.0)}
    assert await world.query("SELECT id FROM factors ORDER BY id") == before


async def test_equipment_infers_its_entry_type_and_computes_the_golden_27_456_kg(world: World) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)

    pipeline_id = await world.upload(
        "equipment_electric_consumption",
        EQUIPMENT + '10208,E1,"Microscope, salle été",microscope,confocal,40,128,\n10208,E2,Serveur,Server,,168,0,\n',
    )

    entries = await world.query("SELECT data_entry_type_id FROM data_entries ORDER BY data_entry_type_id")
    assert [row.data_entry_type_id for row in entries] == [10, 11]
    emissions = await world.query("SELECT kg_co2eq FROM data_entry_emissions ORDER BY kg_co2eq")
    assert [row.kg_co2eq for row in emissions] == [27.456, 174.72]
    assert len(await world.jobs(pipeline_id)) == 5


async def test_purchases_fan_out_eight_wide_and_spend_times_factor(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)

    pipeline_id = await world.upload(
        "purchase",
        "unit_institutional_id,name,supplier,quantity,purchase_institutional_code,purchase_additional_code,total_spent_amount,"
        "currency,note\n10208,Conseil,ACME,1,S100,,200,eur,\n",
    )

    assert len(await world.jobs(pipeline_id)) == 10
    assert await world.totals(5) == {"10208": (100.0, 1, 100.0)}


async def test_an_override_wins_over_the_factor_zero_included(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    header = PROCESS.strip() + ",kg_co2eq\n"

    await world.upload("process_emissions", header + "10208,CO2,,100,,0\n10209,CO2,,100,,12.5\n")

    emissions = await world.query("SELECT kg_co2eq, primary_factor_id FROM data_entry_emissions ORDER BY kg_co2eq")
    assert [(row.kg_co2eq, row.primary_factor_id) for row in emissions] == [(0.0, None), (12.5, None)]


async def test_an_override_that_is_no_number_is_ignored_with_a_warning(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    header = PROCESS.strip() + ",kg_co2eq\n"

    pipeline_id = await world.upload("process_emissions", header + '10208,CO2,,100,,"1,5"\n')

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == (
        "WARNING",
        "WARNING: 1 inserted, 0 skipped — first error: kg_co2eq is not a number and was ignored: “1,5”",
    )
    assert await world.totals(8) == {"10208": (150.0, 1, 150.0)}


async def test_d2_one_bad_row_of_two_is_a_warning_that_says_which_and_why(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n99999,CO2,,1,\n")

    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == ("WARNING", "WARNING: 1 inserted, 1 skipped — first error: unknown unit 99999")
    assert await world.row_errors(pipeline_id) == [(2, "unknown unit 99999")]
    assert await world.status(pipeline_id) == "SUCCESS"


async def test_d7_a_reupload_in_which_every_row_is_bad_destroys_nothing(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n")
    before = await world.query("SELECT * FROM data_entries"), await world.query("SELECT * FROM data_entry_emissions")

    pipeline_id = await world.upload("process_emissions", PROCESS + "99999,CO2,,1,\n10208,CO2,,many,\n")

    assert await world.status(pipeline_id) == "FAILED"
    assert await world.totals(8) == {"10208": (150.0, 1, 150.0)}
    assert (await world.query("SELECT * FROM data_entries"), await world.query("SELECT * FROM data_entry_emissions")) == before
    assert [job.job_type for job in await world.jobs(pipeline_id)] == ["csv_ingest"]
    assert len(await world.row_errors(pipeline_id)) == 2


async def test_d5_of_150_row_errors_100_are_kept_and_150_counted(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", PROCESS + "99999,CO2,,1,\n" * 150 + "10208,CO2,,1,\n" * 150)

    assert len(await world.row_errors(pipeline_id)) == 100
    assert (await world.root(pipeline_id)).meta["row_errors_count"] == 150


async def test_a_unit_that_left_the_file_loses_its_total_too(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n10209,CO2,,50,\n")

    await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n")

    assert await world.totals(8) == {"10208": (150.0, 1, 150.0), "10209": (0.0, 0, 0.0)}


async def test_d8_manual_and_unit_specific_entries_survive_a_reupload(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", PROCESS + "10208,CO2,,100,\n")
    async with world.engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO data_entries
                      (provider, data_entry_type_id, carbon_report_module_id, data, year, unit_id, source)
                    SELECT provider, data_entry_type_id, carbon_report_module_id, data, year, unit_id, 0 FROM data_entries""")
        )
    await world.upload("process_emissions", "category,subcategory,quantity,note\nCO2,,10,\n", unit="10208")

    await world.upload("process_emissions", PROCESS + "10208,CO2,,200,\n")

    sources = await world.query("SELECT source, (data ->> 'quantity')::float8 AS quantity FROM data_entries ORDER BY source")
    assert [(row.source, row.quantity) for row in sources] == [(0, 100.0), (1, 200.0), (2, 10.0)]
    assert await world.totals(8) == {"10208": (465.0, 3, 465.0)}


async def test_a_unit_specific_upload_stays_on_its_unit_and_recalculates_only_there(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", "category,subcategory,quantity,note\nCO2,,10,\n", unit="10209")

    root, recalc, _ = await world.jobs(pipeline_id)
    assert root.entity_type == "MODULE_UNIT_SPECIFIC"
    assert len(recalc.scope_module_ids) == 1
    unit = await world.query("SELECT unit_institutional_id AS unit FROM pipelines WHERE id = :id", id=pipeline_id)
    assert unit[0].unit == "10209"


async def test_d2_missing_factors_are_one_short_error_before_a_second_batch_of_rows_is_read(world: World) -> None:
    pipeline_id = await world.upload("equipment_electric_consumption", EQUIPMENT + "10208,E1,x,Microscope,,1,1,\n" * 50_072)

    (root,) = await world.jobs(pipeline_id)
    assert root.result == "ERROR"
    assert [said["message"] for said in root.meta["status_history"]] == [
        "Starting CSV processing",
        root.status_message,
    ]
    assert root.status_message == (
        "there are no emission factors of entry types scientific, it and other for this year: upload the factors first"
    )
    assert await world.row_errors(pipeline_id) == []


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (PROCESS, "no data rows"),
        (PROCESS.encode("utf-32"), "UTF-16"),
        (PROCESS.encode() + b"10208,CO\xc9,,1,\n", "not UTF-8"),
        ("category,quantity\nCO2,1\n", "missing column unit_institutional_id"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_with_its_cause(world: World, content: str | bytes, cause: str) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", content)

    root = await world.root(pipeline_id)
    assert (root.state, root.result) == ("FINISHED", "ERROR")
    assert cause in root.status_message
    assert await world.query("SELECT id FROM data_entries") == []


async def test_headcount_members_are_listed_once_and_roll_up(world: World) -> None:
    await world.factors(
        "headcount",
        "category,class,subclass,number_of_unit_per_fte,ef_kg_co2eq_per_unit\n"
        "food,vegetarian,,100,1\nfood,non_vegetarian,,50,4\n",
    )

    pipeline_id = await world.upload(
        "headcount",
        "unit_institutional_id,name,sius_code,user_institutional_id,fte,note\n"
        "10208,Zoé,51,200001,1,\n10208,Zoé encore,51,200001,0.5,\n10209,Max,52,200002,0.5,\n",
        data_entry_type_id=1,
    )

    assert await world.row_errors(pipeline_id) == [
        (2, "DUPLICATE_INSTITUTIONAL_ID: this person is already listed in the unit: 200001")
    ]
    assert await world.totals(1) == {"10208": (300.0, 1, 300.0), "10209": (150.0, 1, 150.0)}
    rollups = await world.query("SELECT kg_co2eq FROM data_entry_emissions WHERE scope IS NULL ORDER BY kg_co2eq")
    assert [row.kg_co2eq for row in rollups] == [150.0, 300.0]


def test_the_message_of_an_ingest_counts_and_gives_the_first_reason() -> None:
    long = "x" * 300
    errors = [RejectedRow(1, long)]

    assert ingest_message(JobResult.WARNING, 1, 1, [RejectedRow(2, "no unit")]) == (
        "WARNING: 1 inserted, 1 skipped — first error: no unit"
    )
    assert ingest_message(JobResult.ERROR, 0, 3, errors).removeprefix("ERROR: 0 inserted, 3 skipped — first error: ") == (
        "x" * 199 + "…"
    )
    assert ingest_message(JobResult.ERROR, 0, 0, []) == "ERROR: 0 inserted, 0 skipped"
    assert ingest_message(JobResult.SUCCESS, 5, 0, []) == "Success"
