"""Rejected rows as a client sees them."""

from typing import Annotated, Any
from unicodedata import normalize

import strawberry
from strawberry import UNSET

from gql_server.errors import BadInput
from gql_server.graph.connections import COUNT_LIMIT, BoundedCount, Connection, CountLimit, CountPrecision, count_limit
from gql_server.graph.context import Info
from gql_server.graph.fields import (
    After,
    ChildField,
    First,
    GuardedField,
    SemanticNonNull,
    access,
    access_sentence,
    guarded,
    may_read,
)
from gql_server.reads.jobs import row_errors as queries
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pagination.pages import Page

CONTAINS_MAX = 200
GROUPS_MAX = 100


@strawberry.type(description="One rejected input row.")
class RowError:
    row: int | None = strawberry.field(description="Number of the row, from 1 below the header; null when it is not one row's.")
    column: str | None = strawberry.field(description="Column at fault; null when it is not one column's.")
    reason: str = strawberry.field(description="Why it was rejected.")
    value: str | None = guarded("RowError.value", "The cell as it was sent, shortened.", "value")


@strawberry.type(description="Rejected rows with the same reason, but for numbers, names and quoted values.")
class RowErrorGroup:
    reason: str = strawberry.field(description="The reason; where it differs from row to row, with placeholders.")
    count: int = strawberry.field(description="Rows in the group, of those whose detail was kept.")
    sample_row: int | None = strawberry.field(description="Number of its first row.")


@strawberry.type(
    name="RowErrorConnection", description="A page of rejected rows. Of a file with many, only the first are kept in detail."
)
class RowErrorConnection(Connection[RowError]):
    @strawberry.field(
        description="All rows that were rejected, as the job counted them, also where their detail was not kept. With "
        "`contains`, those kept that match; AT_LEAST when others were not kept.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    async def total_count(root: strawberry.Parent[Page], info: Info, limit: CountLimit = COUNT_LIMIT) -> BoundedCount | None:
        limit = count_limit(limit)
        counted = await info.context.load(root.counted.query, root.counted.key, **root.counted.arguments)
        if counted.complete:
            return BoundedCount.of(counted.matching, limit)
        return BoundedCount(value=min(counted.matching, limit), precision=CountPrecision.AT_LEAST)

    @strawberry.field(description="The kept rows by reason, the most frequent first.")
    @staticmethod
    async def groups(
        root: strawberry.Parent[Page],
        info: Info,
        limit: Annotated[int, strawberry.argument(description=f"At most so many groups; up to {GROUPS_MAX}.")] = 10,
    ) -> list[RowErrorGroup]:
        if not 1 <= limit <= GROUPS_MAX:
            raise BadInput(f"`limit` must be between 1 and {GROUPS_MAX}.")
        found = await info.context.load(queries.row_error_groups, root.counted.key, **root.counted.arguments)
        return (found or list[Any]())[:limit]


def row_errors() -> Any:
    """The field of a job that pages through its rejected rows."""
    coordinate, declared = "Job.rowErrors", ChildField(queries.row_errors_by_job, "job_id", _asked)

    def resolve(
        root: strawberry.Parent[JobRow],
        info: Info,
        first: First = 20,
        after: After = UNSET,
        contains: Annotated[
            str | None,
            strawberry.argument(
                description="Only rows in whose reason or column this occurs, literally but for case; up to 200 characters."
            ),
        ] = UNSET,
    ) -> Any:
        may = may_read(coordinate, root, info)
        return declared.load(root, info, first=first, after=after, contains=contains) if may else None

    return strawberry.field(
        resolver=resolve,
        graphql_type=RowErrorConnection | None,
        description="Rejected rows, and rows that were taken with a warning, in the order of the file. "
        + access_sentence(coordinate),
        directives=access(coordinate),
        metadata={"guard": coordinate, "guarded": GuardedField(coordinate, declared, None)},
    )


def _asked(info: Info, first: int | None = 20, after: str | None = UNSET, contains: str | None = UNSET) -> dict[str, Any]:
    sought = _sought(contains)
    return {"window": info.context.window("Job.rowErrors", first=first, after=after, criteria=sought), "contains": sought}


def _sought(contains: str | None) -> str | None:
    if contains is None or contains is UNSET:
        return None
    if not 1 <= len(contains) <= CONTAINS_MAX or "\0" in contains:
        raise BadInput(f"`contains` must be 1 to {CONTAINS_MAX} characters, none of them U+0000.")
    return normalize("NFC", contains)
