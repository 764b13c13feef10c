"""Sharing of live operations: viewers with equal permissions share one execution, unless it depends on who asks."""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    ObjectFieldNode,
    OperationDefinitionNode,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    visit,
)

from gql_server.graph.operations import KEPT_CHARACTERS_MAX
from gql_server.policy import BY_SUBJECT, WORDS_BY_SUBJECT, Viewer


class Plan(NamedTuple):
    """Properties of a document that matter for sharing it: the variables that say where its client comes from, and whether it
    depends on who asks."""

    is_subscription: bool
    resume_variables: frozenset[str] = frozenset()
    by_subject: bool = False


def plan(schema: GraphQLSchema, query: str, name: str | None) -> Plan:
    """The plan of the operation of that name, or of the only one. It is kept unless the document is long."""
    return (_plan if len(query) <= KEPT_CHARACTERS_MAX else _plan.__wrapped__)(schema, query, name)


@lru_cache(maxsize=512)
def _plan(schema: GraphQLSchema, query: str, name: str | None) -> Plan:
    try:
        document = parse(query, max_tokens=2000)
    except GraphQLError:
        return Plan(is_subscription=False)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    named = [node for node in operations if name is None or (node.name and node.name.value == name)]
    if len(named) != 1 or named[0].operation is not OperationType.SUBSCRIPTION:
        return Plan(is_subscription=False)
    after = [
        argument.value.name.value
        for field in named[0].selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == "after" and isinstance(argument.value, VariableNode)
    ]
    return Plan(is_subscription=True, resume_variables=frozenset(after), by_subject=depends_on_subject(schema, document))


def depends_on_subject(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """True if the document names a field, an argument or a value that the policy says depends on who asks."""
    types = TypeInfo(schema)
    names = _Named(types)
    visit(document, TypeInfoVisitor(types, names))
    return not names.coordinates.isdisjoint(BY_SUBJECT)


def sharing_key(plan: Plan, variables: str, viewer: Viewer) -> Viewer:
    """The viewer as whom it is executed, its variables being this JSON: everyone of these permissions, or this one."""
    if plan.by_subject or any(f'"{word}"' in variables for word in WORDS_BY_SUBJECT):
        return replace(viewer, expires_at=None)
    return viewer.shared()


class _Named(Visitor):
    """Collects the coordinates of fields, arguments, input fields and enum members that a document names."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types
        self._field = ""
        self.coordinates: set[str] = set()

    def enter_field(self, node: FieldNode, *_: object) -> None:
        if parent := self._types.get_parent_type():
            self._field = f"{parent.name}.{node.name.value}"
            self.coordinates.add(self._field)

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        self.coordinates.add(f"{self._field}({node.name.value}:)")

    def enter_object_field(self, node: ObjectFieldNode, *_: object) -> None:
        owner = get_named_type(self._types.get_parent_input_type())
        if isinstance(owner, GraphQLInputObjectType):
            self.coordinates.add(f"{owner.name}.{node.name.value}")

    def enter_enum_value(self, node: EnumValueNode, *_: object) -> None:
        of_type = get_named_type(self._types.get_input_type())
        if isinstance(of_type, GraphQLEnumType):
            self.coordinates.add(f"{of_type.name}.{node.value}")
