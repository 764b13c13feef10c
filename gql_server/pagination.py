"""Keyset pages: opaque signed cursors, the window they cut out of a list, and the page it yields."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import UnaryExpression

from gql_server.errors import BadInput, CursorFilterMismatch, CursorInvalid
from gql_server.sql import AnySelect, Column

MAC_BYTES = 16
SCOPE_BYTES = 8
DEFAULT_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Edge:
    """A row and its cursor."""

    cursor: str
    node: Any


@dataclass(frozen=True, slots=True)
class Counting:
    """How the list behind a page is counted: a batched query, called as `query(..., keys, limit=n, **arguments)`, that says for
    each key how many items there are, but never more than one above the limit."""

    query: Callable[..., Any]
    key: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page in list order: the source of a connection, and of its page info."""

    nodes: Sequence[Any]
    has_next_page: bool
    has_previous_page: bool
    cursor: Callable[[Any], str]
    counting: Counting | None = None

    @property
    def edges(self) -> list[Edge]:
        return [Edge(self.cursor(node), node) for node in self.nodes]

    @property
    def start_cursor(self) -> str | None:
        return self.cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor(self.nodes[-1]) if self.nodes else None


class Cursors:
    """Makes and checks cursors: a MAC, a digest of the list they belong to, and the key of a row, in base64url."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"cursors", "sha256")

    def encode(self, scope: str, key: str) -> str:
        signed = _digest(scope) + key.encode()
        return urlsafe_b64encode(self._mac(signed) + signed).rstrip(b"=").decode()

    def decode(self, scope: str, cursor: str) -> str:
        """The key of the row. Raises CursorInvalid when not of this server's making, else CursorFilterMismatch."""
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise CursorInvalid("This cursor is not valid.") from None
        mac, signed = raw[:MAC_BYTES], raw[MAC_BYTES:]
        canonical = urlsafe_b64encode(raw).rstrip(b"=").decode() == cursor
        if not canonical or not hmac.compare_digest(mac, self._mac(signed)):
            raise CursorInvalid("This cursor is not valid.")
        if signed[:SCOPE_BYTES] != _digest(scope):
            raise CursorFilterMismatch("This cursor belongs to another list, filter or order: start again without it.")
        return signed[SCOPE_BYTES:].decode()

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._secret, signed, "sha256")[:MAC_BYTES]


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a list ordered by one unique column: `size` rows from either end, between the keys `after` and `before`."""

    cursors: Cursors
    scope: str
    size: int
    backward: bool = False
    after: str | None = None
    before: str | None = None
    descending: bool = False

    def cut(self, statement: AnySelect, column: Column, parse: Callable[[str], object]) -> AnySelect:
        """The statement limited to the window and one row more, in the order in which it is scanned."""
        lower, upper = (self.before, self.after) if self.descending else (self.after, self.before)
        if lower is not None:
            statement = statement.where(column > parse(lower))
        if upper is not None:
            statement = statement.where(column < parse(upper))
        return statement.order_by(self.scan(column)).limit(self.size + 1)

    def scan(self, column: Column) -> UnaryExpression[Any]:
        """The order in which rows are read: from the end when paging backward."""
        return column.desc() if self.descending != self.backward else column.asc()

    def page(self, scanned: Sequence[Any], key: str) -> Page:
        """The page of the rows that `cut` gave; `key` names the attribute that holds the ordering column."""
        rows = scanned[: self.size]
        more = len(scanned) > self.size
        return Page(
            nodes=rows[::-1] if self.backward else rows,
            has_next_page=self.before is not None if self.backward else more,
            has_previous_page=more if self.backward else self.after is not None,
            cursor=lambda row: self.cursors.encode(self.scope, str(getattr(row, key))),
        )


@dataclass(frozen=True, slots=True)
class Paging:
    """What turns the arguments of a connection into a window."""

    cursors: Cursors
    size_max: int

    def window(
        self,
        coordinate: str,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        criteria: object = None,
        descending: bool = False,
    ) -> Window:
        """The window of a list; its cursors fit only the same coordinate, criteria and direction."""
        scope = repr((coordinate, criteria, "DESC" if descending else "ASC"))
        if first is not None and last is not None:
            raise BadInput("Give `first` or `last`, not both.")
        backward = last is not None or (first is None and before is not None)
        return Window(
            cursors=self.cursors,
            scope=scope,
            size=self._size("last" if backward else "first", last if backward else first),
            backward=backward,
            after=None if after is None else self.cursors.decode(scope, after),
            before=None if before is None else self.cursors.decode(scope, before),
            descending=descending,
        )

    def _size(self, argument: str, size: int | None) -> int:
        if size is None:
            return min(DEFAULT_PAGE_SIZE, self.size_max)
        if not 1 <= size <= self.size_max:
            raise BadInput(f"`{argument}` must be between 1 and {self.size_max}.")
        return size


def _digest(scope: str) -> bytes:
    return hashlib.sha256(scope.encode()).digest()[:SCOPE_BYTES]
