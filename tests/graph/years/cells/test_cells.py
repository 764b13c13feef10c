"""Modules in a year: how fresh they are, what they lack, and what works on them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.carbon.catalog import entry_types_of
from gql_server.carbon.year_configuration import default_config, merge
from gql_server.db.models import EntityType, JobResult, JobState, JobType, Provider, TargetType
from gql_server.handlers.reports import create_modules, create_reports
from gql_server.policy import CONFIGURATION_VIEW, Viewer
from gql_server.reads.years.aggregations import LAST_AGGREGATIONS
from gql_server.reads.years.recalculations import RECALCULATIONS
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import SCHEMA, Client, context

SUCCESS, ERROR = JobResult.SUCCESS, JobResult.ERROR
HOURS_AGO = datetime.now(UTC) - timedelta(hours=2)
BOARD = """query ($year: Int!) { freshness(year: $year) {
  module { key typeId } year freshness needsRecalculation lastAggregation { jobId }
  dataEntryTypes { dataEntryType { typeId } needsRecalculation lastFactorJob { jobId } lastRecalculationJob { jobId }
    readiness { isEnabled isIncomplete incompleteReasons currentDataJob { jobId } currentApiDataJob { jobId }
      currentFactorJob { jobId } currentReferenceJob { jobId } } }
  readiness { isEnabled isIncomplete currentCommonDataJob { jobId } currentCommonFactorJob { jobId } }
  currentPipeline { pipelineId status progress { fraction } } lastSuccessful { pipelineId finishedAt }
} }"""


async def board(client: Client, query: str = BOARD, year: int = 2025) -> dict[int, dict[str, Any]]:
    cells = (await client.query(query, year=year))["freshness"]
    return {cell["module"]["typeId"]: cell for cell in cells}


async def aggregation(connection: AsyncConnection, module: int, **values: Any) -> int:
    times = {"created_at": HOURS_AGO, "started_at": HOURS_AGO}
    ended = {} if "state" in values else {"result": SUCCESS, "finished_at": HOURS_AGO}
    return await build.job(connection, job_type=JobType.AGGREGATION, module_type_id=module, **(times | ended | values))


async def recalculation(connection: AsyncConnection, module: int, **values: Any) -> int:
    """Of all entry types of the module."""
    listed = {"data_entry_type_ids": list(entry_types_of(module))}
    kind = {"job_type": JobType.MODULE_EMISSION_RECALC, "config": listed}
    return await build.job(connection, module_type_id=module, **({"result": SUCCESS} | kind | values))


async def current(connection: AsyncConnection, module: int, entry_type: int | None, target: TargetType, **values: Any) -> int:
    values = {"result": SUCCESS, "is_current": True, "data_entry_type_id": entry_type, "target_type": target} | values
    return await build.job(connection, module_type_id=module, **values)


async def test_r12_r14_the_board_says_how_fresh_each_module_is_by_its_newest_aggregation(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025, config={})
        stuck = await aggregation(connection, 2, state=JobState.NOT_STARTED)
        failed = await aggregation(connection, 3, result=ERROR)
        old = await aggregation(connection, 4)
        await build.job(connection, module_type_id=4, result=SUCCESS)
        await aggregation(connection, 5, result=ERROR)
        healed = await aggregation(connection, 5)
        await aggregation(connection, 6, provider=Provider.TEST)
        await aggregation(connection, 7, year=2024)

    cells = await board(Client(engine, "operator"))

    last = {module: (cell["lastAggregation"] or {}).get("jobId") for module, cell in cells.items()}
    assert {module: (cell["freshness"], last[module]) for module, cell in cells.items()} == {
        1: ("NO_AGGREGATION_EVER", None),
        2: ("PENDING_AGGREGATION_STUCK", stuck),
        3: ("LAST_AGGREGATION_FAILED", failed),
        4: ("LAST_AGGREGATION_TOO_OLD", old),
        5: ("FRESH", healed),
        6: ("NO_AGGREGATION_EVER", None),
        7: ("NO_AGGREGATION_EVER", None),
        8: ("NO_AGGREGATION_EVER", None),
    }  # fmt: skip
    assert {cell["year"] for cell in cells.values()} == {2025}


async def test_a_module_that_its_year_disables_is_neither_fresh_nor_stale_and_blocks_nothing(engine: AsyncEngine):
    query = """{ freshness(year: 2025) { module { typeId } freshness needsRecalculation readiness { isIncomplete } }
      yearConfiguration(by: { year: 2025 }) { readiness { ready blockers { message } } }
      health { staleScopes { module { typeId } } } }"""
    async with engine.begin() as connection:
        await build.year(connection, 2025, config=default_config())
        await build.rates(connection, 2025)
        await build.unit(connection, "A")
        [unit_id] = await connection.scalars(text("SELECT id FROM units"))
        await create_reports(connection, 2025, [unit_id])
        await create_modules(connection, 2025, [unit_id])
        for module in (1, 4, 5, 8):
            await current(connection, module, None, TargetType.FACTORS)
            await recalculation(connection, module)
            await aggregation(connection, module)
        await current(connection, 2, None, TargetType.FACTORS)
        await aggregation(connection, 3, result=ERROR)

    answer = await Client(engine, "operator").query(query)

    cells = {cell["module"]["typeId"]: cell for cell in answer["freshness"]}
    assert {module: cell["freshness"] for module, cell in cells.items()} == {
        **dict.fromkeys((1, 4, 5, 8), "LAST_AGGREGATION_TOO_OLD"),
        **dict.fromkeys((2, 3, 6, 7), None),
    }
    assert {(cell["needsRecalculation"], cell["readiness"]["isIncomplete"]) for cell in cells.values()} == {(False, False)}
    assert answer["yearConfiguration"]["readiness"] == {"ready": True, "blockers": []}
    assert [cell["module"]["typeId"] for cell in answer["health"]["staleScopes"]] == [1, 4, 5, 8]


async def test_a_module_needs_recalculation_when_one_of_its_entry_types_does(engine: AsyncEngine):
    factor, recalculation = {"target_type": TargetType.FACTORS}, {"job_type": JobType.EMISSION_RECALC}
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await build.job(connection, module_type_id=2, data_entry_type_id=20, result=SUCCESS, **recalculation)
        plane = await build.job(connection, module_type_id=2, data_entry_type_id=20, result=SUCCESS, **factor)
        train = await build.job(connection, module_type_id=2, data_entry_type_id=21, result=SUCCESS, **factor)
        followed = await build.job(connection, module_type_id=2, data_entry_type_id=21, result=SUCCESS, **recalculation)
        await build.job(connection, module_type_id=8, data_entry_type_id=50, result=ERROR, **factor)

    cells = await board(Client(engine, "operator"))

    assert {module for module, cell in cells.items() if cell["needsRecalculation"]} == {2}
    found = cells[2]["dataEntryTypes"]
    assert [(each["dataEntryType"]["typeId"], each["needsRecalculation"]) for each in found] == [(20, True), (21, False)]
    assert [each["lastFactorJob"]["jobId"] for each in found] == [plane, train]
    assert found[1]["lastRecalculationJob"] == {"jobId": followed}
    assert cells[8]["dataEntryTypes"] == [
        {
            "dataEntryType": {"typeId": 50},
            "needsRecalculation": False,
            "lastFactorJob": None,
            "lastRecalculationJob": None,
            "readiness": None,
        }
    ]


async def test_y8_what_each_entry_type_has_and_lacks_is_shown_with_its_current_jobs(engine: AsyncEngine):
    off = {"enabled": False}
    config = merge(default_config(enables=lambda *_: True), {"modules": {"1": off, "2": {"submodules": {"21": off}}}})
    async with engine.begin() as connection:
        await build.year(connection, 2025, config=config)
        await build.rates(connection, 2025)
        data = await current(connection, 2, 20, TargetType.DATA_ENTRIES)
        api = await current(connection, 2, 20, TargetType.DATA_ENTRIES, ingestion_method="api", result=ERROR)
        failed = await current(connection, 2, 20, TargetType.FACTORS, result=ERROR)
        common = await current(connection, 5, None, TargetType.FACTORS)
        common_data = await current(connection, 5, None, TargetType.DATA_ENTRIES)
        await current(connection, 4, 10, TargetType.FACTORS, entity_type=EntityType.MODULE_UNIT_SPECIFIC)

    cells = await board(Client(engine, "operator"))

    plane, train = (each["readiness"] for each in cells[2]["dataEntryTypes"])
    assert plane == {
        "isEnabled": True,
        "isIncomplete": True,
        "incompleteReasons": ["MISSING_REFERENCE"],
        "currentDataJob": {"jobId": data},
        "currentApiDataJob": {"jobId": api},
        "currentFactorJob": {"jobId": failed},
        "currentReferenceJob": None,
    }
    assert (train["isEnabled"], train["incompleteReasons"]) == (False, [])
    assert cells[5]["readiness"] == {
        "isEnabled": True,
        "isIncomplete": False,
        "currentCommonDataJob": {"jobId": common_data},
        "currentCommonFactorJob": {"jobId": common},
    }
    flags = {module: (cell["readiness"]["isEnabled"], cell["readiness"]["isIncomplete"]) for module, cell in cells.items()}
    assert (flags[1], flags[2], flags[4]) == ((False, False), (True, True), (True, True))


async def test_r9_the_newest_unfinished_pipeline_of_each_module_is_its_current_one(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await build.run(connection, JobState.RUNNING, module_type_id=1)
        newest = await build.run(connection, SUCCESS, JobState.RUNNING, module_type_id=1)
        await build.run(connection, SUCCESS, module_type_id=1)
        await build.run(connection, SUCCESS, ERROR, module_type_id=2)
        await build.run(connection, JobState.RUNNING, module_type_id=3, year=2024)
        waiting = await build.run(connection, JobState.NOT_STARTED, module_type_id=3)
        await build.job(connection, module_type_id=4, state=JobState.RUNNING)
        await build.run(connection, JobState.RUNNING, module_type_id=5, provider=Provider.TEST)
        owing = await build.pipeline(connection, module_type_id=6)
        await build.job(connection, owing, module_type_id=6, result=SUCCESS)
        await build.settle(connection, owing, owes_aggregation=True)
        elsewhere = await build.pipeline(connection, module_type_id=6)
        await build.job(connection, elsewhere, module_type_id=7, state=JobState.RUNNING)
        await build.settle(connection, elsewhere)

    cells = await board(Client(engine, "operator"))

    found = {module: cell["currentPipeline"]["pipelineId"] for module, cell in cells.items() if cell["currentPipeline"]}
    assert found == {1: str(newest), 3: str(waiting), 6: str(owing), 7: str(elsewhere)}


async def test_the_last_successful_pipeline_is_the_newest_that_ended_in_success(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await build.run(connection, SUCCESS, module_type_id=1)
        good = await build.run(connection, SUCCESS, SUCCESS, module_type_id=1)
        await build.run(connection, SUCCESS, ERROR, module_type_id=1)
        await build.run(connection, SUCCESS, module_type_id=1, year=2024)
        await build.run(connection, SUCCESS, module_type_id=2, provider=Provider.TEST)

    cells = await board(Client(engine, "operator"))

    found = {module: cell["lastSuccessful"]["pipelineId"] for module, cell in cells.items() if cell["lastSuccessful"]}
    assert found == {1: str(good)}


@pytest.mark.parametrize("years", [1, 4])
async def test_the_board_takes_thirteen_statements_however_many_years(engine: AsyncEngine, years: int):
    async with engine.begin() as connection:
        for number in range(2025, 2025 + years):
            await build.year(connection, number, config=default_config())
            for module in range(1, 9):
                await aggregation(connection, module, year=number)
                await build.run(connection, SUCCESS, SUCCESS, SUCCESS, module_type_id=module, year=number)
                await build.run(connection, JobState.RUNNING, module_type_id=module, year=number)
                await current(connection, module, None, TargetType.FACTORS, year=number)
    cell = BOARD[BOARD.index("{ freshness(year: $year)") + len("{ freshness(year: $year)") : -1]

    with statements(engine) as executed:
        found = (await Client(engine).query(f"{{ yearConfigurations {{ modules {cell} }} }}"))["yearConfigurations"]

    assert [len(year["modules"]) for year in found] == [8] * years
    # fewer when answers that name jobs or pipelines arrive together
    assert 10 <= len(executed) <= 13


async def test_who_may_sync_a_module_sees_its_cell_and_inside_only_what_they_may_see(engine: AsyncEngine):
    specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "module_type_id": 8}
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True, config=default_config())
        await aggregation(connection, 8)
        await build.run(connection, JobState.RUNNING, module_type_id=8)
        mine = await build.run(connection, JobState.RUNNING, unit_institutional_id="A", **specific)
        done = await build.run(connection, SUCCESS, unit_institutional_id="A", **specific)
        await build.run(connection, JobState.RUNNING, unit_institutional_id="B", **specific)
        await build.run(connection, SUCCESS, unit_institutional_id="B", **specific)
    query = BOARD.replace("freshness(", "all: freshness(")

    answer = await Client(engine, "principal", unit="A").execute(query, year=2025)

    cells = {cell["module"]["typeId"]: cell for cell in answer["data"]["all"]}
    assert set(cells) == set(range(1, 9))
    process = cells[8]
    assert (process["freshness"], process["needsRecalculation"], process["lastAggregation"]) == (None, None, None)
    assert process["readiness"] is None
    assert process["currentPipeline"]["pipelineId"] == str(mine)
    assert process["lastSuccessful"]["pipelineId"] == str(done)
    whole_module = "backoffice.configuration:view | backoffice.pipeline_operations:view"
    assert answer["extensions"]["redactions"] == [
        {"coordinate": "DataEntryTypeYear.needsRecalculation", "permission": whole_module, "count": 23},
        {"coordinate": "DataEntryTypeYear.readiness", "permission": "backoffice.configuration:view", "count": 23},
        {"coordinate": "ModuleYear.freshness", "permission": whole_module, "count": 8},
        {"coordinate": "ModuleYear.needsRecalculation", "permission": whole_module, "count": 8},
        {"coordinate": "ModuleYear.readiness", "permission": "backoffice.configuration:view", "count": 8},
    ]


async def work(connection: AsyncConnection, unit: str | None, *, lists: bool = False) -> tuple[int, int]:
    """A finished upload of process emissions, of one unit or for all, with its recalculation and its aggregation."""
    level = EntityType.MODULE_UNIT_SPECIFIC if unit else EntityType.MODULE_PER_YEAR
    pipeline_id = await build.pipeline(connection, module_type_id=8, unit_institutional_id=unit, entity_type=level)
    shared = {"pipeline_id": pipeline_id, "module_type_id": 8, "result": SUCCESS}
    await build.job(
        connection, target_type=TargetType.DATA_ENTRIES if unit else TargetType.FACTORS, entity_type=level, **shared
    )
    about = {"config": {"data_entry_type_ids": [50]}} if lists else {"data_entry_type_id": 50}
    kind = JobType.MODULE_EMISSION_RECALC if lists else JobType.EMISSION_RECALC
    recalculated = await build.job(connection, job_type=kind, **shared, **about)
    aggregated = await build.job(connection, job_type=JobType.AGGREGATION, **shared)
    await build.settle(connection, pipeline_id)
    return recalculated, aggregated


KILOGRAMS = """{ freshness(year: 2025) { module { typeId }
  totals { kgCo2eq scope1KgCo2eq scope2KgCo2eq scope3KgCo2eq itKgCo2eq entryCount unitCount computedAt } } }"""


async def aggregated(connection: AsyncConnection, unit: str, kg: float, module: int = 8, year: int = 2025) -> None:
    """Store what an aggregation does for a module of a unit, of as many entries as kilograms."""
    scopes = {"scope1": kg, "scope2": 0.1, "scope3": 0.0, "total": kg + 0.1, "it_total_kg": kg / 2}
    stats = {**scopes, "entry_count": int(kg), "computed_at": f"2025-02-0{int(kg)}T12:00:00+00:00"}
    statement = """UPDATE carbon_report_modules m SET stats = CAST(:stats AS jsonb) FROM carbon_reports r, units u
      WHERE r.id = m.carbon_report_id AND u.id = r.unit_id AND m.module_type_id = :module AND u.institutional_id = :unit
        AND r.year = :year"""
    given = {"stats": json.dumps(stats), "module": module, "unit": unit, "year": year}
    assert (await connection.execute(text(statement), given)).rowcount == 1


@pytest.mark.parametrize(("who", "expected"), [
    ({"role": "operator"}, (6.3, 6.0, 0.3, 0.0, 3.0, 6, 3, "2025-02-03T12:00:00Z")),
    ({"role": "principal", "unit": "A"}, (1.1, 1.0, 0.1, 0.0, 0.5, 1, 1, "2025-02-01T12:00:00Z")),
    ({"role": "principal", "unit": "C"}, (3.1, 3.0, 0.1, 0.0, 1.5, 3, 1, "2025-02-03T12:00:00Z")),
    ({"role": "principal", "unit": "D"}, None),
])  # fmt: skip
async def test_the_kilograms_of_a_module_are_those_of_the_units_that_the_viewer_may_view(
    engine: AsyncEngine, who: dict[str, Any], expected: tuple[Any, ...] | None
):
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True)
        for unit in ("A", "B", "C", "D"):
            await build.unit(connection, unit)
        await build.unit(connection, "T", provider="TEST")
        ids = list(await connection.scalars(text("SELECT id FROM units ORDER BY id")))
        for year in (2024, 2025):
            await create_reports(connection, year, ids)
            await create_modules(connection, year, ids)
        for number, unit in enumerate("ABC", 1):
            await aggregated(connection, unit, float(number))
        await aggregated(connection, "A", 7.0, year=2024)
        await aggregated(connection, "A", 7.0, module=7)
        await aggregated(connection, "T", 7.0)

    answer = await Client(engine, **who).execute(KILOGRAMS)

    cells = {cell["module"]["typeId"]: cell["totals"] for cell in answer["data"]["freshness"]}
    assert (cells[8] and tuple(cells[8].values())) == expected
    assert cells[5] is None


async def test_who_syncs_a_unit_without_viewing_it_is_told_no_kilograms(engine: AsyncEngine):
    who = Viewer(subject="bo", provider="DEFAULT", permissions=frozenset({"modules.process_emissions:sync@A"}))
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True)
        await build.unit(connection, "A")
        ids = list(await connection.scalars(text("SELECT id FROM units")))
        await create_reports(connection, 2025, ids)
        await create_modules(connection, 2025, ids)
        await aggregated(connection, "A", 1.0)

    answer = await SCHEMA.execute(KILOGRAMS, context_value=context(engine, who))

    assert answer.data == {"freshness": [{"module": {"typeId": 8}, "totals": None}]}


NEWEST = """{ freshness(year: 2025) { module { typeId } lastAggregation { jobId }
  dataEntryTypes { lastFactorJob { jobId } lastRecalculationJob { jobId } } } }"""


@pytest.mark.parametrize("lists", [False, True])
async def test_what_other_units_do_changes_nothing_of_the_newest_jobs_that_a_unit_is_shown(engine: AsyncEngine, lists: bool):
    principal, operator = Client(engine, "principal", unit="A"), Client(engine, "operator")
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True)
        await work(connection, "A")
        recalculated, aggregated = await work(connection, "A", lists=lists)
    before = (await principal.post(json={"query": NEWEST})).text

    async with engine.begin() as connection:
        await work(connection, "B", lists=lists)
        factors = (await work(connection, None))[0] - 1
        newest = await work(connection, "B", lists=lists)
    after = (await principal.post(json={"query": NEWEST})).text

    assert after == before
    seen, all_seen = (await board(principal, NEWEST))[8], (await board(operator, NEWEST))[8]
    assert seen["lastAggregation"] == {"jobId": aggregated}
    assert seen["dataEntryTypes"] == [{"lastFactorJob": None, "lastRecalculationJob": {"jobId": recalculated}}]
    assert all_seen["lastAggregation"] == {"jobId": newest[1]}
    assert all_seen["dataEntryTypes"] == [{"lastFactorJob": {"jobId": factors}, "lastRecalculationJob": {"jobId": newest[0]}}]


async def test_who_configures_years_and_sees_no_pipelines_is_shown_no_jobs_but_how_fresh_they_leave_it(engine: AsyncEngine):
    who = Viewer(subject="ada", provider="DEFAULT", permissions=frozenset({CONFIGURATION_VIEW}))
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await work(connection, None)
    query = NEWEST.replace("lastAggregation", "freshness needsRecalculation lastAggregation")

    answer = await SCHEMA.execute(query, context_value=context(engine, who))

    assert answer.data
    assert [cell for cell in answer.data["freshness"] if cell["module"]["typeId"] == 8] == [
        {
            "module": {"typeId": 8},
            "freshness": "FRESH",
            "needsRecalculation": False,
            "lastAggregation": None,
            "dataEntryTypes": [{"lastFactorJob": None, "lastRecalculationJob": None}],
        }
    ]


async def test_who_may_sync_no_module_sees_no_cells(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True)
    query = "{ freshness(year: 2025) { year } yearConfiguration(by: { year: 2025 }) { modules { year } } }"

    answer = await Client(engine, "standard").execute(query)

    assert answer["data"] == {"freshness": [], "yearConfiguration": {"modules": None}}
    permission = "backoffice.configuration:view | modules.*:sync@*"
    assert answer["extensions"]["redactions"] == [
        {"coordinate": "YearConfiguration.modules", "permission": permission, "count": 1}
    ]


@pytest.mark.parametrize(("role", "claims"), [
    ("principal", {"unit": "A"}), ("operator", {"provider": "TEST"}), ("operator", {"year": 1999}),
])  # fmt: skip
async def test_a_year_that_is_not_visible_has_no_cells(engine: AsyncEngine, role: str, claims: dict[str, Any]):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
    year = claims.pop("year", 2025)

    assert await board(Client(engine, role, **claims), year=year) == {}


async def test_the_board_reads_the_jobs_of_no_year_as_a_whole(engine: AsyncEngine):
    noise = """INSERT INTO data_ingestion_jobs
        (job_type, target_type, entity_type, module_type_id, data_entry_type_id, year, state, result, finished_at)
      SELECT (ARRAY['csv_ingest', 'emission_recalc', 'aggregation', 'factor_ingest'])[1 + i % 4],
        (ARRAY['DATA_ENTRIES', 'FACTORS'])[1 + (i % 20) / 19]::target_type_enum, 'MODULE_PER_YEAR', 8, 50, 2024 + i % 2,
        'FINISHED', 'SUCCESS', now() FROM generate_series(1, 20000) AS i"""
    parameters = {"provider": "DEFAULT", "years": [2024, 2025], "modules": [8, 8]}
    parameters |= {"entry_type_modules": [8], "entry_types": [50]}
    async with engine.begin() as connection:
        await connection.execute(text(noise))
        await connection.execute(text("ANALYZE data_ingestion_jobs"))
        for statement in (LAST_AGGREGATIONS, RECALCULATIONS):
            plan = "\n".join(await connection.scalars(text(f"EXPLAIN {statement.text}"), parameters))
            assert "ix_data_ingestion_jobs_cell_" in plan
            assert "Seq Scan on data_ingestion_jobs" not in plan


CAN = """query ($year: Int!) { freshness(year: $year) {
  module { key typeId } viewerCan { recalculate { allowed code message } }
} }"""


@pytest.mark.parametrize(
    ("viewer", "refused"),
    [
        ("operator", {5: "Its recalculation waits or runs already."}),
        ("superadmin", {5: "Its recalculation waits or runs already."}),
    ],
)
async def test_a_module_is_recalculated_by_hand_unless_it_is_being(engine: AsyncEngine, viewer: str, refused: dict[int, str]):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await recalculation(connection, 4)
        await recalculation(connection, 5, state=JobState.NOT_STARTED, result=None)
        await build.job(connection, job_type=JobType.EMISSION_RECALC, module_type_id=6, state=JobState.RUNNING)

    cells = await board(Client(engine, viewer), CAN)

    can = {module: cell["viewerCan"]["recalculate"] for module, cell in cells.items()}
    assert {module: each["message"] for module, each in can.items() if not each["allowed"]} == refused
    assert {each["code"] for each in can.values()} == {None, "WRONG_STATE"}


async def test_a_module_of_a_year_that_is_not_provisioned_is_not_recalculated(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025, configuration_completed=None)

    cells = await board(Client(engine, "operator"), CAN)

    assert {cell["viewerCan"]["recalculate"]["message"] for cell in cells.values()} == {
        "The unit sync of this year has not succeeded yet."
    }
