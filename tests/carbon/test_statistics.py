"""Totals of modules and reports."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_server.carbon.lacks import Lack
from gql_server.carbon.statistics import IN_PROGRESS, NOT_STARTED, VALIDATED, ModuleState, Stats, module_stats, report_summary

NOON = "2026-01-02T12:00:00Z"


@dataclass(frozen=True)
class Sum:
    emission_type_id: int
    kg_co2eq: float
    scope: int | None
    additional_value: float | None = None


def stats(*emissions: Sum, entry_count: int = 1) -> Stats:
    return module_stats(emissions, entries={None: entry_count}, computed_at=NOON)


def test_a_module_totals_its_emissions_by_scope_and_type():
    assert stats(
        Sum(80100, 10.0, 2, 100.0),
        Sum(80200, 20.0, 2, 200.0),
        Sum(80200, 5.0, 2, 50.0),
        Sum(70200, 1.0, 1),
        Sum(10000, 3.0, 3),
        entry_count=4,
    ) == {
        "scope1": 1.0,
        "scope2": 35.0,
        "scope3": 3.0,
        "total": 39.0,
        "it_total_kg": 25.0,
        "by_emission_type": {"10000": 3.0, "70200": 1.0, "80100": 10.0, "80200": 25.0},
        "by_additional_value": {"80100": 100.0, "80200": 250.0},
        "entry_count": 4,
        "without_emission": {},
        "computed_at": NOON,
    }


def test_a_rollup_is_listed_but_not_counted_twice():
    result = stats(Sum(10001, 4.0, 3), Sum(10002, 6.0, 3), Sum(10000, 10.0, None))

    assert (result["scope3"], result["total"]) == (10.0, 10.0)
    assert result["by_emission_type"] == {"10000": 10.0, "10001": 4.0, "10002": 6.0}


def test_a_module_without_emissions_is_zero():
    result = stats(entry_count=0)

    assert (result["total"], result["by_emission_type"], result["entry_count"]) == (0.0, {}, 0)


SUMS = st.builds(
    Sum,
    emission_type_id=st.sampled_from([10000, 10001, 80200, 90300, 70200]),
    kg_co2eq=st.floats(-1e9, 1e9),
    scope=st.sampled_from([None, 1, 2, 3]),
    additional_value=st.none() | st.floats(0, 1e9),
)


@settings(deadline=None)
@given(st.lists(SUMS, max_size=20), st.randoms(use_true_random=False))
def test_totals_never_include_rollups_nor_depend_on_order(emissions: list[Sum], dice):
    leaves = [emission for emission in emissions if emission.scope is not None]
    shuffled = emissions.copy()
    dice.shuffle(shuffled)

    whole, without_rollups = stats(*emissions), stats(*leaves)

    assert stats(*shuffled) == whole
    for key in ("scope1", "scope2", "scope3", "total", "it_total_kg"):
        assert whole[key] == without_rollups[key]


def module(module_type_id: int, kg: float, status: int = IN_PROGRESS, emission_type: int = 70200) -> ModuleState:
    return ModuleState(module_type_id, status, stats(Sum(emission_type, kg, 1, 2.0)))


def test_a_report_is_the_sum_of_its_modules():
    summary = report_summary([module(8, 60.0), module(4, 40.0), module(7, 100.0, emission_type=110100)], computed_at=NOON)

    assert summary.stats == {
        "scope1": 200.0,
        "scope2": 0.0,
        "scope3": 0.0,
        "total": 200.0,
        "it_total_kg": 100.0,
        "by_emission_type": {"110100": 100.0, "70200": 100.0},
        "by_additional_value": {"110100": 2.0, "70200": 4.0},
        "entry_count": 3,
        "without_emission": {},
        "computed_at": NOON,
        "highest_category_module_id": None,
    }


def test_entries_without_an_emission_are_counted_by_what_they_lack_in_the_module_and_in_its_report():
    lacking = {None: 3, Lack.MISSING_FACTOR: 2, Lack.NOT_COMPUTED: 0}

    purchases = module_stats([], entries=lacking, computed_at=NOON)
    others = module_stats([], entries={Lack.MISSING_FACTOR: 1, Lack.MISSING_EXCHANGE_RATE: 4}, computed_at=NOON)
    report = report_summary([ModuleState(5, IN_PROGRESS, purchases), ModuleState(4, IN_PROGRESS, others)], computed_at=NOON)

    assert (purchases["entry_count"], purchases["without_emission"]) == (5, {"MISSING_FACTOR": 2})
    assert (report.stats["entry_count"], report.stats["without_emission"]) == (
        10,
        {"MISSING_FACTOR": 3, "MISSING_EXCHANGE_RATE": 4},
    )


def test_the_highest_category_is_the_heaviest_validated_module():
    modules = [module(1, 60.0, VALIDATED), module(4, 90.0, VALIDATED), module(8, 500.0)]

    assert report_summary(modules, computed_at=NOON).stats["highest_category_module_id"] == 4


def test_of_two_equally_heavy_modules_the_first_is_the_highest():
    modules = [module(4, 60.0, VALIDATED), module(1, 60.0, VALIDATED)]

    assert report_summary(modules, computed_at=NOON).stats["highest_category_module_id"] == 1


@pytest.mark.parametrize(
    ("statuses", "progress", "overall"),
    [
        ([NOT_STARTED, IN_PROGRESS], "0/2", NOT_STARTED),
        ([VALIDATED, IN_PROGRESS, VALIDATED], "2/3", IN_PROGRESS),
        ([VALIDATED, VALIDATED], "2/2", VALIDATED),
        ([], "0/0", NOT_STARTED),
    ],
)
def test_progress_counts_validated_modules(statuses: list[int], progress: str, overall: int):
    modules = [replace(module(number, 1.0), status=status) for number, status in enumerate(statuses)]

    summary = report_summary(modules, computed_at=NOON)

    assert (summary.completion_progress, summary.overall_status) == (progress, overall)


def test_a_module_that_was_never_aggregated_adds_nothing_but_counts_as_a_module():
    summary = report_summary([module(8, 60.0), ModuleState(4, VALIDATED, None)], computed_at=NOON)

    assert (summary.stats["total"], summary.completion_progress) == (60.0, "1/2")
    assert summary.stats["highest_category_module_id"] is None
