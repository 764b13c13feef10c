"""Compiled operations: everything that two executions of one document have in common."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from graphql import DirectiveNode, GraphQLField, GraphQLObjectType, Node, OperationDefinitionNode, VariableNode, Visitor, visit
from graphql.execution.collect_fields import CollectedFields, GroupedFieldSet

from gql_server.execution.contract import Executor
from gql_server.execution.plan import DEFINITION, Details, ObjectPlan

OPERATIONS_MAX = 256
CONDITIONAL = ("skip", "include")
INCREMENTAL = ("defer", "stream")


class Compiled:
    """Collected fields and plans of one operation, under one set of conditions: nothing of them depends on who asks."""

    __slots__ = ("_root", "answer", "followed", "is_varied", "operation", "plans", "sub_fields")

    def __init__(self, operation: OperationDefinitionNode, *, is_varied: bool) -> None:
        self.operation = operation
        self.is_varied = is_varied
        """With other variables something else may be selected."""
        self.sub_fields: dict[tuple[GraphQLObjectType, int], tuple[Details, CollectedFields]] = {}
        self.plans: dict[tuple[GraphQLObjectType, int], tuple[Details, ObjectPlan | None]] = {}
        self._root: GroupedFieldSet | None = None
        self.answer: tuple[ObjectPlan | None] | None = None
        """The plan by which the whole operation is answered at once, if there is one, once that is known."""

        self.followed: tuple[str, Details, GraphQLField] | None = None
        """The field of a subscription whose value an event is, once that is known."""

    def root(self, collected: GroupedFieldSet) -> GroupedFieldSet:
        """The root fields, the same for each execution."""
        if self._root is None:
            self._root = collected
        return self._root


def followed(root: GraphQLObjectType, collected: GroupedFieldSet) -> tuple[str, Details, GraphQLField] | None:
    """The one field of a subscription, if its value is the event as it comes, as Strawberry has it."""
    for key, details in collected.items() if len(collected) == 1 else ():
        field = root.fields.get(details[0].node.name.value)
        strawberry = field and field.extensions.get(DEFINITION)
        if field and strawberry and strawberry.is_subscription:
            return key, details, field
    return None


class _Same:
    """Something that is equal to itself alone, and kept."""

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.it is other.it


def compiled(executor: Executor) -> Compiled:
    """Compiled form of the operation, kept for equal ones. Nothing is kept of one that is delivered in parts, or whose
    fragments have variables."""
    operation = _Same(executor.operation)
    names = _conditions(operation, tuple(map(_Same, executor.fragment_definitions.values())))
    if names is None:
        return Compiled(executor.operation, is_varied=True)
    values = tuple([executor.variable_values.coerced.get(name) for name in names])
    return _compiled(_Same(executor.schema), type(executor), operation, values)


@lru_cache(maxsize=OPERATIONS_MAX)
def _compiled(schema: _Same, executor: type, operation: _Same, conditions: tuple[Any, ...]) -> Compiled:
    return Compiled(operation.it, is_varied=bool(conditions))


@lru_cache(maxsize=OPERATIONS_MAX)
def _conditions(operation: _Same, fragments: tuple[_Same, ...]) -> tuple[str, ...] | None:
    """The variables that decide what is selected; None when something else does."""
    conditions = _Conditions()
    nodes: list[Node] = [operation.it, *(each.it for each in fragments)]
    for node in nodes:
        visit(node, conditions)
    is_varied = conditions.is_incremental or any(each.it.variable_definitions for each in fragments)
    return None if is_varied else tuple(dict.fromkeys(conditions.names))


class _Conditions(Visitor):
    """Collects the variables in arguments of conditional directives."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.is_incremental = False

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value in CONDITIONAL:
            self.names += _variables(node)
        elif node.name.value in INCREMENTAL:
            self.is_incremental = True


def _variables(node: DirectiveNode) -> Iterator[str]:
    return (argument.value.name.value for argument in node.arguments or () if isinstance(argument.value, VariableNode))
