"""Totals and emissions of a year that are out of date."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.carbon.catalog import MODULES
from gql_server.db.models import JobResult, JobState, JobType, Provider, TargetType
from gql_server.errors import BadInput
from gql_server.handlers.reports import create_modules, create_reports
from gql_server.policy import Viewer
from gql_server.reads.years.aggregations import stale_aggregations
from gql_server.reads.years.freshness import EntryTypeRecalculation, Freshness, freshness
from gql_server.reads.years.recalculations import entry_types_to_recalculate, recalculations_by_module_year
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import viewer

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
CUTOFF = NOW - timedelta(hours=1)
OLD, YOUNG = NOW - timedelta(hours=2), NOW - timedelta(minutes=5)
SUCCESS, WARNING, ERROR = JobResult.SUCCESS, JobResult.WARNING, JobResult.ERROR


@dataclass(frozen=True)
class Aggregation:
    job_id: int | None = 1
    state: str | None = JobState.FINISHED
    aggregation_failed: bool = False
    created_at: datetime = OLD
    aggregated_at: datetime | None = OLD
    finished_at: datetime | None = OLD
    changed_at: datetime | None = None
    recalculation_failed: bool = False
    lacks_emissions: bool = False


@pytest.mark.parametrize(("last", "expected"), [
    (Aggregation(job_id=None), Freshness.NO_AGGREGATION_EVER),
    (Aggregation(state=JobState.NOT_STARTED, finished_at=None), Freshness.PENDING_AGGREGATION_STUCK),
    (Aggregation(state=JobState.RUNNING, finished_at=None), Freshness.PENDING_AGGREGATION_STUCK),
    (Aggregation(state=JobState.RUNNING, created_at=YOUNG), Freshness.FRESH),
    (Aggregation(state=JobState.RUNNING, created_at=CUTOFF), Freshness.FRESH),
    (Aggregation(aggregation_failed=True), Freshness.LAST_AGGREGATION_FAILED),
    (Aggregation(aggregation_failed=True, finished_at=YOUNG), Freshness.LAST_AGGREGATION_FAILED),
    (Aggregation(finished_at=None), Freshness.LAST_AGGREGATION_TOO_OLD),
    (Aggregation(), Freshness.FRESH),
    (Aggregation(changed_at=OLD), Freshness.FRESH),
    (Aggregation(changed_at=OLD - timedelta(seconds=1)), Freshness.FRESH),
    (Aggregation(changed_at=OLD + timedelta(seconds=1)), Freshness.LAST_AGGREGATION_TOO_OLD),
    (Aggregation(changed_at=YOUNG), Freshness.LAST_AGGREGATION_TOO_OLD),
    (Aggregation(state=JobState.RUNNING, created_at=YOUNG, aggregation_failed=True), Freshness.LAST_AGGREGATION_FAILED),
    (Aggregation(state=JobState.RUNNING, aggregation_failed=True), Freshness.PENDING_AGGREGATION_STUCK),
    (Aggregation(aggregated_at=YOUNG, finished_at=YOUNG, changed_at=NOW), Freshness.FRESH),
    (Aggregation(finished_at=CUTOFF, changed_at=NOW), Freshness.FRESH),
    (Aggregation(recalculation_failed=True), Freshness.LAST_RECALCULATION_FAILED),
    (Aggregation(finished_at=YOUNG, recalculation_failed=True), Freshness.LAST_RECALCULATION_FAILED),
    (Aggregation(state=JobState.RUNNING, created_at=YOUNG, recalculation_failed=True), Freshness.LAST_RECALCULATION_FAILED),
    (Aggregation(state=JobState.RUNNING, recalculation_failed=True), Freshness.PENDING_AGGREGATION_STUCK),
    (Aggregation(lacks_emissions=True), Freshness.ENTRIES_WITHOUT_EMISSION),
    (Aggregation(state=JobState.RUNNING, created_at=YOUNG, lacks_emissions=True), Freshness.ENTRIES_WITHOUT_EMISSION),
    (Aggregation(aggregation_failed=True, lacks_emissions=True), Freshness.LAST_AGGREGATION_FAILED),
    (Aggregation(recalculation_failed=True, lacks_emissions=True), Freshness.LAST_RECALCULATION_FAILED),
    (Aggregation(changed_at=NOW, lacks_emissions=True), Freshness.LAST_AGGREGATION_TOO_OLD),
    (Aggregation(aggregation_failed=True, recalculation_failed=True), Freshness.LAST_AGGREGATION_FAILED),
    (Aggregation(job_id=None, recalculation_failed=True), Freshness.NO_AGGREGATION_EVER),
])  # fmt: skip
def test_totals_are_stale_for_a_reason_and_never_for_age_alone(last: Aggregation, expected: Freshness) -> None:
    assert freshness(last, CUTOFF) == expected


@pytest.mark.parametrize(("complete", "failed", "expected"), [
    (None, None, True), (4, None, True), (6, None, False), (6, 7, True), (6, 3, False), (None, 7, True), (4, 3, True),
])  # fmt: skip
def test_emissions_are_stale_without_a_complete_recalculation_after_factors_and_failures(
    complete: int | None, failed: int | None, expected: bool
) -> None:
    assert EntryTypeRecalculation(8, 50, 5, complete, complete, failed).needs_recalculation is expected


async def aggregation(connection: AsyncConnection, module: int, age: timedelta, **values: Any) -> int:
    """An aggregation of 2025 that began, ended (unless a state is given) and was created so long ago."""
    at = datetime.now(UTC) - age
    ended = {} if "state" in values else {"finished_at": at}
    outcome = {"result": SUCCESS} | ended if "state" not in values else {}
    times = {"created_at": at, "started_at": at}
    return await build.job(connection, job_type=JobType.AGGREGATION, module_type_id=module, **(times | outcome | values))


async def reports(connection: AsyncConnection, *years: int, provider: Provider = Provider.DEFAULT) -> None:
    """The reports of one unit."""
    await build.unit(connection, f"unit of {provider}", provider=provider.value)
    unit_id = await connection.scalar(text("SELECT max(id) FROM units"))
    for year in years:
        await create_reports(connection, year, [unit_id])
        await create_modules(connection, year, [unit_id])


async def stale(engine: AsyncEngine, who: Viewer | None = None, minutes: int = 60) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        found = await stale_aggregations(connection, who or viewer("operator"), minutes)
    return [(row.module_type_id, row.freshness, row.last_aggregation_job_id) for row in found]


async def test_r12_the_four_stale_situations_are_listed_each_in_its_bucket_and_the_healthy_are_not(
    engine: AsyncEngine,
) -> None:
    hours, minutes = timedelta(hours=2), timedelta(minutes=5)
    async with engine.begin() as connection:
        await reports(connection, 2025)
        await build.job(connection, module_type_id=1, result=WARNING)
        stuck = await aggregation(connection, 2, hours, state=JobState.NOT_STARTED)
        failed = await aggregation(connection, 3, minutes, result=ERROR)
        old = await aggregation(connection, 4, hours)
        await build.job(connection, module_type_id=4, result=WARNING)
        await aggregation(connection, 5, hours, result=WARNING)
        await build.job(connection, module_type_id=5, result=ERROR)
        await build.job(connection, module_type_id=5, state=JobState.RUNNING)
        await aggregation(connection, 6, minutes, state=JobState.RUNNING)
        await aggregation(connection, 7, minutes)
        await build.job(connection, module_type_id=7, target_type=TargetType.FACTORS, result=SUCCESS)
        await aggregation(connection, 8, hours)

    with statements(engine) as executed:
        found = await stale(engine)

    assert found == [
        (1, Freshness.NO_AGGREGATION_EVER, None),
        (2, Freshness.PENDING_AGGREGATION_STUCK, stuck),
        (3, Freshness.LAST_AGGREGATION_FAILED, failed),
        (4, Freshness.LAST_AGGREGATION_TOO_OLD, old),
    ]
    assert len(executed) == 1
    assert await stale(engine, minutes=180) == [found[0], found[2]]


async def recalculation(connection: AsyncConnection, result: JobResult, **values: Any) -> int:
    """A recalculation of 2025 of process emissions."""
    place = {"job_type": JobType.EMISSION_RECALC, "module_type_id": 8, "data_entry_type_id": 50, "target_type": None}
    outcome = {} if "state" in values else {"result": result}
    return await build.job(connection, **(place | outcome | values))


@pytest.mark.parametrize(("failed", "later", "is_repaired"), [
    ({}, None, False),
    ({}, {}, True),
    ({}, {"data_entry_type_id": 51}, False),
    ({}, {"scope_module_ids": [1, 2]}, False),
    ({"scope_module_ids": [1]}, {"scope_module_ids": [1, 2]}, True),
    ({"scope_module_ids": [1, 2]}, {"scope_module_ids": [1]}, False),
    ({"scope_module_ids": [1]}, {}, True),
    ({}, {"state": JobState.RUNNING}, False),
    ({}, {"job_type": "module_emission_recalc", "data_entry_type_id": None, "config": {"data_entry_type_ids": [50]}}, True),
    ({"job_type": "module_emission_recalc", "data_entry_type_id": None, "config": {"data_entry_type_ids": [50]}}, {}, True),
])  # fmt: skip
async def test_totals_without_the_emissions_of_a_recalculation_that_failed_are_not_fresh(
    engine: AsyncEngine, failed: dict[str, Any], later: dict[str, Any] | None, is_repaired: bool
) -> None:
    async with engine.begin() as connection:
        await reports(connection, 2025)
        await recalculation(connection, ERROR, **failed)
        if later is not None:
            await recalculation(connection, SUCCESS, **later)
        totals = [await aggregation(connection, module, timedelta(minutes=1)) for module in MODULES]

    assert await stale(engine) == ([] if is_repaired else [(8, Freshness.LAST_RECALCULATION_FAILED, totals[-1])])


OFF = {"enabled": False}


async def test_what_the_settings_of_its_year_disable_is_never_stale(engine: AsyncEngine) -> None:
    config = {"modules": {"2": OFF, "3": {"enabled": True}, "4": {"submodules": {"10": OFF}}, "8": None}}
    async with engine.begin() as connection:
        await reports(connection, 2024, 2025)
        await build.year(connection, 2025, config=config)
        await build.year(connection, 2024, provider=Provider.TEST, config={"modules": {"2": OFF}})
        for module in MODULES:
            await aggregation(connection, module, timedelta(0), year=2024)
            await aggregation(connection, module, timedelta(0), result=ERROR)

    assert [module for module, *_ in await stale(engine)] == [1, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("modules", "states"), [
    ({}, [Freshness.LAST_RECALCULATION_FAILED]), ({"8": {"submodules": {"50": OFF}}}, []), ({"8": OFF}, []),
])  # fmt: skip
async def test_a_recalculation_that_failed_of_what_is_disabled_makes_nothing_stale(
    engine: AsyncEngine, modules: dict[str, Any], states: list[Freshness]
) -> None:
    async with engine.begin() as connection:
        await reports(connection, 2025)
        await build.year(connection, 2025, config={"modules": modules})
        await recalculation(connection, ERROR)
        for module in MODULES:
            await aggregation(connection, module, timedelta(minutes=1))

    assert [state for _, state, *_ in await stale(engine)] == states


@pytest.mark.parametrize(("modules", "needed"), [
    ({}, {10: True, 11: True, 12: True}),
    ({"4": OFF}, {10: False, 11: False, 12: False}),
    ({"4": {"submodules": {"11": OFF}}}, {10: True, 11: False, 12: True}),
    ({"5": OFF, "4": {"submodules": {"60": OFF}}}, {10: True, 11: True, 12: True}),
])  # fmt: skip
async def test_nothing_that_is_disabled_needs_recalculation(
    engine: AsyncEngine, modules: dict[str, Any], needed: dict[int, bool]
) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025, config={"modules": modules})
        await factors(connection, None, 4)

    assert {entry_type: found[0] for entry_type, found in (await status(engine))[4].items()} == needed
    async with engine.connect() as connection:
        listed = await entry_types_to_recalculate(connection, viewer("operator"), 2025, 4)
    assert listed == [entry_type for entry_type, is_needed in needed.items() if is_needed]


@pytest.mark.parametrize("minutes", [0, -1, 525_601])
async def test_r12_an_age_of_no_minutes_or_of_more_than_a_year_is_refused(engine: AsyncEngine, minutes: int) -> None:
    with pytest.raises(BadInput, match="olderThanMinutes must be between 1 and 525600"):
        await stale(engine, minutes=minutes)


async def test_r12_without_reports_nothing_is_stale(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await aggregation(connection, 3, timedelta(hours=2), result=ERROR)
        await reports(connection, 2025, provider=Provider.TEST)

    assert await stale(engine) == []


async def test_r14_only_the_newest_aggregation_counts(engine: AsyncEngine) -> None:
    minutes = timedelta(minutes=5)
    async with engine.begin() as connection:
        await reports(connection, 2025)
        for module in MODULES:
            await aggregation(connection, module, minutes)
        await aggregation(connection, 1, minutes, result=ERROR)
        await aggregation(connection, 1, minutes)
        failed = await aggregation(connection, 2, minutes, result=ERROR)

    assert await stale(engine) == [(2, Freshness.LAST_AGGREGATION_FAILED, failed)]


@pytest.mark.parametrize(("failed", "later", "is_repaired"), [
    (None, [[1]], False),
    (None, [None], True),
    (None, [[1], None], True),
    ([1], [[1, 2]], True),
    ([1, 2], [[1]], False),
    ([1], [[2]], False),
    ([1], [None], True),
])  # fmt: skip
async def test_r14_an_aggregation_that_failed_is_not_hidden_by_a_later_one_of_fewer_units(
    engine: AsyncEngine, failed: list[int] | None, later: list[list[int] | None], is_repaired: bool
) -> None:
    minutes = timedelta(minutes=5)
    async with engine.begin() as connection:
        await reports(connection, 2025)
        await aggregation(connection, 1, minutes)
        newest = await aggregation(connection, 1, minutes, result=ERROR, scope_module_ids=failed)
        for units in later:
            newest = await aggregation(connection, 1, minutes, scope_module_ids=units)

    assert await stale(engine) == ([] if is_repaired else [(1, Freshness.LAST_AGGREGATION_FAILED, newest)])


async def test_r12_a_module_of_a_new_year_is_stale_once_it_has_data_or_factors(engine: AsyncEngine) -> None:
    entry = text(
        "INSERT INTO data_entries (provider, year, data_entry_type_id, carbon_report_module_id, unit_id, source, data) "
        "SELECT 'DEFAULT', 2025, 50, m.id, r.unit_id, 0, '{}' FROM carbon_report_modules m "
        "JOIN carbon_reports r ON r.id = m.carbon_report_id WHERE m.module_type_id = 8 AND r.year = 2025"
    )
    async with engine.begin() as connection:
        await reports(connection, 2025)
    assert await stale(engine) == []

    async with engine.begin() as connection:
        await build.job(connection, module_type_id=1, result=ERROR)
        await build.job(connection, module_type_id=4, result=SUCCESS, target_type=TargetType.FACTORS)
        await connection.execute(entry)

    assert await stale(engine) == [(module, Freshness.NO_AGGREGATION_EVER, None) for module in (4, 8)]


async def test_totals_are_per_provider_and_for_operators(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await reports(connection, 2024, 2025)
        for module in MODULES:
            await aggregation(connection, module, timedelta(0), year=2024)
            await aggregation(connection, module, timedelta(0), provider=Provider.TEST)
            await build.job(connection, module_type_id=module, result=SUCCESS)

    found = await stale(engine)

    assert [(module, state) for module, state, *_ in found] == [(module, "NO_AGGREGATION_EVER") for module in MODULES]
    assert await stale(engine, viewer("operator", provider=Provider.TEST)) == []
    assert await stale(engine, viewer("principal", "10208")) == []


async def test_what_changed_while_an_aggregation_ran_may_have_been_missed(engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    began, ended = now - timedelta(hours=3), now - timedelta(hours=2)
    async with engine.begin() as connection:
        await reports(connection, 2025)
        for module in MODULES:
            await aggregation(connection, module, timedelta(hours=2), started_at=began)
        await build.job(connection, module_type_id=1, result=SUCCESS, finished_at=ended - timedelta(minutes=1))
        await build.job(connection, module_type_id=2, result=SUCCESS, finished_at=began - timedelta(minutes=1))

    assert [(module, state) for module, state, *_ in await stale(engine)] == [(1, Freshness.LAST_AGGREGATION_TOO_OLD)]


async def factors(connection: AsyncConnection, entry_type: int | None, module: int = 8, **values: Any) -> int:
    shared = {"job_type": JobType.FACTOR_INGEST, "target_type": TargetType.FACTORS, "result": SUCCESS}
    place = {"module_type_id": module, "data_entry_type_id": entry_type}
    return await build.job(connection, **(shared | place | values))


async def recalc(connection: AsyncConnection, entry_type: int | None, module: int = 8, **values: Any) -> int:
    kind = JobType.MODULE_EMISSION_RECALC if entry_type is None else JobType.EMISSION_RECALC
    outcome = {} if "state" in values else {"result": SUCCESS}
    place = {"module_type_id": module, "data_entry_type_id": entry_type}
    return await build.job(connection, job_type=kind, **(outcome | place | values))


async def status(engine: AsyncEngine) -> dict[int, dict[int, tuple[Any, ...]]]:
    """By module and entry type: whether it needs recalculation, its factor job and its recalculation."""
    async with engine.connect() as connection:
        found = await recalculations_by_module_year(connection, viewer("operator"), [(2025, module) for module in MODULES])
    return {
        module: {
            entry_type: (part.needs_recalculation, part.last_factor_job_id, part.last_recalculation_job_id)
            for entry_type, part in entry_types.items()
            if part.last_factor_job_id is not None
        }
        for (_, module), entry_types in found.items()
        if any(part.last_factor_job_id for part in entry_types.values())
    }


async def test_a_failed_factor_upload_does_not_hide_that_the_one_before_it_was_never_applied(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        done = await recalc(connection, 50)
        good = await factors(connection, 50, result=WARNING)
        await factors(connection, 50, result=ERROR, is_current=True)
        await factors(connection, 40, 7, result=ERROR, is_current=True)
        await factors(connection, 30, 3, result=None, state=JobState.RUNNING)

    assert await status(engine) == {8: {50: (True, good, done)}}


async def test_common_factors_are_about_every_entry_type_and_a_module_recalculation_about_those_it_lists(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        common = await factors(connection, None, 4)
        own = await factors(connection, 12, 4)
        one = await recalc(connection, 12, 4)
        both = await recalc(connection, None, 4, config={"data_entry_type_ids": [10, 12], "only_stale": True})
        await build.job(connection, job_type=JobType.AGGREGATION, result=SUCCESS)
        await recalc(connection, None, 4, config={"data_entry_type_ids": "11"})

    assert one < both
    assert await status(engine) == {4: {10: (False, common, both), 11: (True, common, None), 12: (False, own, both)}}


@pytest.mark.parametrize(("newer", "needed"), [
    ({"state": JobState.NOT_STARTED}, True),
    ({"state": JobState.RUNNING}, False),
    ({"result": WARNING}, False),
    ({"result": ERROR}, True),
    ({"scope_module_ids": [1]}, True),
    ({"scope_module_ids": []}, True),
])  # fmt: skip
async def test_only_a_recalculation_of_all_units_that_runs_or_succeeded_applies_new_factors(
    engine: AsyncEngine, newer: dict[str, Any], needed: bool
) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await recalc(connection, 50)
        await factors(connection, 50)
        await recalc(connection, 50, **newer)

    assert (await status(engine))[8][50][0] is needed


async def test_the_failed_recalculation_of_one_unit_calls_for_another(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await factors(connection, 50)
        await recalc(connection, 50)
        await recalc(connection, 50, scope_module_ids=[1], result=ERROR)
        last = await recalc(connection, 50, scope_module_ids=[2])

    found = (await status(engine))[8][50]

    assert (found[0], found[2]) == (True, last)


async def test_recalculations_of_all_cells_take_one_statement(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for number in (2024, 2025):
            for entry_type in (20, 21):
                await factors(connection, entry_type, 2, year=number)
                await recalc(connection, entry_type, 2, year=number)
        await factors(connection, 21, 2, year=2024)
        await factors(connection, 50, 8, provider=Provider.TEST)

    cells = [(2024, 2), (2025, 2), (2025, 8), (2026, 2)]
    async with engine.connect() as connection:
        with statements(engine) as executed:
            found = await recalculations_by_module_year(connection, viewer("operator"), cells)

    assert len(executed) == 1
    assert {
        cell: {entry_type: part.needs_recalculation for entry_type, part in entry_types.items()}
        for cell, entry_types in found.items()
    } == {
        (2024, 2): {20: False, 21: True},
        (2025, 2): {20: False, 21: False},
        (2025, 8): {50: False},
        (2026, 2): {20: False, 21: False},
    }
