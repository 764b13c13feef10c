"""The static cost of an operation: what its fields weigh, times the sizes of the lists they stand in."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Undefined,
    get_named_type,
    get_nullable_type,
    get_operation_ast,
    is_composite_type,
    is_list_type,
)
from graphql.utilities import value_from_ast_untyped

from gql_server.graph.cost.table import ASSUMED_SIZE, ASSUMED_SIZES, INPUT_WEIGHTS, weight_of
from gql_server.reads.pagination.paging import DEFAULT_PAGE_SIZE

PAGED = ("edges", "nodes", "events")
SLICING = ("first", "last")


class ListLength(NamedTuple):
    """Length of a list: as the largest of the slicing arguments says, else as assumed. The list is the field itself, or its
    `sized` fields."""

    assumed: int
    slicing: tuple[str, ...] = ()
    sized: tuple[str, ...] = ()


class SizedFields(NamedTuple):
    """Fields of a connection that are lists, and how long they are."""

    fields: tuple[str, ...]
    size: int


class Price(NamedTuple):
    """Price of a field before anybody asks for it."""

    weight: int
    size: ListLength | None
    is_list: bool
    inputs: Mapping[str, GraphQLInputObjectType] = MappingProxyType({})


class Prices:
    """The price of every field of a schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._prices: dict[str, Price] = {}

    def of(self, owner: str, name: str, field: GraphQLField) -> Price:
        coordinate = f"{owner}.{name}"
        if coordinate not in self._prices:
            self._prices[coordinate] = _price(coordinate, field)
        return self._prices[coordinate]

    def estimate(
        self, document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any] | None, most: int
    ) -> int:
        """The cost of a valid operation. No list is taken for longer than `most`: it would be refused.

        Every branch of an abstract type counts, and a field selected twice counts twice.
        """
        operation = get_operation_ast(document, operation_name)
        root = operation and self.schema.get_root_type(operation.operation)
        if operation is None or root is None:
            return 0
        return _Estimate(self, document, values_of(operation, variables), most).of(root, operation.selection_set, None)


def size_of(coordinate: str, field: GraphQLField) -> ListLength | None:
    """Length of this field's list; None for one of the default size, and for what is no list."""
    slicing = tuple(name for name in SLICING if name in field.args)
    page = get_named_type(field.type)
    sized = tuple(name for name in PAGED if isinstance(page, GraphQLObjectType) and name in page.fields) if slicing else ()
    is_list = is_list_type(get_nullable_type(field.type))
    if not sized and not (slicing and is_list):
        return ListLength(ASSUMED_SIZES[coordinate]) if coordinate in ASSUMED_SIZES else None
    default = field.args["first"].default_value if "first" in field.args else None
    by_default = default if isinstance(default, int) else DEFAULT_PAGE_SIZE
    return ListLength(ASSUMED_SIZES.get(coordinate, by_default), slicing, sized)


def price_of_input(type_: GraphQLInputObjectType, value: object) -> int:
    """Weights of the fields that are given in a value of an input, or in a list of them."""
    if isinstance(value, list):
        return sum(price_of_input(type_, each) for each in cast(list[object], value))
    if not isinstance(value, Mapping):
        return 0
    given = {name: value[name] for name in value if name in type_.fields and value[name] not in (None, "")}
    own = sum(INPUT_WEIGHTS.get(f"{type_.name}.{name}", 0) for name in given)
    below = ((get_named_type(type_.fields[name].type), inside) for name, inside in given.items())
    return own + sum(price_of_input(named, inside) for named, inside in below if isinstance(named, GraphQLInputObjectType))


@cache
def has_weights(type_: GraphQLInputObjectType) -> bool:
    """True if a field of the input, or of one inside, has a weight."""
    reached, rest = {type_}, [type_]
    while rest:
        inside = {get_named_type(field.type) for field in rest.pop().fields.values()}
        new = {each for each in inside if isinstance(each, GraphQLInputObjectType)} - reached
        reached |= new
        rest += new
    return any(f"{each.name}.{name}" in INPUT_WEIGHTS for each in reached for name in each.fields)


def values_of(operation: OperationDefinitionNode, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """Variables as given, or their defaults."""
    defaults = {
        node.variable.name.value: value_from_ast_untyped(node.default_value)
        for node in operation.variable_definitions or ()
        if node.default_value is not None
    }
    return {**defaults, **(variables or {})}


def is_included(node: SelectionNode, variables: Mapping[str, Any]) -> bool:
    """True if `@skip` and `@include` let the selection stand."""
    for directive in node.directives or ():
        if directive.name.value in ("skip", "include"):
            condition = value_from_ast_untyped(directive.arguments[0].value, dict(variables)) if directive.arguments else None
            if condition is (directive.name.value == "skip"):
                return False
    return True


def _price(coordinate: str, field: GraphQLField) -> Price:
    is_list = is_list_type(get_nullable_type(field.type))
    weight = weight_of(coordinate)
    if weight is None:
        weight = int(is_composite_type(get_named_type(field.type)) and not is_list)
    types = ((name, get_named_type(argument.type)) for name, argument in field.args.items())
    inputs = {name: type_ for name, type_ in types if isinstance(type_, GraphQLInputObjectType) and has_weights(type_)}
    return Price(weight, size_of(coordinate, field), is_list, inputs)


class _Estimate:
    """One operation. A fragment is weighed once for each size in which it is spread."""

    def __init__(self, prices: Prices, document: DocumentNode, variables: Mapping[str, Any], most: int) -> None:
        self._prices, self._variables, self._most = prices, variables, most
        self._fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        self._weighed: dict[tuple[str, SizedFields | None], int] = {}

    def of(self, parent: GraphQLNamedType, selections: SelectionSetNode, sized: SizedFields | None) -> int:
        """`sized` says how long the lists among the parent's fields are, when the parent is a page."""
        included = (node for node in selections.selections if is_included(node, self._variables))
        return sum(self._selection(parent, node, sized) for node in included)

    def _selection(self, parent: GraphQLNamedType, node: SelectionNode, sized: SizedFields | None) -> int:
        if isinstance(node, FieldNode):
            return self._field(parent, node, sized)
        if isinstance(node, FragmentSpreadNode):
            return self._spread(node.name.value, sized)
        assert isinstance(node, InlineFragmentNode)
        return self.of(self._narrowed(parent, node), node.selection_set, sized)

    def _spread(self, name: str, sized: SizedFields | None) -> int:
        if (name, sized) not in self._weighed:
            fragment = self._fragments[name]
            on = self._prices.schema.type_map[fragment.type_condition.name.value]
            self._weighed[name, sized] = self.of(on, fragment.selection_set, sized)
        return self._weighed[name, sized]

    def _narrowed(self, parent: GraphQLNamedType, node: InlineFragmentNode) -> GraphQLNamedType:
        return self._prices.schema.type_map[node.type_condition.name.value] if node.type_condition else parent

    def _field(self, parent: GraphQLNamedType, node: FieldNode, sized: SizedFields | None) -> int:
        name = node.name.value
        field = parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None
        if field is None or name.startswith("__"):
            return 0
        price = self._prices.of(parent.name, name, field)
        weight = price.weight + (self._inputs(price, node) if price.inputs else 0)
        if node.selection_set is None:
            return weight
        inside: GraphQLCompositeType = get_named_type(field.type)  # type: ignore[assignment]
        size = self._size(price.size, field, node) if price.size else ASSUMED_SIZE
        if not price.is_list:
            page = SizedFields(price.size.sized, size) if price.size else None
            return weight + self.of(inside, node.selection_set, page)
        if sized and name in sized.fields:
            size = sized.size
        return weight + size * (1 + self.of(inside, node.selection_set, None))

    def _inputs(self, price: Price, node: FieldNode) -> int:
        given = [(price.inputs.get(each.name.value), each.value) for each in node.arguments or ()]
        values = dict(self._variables)
        return sum(price_of_input(type_, value_from_ast_untyped(value, values)) for type_, value in given if type_)

    def _size(self, size: ListLength, field: GraphQLField, node: FieldNode) -> int:
        given = [self._argument(field, node, name) for name in size.slicing]
        asked = [value for value in given if isinstance(value, int) and not isinstance(value, bool)]
        return min(max(0, *asked, -1) if asked else size.assumed, self._most)

    def _argument(self, field: GraphQLField, node: FieldNode, name: str) -> object:
        for argument in node.arguments or ():
            if argument.name.value == name:
                value = value_from_ast_untyped(argument.value, dict(self._variables))
                return field.args[name].default_value if value is Undefined else value
        return field.args[name].default_value
