"""Shows prices in the schema definition, as directives on the fields they are of."""

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLField, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_server.graph.cost.prices import size_of
from gql_server.graph.cost.table import ASSUMED_SIZES, INPUT_WEIGHTS, WEIGHTS, weight_of
from gql_server.graph.cost.types import Cost, ListSize

DIRECTIVES = (Cost, ListSize)


def show_prices(schema: GraphQLSchema) -> None:
    """Put `@cost` and `@listSize` on the fields of a Strawberry schema. Raises LookupError for a price of nothing."""
    known: set[str] = set()
    for coordinate, field in _fields(schema):
        known.add(coordinate)
        declared = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        others = [directive for directive in declared.directives if not isinstance(directive, DIRECTIVES)]
        declared.directives = [*others, *_directives(coordinate, field)]
    known |= {*_show_weights_of_inputs(schema)}
    named = {name for name in WEIGHTS.keys() | ASSUMED_SIZES.keys() | INPUT_WEIGHTS.keys() if not name.startswith("*.")}
    if unknown := named - known:
        raise LookupError(f"graph/cost/table.py has prices of {', '.join(sorted(unknown))}, which the schema has not")


def _show_weights_of_inputs(schema: GraphQLSchema) -> Iterator[str]:
    """The coordinates of those that have one."""
    for coordinate, weight in INPUT_WEIGHTS.items():
        owner, _, name = coordinate.partition(".")
        type_ = schema.type_map.get(owner)
        field = type_.fields.get(name) if isinstance(type_, GraphQLInputObjectType) else None
        if field is not None:
            declared = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
            others = [directive for directive in declared.directives if not isinstance(directive, Cost)]
            declared.directives = [*others, Cost(weight=str(weight))]
            yield coordinate


def _fields(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLField]]:
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__"):
            for field_name, field in type_.fields.items():
                yield f"{name}.{field_name}", field


def _directives(coordinate: str, field: GraphQLField) -> Iterator[Any]:
    if (weight := weight_of(coordinate)) is not None:
        yield Cost(weight=str(weight))
    if (size := size_of(coordinate, field)) is not None:
        yield ListSize(
            assumed_size=size.assumed,
            slicing_arguments=list(size.slicing) or None,
            sized_fields=list(size.sized) or None,
            require_one_slicing_argument=False,
        )
