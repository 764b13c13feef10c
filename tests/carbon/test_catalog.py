"""The modules and entry types are the ones of the carbon report."""

import pytest

from gql_server.carbon.catalog import (
    DATA_ENTRY_TYPES,
    MODULES,
    entry_type_by_key,
    entry_types_of,
    module_by_key,
    needs_factor,
    needs_reference,
)

WIDTHS = {1: (1, 2), 2: (20, 21), 3: (30, 31, 32), 4: (10, 11, 12), 5: tuple(range(60, 68)), 6: (70, 71), 7: (40, 41), 8: (50,)}


def test_eight_modules_fan_out_to_their_entry_types():
    assert {module_id: entry_types_of(module_id) for module_id in MODULES} == WIDTHS
    assert set(DATA_ENTRY_TYPES) == {entry_type for entry_types in WIDTHS.values() for entry_type in entry_types}


def test_an_unknown_module_has_no_entry_types():
    assert entry_types_of(9) == ()


def test_modules_and_entry_types_are_found_by_key():
    assert module_by_key("equipment_electric_consumption") is MODULES[4]
    assert module_by_key("aviation") is None
    assert entry_type_by_key(4, "it") is DATA_ENTRY_TYPES[11]
    assert entry_type_by_key(5, "it") is None


def test_only_equipment_and_purchase_need_a_common_factor():
    assert [module.id for module in MODULES.values() if module.needs_common_factor] == [4, 5]


def test_factors_and_references_are_mandatory_for_the_named_submodules_only():
    pairs = [(info.module_id, info.id) for info in DATA_ENTRY_TYPES.values()]

    assert [pair for pair in pairs if needs_reference(*pair)] == [(2, 20), (2, 21), (3, 30)]
    assert [pair for pair in pairs if not needs_factor(*pair)] == [
        (4, 10),
        (4, 11),
        (4, 12),
        *((5, det) for det in range(60, 67)),
    ]


@pytest.mark.parametrize("pair", [(1, 20), (8, 1), (9, 50)])
def test_a_pair_that_does_not_exist_needs_nothing(pair: tuple[int, int]):
    assert (needs_factor(*pair), needs_reference(*pair)) == (False, False)
