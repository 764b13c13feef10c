"""Operations are prepared once for a document, and depend on their variables as if they were prepared each time."""

import threading
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError

from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.cost.prices import Prices
from gql_server.graph.operations import ESTIMATES_KEPT, KEPT_CHARACTERS_MAX, NoOperation, Operations, Prepared
from tests.graphql import SCHEMA, Client

PAGE = """query Page($first: Int, $deep: Boolean = true) {
  pipelines(first: $first) { nodes { id jobs @include(if: $deep) { nodes { id } } } }
}"""
PRICES = Prices(SCHEMA.executable)


@pytest.fixture
def operations() -> Operations:
    return Operations(SCHEMA.executable)


def codes(operations: Operations, query: str, name: str | None = None, variables: dict[str, Any] | None = None) -> list[Any]:
    errors = operations.prepared(query, name).errors(variables)
    return [(error.extensions or {}).get("code") for error in errors]


def test_a_document_that_comes_again_is_the_same_operation(operations: Operations) -> None:
    assert operations.prepared(PAGE, None) is operations.prepared(PAGE, None)
    assert operations.prepared(PAGE, "Page") is not operations.prepared(PAGE, None)


def test_a_document_that_would_fill_the_memory_is_not_kept(operations: Operations) -> None:
    long = "{ viewer { id } }".ljust(KEPT_CHARACTERS_MAX + 1)
    assert operations.prepared(long, None) is not operations.prepared(long, None)


def test_what_is_wrong_is_said_each_time(operations: Operations) -> None:
    for _ in range(2):
        assert codes(operations, "{ nothing }") == ["GRAPHQL_VALIDATION_FAILED"]
        assert codes(operations, "{ viewer") == [None], "the endpoint gives syntax errors their code"
        assert codes(operations, "query A { viewer { id } } query B { viewer { id } }") == ["BAD_USER_INPUT"]
        assert codes(operations, "query A { viewer { id } } query B { viewer { id } }", "B") == []


def test_what_is_refused_is_not_kept(operations: Operations) -> None:
    for refused in ("{ nothing }", "{ viewer", "query A { viewer { id } } query B { viewer { id } }"):
        assert operations.prepared(refused, None) is not operations.prepared(refused, None)


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        (PAGE, {"deep": None}, ["BAD_USER_INPUT"]),
        (PAGE, {"deep": False}, []),
        (PAGE, {}, []),
        (PAGE, {"first": None}, []),
        ('query ($name: String = "Query") { __type(name: $name) { name } }', {"name": None}, ["BAD_USER_INPUT"]),
        (
            "query ($d: Boolean = true) { viewer { ...F } } fragment F on Viewer { id @skip(if: $d) }",
            {"d": None},
            ["BAD_USER_INPUT"],
        ),
    ],
)
def test_null_is_refused_where_a_value_is_required_although_the_variable_has_a_default(
    operations: Operations, query: str, variables: dict[str, Any], expected: list[str]
) -> None:
    assert codes(operations, query, variables=variables) == expected


def test_variables_are_looked_at_each_time(operations: Operations) -> None:
    assert codes(operations, PAGE, variables={"first": 1}) == []
    assert codes(operations, PAGE, variables={"first": 1, "text": "a\0b"}) == ["BAD_USER_INPUT"]
    assert codes(operations, PAGE, variables={"first": 1}) == []


def test_a_price_depends_on_what_sizes_lists_and_on_what_is_left_out(operations: Operations) -> None:
    prepared = operations.prepared(PAGE, None)
    asked: list[dict[str, Any] | None] = [{"first": 1}, {"first": 7}, {"first": 7, "deep": False}, None, {"first": None}]
    for _ in range(2):
        for variables in asked:
            expected = PRICES.estimate(prepared.document, "Page", variables, 200)  # type: ignore[arg-type]
            assert prepared.estimate(PRICES, variables, 200) == expected
    assert len({prepared.estimate(PRICES, variables, 200) for variables in asked}) == 4


def test_a_value_that_cannot_be_remembered_has_a_price_too(operations: Operations) -> None:
    prepared = operations.prepared(PAGE, None)
    assert prepared.estimate(PRICES, {"first": [1]}, 200) == prepared.estimate(PRICES, {}, 200)


def test_only_so_many_prices_are_remembered(operations: Operations) -> None:
    prepared = operations.prepared(PAGE, None)
    for first in range(3 * ESTIMATES_KEPT):
        prepared.estimate(PRICES, {"first": first}, 10_000)
    assert len(prepared._estimates) <= ESTIMATES_KEPT


def test_what_is_no_operation_is_refused(operations: Operations) -> None:
    with pytest.raises(MissingQueryError):
        operations.prepared("", None)
    with pytest.raises(CannotGetOperationTypeError):
        _ = operations.prepared(PAGE, "Other").type
    with pytest.raises(NoOperation) as none:
        _ = operations.prepared("fragment F on Query { __typename }", None).type
    with pytest.raises(NoOperation) as several:
        _ = operations.prepared("query A { __typename } query B { __typename }", None).type
    assert none.value.as_http_error_reason() == "The document has no operation."
    assert several.value.as_http_error_reason() == "The document has several operations: say which one in `operationName`."


async def test_documents_of_who_has_sent_a_bad_one_are_read_beside_the_event_loop(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    read_in: list[int] = []
    prepared = Operations.prepared

    def noted(self: Operations, query: str | None, name: str | None) -> Prepared:
        read_in.append(threading.get_ident())
        return prepared(self, query, name)

    monkeypatch.setattr(Operations, "prepared", noted)
    budgets = Budgets()
    bad, good = (Client(engine, budgets=budgets, subject=subject) for subject in ("bad", "good"))

    assert await bad.codes("{ nothing }") == ["GRAPHQL_VALIDATION_FAILED"]
    for client in (bad, good):
        assert "viewer" in await client.query("{ viewer { id } }")

    ours = threading.get_ident()
    assert [thread == ours for thread in read_in] == [True, False, True]
