"""Equipment and purchases are kept where only their factor is missing, and get their emission when it comes."""

from typing import Any

from gql_server.commands.recalculation import recalculate
from gql_server.worker import registry
from tests.handlers.conftest import EQUIPMENT_FACTORS, OPERATOR, PROCESS_FACTORS, PURCHASE_FACTORS, World

EQUIPMENT = "equipment_electric_consumption"
HEADER = (
    "unit_institutional_id,name,equipment_category,equipment_class,sub_class,active_usage_hours_per_week,"
    "standby_usage_hours_per_week\n"
)
SERVER, LASER = "10208,Serveur,it,Server,,168,0\n", "10209,Laser,scientific,LASER,uv,40,128\n"
LASER_FACTOR = EQUIPMENT_FACTORS.partition("\n")[0] + "\nscientific,Laser,UV,100,10,0.1\n"
REASON = "no factor yet for scientific (kind=LASER, subkind=uv)"
PURCHASES = "unit_institutional_id,name,purchase_category,purchase_institutional_code,total_spent_amount,currency\n"


async def kilograms(world: World) -> list[tuple[str, float | None]]:
    rows = await world.query(
        """SELECT e.data ->> 'name' AS name, m.kg_co2eq FROM data_entries e
           LEFT JOIN data_entry_emissions m ON m.data_entry_id = e.id ORDER BY e.id"""
    )
    return [(row.name, row.kg_co2eq) for row in rows]


async def recalculations(world: World, pipeline_id: Any) -> dict[int, tuple[str, str, int]]:
    """By entry type: result, message, entries without a factor."""
    return {
        job.data_entry_type_id: (job.result, job.status_message, job.meta["recalculation"]["without_factor"])
        for job in await world.jobs(pipeline_id)
        if job.job_type == "emission_recalc"
    }


async def test_a_row_without_a_factor_is_kept_without_an_emission_counted_and_listed(world: World) -> None:
    await world.factors(EQUIPMENT, EQUIPMENT_FACTORS)

    pipeline_id = await world.upload(EQUIPMENT, HEADER + SERVER + LASER)

    root = await world.root(pipeline_id)
    assert (root.result, root.failure_class) == ("WARNING", "MISSING_FACTOR")
    assert root.status_message == f"WARNING: 2 inserted, 0 skipped, 1 without a factor yet — first error: {REASON}"
    assert [root.meta[name] for name in ("inserted", "skipped", "without_factor", "row_errors_count")] == [2, 0, 1, 1]
    assert await world.row_errors(pipeline_id) == [(2, REASON)]
    assert await kilograms(world) == [("Serveur", 174.72), ("Laser", None)]
    assert await world.totals(4) == {"10208": (174.72, 1, 174.72), "10209": (0.0, 1, 0.0)}
    assert await recalculations(world, pipeline_id) == {
        10: ("WARNING", f"0 recalculated, 1 without a factor yet — first error: {REASON}", 1),
        11: ("SUCCESS", "Emission recalculation completed", 0),
        12: ("SUCCESS", "Emission recalculation completed", 0),
    }
    assert await world.status(pipeline_id) == "SUCCESS"


async def test_it_gets_its_emission_when_the_factor_comes_however_that_is_spelt(world: World) -> None:
    await world.factors(EQUIPMENT, EQUIPMENT_FACTORS)
    await world.upload(EQUIPMENT, HEADER + SERVER + LASER)

    pipeline_id = await world.factors(EQUIPMENT, LASER_FACTOR)

    assert await kilograms(world) == [("Serveur", 174.72), ("Laser", 27.456)]
    assert (await world.totals(4))["10209"] == (27.456, 1, 27.456)
    assert {result for result, _, _ in (await recalculations(world, pipeline_id)).values()} == {"SUCCESS"}
    (laser,) = await world.query("SELECT data FROM data_entries WHERE data_entry_type_id = 10")
    assert laser.data == {
        "name": "Laser",
        "equipment_category": "scientific",
        "equipment_class": "Laser",
        "sub_class": "UV",
        "active_usage_hours_per_week": 40,
        "standby_usage_hours_per_week": 128,
    }


async def test_factors_of_others_change_nothing_and_say_how_many_still_wait(world: World) -> None:
    await world.factors(EQUIPMENT, EQUIPMENT_FACTORS)
    await world.upload(EQUIPMENT, HEADER + LASER, data_entry_type_id=10)

    pipeline_id = await world.factors(EQUIPMENT, EQUIPMENT_FACTORS.replace("Confocal", "Electron"))

    assert await kilograms(world) == [("Laser", None)]
    assert (await recalculations(world, pipeline_id))[10] == (
        "WARNING",
        f"0 recalculated, 1 without a factor yet — first error: {REASON}",
        1,
    )


async def test_a_purchase_of_a_known_category_waits_and_one_of_none_is_rejected(world: World) -> None:
    await world.factors("purchase", PURCHASE_FACTORS)
    rows = "10208,Conseil,services,S100,200,eur\n10208,Audit,services,S900,300,eur\n10208,Bon,,S900,1,eur\n"

    pipeline_id = await world.upload("purchase", PURCHASES + rows)
    assert await world.row_errors(pipeline_id) == [
        (2, "no factor yet for services (kind=S900, subkind=None)"),
        (3, "no matching factor for purchase (kind=S900, subkind=None)"),
    ]
    root = await world.root(pipeline_id)
    assert (root.status_message, root.failure_class) == (
        "WARNING: 2 inserted, 1 skipped, 1 without a factor yet — first error: "
        "no matching factor for purchase (kind=S900, subkind=None)",
        "SOME_ROWS_REJECTED",
    )

    await world.factors("purchase", PURCHASE_FACTORS.replace("S100,Conseil,,0.5", "S900,Audit,,2"))

    assert await kilograms(world) == [("Conseil", 100.0), ("Audit", 600.0)]


async def test_rejected_rows_are_listed_before_the_many_that_wait(world: World) -> None:
    await world.factors(EQUIPMENT, EQUIPMENT_FACTORS)

    pipeline_id = await world.upload(EQUIPMENT, HEADER + LASER * 120 + "99999,x,it,Server,,1,1\n")

    listed = await world.row_errors(pipeline_id)
    assert (len(listed), listed[-1], listed[0]) == (100, (121, "unknown unit 99999"), (1, REASON))
    assert (await world.root(pipeline_id)).meta["row_errors_count"] == 121


async def test_an_entry_type_without_any_factor_is_refused_and_named(world: World) -> None:
    await world.factors(EQUIPMENT, LASER_FACTOR)

    pipeline_id = await world.upload(EQUIPMENT, HEADER + SERVER, data_entry_type_id=11)

    (root,) = await world.jobs(pipeline_id)
    assert (root.status_message, root.failure_class) == (
        "there are no emission factors of entry type it for this year: upload the factors first",
        "MISSING_FACTOR",
    )


async def test_people_without_factors_are_not_told_to_be_all_right(world: World) -> None:
    pipeline_id = await world.upload("headcount", "unit_institutional_id,fte\n10208,2\n", data_entry_type_id=2)

    assert await recalculations(world, pipeline_id) == {
        2: ("WARNING", "0 recalculated, 1 without a factor yet — first error: no factor yet for student", 1)
    }


async def test_a_module_recalculation_counts_what_waits(world: World) -> None:
    await world.factors(EQUIPMENT, EQUIPMENT_FACTORS)
    await world.upload(EQUIPMENT, HEADER + SERVER + LASER)
    async with world.engine.begin() as connection:
        submitted = await recalculate(connection, registry, OPERATOR, 2025, 4)
    await world.drain()

    root = await world.root(submitted.pipeline_id)
    assert (root.result, root.meta["without_factor"]) == ("WARNING", 1)
    assert root.status_message == f"1 recalculated, 1 without a factor yet — first error: {REASON}"
    assert root.failure_class == "MISSING_FACTOR"


async def test_process_emissions_without_a_factor_are_rejected_as_before(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)

    pipeline_id = await world.upload("process_emissions", "unit_institutional_id,category,quantity\n10208,CO2,1\n10208,Xe,1\n")

    assert await world.row_errors(pipeline_id) == [(2, "no matching factor for process_emissions (kind=Xe, subkind=None)")]
