"""Scalars of the graph, each with the specification it follows."""

from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from gql_server.instants import rfc3339

JSON = NewType("JSON", object)
FeedToken = NewType("FeedToken", str)
SchemaCoordinate = NewType("SchemaCoordinate", str)


def format_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(value: object) -> datetime:
    if (instant := rfc3339(value)) is None:
        raise GraphQLError(f"Not an RFC 3339 instant with its offset, in UTC from year 1 to 9999: {value!r}.")
    return instant


def parse_uuid(value: object) -> UUID:
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else _refuse(value)
    except ValueError:
        return _refuse(value)


def _refuse(value: object) -> UUID:
    raise GraphQLError(f"Not a UUID in its canonical form: {value!r}.")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise GraphQLError(f"Not a string: {value!r}.")
    return value


SCALARS: dict[Any, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 instant: any offset is taken, from year 1 to 9999 in UTC; given in UTC with a `Z` suffix.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=format_instant,
        parse_value=parse_instant,
    ),
    UUID: strawberry.scalar(
        name="UUID",
        description="RFC 9562 UUID in lower case canonical form.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=str,
        parse_value=parse_uuid,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Arbitrary JSON. Never used where a typed field is possible.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
    FeedToken: strawberry.scalar(
        name="FeedToken",
        description="Opaque position in the change feed, and safe to store: give it back to go on from there. Two tokens "
        "cannot be compared: one position has many.",
        serialize=str,
        parse_value=_text,
    ),
    SchemaCoordinate: strawberry.scalar(
        name="SchemaCoordinate",
        description="Schema coordinate (GraphQL September 2025), e.g. `Job.errorDetail` or `Query.pipelines(filter:)`.",
        specified_by_url="https://spec.graphql.org/September2025/#sec-Schema-Coordinates",
        serialize=str,
        parse_value=_text,
    ),
}
