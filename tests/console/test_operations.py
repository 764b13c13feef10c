"""The operations that the console sends, of its client package: valid, and cheap enough for a page that is opened all day."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    Visitor,
    parse,
    validate,
    visit,
)

from gql_server.graph.cost.prices import Prices
from gql_server.graph.schema import create_schema

FILES = sorted((Path(__file__).parents[2] / "frontend" / "client" / "src" / "operations").glob("*.graphql"))
SCHEMA = create_schema()
PRICES = Prices(SCHEMA.executable)
MOST = 200
DEAREST = 12_000
VARIABLES: Mapping[str, dict[str, Any]] = {"Pipelines": {"first": 50}}
"""Sizes that the console gives where a document leaves them open."""

DEFINITIONS = [definition for file in FILES for definition in parse(file.read_text("utf-8")).definitions]
FRAGMENTS = {fragment.name.value: fragment for fragment in DEFINITIONS if isinstance(fragment, FragmentDefinitionNode)}
OPERATIONS = {
    operation.name.value: operation
    for operation in DEFINITIONS
    if isinstance(operation, OperationDefinitionNode) and operation.name
}


class Spreads(Visitor):
    """Names of the fragments that a document spreads, by way of others too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        if node.name.value not in self.names:
            self.names[node.name.value] = None
            visit(FRAGMENTS[node.name.value], self)


def document(name: str) -> DocumentNode:
    spreads = Spreads()
    visit(OPERATIONS[name], spreads)
    return DocumentNode(definitions=(OPERATIONS[name], *(FRAGMENTS[fragment] for fragment in spreads.names)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_valid_against_the_schema(name: str) -> None:
    assert validate(SCHEMA.executable, document(name)) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_costs_a_quarter_of_what_one_may_at_most(name: str) -> None:
    assert PRICES.estimate(document(name), None, VARIABLES.get(name, {}), MOST) <= DEAREST


def test_no_two_operations_have_one_name() -> None:
    assert len(OPERATIONS) + len(FRAGMENTS) == len(DEFINITIONS)


def test_every_fragment_is_used() -> None:
    used = {fragment for name in OPERATIONS for fragment in [node.name.value for node in document(name).definitions[1:]]}  # type: ignore[attr-defined]

    assert used == set(FRAGMENTS)
