"""Keyset pages: opaque signed cursors, the window they cut out of a list, and the page it yields."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, UnaryExpression, and_, literal, or_, tuple_

from gql_server.db.expressions import AnySelect, Column, number, type_of
from gql_server.errors import BadInput, CursorFilterMismatch, CursorInvalid
from gql_server.reads.shapes import Free

MAC_BYTES = 16
SCOPE_BYTES = 8
DEFAULT_PAGE_SIZE = 50
COUNT_LIMIT = 1000
ENDS = ("after", "before")


@dataclass(frozen=True, slots=True)
class PageEdge:
    """A row and its cursor."""

    cursor: str
    node: Any


@dataclass(frozen=True, slots=True)
class CountQuery:
    """Count of the list behind a page: a batched query, called as `query(..., keys, limit=n, **arguments)`, that says for each
    key how many items there are, but never more than one above the limit."""

    query: Callable[..., Any]
    key: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limit: int | None = COUNT_LIMIT
    """Of those who name none; None lets the query count to the end."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page in list order: the source of a connection, and of its page info."""

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
        return [PageEdge(self.cursor(node), node) for node in self.nodes]

    @property
    def start_cursor(self) -> str | None:
        return self.cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor(self.nodes[-1]) if self.nodes else None


class CursorCodec:
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


NOBODYS = CursorCodec(b"")


@dataclass(frozen=True, slots=True)
class SortValue:
    """Value by which a list is ordered before its unique key. Rows without a value come last, whichever the direction."""

    name: str
    parse: Callable[[str], Any]
    """Reads a value from the text in a cursor."""


class Cursor(NamedTuple):
    """Place of a row in its list: its value, if the list is ordered by one, and its unique key."""

    value: Any
    key: Any


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a list: `size` rows from either end, between the positions `after` and `before`."""

    cursors: CursorCodec
    scope: str
    size: int
    backward: bool = False
    after: str | None = None
    before: str | None = None
    descending: bool = False
    order: SortValue | None = None

    def shape(self) -> "Window":
        """The window without the keys and values between which it lies: what statements are built for."""
        after, before = (cast(Any, self._free(name, getattr(self, name))) for name in ENDS)
        return replace(self, cursors=NOBODYS, scope="", after=after, before=before)

    def parameters(self, parse: Callable[[str], object]) -> dict[str, Any]:
        """The values of what is free in its shape."""
        given: dict[str, Any] = {}
        for name in ENDS:
            if (at := self._position(getattr(self, name))) is not None:
                given[f"{name}_key"] = parse(at.key)
                if at.value is not None:
                    given[f"{name}_value"] = at.value
        return given

    def _free(self, name: str, text: Any) -> Cursor | None:
        at = self._position(text)
        return at and Cursor(None if at.value is None else Free(f"{name}_value"), Free(f"{name}_key"))

    def limited(self, statement: AnySelect, column: Column, parse: Callable[[str], object]) -> AnySelect:
        """The statement limited to the window and one row more, in the order in which it is scanned."""
        return self._limited(statement, [column], *(at and [at.key] for at in self._ends(parse)))

    def keyset_scans(
        self, statement: AnySelect, column: Column, parse: Callable[[str], object], value: Column | None
    ) -> list[AnySelect]:
        """The statement as `limited` limits it; in a list ordered by a value in two parts, each in the order of an index."""
        if value is None:
            return [self.limited(statement, column, parse)]
        after, before = self._ends(parse)
        parts: list[AnySelect] = []
        if after is None or after.value is not None:
            known = statement.where(value.is_not(None))
            ends = ((at.value, at.key) if at and at.value is not None else None for at in (after, before))
            parts.append(self._limited(known, [value, column], *ends))
        if before is None or before.value is None:
            unknown = statement.where(value.is_(None))
            ends = ([at.key] if at and at.value is None else None for at in (after, before))
            parts.append(self._limited(unknown, [column], *ends))
        return parts

    def sorted(self, statement: AnySelect, column: Column, parse: Callable[[str], object], value: Column | None) -> AnySelect:
        """The rows of `keyset_scans`, as one statement that sorts: for lists that are short in themselves."""
        if value is None:
            return self.limited(statement, column, parse)
        for at, follows in zip(self._ends(parse), (True, False), strict=True):
            if at is not None:
                statement = statement.where(self._lies(follows, at, column, value))
        return statement.order_by(*self.sorting(column, value)).limit(self.most)

    def _lies(self, follows: bool, at: Cursor, column: Column, value: Column) -> ColumnElement[bool]:
        """Rows that follow the position in list order, or precede it."""
        greater = follows != self.descending
        columns, limits = ([column], [at.key]) if at.value is None else ([value, column], [at.value, at.key])
        row, limit = _row(columns), _literals(columns, limits)
        beside = row > limit if greater else row < limit
        if at.value is None:
            return and_(value.is_(None), beside) if follows else or_(value.is_not(None), beside)
        return or_(beside, value.is_(None)) if follows else beside

    def scan(self, column: Column) -> UnaryExpression[Any]:
        """The order in which rows are read: from the end when paging backward."""
        return column.desc() if self.descending != self.backward else column.asc()

    def sorting(self, column: Column, value: Column | None) -> list[ColumnElement[Any]]:
        """The order in which the rows of all scans are read; by the value, if the list has an order by one."""
        if self.order is None or value is None:
            return [self.scan(column)]
        by_value = self.scan(value)
        return [by_value.nulls_first() if self.backward else by_value.nulls_last(), self.scan(column)]

    def placed_by(self, key: str) -> tuple[str, ...]:
        """Names of the attributes of a row that its cursor tells: of its key, and of the value that a list is ordered by."""
        return (key,) if self.order is None else (key, "value")

    @property
    def is_head(self) -> bool:
        """It begins with the newest of its list, and goes back in time."""
        return self.descending and self.order is None and not self.backward and self.after is None and self.before is None

    def page(self, scanned: Sequence[Any], key: str, *, value: str = "value", **told: Any) -> Page:
        """The page of the rows that `limited` gave; `key` and `value` name the attributes that hold what orders them. What else
        is told of the page may be given."""
        rows = scanned[: self.size]
        more = len(scanned) > self.size
        return Page(
            nodes=rows[::-1] if self.backward else rows,
            has_next_page=self.before is not None if self.backward else more,
            has_previous_page=more if self.backward else self.after is not None,
            is_head=self.is_head,
            cursor=lambda row: self.cursors.encode(self.scope, self.text(self.place(row, key, value))),
            **told,
        )

    def place(self, row: Any, key: str, value: str = "value") -> Cursor:
        """Cursor of a row."""
        return Cursor(self.order and getattr(row, value), str(getattr(row, key)))

    def text(self, position: Cursor) -> str:
        """Text of a cursor, before it is signed."""
        if self.order is None:
            return position.key
        value = position.value
        return json.dumps(
            [value if value is None else value.isoformat() if hasattr(value, "isoformat") else repr(value), position.key]
        )

    @property
    def most(self) -> ColumnElement[int]:
        """As many rows as are read: one more than it shows."""
        return number(self.size + 1)

    def _ends(self, parse: Callable[[str], object]) -> list[Cursor | None]:
        """Its ends, with parsed keys; of a shape, with what is free."""
        return [self._end(at, parse) for at in (self.after, self.before)]

    def _end(self, at: Any, parse: Callable[[str], object]) -> Cursor | None:
        if isinstance(at, Cursor):
            return at
        position = self._position(at)
        return position and position._replace(key=parse(position.key))

    def _position(self, text: str | None) -> Cursor | None:
        if text is None:
            return None
        if self.order is None:
            return Cursor(None, text)
        value, key = json.loads(text)
        return Cursor(None if value is None else self.order.parse(value), key)

    def _limited(
        self, statement: AnySelect, columns: Sequence[Column], after: Sequence[Any] | None, before: Sequence[Any] | None
    ) -> AnySelect:
        lower, upper = (before, after) if self.descending else (after, before)
        if lower is not None:
            statement = statement.where(_row(columns) > _literals(columns, lower))
        if upper is not None:
            statement = statement.where(_row(columns) < _literals(columns, upper))
        return statement.order_by(*(self.scan(column) for column in columns)).limit(self.most)


@dataclass(frozen=True, slots=True)
class Paging:
    """Turns the arguments of a connection into a window."""

    cursors: CursorCodec
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
        order: SortValue | None = None,
    ) -> Window:
        """The window of a list; its cursors fit only the same coordinate, criteria, order and direction."""
        scope = repr((coordinate, criteria, order and order.name, "DESC" if descending else "ASC"))
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
            order=order,
        )

    def _size(self, argument: str, size: int | None) -> int:
        if size is None:
            return min(DEFAULT_PAGE_SIZE, self.size_max)
        if not 1 <= size <= self.size_max:
            raise BadInput(f"`{argument}` must be between 1 and {self.size_max}.")
        return size


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


def newest(size: int) -> Window:
    """The first so many of a list in the order of its keys, newest first; it has no cursors to give away."""
    return Window(NOBODYS, "", size, descending=True)


def _digest(scope: str) -> bytes:
    return hashlib.sha256(scope.encode()).digest()[:SCOPE_BYTES]


def _row(columns: Sequence[Column]) -> Any:
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def _literals(columns: Sequence[Column], values: Sequence[Any]) -> Any:
    limits = [
        value.of(type_of(column)) if isinstance(value, Free) else literal(value, type_of(column))
        for column, value in zip(columns, values, strict=True)
    ]
    return limits[0] if len(limits) == 1 else tuple_(*limits)
