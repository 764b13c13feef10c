"""Rules on the shape of a schema: descriptions, deprecations, and selections that can be merged."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import combinations

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    is_specified_directive,
    is_specified_scalar_type,
)
from graphql.utilities import resolve_schema_coordinate

from gql_server.graph.cost.deprecations import deprecated
from gql_server.graph.lint.elements import Complaints

DAY = r"(\d{4}-\d{2}-\d{2})"
DEPRECATION = re.compile(rf"Since {DAY}; (?:use `([^`]+)`|nothing replaces it)[^;]*; removed after {DAY}\.")
NOTICE = timedelta(days=180)
"""Time that clients have at least to leave what is deprecated."""


def described(schema: GraphQLSchema) -> Complaints:
    """Everything a client can name has a description."""
    for coordinate, description in _nameable(schema):
        if not (description or "").strip():
            yield f"{coordinate} has no description."


def dated(schema: GraphQLSchema) -> Complaints:
    """A deprecation says since when, what to use instead, and when it ends, half a year later at the earliest."""
    for coordinate, reason in deprecated(schema):
        found = DEPRECATION.fullmatch(reason)
        if found is None:
            said = "Since YYYY-MM-DD; use `…` (or: nothing replaces it); removed after YYYY-MM-DD."
            yield f'{coordinate}: its deprecation must say "{said}"'
            continue
        since, instead, end = found.groups()
        if instead and not _exists(schema, instead):
            yield f"{coordinate}: `{instead}`, which its deprecation says to use, is not in the schema."
        if date.fromisoformat(end) - date.fromisoformat(since) < NOTICE:
            yield f"{coordinate}: its deprecation must leave {NOTICE.days} days from {since}."


def mergeable(schema: GraphQLSchema) -> Complaints:
    """Members of an interface or union can be selected side by side: their equally named fields have equal shapes."""
    seen: set[tuple[str, str]] = set()
    for abstract in schema.type_map.values():
        if is_abstract_type(abstract) and not abstract.name.startswith("__"):
            for one, other in combinations(sorted(schema.get_possible_types(abstract), key=lambda type_: type_.name), 2):
                yield from _clashes(schema, one, other, seen)


def _nameable(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Coordinates of everything of ours that can have a description, with it."""
    for name, type_ in sorted(schema.type_map.items()):
        if name.startswith("__") or is_specified_scalar_type(type_):
            continue
        yield name, type_.description
        match type_:
            case GraphQLEnumType():
                yield from ((f"{name}.{value}", each.description) for value, each in type_.values.items())
            case GraphQLInputObjectType():
                yield from ((f"{name}.{field}", each.description) for field, each in type_.fields.items())
            case GraphQLObjectType() | GraphQLInterfaceType():
                for field, each in type_.fields.items():
                    yield f"{name}.{field}", each.description
                    yield from ((f"{name}.{field}({key}:)", argument.description) for key, argument in each.args.items())
            case _:
                pass
    for directive in schema.directives:
        if not is_specified_directive(directive):
            yield f"@{directive.name}", directive.description
            yield from ((f"@{directive.name}({key}:)", argument.description) for key, argument in directive.args.items())


def _exists(schema: GraphQLSchema, coordinate: str) -> bool:
    try:
        return resolve_schema_coordinate(schema, coordinate) is not None
    except (GraphQLError, ValueError):
        return False


def _clashes(schema: GraphQLSchema, one: GraphQLNamedType, other: GraphQLNamedType, seen: set[tuple[str, str]]) -> Complaints:
    """Fields of two types that could not be selected under one key."""
    pair = (one.name, other.name)
    if one is other or pair in seen:
        return
    seen.add(pair)
    fields, others = getattr(one, "fields", {}), getattr(other, "fields", {})
    for name in fields.keys() & others.keys():
        mine, theirs = fields[name].type, others[name].type
        if not _same_shape(mine, theirs):
            yield f"{one.name}.{name}: {mine} and {other.name}.{name}: {theirs} can meet in one selection: rename one."
        else:
            yield from _clashes(schema, get_named_type(mine), get_named_type(theirs), seen)


def _same_shape(one: object, other: object) -> bool:
    while is_non_null_type(one) or is_list_type(one) or is_non_null_type(other) or is_list_type(other):
        if is_non_null_type(one) != is_non_null_type(other) or is_list_type(one) != is_list_type(other):
            return False
        one, other = one.of_type, other.of_type  # type: ignore[attr-defined]
    return one is other or (is_composite_type(one) and is_composite_type(other))
