import pytest
from graphql import get_introspection_query, parse, validate

from gql_server.graph.document_limits import LIMITS, NUL_REFUSED, DocumentLimits, refused_variables
from tests.effort import calls_of
from tests.graphql import SCHEMA


def _refused(document: str) -> list[str]:
    errors = validate(SCHEMA.executable, parse(document), [DocumentLimits])
    assert all((error.extensions or {})["code"] == "BAD_USER_INPUT" for error in errors)
    return [error.message for error in errors]


def _deep(levels: int) -> str:
    return "{ " + "rootJob { pipeline { " * (levels // 2) + "id" + " } }" * (levels // 2) + " }"


def test_what_tools_and_people_send_is_let_through():
    assert _refused(get_introspection_query(input_value_deprecation=True)) == []
    assert _refused("{ pipelines { nodes { jobs { nodes { id } } } } }") == []


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (_deep(LIMITS.depth + 2), "depth"),
        ("{ viewer { " + "id " * (LIMITS.fields + 1) + "} }", "fields"),
        ("{ viewer { " + "".join(f"a{n}: id " for n in range(LIMITS.aliases + 1)) + "} }", "aliases"),
        ("{ viewer { id " + "@skip(if: false) " * (LIMITS.directives + 1) + "} }", "directives"),
        ("{ ...A ...A } fragment A on Query { " + "viewer { id } " * (LIMITS.root_fields // 2 + 1) + "}", "root fields"),
    ],
)
def test_each_limit_is_named(document: str, name: str):
    assert any(f"for its {name}." in message for message in _refused(document))


def _bomb(levels: int) -> str:
    """A document whose fragments stand for 2 ** levels fields."""
    links = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    return f"{{ ...F0 }} {links} fragment F{levels} on Query {{ viewer {{ id }} }}"


def test_fragments_that_spread_fragments_are_weighed_once():
    few, many = (calls_of(lambda levels=levels: _refused(_bomb(levels))) for levels in (30, 60))

    assert [len(messages) for messages, _ in (few, many)] == [2, 2]
    assert many[1] < 2 * few[1]


def test_cycles_and_unknown_fragments_are_left_to_the_specification():
    assert _refused("{ ...A ...Unknown } fragment A on Query { ...B } fragment B on Query { ...A viewer { id } }") == []


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ({"a": [1, None, {"b": "x\0"}]}, True),
        ({"\0": 1}, True),
        ({"a": [1, None, {"b": r"x\0 \u0000"}]}, False),
        (None, False),
    ],
)
def test_nul_is_found_wherever_it_is(value: object, held: bool):
    assert (refused_variables(value) == NUL_REFUSED) is held


def test_nul_is_looked_for_at_any_depth():
    deep: object = "\0"
    for _ in range(9_000):
        deep = [deep]

    assert refused_variables(deep) == NUL_REFUSED
