"""Remedies, done exactly as they say, give the right rows, and is told so: advice ends with its cause."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from gql_server.commands.recalculation import recalculate
from gql_server.db.models import UNNAMED, TargetType
from gql_server.worker import registry
from tests.commands.test_retry import UNIT_ROWS, YEAR_ROWS, entries, retry
from tests.graphql import Client
from tests.handlers.conftest import EQUIPMENT_FACTORS, OPERATOR, PROCESS_FACTORS, PURCHASE_FACTORS, YEAR, World, world

assert world
QUERY = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  diagnosis { code severity message remedy action blockedBy { pipelineId } }
} }"""
NEON = "N2O,Neon,kg,2\n"
PURCHASES = "unit_institutional_id,name,purchase_institutional_code,total_spent_amount,currency\n"
RATES = "currency,per_eur,source\nchf,0.8,Treasury\n"
UNIT_HEADER = "category,subcategory,quantity,note\n"
UNRESOLVED = """{
  pipelines(filter: { unresolved: true }) { nodes { pipelineId } facets(keys: [STATUS]) { values { count { value } } } }
  failed: pipelines(filter: { hasErrors: true }) { nodes { pipelineId isResolved } }
  others: pipelines(filter: { unresolved: false }) { totalCount { value } }
  all: pipelines { totalCount { value } }
}"""
RESOLVED = "Nothing is left to do here: a later run of the same has succeeded, and says itself if it left something out."
NOTHING_LEFT = (
    "Nothing is left to do here: later work does, or did, the same for all that this is about, and says what still lacks."
)
CATEGORIES = "unit_institutional_id,name,purchase_category,purchase_institutional_code,total_spent_amount,currency\n"
SETTLED = "Nothing is left to do: all its entries have their emissions by now."


async def told(world: World, pipeline_id: UUID) -> list[dict[str, Any]]:
    """Reasons of the diagnosis, worst first."""
    answer = await Client(world.engine, "operator", provider="ACCRED").query(QUERY, id=str(pipeline_id))
    return answer["pipeline"]["diagnosis"]


def brief(reasons: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(each["code"], each["severity"], each["action"]) for each in reasons]


async def test_the_rejected_rows_of_a_units_file_are_uploaded_alone_and_no_row_comes_twice(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", UNIT_ROWS + "CO2,,many,\n", unit="10210")

    [reason] = await told(world, first)
    await world.upload("process_emissions", "category,subcategory,quantity,note\nCO2,,20,\n", unit="10210")
    [after] = await told(world, first)

    assert (reason["code"], reason["severity"], reason["action"]) == ("SOME_ROWS_REJECTED", "WARNING", "SEE_ROW_ERRORS")
    assert reason["remedy"] == (
        "See its row errors. The other rows are in, and stay. Correct the rejected rows and upload a file of these alone: "
        "files of a unit add up, so the whole file would bring the others twice."
    )
    assert await entries(world) == [("10210", 10.0), ("10210", 1.0), ("10210", 20.0)]
    assert (await world.totals(8))["10210"] == (73.0, 3, 73.0)
    assert after["remedy"] == (
        "See its row errors. Another file of the unit has landed since, and files of a unit add up: upload the corrected rows "
        "only if they were not in that one."
    )
    assert after["blockedBy"] is not None


async def test_rows_of_a_unit_of_which_only_a_cell_was_ignored_are_not_to_be_uploaded_again(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    rows = "category,subcategory,quantity,note,kg_co2eq\nCO2,,10,,unknown\n"

    [reason] = await told(world, await world.upload("process_emissions", rows, unit="10210"))

    assert await entries(world) == [("10210", 10.0)]
    assert reason["remedy"] == (
        "See its row errors. A row of which only a cell was ignored is in without that cell: do not upload it again."
    )


async def test_the_whole_file_of_a_year_is_uploaded_again_corrected_and_the_old_one_is_told_to_be_replaced(
    world: World,
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", YEAR_ROWS + "10208,CO2,,100,\n10209,CO2,,many,\n")

    [reason] = await told(world, first)
    second = await world.upload("process_emissions", YEAR_ROWS + "10208,CO2,,100,\n10209,CO2,,20,\n")
    [after] = await told(world, first)

    assert reason["remedy"] == (
        "See its row errors. The other rows are in; correct these in the file and upload the whole file again: it takes the "
        "place of what this one brought."
    )
    assert await entries(world) == [("10208", 100.0), ("10209", 20.0)]
    assert (after["severity"], after["action"], after["blockedBy"]) == ("NEUTRAL", None, {"pipelineId": str(second)})
    assert after["remedy"] == "A newer pipeline brings the same data: look at that one, and do nothing about this."
    assert await told(world, second) == []


async def test_a_file_of_factors_is_uploaded_again_corrected_and_doubles_none(world: World) -> None:
    first = await world.factors("process_emissions", PROCESS_FACTORS.replace("28", "many"))

    [reason] = await told(world, first)
    second = await world.factors("process_emissions", PROCESS_FACTORS)
    [after] = await told(world, first)

    assert reason["remedy"] == (
        "See its row errors. The other factors are in; correct these rows and upload the file again: what is there already is "
        "overwritten, not doubled."
    )
    assert [row.count for row in await world.query("SELECT count(*) AS count FROM factors")] == [2]
    assert (after["severity"], after["action"], after["blockedBy"]) == ("NEUTRAL", None, {"pipelineId": str(second)})


async def test_a_file_that_found_no_factors_is_retried_once_they_have_come(world: World) -> None:
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")

    before = await told(world, first)
    await world.factors("process_emissions", PROCESS_FACTORS)
    [arrived] = await told(world, first)
    again = await retry(world, first)
    [after] = await told(world, first)

    assert brief(before) == [("MISSING_FACTOR", "DANGER", "UPLOAD_FACTORS")]
    assert (arrived["action"], arrived["remedy"]) == ("RETRY_PIPELINE", "They have come since. Retry the pipeline.")
    assert (after["action"], after["remedy"]) == (None, RESOLVED)
    assert await entries(world) == [("10210", 10.0), ("10210", 1.0)]
    assert await told(world, again) == []


async def test_rates_that_are_missing_are_told_once_and_no_longer_when_they_have_come(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS + PURCHASE_FACTORS.splitlines()[1].replace("services,S100", "vehicles,V1"))
    first = await world.upload("purchase", PURCHASES + "10208,Conseil,S100,200,chf\n10208,Conseil,V1,200,chf\n")

    [before] = await told(world, first)
    second = await world.upload("purchase", RATES, target=TargetType.REFERENCE_DATA)
    [after] = await told(world, first)

    assert (before["code"], before["action"]) == ("MISSING_EXCHANGE_RATE", "UPLOAD_EXCHANGE_RATES")
    assert before["message"].startswith("Money could not be converted: 0 recalculated, 1 without an exchange rate")
    assert (after["code"], after["severity"], after["action"]) == ("MISSING_EXCHANGE_RATE", "NEUTRAL", None)
    assert after["remedy"] == SETTLED
    assert await told(world, second) == []
    assert (await world.totals(5))["10208"] == (250.0, 2, 250.0)


async def test_rates_that_came_with_a_recalculation_that_failed_are_not_asked_for_again(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    first = await world.upload("purchase", PURCHASES + "10208,Conseil,S100,200,chf\n")
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE factors SET values = values - 'ef_kg_co2eq_per_currency'"))

    second = await world.upload("purchase", RATES, target=TargetType.REFERENCE_DATA)
    [reason] = await told(world, first)

    assert await world.status(second) == "PARTIAL"
    assert (reason["action"], reason["blockedBy"]) == (None, {"pipelineId": str(second)})
    assert reason["remedy"] == (
        "The rates have come since, but the emissions were not computed with them: look at the pipeline that brought them."
    )


async def test_factors_that_some_rows_wait_for_are_asked_for_once_and_no_longer_when_they_have_come(world: World) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)
    rows = (
        "unit_institutional_id,equipment_id,name,equipment_class,sub_class,active_usage_hours_per_week,"
        "standby_usage_hours_per_week,note\n10208,E1,Serveur,Server,,168,0,\n10208,E2,Calculateur,Cluster,,168,0,\n"
    )
    first = await world.upload("equipment_electric_consumption", rows, data_entry_type_id=11)

    before = await told(world, first)
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS + "it,Cluster,,1000,0,0.1\n")
    after = await told(world, first)

    assert brief(before) == [("MISSING_FACTOR", "WARNING", "UPLOAD_FACTORS")]
    assert brief(after) == [("MISSING_FACTOR", "NEUTRAL", None)]
    assert after[0]["remedy"] == SETTLED


async def test_a_recalculation_that_failed_is_not_to_be_retried_when_another_has_done_its_work(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE factors SET values = values - 'ef_kg_co2eq_per_unit'"))
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")

    before = await told(world, first)
    second = await world.factors("process_emissions", PROCESS_FACTORS)
    [after] = await told(world, first)

    assert before[0]["severity"] == "DANGER"
    assert (after["severity"], after["action"], after["remedy"]) == ("NEUTRAL", None, NOTHING_LEFT)
    assert after["blockedBy"] == {"pipelineId": str(second)}
    assert await world.totals(8) == {"10210": (43.0, 2, 43.0)}


async def test_a_units_file_that_failed_is_made_good_by_itself_and_not_by_another_file_of_the_unit(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    async with world.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE data_entries ADD CONSTRAINT small CHECK (source = 0) NOT VALID"))
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")
    async with world.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE data_entries DROP CONSTRAINT small"))

    other = await world.upload(
        "process_emissions", "category,subcategory,quantity,note\nCO2,,5,\n", unit="10210", filename="other.csv"
    )
    [before] = await told(world, first)
    unresolved_before = await unresolved(world)
    again = await retry(world, first)
    [after] = await told(world, first)

    assert (before["severity"], before["blockedBy"]) == ("DANGER", {"pipelineId": str(other)})
    assert before["remedy"].endswith(
        "Another file of the unit has landed since, and files of a unit add up: leave out the rows that were in that one."
    )
    assert unresolved_before == ([str(first)], 1)
    assert (after["severity"], after["action"], after["remedy"]) == ("NEUTRAL", None, RESOLVED)
    assert after["blockedBy"] == {"pipelineId": str(again)}
    assert await unresolved(world) == ([], 0)
    assert await entries(world) == [("10210", 5.0), ("10210", 10.0), ("10210", 1.0)]


async def test_a_units_file_of_which_all_rows_were_bad_is_resolved_by_its_correction_of_the_same_name(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", UNIT_HEADER + "CO2,,many,\n", unit="10210", filename="a.csv")

    await world.upload("process_emissions", UNIT_HEADER + "CO2,,5,\n", unit="10210", filename="b.csv")
    before = await unresolved(world)
    corrected = await world.upload("process_emissions", UNIT_HEADER + "CO2,,20,\n", unit="10210", filename="a.csv")
    [reason] = await told(world, first)

    assert before == ([str(first)], 1)
    assert await unresolved(world) == ([], 0)
    assert (reason["severity"], reason["blockedBy"]) == ("NEUTRAL", {"pipelineId": str(corrected)})


async def test_a_units_file_without_a_name_is_not_taken_for_the_correction_of_another_without_one(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    unnamed = {"unit": "10210", "filename": UNNAMED}
    first = await world.upload("process_emissions", UNIT_HEADER + "CO2,,many,\n", **unnamed)

    await world.upload("process_emissions", UNIT_HEADER + "CO2,,20,\n", **unnamed)

    assert await unresolved(world) == ([str(first)], 1)


async def test_a_warned_upload_that_was_read_again_says_where_it_goes_on_and_the_retry_what_is_left(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    rows = UNIT_ROWS + "CO2,,many,\nCO2,,more,\n"
    first = await world.upload("process_emissions", rows, unit="10210", filename="a.csv")

    other = await world.upload("process_emissions", UNIT_HEADER + "CO2,,20,\n", unit="10210", filename="a.csv")
    again = await retry(world, first)
    [original], [retried] = await told(world, first), await told(world, again)

    assert (original["severity"], original["action"], original["blockedBy"]) == ("NEUTRAL", None, {"pipelineId": str(again)})
    assert original["remedy"] == (
        "Nothing is left to do here: the same was read again by a later run, which says itself what it left out."
    )
    assert retried["remedy"] == (
        "See its row errors. Another file of the unit has landed since, and files of a unit add up: upload the corrected rows "
        "only if they were not in that one."
    )
    assert retried["blockedBy"] == {"pipelineId": str(other)}
    assert await entries(world) == [("10210", 20.0), ("10210", 10.0), ("10210", 1.0)]


@pytest.mark.parametrize(
    ("rows", "options", "code"),
    [
        ("N2O,Neon,5,\n", {}, "ALL_ROWS_REJECTED"),
        ("N2O,Neon,5,\nN2O,Neon,6,\nCH4,,1,\n", {}, "TOO_MANY_ROWS_REJECTED"),
        ("N2O,Neon,5,\nCH4,,1,\n", {}, "SOME_ROWS_REJECTED"),
    ],
    ids=["all", "too many", "some"],
)
async def test_rows_that_no_factor_matches_ask_for_the_factor_then_for_a_retry_and_then_for_nothing(
    world: World, rows: str, options: dict[str, Any], code: str
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", UNIT_HEADER + rows, unit="10210", **options)

    [lacking] = await told(world, first)
    await world.factors("process_emissions", PROCESS_FACTORS + NEON)
    [arrived] = await told(world, first)
    again = await retry(world, first)
    [after] = await told(world, first)

    assert (lacking["code"], lacking["action"]) == (code, "UPLOAD_FACTORS")
    assert lacking["remedy"] == (
        "See its row errors. Upload the emission factors of the module `process_emissions` for 2025 that are missing, unless "
        "the rows name them wrong: then correct the file. Then retry the pipeline."
    )
    assert (arrived["action"], arrived["remedy"]) == (
        "RETRY_PIPELINE",
        "Emission factors have come since. Retry the pipeline.",
    )
    assert (after["severity"], after["action"], after["blockedBy"]) == ("NEUTRAL", None, {"pipelineId": str(again)})
    assert await told(world, again) == []
    assert len(await entries(world)) == rows.count("\n")


async def test_who_may_not_read_row_errors_or_upload_factors_is_told_whom_to_ask(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    bad = await world.upload("process_emissions", UNIT_ROWS + "CO2,,many,\n", unit="10210")
    lacking = await world.upload("process_emissions", UNIT_HEADER + "N2O,Neon,5,\n", unit="10210")
    principal = Client(world.engine, "principal", provider="ACCRED", unit="10210")

    [of_rows], [of_factor] = [(await principal.query(QUERY, id=str(each)))["pipeline"]["diagnosis"] for each in (bad, lacking)]

    assert (of_rows["action"], of_factor["action"]) == (None, None)
    assert of_rows["remedy"].endswith("You may not read the row errors or the full text: ask an operator for them.")
    assert of_factor["remedy"].endswith("That is an operator's to do: ask one.")


async def unresolved(world: World) -> tuple[list[str], int]:
    """Pipelines that nothing has resolved, by the list and as facets count them; the list agrees with each of them."""
    answer = await Client(world.engine, "operator", provider="ACCRED").query(UNRESOLVED)
    listed = [row["pipelineId"] for row in answer["pipelines"]["nodes"]]
    failed = [row for row in answer["failed"]["nodes"] if not row["isResolved"]]
    assert listed == [row["pipelineId"] for row in failed]
    others, every = (answer[name]["totalCount"]["value"] for name in ("others", "all"))
    assert len(listed) + others == every
    [facet] = answer["pipelines"]["facets"]
    return listed, sum(value["count"]["value"] for value in facet["values"])


SERVICES = 64
TWO_SERVICES = PURCHASES + "10208,Autre,S999,200,eur\n10209,Conseil,S100,200,eur\n"
BREAK_FACTORS = "UPDATE factors SET values = values - 'ef_kg_co2eq_per_currency'"


async def execute(world: World, statement: str) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(text(statement))


async def recalculate_purchases(world: World, **options: Any) -> UUID:
    async with world.engine.begin() as connection:
        submitted = await recalculate(connection, registry, OPERATOR, YEAR, 5, **options)
    await world.drain()
    return submitted.pipeline_id


async def without_emission(world: World) -> int:
    query = "SELECT count(*) AS entries FROM data_entries e WHERE NOT EXISTS (SELECT FROM data_entry_emissions m "
    return (await world.query(f"{query} WHERE m.data_entry_id = e.id)"))[0].entries


async def test_entries_whose_factor_came_but_not_their_rate_are_not_said_to_have_their_emissions(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    first = await world.upload("purchase", TWO_SERVICES.replace("200,eur", "200,chf", 1), data_entry_type_id=SERVICES)

    before = await told(world, first)
    await world.factors("purchase", PURCHASE_FACTORS + "eur,services,S999,Autre,,1\n")
    lacking, between = await without_emission(world), await told(world, first)
    await world.upload("purchase", RATES, target=TargetType.REFERENCE_DATA)

    assert {each["action"] for each in before} == {"UPLOAD_FACTORS"}
    assert lacking == 1
    assert {each["action"] for each in between} == {"UPLOAD_EXCHANGE_RATES", None}
    assert (between[0]["code"], between[0]["message"]) == (
        "MISSING_EXCHANGE_RATE",
        "Some entries have no emission now, because there is no exchange rate for them.",
    )
    assert SETTLED not in [each["remedy"] for each in between]
    assert SETTLED in [each["remedy"] for each in await told(world, first)]


async def test_entries_that_were_read_again_but_not_computed_are_not_said_to_have_their_emissions(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    first = await world.upload("purchase", TWO_SERVICES, data_entry_type_id=SERVICES)
    await world.factors("purchase", PURCHASE_FACTORS + "eur,services,S999,Autre,,1\n")
    settled = [each["remedy"] for each in await told(world, first)]
    await execute(world, BREAK_FACTORS)

    await retry(world, first)

    assert settled == [SETTLED]
    assert await without_emission(world) == 2
    assert SETTLED not in [each["remedy"] for each in await told(world, first)]


async def test_entries_of_a_newer_file_whose_recalculation_failed_settle_nothing(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    first = await world.upload("purchase", TWO_SERVICES, data_entry_type_id=SERVICES)
    await execute(world, BREAK_FACTORS)

    await world.upload("purchase", PURCHASES + "10209,Conseil,S100,200,eur\n", data_entry_type_id=SERVICES)

    assert await without_emission(world) == 1
    assert SETTLED not in [each["remedy"] for each in await told(world, first)]


async def test_a_recalculation_of_fewer_entry_types_is_not_the_same_and_one_of_all_is(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    rows = "10208,Gants,consumable_accessories,C1,200,eur\n10209,Conseil,services,S100,200,eur\n"
    await world.upload("purchase", CATEGORIES + rows)
    first = await recalculate_purchases(world)
    await world.factors("purchase", PURCHASE_FACTORS)
    newest = "SELECT max(id) FROM data_ingestion_jobs WHERE job_type = 'emission_recalc' AND data_entry_type_id"
    await execute(world, f"UPDATE data_ingestion_jobs SET result = 'ERROR' WHERE id = ({newest} = 64)")

    await recalculate_purchases(world, only_stale=True)
    fewer = await told(world, first)
    every = await recalculate_purchases(world)

    assert await without_emission(world) == 1
    assert brief(fewer) == [("MISSING_FACTOR", "WARNING", "UPLOAD_FACTORS")]
    [reason] = await told(world, first)
    assert (reason["severity"], reason["action"], reason["remedy"]) == ("NEUTRAL", None, NOTHING_LEFT)
    assert reason["blockedBy"] == {"pipelineId": str(every)}


async def test_a_failed_recalculation_of_a_module_is_redone_once_each_of_its_entry_types_is(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    await world.upload("purchase", CATEGORIES + "10209,Conseil,services,S100,200,eur\n")
    await execute(world, BREAK_FACTORS)
    first = await recalculate_purchases(world)
    [before] = await told(world, first)

    await recalculate_purchases(world, data_entry_type_id=SERVICES)
    [of_one] = await told(world, first)
    factors = await world.factors("purchase", PURCHASE_FACTORS)
    [after] = await told(world, first)

    assert before["action"] == of_one["action"] == "RETRY_PIPELINE"
    assert await without_emission(world) == 0
    assert (after["severity"], after["action"], after["remedy"]) == ("NEUTRAL", None, NOTHING_LEFT)
    assert after["blockedBy"] == {"pipelineId": str(factors)}


LASER = "unit_institutional_id,name,equipment_class,sub_class\n10208,Laser,Laser,UV\n"
LASER_FACTOR = EQUIPMENT_FACTORS + "scientific,Laser,UV,100,10,0.1\n"
LASER_AS_IT = "its factor is of scientific, not of it: upload it without entryType, or with that of its factor"


async def test_rows_uploaded_with_an_entry_type_that_their_factor_is_not_of_are_sent_to_the_right_one(world: World) -> None:
    await world.factors("equipment_electric_consumption", LASER_FACTOR)
    wrong: dict[str, Any] = {"module": "equipment_electric_consumption", "content": LASER, "data_entry_type_id": 11}
    of_year, of_unit = await world.upload(**wrong), await world.upload(**wrong, unit="10208")

    [year], [unit] = await told(world, of_year), await told(world, of_unit)
    await world.upload("equipment_electric_consumption", LASER, unit="10208")

    assert await world.row_errors(of_year) == [(1, LASER_AS_IT)]
    assert brief([year, unit]) == [("ALL_ROWS_REJECTED", "DANGER", "UPLOAD_FILE")] * 2
    assert unit["message"] == (
        "The factor of some of the rows is of `scientific`, not of the entry type of the upload: 0 inserted, 1 skipped — first "
        f"error: {LASER_AS_IT}"
    )
    assert unit["remedy"] == ("Upload the same file again without entryType, or with entryType=`scientific`.")
    assert year["remedy"] == (
        "Upload them with the other rows of `scientific`, or all rows of the module in one file without entryType: a file of "
        "the year takes the place of what earlier ones brought."
    )
    assert [row.data_entry_type_id for row in await world.query("SELECT data_entry_type_id FROM data_entries")] == [10]
    assert (await world.totals(4))["10208"][1] == 1


async def test_entries_that_waited_for_a_factor_which_came_for_another_entry_type_say_so(world: World) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)
    await world.upload("equipment_electric_consumption", LASER, data_entry_type_id=11)

    [reason] = await told(world, await world.factors("equipment_electric_consumption", LASER_FACTOR))

    assert reason["message"] == (
        "Some entries have no emission yet: 0 recalculated, 1 without a factor yet — first error: no factor yet for it "
        "(kind=Laser, subkind=UV), but there is one of scientific"
    )
    assert reason["remedy"] == (
        "Upload the emission factors of `it` for 2025 that are still to come: the emissions follow by themselves. If they were "
        "uploaded with the wrong entryType, upload their rows with that of their factor."
    )
