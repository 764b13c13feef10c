"""Introspection by plan: the answers of graphql-core, for a tenth of the work, and bounded."""

from typing import Any

import pytest
from graphql import execute_sync, get_introspection_query, parse, validate
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.execution.introspection import FIELDS_MAX, TOO_LARGE
from gql_server.graph.planned import Executor
from tests.effort import HOSTILE, calls_of, many
from tests.graphql import SCHEMA, Client

WHOLE = get_introspection_query(input_value_deprecation=True, schema_description=True, specified_by_url=True)
OFTEN = (
    "{ " + many("a{n}: __schema {{ ...S }}", 20) + " } fragment S on __Schema { types { name fields { name type { name } } } }"
)
CALLS_MAX = 250_000
ASKED: list[tuple[str, dict[str, Any]]] = [
    (WHOLE, {}),
    ("{ __schema { queryType { name } mutationType { kind } types { n: name, name, __typename } } __typename }", {}),
    (
        """{ __schema { directives { name locations isRepeatable args { name defaultValue type { ...T } } } } }
        fragment T on __Type { kind name ofType { kind ...N } } fragment N on __Type { name ofType { name } }""",
        {},
    ),
    (
        """{ a: __type(name: "Pipeline") { fields { name } fields { args { name } } }
        b: __type(name: "Nothing") { name } }""",
        {},
    ),
    (
        """query ($name: String!, $all: Boolean!) { __type(name: $name) {
          ... on __Type @include(if: $all) { enumValues(includeDeprecated: $all) { name isDeprecated deprecationReason } }
          inputFields { name @skip(if: $all) defaultValue } possibleTypes { name }
        } }""",
        {"name": "PipelineStatus", "all": True},
    ),
    (
        """query ($all: Boolean = false) { __type(name: "Node") {
          possibleTypes { name } interfaces { name } fields(includeDeprecated: $all) { name isDeprecated }
          specifiedByURL isOneOf
        } }""",
        {},
    ),
    (
        """query ($all: Boolean) { __type(name: "Node") { name possibleTypes { fields(includeDeprecated: $all) { name } } }
        __schema { queryType { name } } }""",
        {"all": None},
    ),
]


def executed(query: str, variables: dict[str, Any] | None = None) -> Any:
    executor: Any = Executor.build(SCHEMA.executable, parse(query), None, None, variables or {}, None)
    return executor.execute_operation()


@pytest.mark.parametrize(("query", "variables"), ASKED)
def test_introspection_is_answered_as_graphql_core_answers_it(query: str, variables: dict[str, Any]):
    document: Any = parse(query)
    expected: Any = execute_sync(SCHEMA.executable, document, variable_values=variables)

    found = executed(query, variables)

    assert validate(SCHEMA.executable, document) == []
    assert (found.data, found.errors) == (expected.data, expected.errors)
    assert [*found.data] == [*expected.data]


def test_all_of_the_schema_takes_bounded_work_and_is_let_through():
    executed(WHOLE)  # what is made once of a schema, such as its printed defaults

    result, calls = calls_of(lambda: executed(HOSTILE["introspection"]))

    assert result.errors is None
    assert calls < CALLS_MAX


def test_a_schema_that_is_asked_for_many_times_over_is_refused_once_it_is_too_much():
    result, calls = calls_of(lambda: executed(OFTEN))

    assert [error.message for error in result.errors] == [TOO_LARGE]
    assert result.data is None
    assert calls < CALLS_MAX


async def test_who_asks_for_too_much_of_the_schema_is_told_the_limit(engine: AsyncEngine):
    answer = await Client(engine, "standard").execute(OFTEN)

    [error] = answer["errors"]
    assert answer["data"] is None
    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("COST_LIMIT_EXCEEDED", FIELDS_MAX)
