"""Totals of a module and of a report, in kg CO2-eq."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from gql_server.carbon.emission_types import is_it
from gql_server.carbon.lacks import Lack

NOT_STARTED = 0
IN_PROGRESS = 1
VALIDATED = 2


class Measured(Protocol):
    """An emission, or the sum of several of one type and scope."""

    @property
    def emission_type_id(self) -> int: ...
    @property
    def kg_co2eq(self) -> float: ...
    @property
    def additional_value(self) -> float | None: ...
    @property
    def scope(self) -> int | None: ...


class Stats(TypedDict):
    """Totals of emissions. Rollups are listed by type, and counted in no total. `entry_count` are all entries, and
    `without_emission` says how many of them have none, by what they lack."""

    scope1: float
    scope2: float
    scope3: float
    total: float
    it_total_kg: float
    by_emission_type: dict[str, float]
    by_additional_value: dict[str, float]
    entry_count: int
    without_emission: dict[str, int]
    computed_at: str


class ReportStats(Stats):
    """Totals of a report, and its heaviest validated module."""

    highest_category_module_id: int | None


@dataclass(frozen=True, slots=True)
class ModuleState:
    """A module of a report; `stats` is None until it was aggregated."""

    module_type_id: int
    status: int
    stats: Stats | None


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """Totals that are stored on a report: `completion_progress` is "validated/total"."""

    stats: ReportStats
    completion_progress: str
    overall_status: int


def module_stats(emissions: Iterable[Measured], *, entries: Mapping[Lack | None, int], computed_at: str) -> Stats:
    """Totals over a module's emissions or sums of them, whose order does not matter. `entries` counts its entries by what they
    lack, under None those that have emissions; `computed_at` is ISO 8601."""
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    by_value: defaultdict[str, list[float]] = defaultdict(list)
    by_scope: defaultdict[int, list[float]] = defaultdict(list)
    it: list[float] = []
    for emission in emissions:
        key = str(emission.emission_type_id)
        by_type[key].append(emission.kg_co2eq)
        if emission.additional_value is not None:
            by_value[key].append(emission.additional_value)
        if emission.scope is not None:
            by_scope[emission.scope].append(emission.kg_co2eq)
            it.extend([emission.kg_co2eq] if is_it(emission.emission_type_id) else ())
    return Stats(
        scope1=math.fsum(by_scope[1]),
        scope2=math.fsum(by_scope[2]),
        scope3=math.fsum(by_scope[3]),
        total=math.fsum(kg for kgs in by_scope.values() for kg in kgs),
        it_total_kg=math.fsum(it),
        by_emission_type=_sums(by_type),
        by_additional_value=_sums(by_value),
        entry_count=sum(entries.values()),
        without_emission={lack.value: entries[lack] for lack in Lack if entries.get(lack)},
        computed_at=computed_at,
    )


def report_summary(modules: Sequence[ModuleState], *, computed_at: str) -> ReportSummary:
    """Sums over all modules of a report; the heaviest module and the progress look at validated ones only."""
    validated = [module for module in modules if module.status == VALIDATED]
    return ReportSummary(
        stats=_report_stats([module.stats for module in modules if module.stats], validated, computed_at),
        completion_progress=f"{len(validated)}/{len(modules)}",
        overall_status=_overall_status(len(validated), len(modules)),
    )


def _report_stats(parts: list[Stats], validated: list[ModuleState], computed_at: str) -> ReportStats:
    return ReportStats(
        scope1=math.fsum(part["scope1"] for part in parts),
        scope2=math.fsum(part["scope2"] for part in parts),
        scope3=math.fsum(part["scope3"] for part in parts),
        total=math.fsum(part["total"] for part in parts),
        it_total_kg=math.fsum(part["it_total_kg"] for part in parts),
        by_emission_type=_merged(part["by_emission_type"] for part in parts),
        by_additional_value=_merged(part["by_additional_value"] for part in parts),
        entry_count=sum(part["entry_count"] for part in parts),
        without_emission=dict(sum((Counter(part.get("without_emission", {})) for part in parts), Counter[str]())),
        computed_at=computed_at,
        highest_category_module_id=_heaviest(validated),
    )


def _heaviest(modules: list[ModuleState]) -> int | None:
    weights = [(module.stats["total"], -module.module_type_id) for module in modules if module.stats]
    return -max(weights)[1] if weights else None


def _overall_status(validated: int, total: int) -> int:
    if not validated:
        return NOT_STARTED
    return VALIDATED if validated == total else IN_PROGRESS


def _merged(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    values: defaultdict[str, list[float]] = defaultdict(list)
    for part in parts:
        for key, value in part.items():
            values[key].append(value)
    return _sums(values)


def _sums(values: defaultdict[str, list[float]]) -> dict[str, float]:
    return {key: math.fsum(values[key]) for key in sorted(values)}
