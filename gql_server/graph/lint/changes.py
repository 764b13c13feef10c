"""Changes of a schema that break clients of the last release, or may."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Iterator, Mapping
from datetime import date

from graphql import (
    DangerousChangeType,
    GraphQLField,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    print_ast,
)

from gql_server.graph.cost.deprecations import deprecations
from gql_server.graph.lint.elements import objects

GROWTH = {DangerousChangeType.OPTIONAL_ARG_ADDED, DangerousChangeType.OPTIONAL_INPUT_FIELD_ADDED}
"""Additions by which the schema grows: whoever does not know of them is answered as before."""
COORDINATE = re.compile(r"\b[A-Z]\w*\.\w+(?:\(\w+:\))?")
ACCEPTED = "releases/accepted.toml"
REMOVED = " was removed."


def changes(before: str, after: str, today: date) -> list[str]:
    """Sentences on each change that breaks clients of the definition before (`breaking`), or may (`dangerous`). Free to go is
    what was experimental, or deprecated until an earlier day."""
    old, new = build_schema(before), build_schema(after)
    experimental = {coordinate for coordinate, field in _fields(old) if _directive(field, "experimental")}
    ended = {f"{each.coordinate}{REMOVED}" for each in deprecations(old) if each.removed_after.date() < today}
    found = [*_breaking(old, new), *_dangerous(old, new)]
    return [f"{sort}: {sentence}" for sort, sentence in found if not _is_allowed(sentence, experimental, ended)]


def unaccepted(found: list[str], accepted: Mapping[str, str]) -> list[str]:
    """A complaint for each change that was not accepted with a reason, and for each that was and is none."""
    missing = [f"{change} It may be accepted, with a reason, in {ACCEPTED}." for change in found if change not in accepted]
    unfounded = [f"{ACCEPTED} gives no reason for: {change}" for change, reason in accepted.items() if not reason.strip()]
    stale = [f"{ACCEPTED} accepts what is no change: {change}" for change in accepted if change not in found]
    return missing + unfounded + stale


def _breaking(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[tuple[str, str]]:
    yield from (("breaking", change.description) for change in find_breaking_changes(old, new))
    for coordinate, before, after in _common_fields(old, new):
        if _directive(before, "semanticNonNull") and not _directive(after, "semanticNonNull"):
            yield "breaking", f"{coordinate} may be null without an error."


def _dangerous(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[tuple[str, str]]:
    yield from (("dangerous", change.description) for change in find_dangerous_changes(old, new) if change.type not in GROWTH)
    for coordinate, before, after in _common_fields(old, new):
        needed = _directive(after, "access")
        if needed and needed != _directive(before, "access"):
            yield "dangerous", f"{coordinate} is under {needed}."


def _fields(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLField]]:
    for type_ in objects(schema):
        yield from ((f"{type_.name}.{name}", field) for name, field in type_.fields.items())


def _common_fields(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[tuple[str, GraphQLField, GraphQLField]]:
    after = dict(_fields(new))
    return ((coordinate, field, after[coordinate]) for coordinate, field in _fields(old) if coordinate in after)


def _directive(field: GraphQLField, name: str) -> str:
    """The directive of that name as it stands at the field; nothing where it does not."""
    nodes = field.ast_node.directives if field.ast_node else None
    return " ".join(print_ast(node) for node in nodes or () if node.name.value == name)


def _is_allowed(sentence: str, experimental: set[str], ended: set[str]) -> bool:
    """True of a removal that was announced, and of anything that happens to what is experimental."""
    found = COORDINATE.search(sentence)
    return found is not None and (found[0].partition("(")[0] in experimental or sentence[found.start() :] in ended)
