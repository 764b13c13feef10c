"""Plans: what is known of a selection before there is an object to answer it for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import (
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet
from strawberry.types.field import StrawberryField

from gql_server.execution.contract import Executor
from gql_server.execution.fields import Attribute, Child, Computed, Guarded, Judged, Part
from gql_server.execution.leaves import Serializer, serializer
from gql_server.execution.rows import Table, place, reader

Details = list[FieldDetails]
Reader = Callable[[Any, Table], Sequence[Any]]
"""`(context, rows) -> values`."""
RowClass = type[Any]
Maker = Callable[[Sequence[Sequence[Any]]], list[dict[str, Any]]]
"""`columns -> objects`, of at least one column."""
TYPENAME = "__typename"
DEFINITION = "strawberry-definition"


@dataclass(slots=True, eq=False)
class FieldPlan:
    """One field of a selection: `is_typename`, `declared`, or else `is_coded` and graphql-core's."""

    key: str
    details: Details
    definition: GraphQLField
    strawberry: StrawberryField | None
    is_typename: bool = False
    declared: Attribute | Computed | Judged | Part | Child | None = None
    guarded: Guarded | None = None
    serialize: Serializer | None = None
    read: Reader | None = None
    """Values of it for all rows, where they follow from these and the context."""
    child: Child | None = None
    inner: "ObjectPlan | None" = None
    is_list: bool = False
    item_type: Any = None
    given: Any = None
    """Arguments as its child takes them, once it is asked for."""
    loading: Mapping[str, Any] | None = None
    """Arguments of its load, where they are the same in each execution."""

    type: Any = field(init=False)
    is_non_null: bool = field(init=False)

    def __post_init__(self) -> None:
        self.type = self.definition.type
        self.is_non_null = isinstance(self.type, GraphQLNonNull)

    @property
    def is_coded(self) -> bool:
        return self.declared is None and not self.is_typename


class Leaf(NamedTuple):
    """The way to the answers of a field for rows of one class: its position in them and its serializer, or a function that does
    both; neither for an object, or what is guarded."""

    field: FieldPlan
    serialize: Serializer
    position: int | None
    read: Reader | None


@dataclass(slots=True, eq=False)
class ObjectPlan:
    """The selection of one object type."""

    type: GraphQLObjectType
    details: Details
    fields: Sequence[FieldPlan] = ()
    answers: Maker = field(init=False)
    """Makes the answers of objects of those of their fields."""
    loaded: Sequence[FieldPlan] = ()
    visited: Sequence[FieldPlan] = ()
    """Fields that are coded or guarded, or have such fields in their rows, in the order of the selection."""
    codes: bool = False
    """Something is coded, of the object or of what stands in its row."""
    leaves: dict[RowClass, list[Leaf]] = field(default_factory=dict[RowClass, list[Leaf]])
    """By the class of the rows."""

    def leaves_of(self, kind: RowClass) -> list[Leaf]:
        """The way to the answers of its fields for rows of that class."""
        leaves = self.leaves.get(kind)
        if leaves is None:
            leaves = self.leaves[kind] = [_leaf(each, kind) for each in self.fields]
        return leaves

    @property
    def is_worth_it(self) -> bool:
        return any(not field.is_coded for field in self.fields)


def any_source(_source: object, _info: object) -> bool:
    """True, as the `is_type_of` of a type whose sources are what they should be: a plan need not ask it."""
    return True


def plan_object(executor: Executor, type_: GraphQLObjectType, details: Details) -> ObjectPlan | None:
    """The plan of what is selected of a type; None when part of it is delivered later, or unknown."""
    grouped, deferred, _ = executor.collect_subfields(type_, details)
    return None if deferred or _is_streamed(details) else plan_fields(executor, type_, details, grouped)


def plan_fields(executor: Executor, type_: GraphQLObjectType, details: Details, grouped: GroupedFieldSet) -> ObjectPlan | None:
    """The plan of these fields of a type; None when one of them is unknown."""
    plan = ObjectPlan(type_, details)
    fields: list[FieldPlan] = []
    for key, selected in grouped.items():
        if (one := _plan_field(executor, type_, key, selected)) is None:
            return None
        fields.append(one)
    plan.fields, plan.answers = fields, _answers([one.key for one in fields])
    plan.loaded = [one for one in fields if one.child]
    inside = {one.key: one.inner for one in fields if one.inner and not one.child}
    plan.visited = [one for one in fields if one.is_coded or one.guarded or (one.key in inside and inside[one.key].visited)]
    plan.codes = any(one.is_coded or (one.key in inside and inside[one.key].codes) for one in fields)
    return plan


def _answers(keys: Sequence[str]) -> Maker:
    """The function that makes objects with these keys. It is compiled: `dict(zip(keys, values))` takes twice as long."""
    names = [f"value_{place}" for place in range(len(keys))]
    items = ", ".join(f"{key!r}: {name}" for key, name in zip(keys, names, strict=True))
    return eval(f"lambda columns: [{{{items}}} for [{', '.join(names)}] in zip(*columns)]")


def _plan_field(executor: Executor, owner: GraphQLObjectType, key: str, details: Details) -> FieldPlan | None:
    name = details[0].node.name.value
    definition = executor.schema.get_field(owner, name)
    if definition is None or any(each.defer_usage or each.fragment_variable_values for each in details):
        return None
    strawberry: StrawberryField | None = definition.extensions.get(DEFINITION)
    plan = FieldPlan(key, details, definition, strawberry)
    if name == TYPENAME:
        plan.is_typename, plan.serialize, plan.read = True, _as_it_is, lambda _, table: [owner.name] * len(table.rows)
    elif strawberry is not None:
        _declare(executor, plan, strawberry)
    return plan


def _declare(executor: Executor, plan: FieldPlan, strawberry: StrawberryField) -> None:
    """Fills in what is declared of the field, if its type allows it; else it stays coded."""
    declared = executor.declared(strawberry) or _basic(strawberry)
    guarded = declared if isinstance(declared, Guarded) else None
    value = guarded.value if guarded else declared
    if value is None or isinstance(value, Guarded) or (plan.definition.args and not isinstance(value, Child)):
        return
    if _shape(executor, plan):
        plan.declared, plan.guarded, plan.read = value, guarded, _reading(value)
        plan.child = value if isinstance(value, Child) else None


def _reading(declared: Attribute | Computed | Judged | Part | Child) -> Reader | None:
    """Reads the values of a field; None where they are loaded."""
    match declared:
        case Attribute(name):
            return lambda _, table: table.column(name)
        case Computed(read, attributes):
            return lambda _, table: list(map(read, *[table.column(name) for name in attributes]))
        case Judged(read):
            return lambda context, table: [read(context, row) for row in table.rows]
        case Part(None):
            return lambda _, table: table.rows
        case Part(str(present)):
            return lambda _, table: _where(table.rows, table.column(present))
        case _:
            return None


def _leaf(plan: FieldPlan, kind: RowClass) -> Leaf:
    if plan.child is not None and plan.guarded is None:
        return Leaf(plan, _as_it_is, None, _nothing_yet)
    if plan.serialize is None or plan.read is None or plan.guarded is not None:
        return Leaf(plan, _as_it_is, None, None)
    if not isinstance(plan.declared, Attribute):
        return Leaf(plan, plan.serialize, None, _serialized(plan.read, plan.serialize))
    position = place(kind, plan.declared.name)
    return Leaf(plan, plan.serialize, position, _attribute(reader(kind, plan.declared.name), plan.serialize))


def _serialized(read: Reader, serialize: Serializer) -> Reader:
    return lambda context, table: serialize(read(context, table))


def _attribute(read: Callable[[Table], Sequence[Any]], serialize: Serializer) -> Reader:
    return lambda _, table: serialize(read(table))


def _nothing_yet(_context: Any, table: Table) -> Sequence[None]:
    """The place of what is loaded."""
    return [None] * len(table.rows)


def _as_it_is(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _where(rows: Sequence[Any], present: Sequence[Any]) -> Sequence[Any]:
    return [None if value is None else row for row, value in zip(rows, present, strict=True)]


def _basic(strawberry: StrawberryField) -> Attribute | None:
    """A field without resolver, read as Strawberry reads it unless told otherwise."""
    is_plain = strawberry.is_basic_field and strawberry.default_resolver is getattr
    return Attribute(strawberry.python_name) if is_plain else None


def _shape(executor: Executor, plan: FieldPlan) -> bool:
    """True if it is made of leaves, or is an object or a list of objects of one type; fills in how it is answered."""
    named = get_named_type(plan.type)
    if is_leaf_type(named):
        plan.serialize = serializer(plan.type, executor.natives)
        return True
    nullable = nullable_type(plan.type)
    if isinstance(nullable, GraphQLList):
        plan.is_list, plan.item_type = True, nullable.of_type
        nullable = nullable_type(nullable.of_type)
    if not isinstance(nullable, GraphQLObjectType):
        return False
    plan.inner = executor.plan_of(nullable, plan.details)
    return plan.inner is not None


def nullable_type(type_: Any) -> Any:
    """The type without its `!`."""
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _is_streamed(details: Details) -> bool:
    return any(directive.name.value == "stream" for each in details for directive in each.node.directives or ())
