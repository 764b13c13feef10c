"""Deprecated parts of a schema, and their removal."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema

REMOVAL = re.compile(r"removed after (\d{4}-\d{2}-\d{2})\b")


class Removal(NamedTuple):
    """Something deprecated. Its reason says a date."""

    removed_after: datetime
    coordinate: str
    reason: str


def deprecations(schema: GraphQLSchema) -> list[Removal]:
    """Planned removals, soonest first."""
    return sorted(removal for coordinate, reason in deprecated(schema) for removal in _removal(coordinate, reason))


def deprecated(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Coordinates of everything deprecated, with the reason."""
    return ((coordinate, reason) for coordinate, reason in _reasons(schema) if reason is not None)


def _removal(coordinate: str, reason: str) -> Iterator[Removal]:
    if date := REMOVAL.search(reason):
        yield Removal(datetime.fromisoformat(date[1]).replace(tzinfo=UTC), coordinate, reason)


def _reasons(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in type_.fields.items():
                yield f"{name}.{field_name}", field.deprecation_reason
                for argument, definition in field.args.items():
                    yield f"{name}.{field_name}({argument}:)", definition.deprecation_reason
        elif isinstance(type_, GraphQLInputObjectType):
            for field_name, input_field in type_.fields.items():
                yield f"{name}.{field_name}", input_field.deprecation_reason
        elif isinstance(type_, GraphQLEnumType):
            for member, value in type_.values.items():
                yield f"{name}.{member}", value.deprecation_reason
