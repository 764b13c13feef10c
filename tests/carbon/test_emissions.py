"""Golden numbers, overrides and rollups."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_server.carbon.emissions import OVERRIDE_KEY, Emission, EntryInvalid, compute, parse_override
from gql_server.carbon.factors import Factor, FactorIndex
from gql_server.carbon.rates import RateMissing, shipped_rates

CO2 = Factor(1, 70200, 50, {"category": "CO2"}, {"ef_kg_co2eq_per_unit": 1.5})
LAPTOP = Factor(
    2,
    80200,
    11,
    {"equipment_class": "Laptop"},
    {
        "active_power_w": 100.0,
        "standby_power_w": 10.0,
        "ef_kg_co2eq_per_kwh": 0.1,
        "active_usage_hours_per_week": 50.0,
        "standby_usage_hours_per_week": 100.0,
    },
)
GOODS = Factor(3, 90200, 60, {"purchase_institutional_code": "100"}, {"currency": "eur", "ef_kg_co2eq_per_currency": 0.5})
PERSON = [
    Factor(
        4, 10001, 1, {"category": "food", "class": "vegetarian"}, {"number_of_unit_per_fte": 100.0, "ef_kg_co2eq_per_unit": 0.5}
    ),
    Factor(5, 10002, 1, {"category": "food", "class": "meat"}, {"number_of_unit_per_fte": 200.0, "ef_kg_co2eq_per_unit": 2.0}),
    Factor(
        6, 30005, 1, {"category": "commuting", "class": "car"}, {"number_of_unit_per_fte": 1000.0, "ef_kg_co2eq_per_unit": 0.2}
    ),
]
RATES = shipped_rates(2024)
FACTORS = FactorIndex([CO2, LAPTOP, GOODS, *PERSON])
CASES = [
    (50, {"category": "CO2", "quantity": 100.0}),
    (11, {"equipment_class": "Laptop"}),
    (60, {"purchase_institutional_code": "100", "total_spent_amount": 200.0, "currency": "eur"}),
    (1, {"fte": 0.5}),
]


def kilograms(entry_type: int, data: Mapping[str, object]) -> list[float]:
    return [emission.kg_co2eq for emission in compute(entry_type, data, FACTORS, RATES)]


@pytest.mark.parametrize(("quantity", "kg"), [(100, 150.0), (50, 75.0), (0, 0.0)])
def test_process_emissions_are_quantity_times_factor(quantity: float, kg: float):
    assert compute(50, {"category": "CO2", "quantity": quantity}, FACTORS, RATES) == [
        Emission(70200, 1, kg, quantity, 1, {"ef_kg_co2eq_per_unit": 1.5})
    ]


def test_equipment_is_hours_times_watts_over_a_year():
    data = {"equipment_class": "Laptop", "active_usage_hours_per_week": 40.0, "standby_usage_hours_per_week": 128.0}

    assert compute(11, data, FACTORS, RATES) == [Emission(80200, 2, 27.456, 274.56, 2, {"ef_kg_co2eq_per_kwh": 0.1})]


def test_blank_hours_are_those_of_the_factor():
    assert kilograms(11, {"equipment_class": "Laptop"}) == [31.2]


def test_standby_hours_of_the_factor_are_cut_to_what_is_left_of_the_week():
    assert kilograms(11, {"equipment_class": "Laptop", "active_usage_hours_per_week": 168.0}) == [87.36]


def test_hours_that_nobody_gave_are_none():
    bare = Factor(1, 80200, 11, {"equipment_class": "PC"}, {k: v for k, v in LAPTOP.values.items() if "hours" not in k})

    assert compute(11, {"equipment_class": "PC"}, FactorIndex([bare]), RATES)[0].kg_co2eq == 0.0


@pytest.mark.parametrize(("currency", "kg"), [("eur", 100.0), ("chf", 105.263157895), ("usd", 92.592592593)])
def test_purchases_are_money_in_the_factors_currency_times_factor(currency: str, kg: float):
    data = {"purchase_institutional_code": "100", "total_spent_amount": 200.0, "currency": currency}

    assert kilograms(60, data) == [kg]


def test_money_without_a_currency_is_francs():
    data = {"purchase_institutional_code": "100", "total_spent_amount": 200.0}

    assert kilograms(60, data) == kilograms(60, data | {"currency": "chf"})


def test_headcount_has_one_emission_a_sub_factor_and_a_rollup_where_there_are_several():
    food, meat, rollup, car = compute(1, {"fte": 0.5}, FACTORS, RATES)

    assert food == Emission(10001, 4, 25.0, 50.0, 3, {"ef_kg_co2eq_per_unit": 0.5})
    assert meat == Emission(10002, 5, 200.0, 100.0, 3, {"ef_kg_co2eq_per_unit": 2.0})
    assert rollup == Emission(10000, None, 225.0, None, None, {})
    assert car == Emission(30005, 6, 100.0, 500.0, 3, {"ef_kg_co2eq_per_unit": 0.2})


def test_without_a_factor_there_is_no_emission():
    nothing = FactorIndex([])

    assert [compute(entry_type, data, nothing, RATES) for entry_type, data in CASES] == [[], [], [], []]


@pytest.mark.parametrize(
    ("entry_type", "data", "emission_type", "scope"),
    [
        (50, {"category": "CH4"}, 70100, 1),
        (50, {}, 70400, 1),
        (11, {"equipment_class": "unheard of"}, 80200, 2),
        (60, {}, 90200, 3),
    ],
)
@pytest.mark.parametrize("kg", [0.0, 12.5])
def test_an_override_stands_alone(entry_type: int, data: dict[str, object], emission_type: int, scope: int, kg: float):
    expected = [Emission(emission_type, None, kg, None, scope, {"override": True})]

    assert compute(entry_type, data | {OVERRIDE_KEY: kg}, FACTORS, RATES) == expected


def test_every_emission_of_a_person_equals_the_override():
    emissions = compute(1, {"fte": 0.5, OVERRIDE_KEY: 7.0}, FACTORS, RATES)

    assert [(emission.kg_co2eq, emission.factor_id) for emission in emissions] == [(7.0, None)] * 4
    assert [emission.scope for emission in emissions] == [3, 3, None, 3]


@pytest.mark.parametrize("value", ["", "n/a", "nan", "inf", "1,5", None, True, [], 1e13, "1e13"])
def test_a_stored_override_that_is_no_number_is_ignored(value: object):
    assert kilograms(50, {"category": "CO2", "quantity": 100.0, OVERRIDE_KEY: value}) == [150.0]


@settings(deadline=None)
@given(st.sampled_from(CASES), st.floats(-1e12, 1e12))
def test_an_override_comes_back_unchanged_and_leaves_no_trace_of_its_key(case: tuple[int, dict[str, object]], kg: float):
    entry_type, data = case
    override = parse_override(str(kg))
    assert override == kg

    emissions = compute(entry_type, data | {OVERRIDE_KEY: override}, FACTORS, RATES)

    assert {emission.kg_co2eq for emission in emissions} == {kg}
    assert not [emission for emission in emissions if OVERRIDE_KEY in emission.meta or emission.factor_id]


@settings(deadline=None)
@given(st.floats(0, 1e6))
def test_a_rollup_is_the_sum_of_its_leaves(fte: float):
    food, meat, rollup, _ = compute(1, {"fte": fte}, FACTORS, RATES)

    assert rollup.scope is None
    assert math.isclose(rollup.kg_co2eq, food.kg_co2eq + meat.kg_co2eq, abs_tol=1e-8)


def test_money_of_a_currency_without_a_rate_is_not_computed():
    data = {"purchase_institutional_code": "100", "total_spent_amount": 1, "currency": "btc"}

    with pytest.raises(RateMissing, match="there is no exchange rate of btc for 2024"):
        compute(60, data, FACTORS, RATES)


@pytest.mark.parametrize(
    ("entry_type", "data", "message"),
    [
        (50, {"category": "CO2"}, "quantity is missing"),
        (50, {"category": "CO2", "quantity": "many"}, "quantity is not a number"),
        (1, {}, "fte is missing"),
        (20, {}, "no formula for data entry type 20"),
        (999, {}, "no formula for data entry type 999"),
        (67, {OVERRIDE_KEY: 1.0}, "no emission type for data entry type 67"),
    ],
)
def test_an_entry_that_cannot_be_computed_says_why(entry_type: int, data: dict[str, object], message: str):
    with pytest.raises(EntryInvalid, match=f"^{message}$"):
        compute(entry_type, data, FACTORS, RATES)
