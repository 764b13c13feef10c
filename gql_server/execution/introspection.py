"""Introspection by plan: what is selected of a type is found once, and read of each by the resolvers of graphql-core."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from graphql import GraphQLObjectType, get_named_type, is_leaf_type, is_list_type
from graphql.execution.values import get_argument_values
from graphql.type import get_nullable_type
from graphql.type.introspection import introspection_types

from gql_server.errors import CostLimitExceeded
from gql_server.execution.contract import Executor

TYPENAME = "__typename"
FIELDS_MAX = 40_000
"""Fields of one answer that tell of the schema: a tool that asks for all of it gets a third of that."""
TOO_LARGE = f"An answer tells at most {FIELDS_MAX} fields of the schema: ask for less at a time."


class IntrospectedField(NamedTuple):
    """A field that is selected: how it is read, and what is selected of its value, or how a leaf is written."""

    key: str
    resolve: Callable[..., Any]
    arguments: dict[str, Any]
    serialize: Callable[[Any], Any] | None
    below: "list[IntrospectedField] | None"
    is_list: bool


class Introspection:
    """The introspection of one operation. All that it answers counts."""

    def __init__(self) -> None:
        self._count = 0

    def answer(self, fields: list[IntrospectedField], info: Any, source: Any) -> dict[str, Any]:
        """The answer of an object of the schema. Raises CostLimitExceeded."""
        self._count += len(fields)
        if self._count > FIELDS_MAX:
            raise CostLimitExceeded(TOO_LARGE, limit=FIELDS_MAX)
        found: dict[str, Any] = {}
        for key, resolve, arguments, serialize, below, is_list in fields:
            value = resolve(source, info, **arguments)
            if value is not None:
                if below is not None:
                    value = [self.answer(below, info, each) for each in value] if is_list else self.answer(below, info, value)
                elif serialize is not None:
                    value = [serialize(each) for each in cast(Iterable[Any], value)] if is_list else serialize(value)
            found[key] = value
        return found


def selected(executor: Executor, type_: GraphQLObjectType, details: Any) -> list[IntrospectedField]:
    """The fields that are selected of a type, and those below. Raises GraphQLError for the wrong value of an argument."""
    grouped = executor.collect_subfields(type_, details).grouped_field_set
    return [_field(executor, type_, key, each) for key, each in grouped.items()]


def _field(executor: Executor, type_: GraphQLObjectType, key: str, details: Any) -> "IntrospectedField":
    node = details[0].node
    if node.name.value == TYPENAME:
        return IntrospectedField(key, _answers(type_.name), {}, None, None, is_list=False)
    definition = type_.fields[node.name.value]
    arguments = get_argument_values(definition, node, executor.variable_values, None, executor.hide_suggestions)
    named, is_list = get_named_type(definition.type), is_list_type(get_nullable_type(definition.type))
    resolve = cast(Callable[..., Any], definition.resolve)
    if is_leaf_type(named):
        return IntrospectedField(key, resolve, arguments, cast(Any, named).serialize, None, is_list)
    below = selected(executor, cast(GraphQLObjectType, named), details)
    return IntrospectedField(key, resolve, arguments, None, below, is_list)


def _answers(value: str) -> Callable[..., str]:
    """A resolver that says the same of each object."""

    def resolve(*_: object) -> str:
        return value

    return resolve


def tells_of_schema(type_: GraphQLObjectType) -> bool:
    """True for a type of which introspection is made."""
    return introspection_types.get(type_.name) is type_
