"""No document costs more than 50 ms of CPU before its SQL, and none that is refused amplifies: by counted work."""

import json
from typing import Any

import pytest

from gql_server.graph.cost.prices import Prices
from gql_server.graph.document_limits import MAX_ERRORS
from gql_server.graph.operations import Operations
from gql_server.graph.planned import Executor
from tests.effort import HOSTILE, calls_of, many
from tests.graphql import SCHEMA

CALLS_MAX = 330_000
"""Of which the dearest took 35 ms."""
PRICES = Prices(SCHEMA.executable)
FILTERED = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }"


def _refusal(query: str, variables: dict[str, Any]) -> list[Any]:
    """Errors of a document that nobody has asked before; its price is told when there are none."""
    prepared = Operations(SCHEMA.executable)._prepare(query, None)
    if errors := prepared.errors(variables):
        return errors
    prepared.estimate(PRICES, variables, 200)
    document: Any = prepared.document
    built = Executor.build(SCHEMA.executable, document, None, None, variables, None, max_coercion_errors=MAX_ERRORS)
    return built if isinstance(built, list) else []


@pytest.mark.parametrize("name", HOSTILE)
def test_no_document_takes_more_than_so_much_work_and_five_errors(name: str):
    errors, calls = calls_of(lambda: _refusal(HOSTILE[name], {}))

    assert calls < CALLS_MAX
    assert len(errors) <= MAX_ERRORS + 1


@pytest.mark.parametrize(
    "given",
    [
        {f"k{n}": 1 for n in range(600)},
        {f"k{n}": "x" * 300 for n in range(780)},
        {"years": [*range(9900)]},
        {"years": ["x"] * 9900},
        {"years": [["x"] * 100] * 98},
        {"years": [1] * 120_000},
        {"search": "x" * 250_000},
    ],
)
def test_no_variables_take_more_than_so_much_work_and_five_errors(given: dict[str, Any]):
    errors, calls = calls_of(lambda: _refusal(FILTERED, {"filter": given}))

    assert calls < CALLS_MAX
    assert len(errors) <= MAX_ERRORS + 1
    assert len(json.dumps(given)) < 500_000


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ job(by: { jobId: " + "1" * 5000 + " }) { id } }", "A number has more than 400 digits."),
        ("{ job(by: { jobId: 1." + "1" * 5000 + " }) { id } }", "A number has more than 400 digits."),
        (HOSTILE["operations"], "The document exceeds the limit of 50 for its operations."),
        (HOSTILE["unknown keys"], "An object has more than 100 fields."),
        (
            f"{{ pipelines(filter: {{ years: [{{ {many('k{n}: 1', 101)} }}] }}) {{ nodes {{ id }} }} }}",
            "An object has more than 100 fields.",
        ),
        (HOSTILE["directives"], "The definitions exceed the limit of 50 for their directives."),
        (
            "query ($a: Int " + "@a " * 60 + ") { viewer { id } }",
            "The definitions exceed the limit of 50 for their directives.",
        ),
    ],
)
def test_what_is_too_large_is_named(query: str, message: str):
    assert message in [error.message for error in _refusal(query, {})]


def test_a_search_is_priced_wherever_it_is_written():
    def price(query: str, **variables: Any) -> int:
        prepared = Operations(SCHEMA.executable)._prepare(query, None)
        assert prepared.errors(variables) == []
        return prepared.estimate(PRICES, variables, 200)

    plain = price(FILTERED, filter={"years": [2025]})
    inside = "query ($text: String) { pipelines(filter: { search: $text }) { nodes { id } } }"
    prepared = Operations(SCHEMA.executable)._prepare(FILTERED, None)
    asked = [{"years": [2025]}, {"search": "x"}, {"search": None}, {"search": "y"}]
    bulk = 'mutation ($filter: PipelineFilter!) { abortPipelines(input: { filter: $filter, reason: "x" }) { __typename } }'

    assert price('{ pipelines(filter: { search: "x" }) { nodes { id } } }') == plain + 5000
    assert price(FILTERED, filter={"search": "x"}) == price(inside, text="x") == plain + 5000
    assert price(FILTERED, filter={"search": ""}) == price(inside, text=None) == price(inside) == plain
    assert [prepared.estimate(PRICES, {"filter": each}, 200) for each in asked] == [plain, plain + 5000, plain, plain + 5000]
    assert price(bulk, filter={"search": "x"}) == price(bulk, filter={}) + 5000
