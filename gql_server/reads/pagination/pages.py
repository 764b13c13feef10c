"""Pages: the rows of a part of a list, in its order, with their cursors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, cast

COUNT_LIMIT = 1000


class PageEdge(NamedTuple):
    """A row and its cursor."""

    cursor: str
    node: Any


EDGE: Callable[[Iterable[Any]], PageEdge] = partial(cast(Any, tuple).__new__, PageEdge)
"""Makes an edge without a call of Python's."""


class CountQuery(NamedTuple):
    """Count of the list behind a page: a batched query, called as `query(..., keys, limit=n, **arguments)`, that says for each
    key how many items there are, but never more than one above the limit."""

    query: Callable[..., Any]
    key: Any = None
    arguments: Mapping[str, Any] = {}
    limit: int | None = COUNT_LIMIT
    """Of those who name none; None lets the query count to the end."""


@dataclass(slots=True, eq=False)
class Page:
    """Rows of one page in list order: the source of a connection, and of its page info.

    It is not to be changed, but not frozen either: that takes three times as long to make, for each parent of a list.
    """

    nodes: Sequence[Any]
    has_next_page: bool
    has_previous_page: bool
    cursor: Callable[[Any], str]
    counting: CountQuery | None = None
    criteria: Any = None
    """Criteria that all items of the list match, where it can be counted by facet."""
    position: str | None = None
    """Position of the feed, of an empty page that was read after it."""
    is_head: bool = False
    """It begins with the newest of its list, and goes back in time."""

    @property
    def counted(self) -> CountQuery:
        """Count query of its list. Raises LookupError for one that is not."""
        if self.counting is None:
            raise LookupError("nobody said how this list is counted")
        return self.counting

    @property
    def edges(self) -> list[PageEdge]:
        return list(map(EDGE, zip(map(self.cursor, self.nodes), self.nodes, strict=True)))

    @property
    def start_cursor(self) -> str | None:
        return self.cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor(self.nodes[-1]) if self.nodes else None


def between(until: Page, item: Any, since: Page, size: int) -> Page:
    """The page of that size with the item in its middle, out of the pages before and after it; fuller where one is short."""
    room = size - 1
    before = min(len(until.nodes), max(room // 2, room - len(since.nodes)))
    after = min(len(since.nodes), room - before)
    return replace(
        since,
        nodes=[*until.nodes[len(until.nodes) - before :], item, *since.nodes[:after]],
        has_previous_page=until.has_previous_page or before < len(until.nodes),
        has_next_page=since.has_next_page or after < len(since.nodes),
    )
