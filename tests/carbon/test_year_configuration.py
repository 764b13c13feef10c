"""Settings of a year, and patches of them."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_server.carbon.catalog import DATA_ENTRY_TYPES
from gql_server.carbon.year_configuration import MAX_BYTES, check, default_config, merge, numbered, patched
from gql_server.errors import BadInput

YEAR = 2025
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
ARRAYS = st.lists(LEAVES, max_size=3)
KEYS = st.sampled_from("abcd")
OBJECTS = st.dictionaries(KEYS, st.recursive(LEAVES | ARRAYS, lambda inner: st.dictionaries(KEYS, inner), max_leaves=6))

SUBMODULES = st.sampled_from([info for info in DATA_ENTRY_TYPES.values() if info.module_id != 1])
THRESHOLDS = st.none() | st.floats(0, 1e9) | st.integers(0, 10**9)
GOALS = st.lists(
    st.fixed_dictionaries({"target_year": st.integers(YEAR + 1, 2100), "reduction_percentage": st.floats(0, 1)}), max_size=3
)


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Everything that is not a non-empty object, by its path."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {at: leaf for key, inner in value.items() for at, leaf in leaves(inner, (*path, key)).items()}


@st.composite
def patches(draw: st.DrawFn) -> dict[str, Any]:
    """Valid patches of a few settings."""
    patch: dict[str, Any] = {}
    for info in draw(st.lists(SUBMODULES, max_size=3)):
        setting = {"modules": {str(info.module_id): {"submodules": {str(info.id): {"threshold": draw(THRESHOLDS)}}}}}
        patch = merge(patch, setting)
    return merge(patch, {"reduction_objectives": {"goals": draw(GOALS)}}) if draw(st.booleans()) else patch


@given(OBJECTS, OBJECTS)
def test_merging_the_same_patch_again_changes_nothing(config: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(config, patch)

    assert merge(once, patch) == once


@given(OBJECTS, OBJECTS)
def test_a_merge_has_all_of_the_patch_and_of_the_rest_what_was_there(config: dict[str, Any], patch: dict[str, Any]) -> None:
    before, given_patch = deepcopy(config), deepcopy(patch)

    after = leaves(merge(config, patch))

    wanted = {path: value for path, value in leaves(patch).items() if value != {}}
    assert {path: after[path] for path in wanted} == wanted
    touched = [*leaves(patch)]
    untouched = {
        path: value
        for path, value in leaves(config).items()
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in touched)
    }
    assert {path: after[path] for path in untouched} == untouched
    assert (config, patch) == (before, given_patch)


@given(patches(), patches())
def test_valid_patches_leave_valid_settings_whatever_their_order(first: dict[str, Any], second: dict[str, Any]) -> None:
    settings = patched(patched(default_config(), first, YEAR), second, YEAR)

    check(settings, YEAR)
    assert patched(settings, second, YEAR) == settings


def test_y7_one_nested_threshold_leaves_its_siblings_and_goals_are_replaced() -> None:
    goals = [{"target_year": 2030, "reduction_percentage": 0.4}, {"target_year": 2040, "reduction_percentage": 1}]
    config = patched(default_config(), {"reduction_objectives": {"goals": goals}}, YEAR)

    changed = patched(config, {"modules": {"5": {"submodules": {"60": {"threshold": 12.5}}}}}, YEAR)
    replaced = patched(changed, {"reduction_objectives": {"goals": goals[1:]}}, YEAR)

    expected = leaves(config) | {("modules", "5", "submodules", "60", "threshold"): 12.5}
    assert leaves(changed) == expected
    assert leaves(replaced) == expected | {("reduction_objectives", "goals"): goals[1:]}


@pytest.mark.parametrize(("patch", "path", "reason"), [
    ({"goals": []}, "/goals", "this key is unknown"),
    ({"a/b~c": 1}, "/a~1b~0c", "this key is unknown"),
    ({"modules": {"9": {}}}, "/modules/9", "this key is unknown"),
    ({"modules": {"5": {"submodules": {"1": {}}}}}, "/modules/5/submodules/1", "this key is unknown"),
    ({"modules": {"5": {"treshold": 1}}}, "/modules/5/treshold", "this key is unknown"),
    ({"modules": []}, "/modules", "Input should be an object"),
    ({"modules": {"5": None}}, "/modules/5", "Input should be an object"),
    ({"modules": {"5": {"enabled": 1}}}, "/modules/5/enabled", "Input should be a valid boolean"),
    ({"modules": {"5": {"enabled": None}}}, "/modules/5/enabled", "Input should be a valid boolean"),
    ({"modules": {"5": {"uncertainty_tag": "huge"}}}, "/modules/5/uncertainty_tag",
     "must be one of: low, medium, high, none"),
    ({"modules": {"5": {"submodules": {"60": {"threshold": -1}}}}}, "/modules/5/submodules/60/threshold",
     "Input should be greater than or equal to 0"),
    ({"modules": {"5": {"submodules": {"60": {"threshold": True}}}}}, "/modules/5/submodules/60/threshold",
     "Input should be a valid number"),
    ({"modules": {"1": {"submodules": {"2": {"threshold": 1}}}}}, "/modules/1/submodules/2/threshold",
     "Input should be null"),
    ({"reduction_objectives": {"unit_scenarios": [{"scenario": {"a": 1}}]}}, "/reduction_objectives/unit_scenarios/0/scenario",
     "must be text, a number, a boolean or null"),
    ({"reduction_objectives": {"unit_scenarios": [{"scenario": "a\0"}]}}, "/reduction_objectives/unit_scenarios/0/scenario",
     "text must not hold the character U+0000"),
    ({"reduction_objectives": {"goals": [{"target_year": 2030, "reduction_percentage": 0}] * 101}},
     "/reduction_objectives/goals", "List should have at most 100 items after validation, not 101"),
])  # fmt: skip
def test_what_is_refused_is_named(patch: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        patched(default_config(), patch, YEAR)

    assert refused.value.details == {"argument": "config", "path": path}
    assert refused.value.message == f"config{path}: {reason}"


@pytest.mark.parametrize(("goal", "member", "reason"), [
    ({"target_year": 2025, "reduction_percentage": 0.5}, "target_year", "must be after 2025"),
    ({"target_year": 2030, "reduction_percentage": 1.2}, "reduction_percentage", "Input should be less than or equal to 1"),
    ({"target_year": 2030, "reduction_percentage": -0.1}, "reduction_percentage", "Input should be greater than or equal to 0"),
    ({"target_year": 2030}, "reduction_percentage", "Field required"),
])  # fmt: skip
def test_y7_a_goal_lies_after_its_year_and_reduces_by_at_most_everything(goal: Any, member: str, reason: str) -> None:
    good = {"target_year": 2026, "reduction_percentage": 1, "reference_year": 2019}

    with pytest.raises(BadInput) as refused:
        check({"reduction_objectives": {"goals": [good, goal]}}, YEAR)

    assert refused.value.details["path"] == f"/reduction_objectives/goals/1/{member}"
    assert refused.value.message.endswith(f": {reason}")


@pytest.mark.parametrize("value", [2**64, "\ud800", object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match="config is not JSON"):
        check({"modules": value}, YEAR)


def test_settings_nested_without_end_are_refused() -> None:
    config: dict[str, Any] = {}
    for _ in range(300):
        config = {"modules": config}

    with pytest.raises(BadInput, match="config is not JSON: Recursion limit reached"):
        check(config, YEAR)


def test_settings_do_not_grow_without_end() -> None:
    rows = [{"scenario": "x" * 100, "year": 2030}] * 1200
    half = patched(default_config(), {"reduction_objectives": {"unit_scenarios": rows}}, YEAR)

    with pytest.raises(BadInput, match=f"at most {MAX_BYTES} bytes"):
        patched(half, {"reduction_objectives": {"population_projections": rows}}, YEAR)


def test_a_patch_names_modules_and_entry_types_by_key_or_number_and_they_are_kept_by_number() -> None:
    settings = default_config()
    by_key = {"modules": {"purchase": {"enabled": False, "submodules": {"vehicles": {"threshold": 2.5}}}}}
    by_number = {"modules": {"5": {"enabled": False, "submodules": {"65": {"threshold": 2.5}}}}}
    mixed = {"modules": {"purchase": {"enabled": False, "submodules": {"65": {"threshold": 2.5}}}}}

    assert patched(settings, by_key, YEAR) == patched(settings, mixed, YEAR) == merge(settings, by_number)
    assert merge(settings, by_number)["modules"].keys() == settings["modules"].keys()


@pytest.mark.parametrize(("patch", "path"), [
    ({"modules": {"purchases": {}}}, "/modules/purchases"),
    ({"modules": {"purchase": {"submodules": {"member": {}}}}}, "/modules/purchase/submodules/member"),
    ({"modules": {"purchase": {"submodules": {"it_equipment": {"x": 1}}}}}, "/modules/purchase/submodules/it_equipment/x"),
    ({"modules": {"5": {}, "purchase": {}}}, "/modules/purchase"),
    ({"modules": {"purchase": {"submodules": {"vehicles": {}, "65": {}}}}}, "/modules/purchase/submodules/65"),
])  # fmt: skip
def test_a_key_that_is_refused_is_named_as_it_was_given(patch: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as refused:
        patched(default_config(), patch, YEAR)

    assert refused.value.details == {"argument": "config", "path": path}


@pytest.mark.parametrize(("given_path", "kept"), [
    (("modules", "purchase", "submodules", "vehicles", "enabled"), ("modules", "5", "submodules", "65", "enabled")),
    (("modules", "5", "enabled"), ("modules", "5", "enabled")),
    (("modules",), ("modules",)),
    (("reduction_objectives", "purchase"), ("reduction_objectives", "purchase")),
    ((), ()),
])  # fmt: skip
def test_a_path_in_the_settings_may_go_by_keys(given_path: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert numbered(given_path) == kept
