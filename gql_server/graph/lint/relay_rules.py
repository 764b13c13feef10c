"""Rules of Relay's cursor connections specification."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from graphql import (
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)

from gql_server.graph.lint.elements import Complaints, objects

FORWARD, BACKWARD = ("first", "after"), ("last", "before")


def relay(schema: GraphQLSchema) -> Complaints:
    """Connections are as Relay's cursor connections specification has them."""
    for owner in objects(schema):
        if owner.name.endswith("Connection"):
            yield from _connection(owner)
        for name, field in owner.fields.items():
            if get_named_type(field.type).name.endswith("Connection"):
                yield from _connection_field(f"{owner.name}.{name}", field)


def _connection(type_: GraphQLObjectType) -> Complaints:
    fields = {name: str(field.type) for name, field in type_.fields.items()}
    if fields.get("pageInfo") != "PageInfo!":
        yield f"{type_.name}.pageInfo must be `PageInfo!`."
    edge = get_named_type(type_.fields["edges"].type) if "edges" in fields else None
    if not isinstance(edge, GraphQLObjectType) or not edge.name.endswith("Edge"):
        yield f"{type_.name}.edges must be a list of edges."
    elif not {"node", "cursor"} <= edge.fields.keys() or str(edge.fields["cursor"].type) != "String!":
        yield f"{edge.name} must have `node` and `cursor: String!`."


def _connection_field(coordinate: str, field: GraphQLField) -> Complaints:
    if isinstance(field.type, GraphQLNonNull):
        yield f"{coordinate} may fail without its parent, so it must be nullable (with `SemanticNonNull`)."
    directions = [pair for pair in (FORWARD, BACKWARD) if set(pair) <= field.args.keys()]
    if not directions:
        yield f"{coordinate} must take `first` and `after`, or `last` and `before`."
    for size, cursor in directions:
        if (str(field.args[size].type), str(field.args[cursor].type)) != ("Int", "String"):
            yield f"{coordinate} must take `{size}: Int` and `{cursor}: String`."
