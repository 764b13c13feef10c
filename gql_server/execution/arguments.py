"""Arguments of a field, as its child takes them: what the document says is converted once, what variables say each time."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLInt,
    GraphQLString,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_nullable_type,
)
from graphql.execution.values import coerce_argument
from strawberry.types.arguments import StrawberryArgument, convert_arguments

from gql_server.execution.contract import Executor
from gql_server.execution.plan import FieldPlan

AS_THEY_ARE = frozenset({GraphQLBoolean, GraphQLFloat, GraphQLInt, GraphQLString})
"""Types whose values Strawberry leaves as graphql-core has read them."""


class Arguments:
    """The arguments of one field of a document."""

    __slots__ = ("_declared", "_definitions", "_node", "_nodes", "_plain", "_said", "_varied")

    def __init__(self, field: FieldPlan, config: Any) -> None:
        assert field.strawberry is not None
        self._node, self._definitions = field.details[0].node, field.definition.args
        self._nodes = {node.name.value: node for node in self._node.arguments or ()}
        named = {config.name_converter.from_argument(each): each for each in field.strawberry.arguments}
        self._declared: Mapping[str, StrawberryArgument] = named
        self._varied = [name for name, node in self._nodes.items() if has_variable(node.value)]
        self._plain = [*self._plain_ones()]
        self._said: Mapping[str, Any] | None = None

    def converted(self, executor: Executor, info: Any) -> Mapping[str, Any]:
        """The arguments in an execution. Raises what graphql-core or Strawberry raises about them."""
        if self._said is None:
            self._said = self._of(self._definitions.keys() - self._varied, executor, info)
        if not self._varied:
            return self._said
        given, rest, values = {**self._said}, [*self._varied], executor.variable_values.coerced
        for name, python_name, variable in self._plain:
            if (value := values.get(variable)) is not None:
                given[python_name] = value
                rest.remove(name)
        return {**given, **self._of(rest, executor, info)} if rest else given

    def _plain_ones(self) -> Iterator[tuple[str, str, str]]:
        """Arguments that are what a variable is, unless that is null: their names, and that of the variable."""
        for name in self._varied:
            node, declared = self._nodes[name].value, self._declared[name]
            is_as_it_is = get_nullable_type(self._definitions[name].type) in AS_THEY_ARE
            if isinstance(node, VariableNode) and is_as_it_is and not declared.is_maybe:
                yield name, str(declared.python_name), node.name.value

    def _of(self, names: Collection[str], executor: Executor, info: Any) -> dict[str, Any]:
        coerced: dict[str, Any] = {}
        variables, hides = executor.variable_values, executor.hide_suggestions
        for name in names:
            coerce_argument(coerced, self._node, name, self._definitions[name], self._nodes.get(name), variables, None, hides)
        schema: Any = executor.schema._strawberry_schema  # type: ignore[attr-defined]
        declared = [self._declared[name] for name in names]
        return convert_arguments(coerced, declared, schema.schema_converter.scalar_registry, schema.config, info)


def has_variable(value: ValueNode) -> bool:
    """True if a value that is written in a document depends on variables."""
    match value:
        case VariableNode():
            return True
        case ListValueNode(values=parts):
            return any(map(has_variable, parts))
        case ObjectValueNode(fields=fields):
            return any(has_variable(each.value) for each in fields)
        case _:
            return False
