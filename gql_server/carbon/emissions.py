"""From a data entry and its factors to kg CO2-eq."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, EQUIPMENT, HEADCOUNT, PROCESS_EMISSIONS, PURCHASE
from gql_server.carbon.emission_types import emission_type_of, root_of, scope_of
from gql_server.carbon.factors import Factor, FactorIndex
from gql_server.carbon.numbers import PLAIN
from gql_server.carbon.rates import ExchangeRates
from gql_server.carbon.rows import HOURS_PER_WEEK

OVERRIDE_KEY = "__kg_co2eq_override__"
WEEKS_PER_YEAR = 52


@dataclass(frozen=True, slots=True)
class Emission:
    """One emission of an entry. A rollup has `scope` None and repeats what its siblings add up to."""

    emission_type_id: int
    factor_id: int | None
    kg_co2eq: float
    additional_value: float | None
    scope: int | None
    meta: dict[str, float | bool]


class EntryInvalid(ValueError):
    """A data entry that cannot be computed."""


def parse_override(value: object) -> float | None:
    """A given kg CO2-eq as a finite number, or None when it is none. Zero counts."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= 1e12 else None


def compute(data_entry_type_id: int, data: Mapping[str, object], factors: FactorIndex, rates: ExchangeRates) -> list[Emission]:
    """Emissions of an entry; none when no factor matches.

    The override stored in `data` replaces the result of every formula and unlinks the factor.
    `additional_value` is what the factor was multiplied with: units of gas, kWh a year, units used, money in its currency.
    Raises EntryInvalid for entry types without formula and for missing numbers, AmbiguousFactor, RateMissing (all ValueErrors).
    """
    info = DATA_ENTRY_TYPES.get(data_entry_type_id)
    formula = _FORMULAS.get(info.module_id) if info else None
    if formula is None:
        raise EntryInvalid(f"no formula for data entry type {data_entry_type_id}")
    override = parse_override(data.get(OVERRIDE_KEY))
    if override is None:
        return formula(data_entry_type_id, data, factors, rates)
    return [
        replace(emission, kg_co2eq=override, factor_id=None, additional_value=None, meta={"override": True})
        for emission in _without_formula(data_entry_type_id, data, factors, rates)
    ]


def _without_formula(
    data_entry_type_id: int, data: Mapping[str, object], factors: FactorIndex, rates: ExchangeRates
) -> list[Emission]:
    if DATA_ENTRY_TYPES[data_entry_type_id].module_id == HEADCOUNT:
        return _headcount(data_entry_type_id, data, factors, rates)
    try:
        emission_type = emission_type_of(data_entry_type_id, str(data.get("category", "")))
    except KeyError:
        raise EntryInvalid(f"no emission type for data entry type {data_entry_type_id}") from None
    return [Emission(emission_type, None, 0.0, None, scope_of(emission_type), {})]


def _emission(factor: Factor, units: float, kg_per_unit: str) -> Emission:
    kg = _number(factor.values, kg_per_unit)
    scope = scope_of(factor.emission_type_id)
    return Emission(factor.emission_type_id, factor.id, _kilograms(units * kg), units, scope, {kg_per_unit: kg})


def _process(data_entry_type_id: int, data: Mapping[str, object], factors: FactorIndex, rates: ExchangeRates) -> list[Emission]:
    factor = factors.match((data_entry_type_id,), data)
    return [_emission(factor, _number(data, "quantity"), "ef_kg_co2eq_per_unit")] if factor else []


def _equipment(
    data_entry_type_id: int, data: Mapping[str, object], factors: FactorIndex, rates: ExchangeRates
) -> list[Emission]:
    factor = factors.match((data_entry_type_id,), data)
    return [_emission(factor, _kilowatt_hours(data, factor.values), "ef_kg_co2eq_per_kwh")] if factor else []


def _purchase(
    data_entry_type_id: int, data: Mapping[str, object], factors: FactorIndex, rates: ExchangeRates
) -> list[Emission]:
    factor = factors.match((data_entry_type_id,), data)
    if factor is None:
        return []
    spent, wanted = data.get("currency", "chf"), factor.values.get("currency", "eur")
    rate = rates.rate(spent, wanted)
    emission = _emission(factor, _number(data, "total_spent_amount") * rate, "ef_kg_co2eq_per_currency")
    return [emission if spent == wanted else replace(emission, meta={**emission.meta, "exchange_rate": rate})]


def _headcount(
    data_entry_type_id: int, data: Mapping[str, object], factors: FactorIndex, rates: ExchangeRates
) -> list[Emission]:
    fte = _number(data, "fte")
    return [
        emission for category in factors.sub_factors(data_entry_type_id) for emission in _category_with_rollup(category, fte)
    ]


def _category_with_rollup(category: list[Factor], fte: float) -> list[Emission]:
    leaves = [
        _emission(factor, fte * _number(factor.values, "number_of_unit_per_fte"), "ef_kg_co2eq_per_unit") for factor in category
    ]
    if len(leaves) < 2:
        return leaves
    total = math.fsum(leaf.kg_co2eq for leaf in leaves)
    return [*leaves, Emission(root_of(category[0].emission_type_id), None, _kilograms(total), None, None, {})]


def _kilowatt_hours(data: Mapping[str, object], factor: Mapping[str, object]) -> float:
    """kWh a year of a machine: hours per week of the entry, else the factor's, times the factor's watts."""
    active = _number(data, "active_usage_hours_per_week", factor)
    standby = min(_number(data, "standby_usage_hours_per_week", factor), HOURS_PER_WEEK - active)
    watt_hours = active * _number(factor, "active_power_w") + standby * _number(factor, "standby_power_w")
    return watt_hours * WEEKS_PER_YEAR / 1000


def _number(data: Mapping[str, object], name: str, default: Mapping[str, object] | None = None) -> float:
    """A number of an entry or a factor, else of `default`, where an absent one is zero. Raises EntryInvalid."""
    value = data.get(name)
    if value is None and default is not None:
        return _number({name: 0.0, **default}, name)
    if not isinstance(value, int | float):
        raise EntryInvalid(f"{name} is not a number" if name in data else f"{name} is missing")
    return float(value)


def _kilograms(value: float) -> float:
    # To the microgram: below it is only the noise of binary fractions, which people would read as digits.
    return round(value, 9)


_FORMULAS: Mapping[int, Callable[[int, Mapping[str, object], FactorIndex, ExchangeRates], list[Emission]]] = {
    HEADCOUNT: _headcount,
    EQUIPMENT: _equipment,
    PURCHASE: _purchase,
    PROCESS_EMISSIONS: _process,
}
