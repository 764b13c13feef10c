"""Connection types over pages."""

from typing import Generic, TypeVar

import strawberry

from gql_server.fields import part

T = TypeVar("T")


@strawberry.type(description="Relay page information.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="The list goes on after this page.")
    has_previous_page: bool = strawberry.field(description="The list has something before this page.")
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
    page_info: PageInfo = part("Where this page lies in the list.")
