"""The cost of an operation, without executing it."""

from typing import Any

import pytest
from graphql import build_schema, parse, validate

from gql_server.graph.cost.prices import Prices
from tests.effort import calls_of
from tests.graphql import SCHEMA

PRICES = Prices(SCHEMA.executable)
MOST = 200


def cost(query: str, **variables: Any) -> int:
    document = parse(query)
    assert validate(SCHEMA.executable, document) == []
    return PRICES.estimate(document, None, variables, MOST)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ viewer { id permissions } }", 1),
        ("{ pipelines(first: 10) { nodes { id } } }", 1 + 10),
        ("{ pipelines(first: 10) { nodes { id scope { module { key } } } } }", 1 + 10 * (1 + 2)),
        ("{ pipelines(first: 10) { edges { cursor node { id } } pageInfo { endCursor } } }", 1 + 10 * (1 + 1) + 1),
        ("{ pipelines { nodes { id } } }", 1 + 50),
        ("{ pipelines(last: 7, before: null) { nodes { id } } }", 1 + 7),
        ("{ pipelines(first: 100) { nodes { jobs(first: 50) { nodes { id } } } } }", 1 + 100 * (1 + 1 + 50)),
        ("{ pipelines(first: 1) { nodes { isResolved resolvedBy { id } } } }", 1 + 1 + 2 + 2),
        ("{ yearConfigurations { id } }", 20),
        ("{ yearConfigurations { config } }", 20 * (1 + 10)),
        ("{ __schema { types { name fields { name } } } __typename }", 0),
        ("{ cost { estimated limit } }", 0),
        ("subscription { pipeline(by: { jobId: 1 }) { token } }", 10),
    ],
)
def test_a_field_costs_its_weight_times_the_lists_it_stands_in(query: str, expected: int) -> None:
    assert cost(query) == expected


def test_variables_and_their_defaults_say_how_long_a_list_is() -> None:
    query = "query Q($n: Int = 30) { pipelines(first: $n) { nodes { id } } }"

    assert cost(query) == 31
    assert cost(query, n=5) == 6
    assert cost(query, n=None) == 51


def test_a_page_that_would_be_refused_costs_no_more_than_the_largest() -> None:
    assert cost("{ pipelines(first: 2147483647) { nodes { id } } }") == 1 + MOST
    assert cost("{ pipelines(first: -3) { nodes { id } } }") == 1


def test_what_is_skipped_costs_nothing() -> None:
    query = """query Q($all: Boolean!) {
      viewer { id }
      pipelines(first: 10) @include(if: $all) { nodes { id } }
      ... @skip(if: true) { yearConfigurations { id } }
    }"""

    assert cost(query, all=False) == 1
    assert cost(query, all=True) == 1 + 11


def test_a_fragment_costs_what_its_fields_cost_wherever_it_is_spread() -> None:
    query = """
    { pipelines(first: 10) { ...Page } a: pipelines(first: 3) { ...Page } }
    fragment Page on PipelineConnection { nodes { ...Scoped } }
    fragment Scoped on Pipeline { scope { year } }"""

    assert cost(query) == (1 + 10 * 2) + (1 + 3 * 2)


def test_every_branch_of_an_interface_counts() -> None:
    query = """{ node(id: "x") { id ... on Pipeline { scope { year } } ... on Job { scope { year } } } }"""

    assert cost(query) == 1 + 1 + 1


def _doubled(levels: int) -> int:
    """The cost of fragments that stand for 2 ** levels fields."""
    links = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    document = parse(f"{{ ...F0 }} {links} fragment F{levels} on Query {{ viewer {{ id }} }}")
    return PRICES.estimate(document, None, None, MOST)


def test_fragments_that_double_each_other_are_weighed_once() -> None:
    few, many = (calls_of(lambda levels=levels: _doubled(levels)) for levels in (30, 60))

    assert (few[0], many[0]) == (2**30, 2**60)
    assert many[1] < 2.1 * few[1]


def test_the_definition_says_every_price_there_is() -> None:
    """A client that reads `@cost` and `@listSize` in the SDL comes to the prices that the server takes."""
    said: Any = build_schema(SCHEMA.as_str())
    pipelines = said.query_type.fields["pipelines"].ast_node
    year = said.type_map["YearConfiguration"].fields["config"].ast_node

    sizes = {node.name.value: node for node in pipelines.directives}["listSize"]
    assert {argument.name.value for argument in sizes.arguments} == {
        "assumedSize",
        "slicingArguments",
        "sizedFields",
        "requireOneSlicingArgument",
    }
    [weight] = [node.arguments[0].value.value for node in year.directives if node.name.value == "cost"]
    assert weight == "10"
