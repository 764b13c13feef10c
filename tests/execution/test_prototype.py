"""An operation that is executed again is answered as if it had been built again, and nothing of who asked before is left."""

import gc
from typing import Any, cast

import pytest
import strawberry
from graphql import ExecutionResult, GraphQLError, parse
from graphql.pyutils import RefMap

from gql_server.execution import PlanExecutor, Prototype


@strawberry.type
class Thing:
    name: str
    size: int


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, info: strawberry.Info, size: int = 3) -> Thing:
        return Thing(name=info.context["who"], size=size)

    @strawberry.field
    def broken(self) -> str | None:
        raise LookupError("broken")


SCHEMA = cast(Any, strawberry.Schema(query=Query, execution_context_class=PlanExecutor))._schema
DOCUMENTS = {
    "plain": "{ thing { name size } }",
    "with a variable": "query ($size: Int!) { thing(size: $size) { size name } }",
    "with a default": "query ($size: Int = 7) { thing(size: $size) { size } }",
    "with conditions": "query ($named: Boolean!) { thing { size name @include(if: $named) } broken @skip(if: $named) }",
    "with fragments": "query ($named: Boolean!) { thing { ...A @include(if: $named) size } } fragment A on Thing { name }",
    "with errors": "{ broken thing { size } }",
}
VARIABLES = ({}, {"size": 5}, {"size": "x"}, {"size": None}, {"named": True}, {"named": False, "size": 2}, {"named": "no"})


def build(document: str, who: str, variables: dict[str, Any]) -> Any:
    return PlanExecutor.build(SCHEMA, parse(document), None, {"who": who}, variables, None, max_coercion_errors=5)


def told(executor: Any) -> Any:
    if isinstance(executor, list):
        return [error.formatted for error in cast(list[GraphQLError], executor)]
    result: ExecutionResult = executor.execute_operation()
    return result.formatted


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_execution_is_answered_as_if_it_had_been_built(name: str) -> None:
    document = DOCUMENTS[name]
    first = next(made for made in (build(document, "first", given) for given in VARIABLES) if not isinstance(made, list))
    prototype = Prototype(first)

    for number, variables in enumerate((*VARIABLES, *VARIABLES)):
        who = f"viewer {number}"
        again = prototype.executor({"who": who}, None, variables, 5)
        assert told(again) == told(build(document, who, variables)), variables


def test_nothing_is_kept_of_who_asked() -> None:
    class Secret(dict[str, str]):
        pass

    def held() -> list[Secret]:
        gc.collect()
        return [each for each in gc.get_objects() if type(each) is Secret]

    document = DOCUMENTS["with a variable"]
    first = PlanExecutor.build(SCHEMA, parse(document), Secret(), Secret(who="a"), {"size": 1})
    assert not isinstance(first, list)
    prototype = Prototype(first)
    first.execute_operation()
    del first
    again: Any = prototype.executor(Secret(who="b"), Secret(), {"size": 2}, 5)
    assert again.execute_operation().data == {"thing": {"size": 2, "name": "b"}}
    del again

    assert held() == []
    assert "variable_values" not in prototype._common


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_that_an_execution_fills_is_common_to_all(name: str) -> None:
    of_the_document = {"fragment_definitions", "fragments"}
    built = (build(DOCUMENTS[name], "a", given) for given in VARIABLES)
    first = next(made for made in built if not isinstance(made, list))
    filled = {name for name, value in vars(first).items() if isinstance(value, (list, set, dict, RefMap))}

    assert filled & Prototype(first)._common.keys() == of_the_document


def test_what_one_execution_finds_is_not_the_next_ones() -> None:
    prototype = Prototype(build(DOCUMENTS["with errors"], "a", {}))

    answers = [told(prototype.executor({"who": "a"}, None, None, 5)) for _ in range(3)]

    assert [len(answer["errors"]) for answer in answers] == [1, 1, 1]
