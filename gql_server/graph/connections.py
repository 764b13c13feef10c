"""Connection types over pages."""

from asyncio import gather
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from strawberry import UNSET

from gql_server.errors import BadInput
from gql_server.execution import Child
from gql_server.graph.context import Context, Info
from gql_server.graph.fields import SemanticNonNull, embedded
from gql_server.reads.pagination.pages import COUNT_LIMIT, CountQuery, Page
from gql_server.reads.pipelines.counts import BOUND, BOUND_OF_SEARCH

T = TypeVar("T")
COUNT_LIMIT_MAX = 10_000


@strawberry.type(description="Relay page information.")
class PageInfo:
    has_next_page: bool = strawberry.field(
        description="The list goes on after this page: with `first` up to `before`, if that is given."
    )
    has_previous_page: bool = strawberry.field(
        description="The list has something before this page: with `last` down to `after`, if that is given."
    )
    start_cursor: str | None = strawberry.field(description="Cursor of the first item; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item; null on an empty page.")


@strawberry.type(description="An item and its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Position in the list; it fits only the same list, filter and order.")
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="Items with their cursors.")
    nodes: list[T] = strawberry.field(description="Items alone.")
    page_info: PageInfo = embedded("Where this page lies in the list.")


@strawberry.enum(description="Whether a count is exact or was cut at its limit.")
class CountPrecision(Enum):
    EXACT = strawberry.enum_value("EXACT", description="There are this many.")
    AT_LEAST = strawberry.enum_value("AT_LEAST", description="There are this many, and perhaps more.")


@strawberry.type(description="A count that never scans further than asked.")
class BoundedCount:
    value: int = strawberry.field(description="The count.")
    precision: CountPrecision = strawberry.field(description="Whether there are more.")

    @classmethod
    def of(cls, counted: int, limit: int | None) -> "BoundedCount":
        """From a count that went at most one above the limit, or to the end."""
        if limit is not None and counted > limit:
            return cls(value=limit, precision=CountPrecision.AT_LEAST)
        return cls(value=counted, precision=CountPrecision.EXACT)


CountLimit = Annotated[int | None, strawberry.argument(description=f"Count no further than this; up to {COUNT_LIMIT_MAX}.")]
OwnLimit = Annotated[
    int | None,
    strawberry.argument(
        description=f"Count no further than this; up to {COUNT_LIMIT_MAX}. Without it pipelines are counted to the end, unless "
        f"the filter asks for `dataEntryTypeIds`, `startedAt`, `finishedAt`, `failureGroup` or `workerId` (to {BOUND}) or for "
        f"`search` (to {BOUND_OF_SEARCH}); other lists are counted to {COUNT_LIMIT}."
    ),
]


def own_limit(limit: int | None, own: int | None) -> int | None:
    """The limit asked for, else the list's own: None to count to the end. Raises BadInput."""
    return own if limit is None or limit is UNSET else count_limit(limit)


def count_limit(limit: int | None) -> int:
    """The limit asked for. Raises BadInput."""
    if limit is None:
        return COUNT_LIMIT
    if not 1 <= limit <= COUNT_LIMIT_MAX:
        raise BadInput(f"`limit` must be between 1 and {COUNT_LIMIT_MAX}.")
    return limit


def _limit_asked(_info: Info, limit: int | None = UNSET) -> dict[str, Any]:
    return {"limit": own_limit(limit, None)}


async def _counts(context: Context, lists: Sequence[CountQuery], limit: int | None) -> list[BoundedCount | BaseException]:
    """Counts of lists up to that limit, by default up to the own one of each; or what went wrong with one."""
    limits = [each.limit if limit is None else limit for each in lists]
    asked = zip(lists, limits, strict=True)
    counting = [context.load(each.query, each.key, limit=most, **each.arguments) for each, most in asked]
    counted = await gather(*counting, return_exceptions=True)
    return [
        count if isinstance(count, BaseException) else BoundedCount.of(count or 0, most)
        for count, most in zip(counted, limits, strict=True)
    ]


@strawberry.type(description="A page of a list that can be counted.")
class CountedConnection(Connection[T], Generic[T]):
    @strawberry.field(
        description="Items the viewer may see, counted up to `limit`.",
        directives=[SemanticNonNull()],
        metadata={"plan": Child("counted", _counts, _limit_asked)},
    )
    @staticmethod
    async def total_count(root: strawberry.Parent[Page], info: Info, limit: OwnLimit = UNSET) -> BoundedCount | None:
        [counted] = await _counts(info.context, [root.counted], **_limit_asked(info, limit))
        if isinstance(counted, BaseException):
            raise counted
        return counted
