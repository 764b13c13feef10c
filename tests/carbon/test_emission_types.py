"""Emission types have the scope and root of their position, and only some are IT."""

import pytest

from gql_server.carbon.emission_types import EMISSION_TYPES, emission_type_of, headcount_emission_type, is_it, root_of, scope_of


def test_every_emission_type_belongs_to_the_root_its_path_starts_with():
    for path, emission_type in EMISSION_TYPES.items():
        assert root_of(emission_type) == EMISSION_TYPES[path.split("/")[0]]


@pytest.mark.parametrize(
    ("emission_type", "scope"),
    [(10001, 3), (2000401, 3), (30005, 3), (70100, 1), (80200, 2), (90300, 3), (90900, 1), (90901, 1)],
)
def test_scopes_follow_the_category(emission_type: int, scope: int):
    assert scope_of(emission_type) == scope


def test_it_equipment_it_purchases_cloud_and_ai_count_as_it():
    assert [
        emission_type for emission_type in (80100, 80200, 90300, 90200, 110000, 110203, 100000) if is_it(emission_type)
    ] == [
        80200,
        90300,
        110000,
        110203,
    ]


@pytest.mark.parametrize(
    ("category", "emission_type"),
    [("CO2", 70200), ("Méthane (CH4)", 70100), ("n2o", 70300), ("Réfrigérants", 70400), ("HFC-134a", 70400)],
)
def test_the_category_of_a_process_emission_tells_its_gas(category: str, emission_type: int):
    assert emission_type_of(50, category) == emission_type


def test_headcount_factors_are_placed_by_category_class_and_subclass():
    assert headcount_emission_type("Waste", "biogas", "organic waste food leftovers") == 2000301
    assert headcount_emission_type("food", None, None) == 10000
    assert headcount_emission_type("food", "insects", None) is None
    assert headcount_emission_type("equipment", "it", None) is None
