"""Elements of a schema definition that rules look at."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator

from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
)

Complaints = Iterator[str]


def objects(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    for name, type_ in sorted(schema.type_map.items()):
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__"):
            yield type_
