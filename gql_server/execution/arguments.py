"""Arguments of a field, as its child takes them: what the document says is converted once, what variables say each time."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import ArgumentNode, ListValueNode, ObjectValueNode, ValueNode, VariableNode
from graphql.execution.values import coerce_argument
from strawberry.types.arguments import StrawberryArgument, convert_arguments

from gql_server.execution.contract import Executor
from gql_server.execution.plan import FieldPlan


class Arguments:
    """The arguments of one field of a document."""

    __slots__ = ("_field", "_said", "_varied")

    def __init__(self, field: FieldPlan) -> None:
        self._field = field
        self._varied = frozenset(name for name, node in _nodes(field).items() if has_variable(node.value))
        self._said: Mapping[str, Any] | None = None

    def converted(self, executor: Executor, info: Any) -> Mapping[str, Any]:
        """The arguments in an execution. Raises what graphql-core or Strawberry raises about them."""
        if self._said is None:
            self._said = self._of(self._field.definition.args.keys() - self._varied, executor, info)
        return {**self._said, **self._of(self._varied, executor, info)} if self._varied else self._said

    def _of(self, names: Iterable[str], executor: Executor, info: Any) -> dict[str, Any]:
        field, nodes, coerced = self._field, _nodes(self._field), dict[str, Any]()
        node, hides = field.details[0].node, executor.hide_suggestions
        for name in names:
            definition = field.definition.args[name]
            coerce_argument(coerced, node, name, definition, nodes.get(name), executor.variable_values, None, hides)
        schema: Any = executor.schema._strawberry_schema  # type: ignore[attr-defined]
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(coerced, self._declared(coerced, schema.config), registry, schema.config, info)

    def _declared(self, coerced: Mapping[str, Any], config: Any) -> list[StrawberryArgument]:
        strawberry = self._field.strawberry
        assert strawberry is not None
        return [each for each in strawberry.arguments if config.name_converter.from_argument(each) in coerced]


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


def _nodes(field: FieldPlan) -> Mapping[str, ArgumentNode]:
    return {node.name.value: node for node in field.details[0].node.arguments or ()}
