"""Windows: the part of a list that its cursors cut out, by keys and not by numbers of rows."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from sqlalchemy import ColumnElement, UnaryExpression, and_, literal, or_, tuple_

from gql_server.db.expressions import AnySelect, Column, number, type_of
from gql_server.reads.pagination.cursors import NOBODYS, Cursor, CursorCodec, SortValue
from gql_server.reads.pagination.pages import CountQuery, Page
from gql_server.reads.shapes import Free

ENDS = ("after", "before")


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
        return self._page(scanned, partial(self._cursor, key, value), is_head=self.is_head, **told)

    def pages(self, scanned: Iterable[Sequence[Any]], key: str, counting: Iterable[CountQuery]) -> list[Page]:
        """The pages of such rows of many lists, with the queries that count these."""
        cursor, is_head = partial(self._cursor, key, "value"), self.is_head
        return [
            self._page(rows, cursor, is_head=is_head, counting=count) for rows, count in zip(scanned, counting, strict=True)
        ]

    def _page(self, scanned: Sequence[Any], cursor: Callable[[Any], str], **told: Any) -> Page:
        rows = scanned[: self.size]
        more = len(scanned) > self.size
        if self.backward:
            return Page(rows[::-1], self.before is not None, more, cursor, **told)
        return Page(rows, more, self.after is not None, cursor, **told)

    def _cursor(self, key: str, value: str, row: Any) -> str:
        text = str(getattr(row, key)) if self.order is None else self.text(self.place(row, key, value))
        return self.cursors.encode(self.scope, text)

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


def newest(size: int) -> Window:
    """The first so many of a list in the order of its keys, newest first; it has no cursors to give away."""
    return Window(NOBODYS, "", size, descending=True)


def _row(columns: Sequence[Column]) -> Any:
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def _literals(columns: Sequence[Column], values: Sequence[Any]) -> Any:
    limits = [
        value.of(type_of(column)) if isinstance(value, Free) else literal(value, type_of(column))
        for column, value in zip(columns, values, strict=True)
    ]
    return limits[0] if len(limits) == 1 else tuple_(*limits)
