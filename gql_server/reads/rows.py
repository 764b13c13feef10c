"""Typed rows. Each attribute is declared once: by the SQL that reads it, or by what follows from others.

A statement reads some columns of a row class. Its rows are tuples in the order of these columns, and have their attributes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, overload

from sqlalchemy import ColumnElement, FromClause, SQLColumnExpression
from sqlalchemy.sql import visitors

from gql_server.policy import Viewer

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
R = TypeVar("R", bound="Row")

Expression = SQLColumnExpression[T] | Callable[[Viewer], SQLColumnExpression[T]]
"""SQL, or what makes it for a viewer."""


class NotRead(LookupError):
    """An attribute of a row was used that its statement has not read. No AttributeError: it is never just absent."""


class Attribute(Generic[T]):
    """An attribute of rows. `columns` are what has to be read for it."""

    name: str = ""
    columns: "tuple[Column[Any], ...]" = ()

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, row: None, owner: type) -> Self: ...
    @overload
    def __get__(self, row: object, owner: type) -> T: ...
    def __get__(self, row: object | None, owner: type) -> "Self | T":
        if row is None:
            return self
        raise NotRead(f"{owner.__name__}.{self.name} was not read: what uses it must say so")


class Column(Attribute[T]):
    """Attribute that is read, by an expression for each source of the rows; without any, the statement gives one."""

    def __init__(self, *sql: Expression[T]) -> None:
        self.sql = sql
        self.columns = (self,)

    def expression(self, viewer: Viewer, source: int) -> ColumnElement[Any]:
        """The labelled SQL for a viewer, of that source."""
        sql: Any = self.sql[source]
        return (sql if isinstance(sql, SQLColumnExpression) else sql(viewer)).label(self.name)


class Derived(Attribute[T]):
    """Attribute that follows from columns by a pure function, which is called when somebody asks."""

    def __init__(self, function: Callable[..., T], *columns: Column[Any]) -> None:
        self.function, self.columns = function, columns


@overload
def derived(function: Callable[[A], T], a: Column[A], /) -> Derived[T]: ...
@overload
def derived(function: Callable[[A, B], T], a: Column[A], b: Column[B], /) -> Derived[T]: ...
@overload
def derived(function: Callable[[A, B, C], T], a: Column[A], b: Column[B], c: Column[C], /) -> Derived[T]: ...
@overload
def derived(function: Callable[[A, B, C, D], T], a: Column[A], b: Column[B], c: Column[C], d: Column[D], /) -> Derived[T]: ...
def derived(function: Callable[..., T], *columns: Column[Any]) -> Derived[T]:
    """An attribute that follows from these columns."""
    return Derived(function, *columns)


class Row(tuple[Any, ...]):
    """A row of some concept: each subclass declares what there is to be read of it."""

    __slots__ = ()
    node_type: ClassVar[str]
    attributes: ClassVar[Mapping[str, Attribute[Any]]] = {}
    """Of the concept, by name, in the order of their declaration; a leading underscore has what is not shown by itself."""
    read: ClassVar["Columns[Any]"]
    """Columns that the statement has read."""

    def __init_subclass__(cls) -> None:
        own: dict[str, Attribute[Any]] = {name: each for name, each in vars(cls).items() if isinstance(each, Attribute)}
        if "read" not in vars(cls):
            cls.attributes = {**cls.attributes, **own}

    def shown(self) -> Sequence[str]:
        """Names of its attributes."""
        return self.read.shown

    @classmethod
    def columns(cls, names: Iterable[str]) -> "Columns[Self]":
        """The columns that these attributes are made of."""
        return _columns(cls, frozenset(column.name for name in names for column in cls.attributes[name].columns))

    @classmethod
    def every(cls) -> "Columns[Self]":
        """All columns that have SQL of their own."""
        return _columns(cls, frozenset(column.name for column in _declared(cls) if column.sql))


class Columns(Generic[R]):
    """Some columns of a row class, in the order of their declaration: what one statement reads."""

    def __init__(self, row: type[R], columns: Sequence[Column[Any]]) -> None:
        self.row, self.columns = row, columns
        self.names = tuple(column.name for column in columns)
        self.index: Mapping[str, int] = {name: index for index, name in enumerate(self.names)}
        self.shown = tuple(name for name, attribute in row.attributes.items() if name[0] != "_" and attribute in self)
        """Names of the attributes that its rows show."""
        derived = self._derived()
        members = {"__slots__": (), "read": self, "_fields": self.names, "_derived": derived, **self._getters(derived)}
        self.row_type: type[R] = cast(Any, type(row.__name__, (row,), members))
        self._new: Callable[[Iterable[Any]], R] = partial(cast(Any, tuple).__new__, self.row_type)

    def __contains__(self, attribute: Attribute[Any]) -> bool:
        return all(column.name in self.index for column in attribute.columns)

    def __ge__(self, other: "Columns[Any]") -> bool:
        return self.row is other.row and self.index.keys() >= other.index.keys()

    def __or__(self, names: Iterable[str]) -> "Columns[R]":
        return _joined(self, tuple(names))

    def __sub__(self, names: Iterable[str]) -> "Columns[R]":
        return self.row.columns(set(self.names).difference(names))

    def __repr__(self) -> str:
        return f"{self.row.__name__}({', '.join(self.names)})"

    def select(
        self, viewer: Viewer, source: int = 0, given: Mapping[str, ColumnElement[Any]] | None = None
    ) -> list[ColumnElement[Any]]:
        """The labelled SQL of each, in order, alike for every source. `given` has what the statement gives."""
        return [
            given[column.name].label(column.name) if given and column.name in given else column.expression(viewer, source)
            for column in self.columns
        ]

    def rows(self, found: Iterable[Iterable[Any]]) -> list[R]:
        """The rows of a statement that begins with these columns."""
        return list(map(self._new, found))

    def _derived(self) -> dict[str, tuple[Callable[..., Any], tuple[str, ...]]]:
        """Derived attributes: the function and the names of its columns, as `execution.rows` takes rows apart."""
        return {
            name: (attribute.function, tuple(column.name for column in attribute.columns))
            for name, attribute in self.row.attributes.items()
            if isinstance(attribute, Derived) and attribute in self
        }

    def _getters(self, derived: Mapping[str, tuple[Callable[..., Any], tuple[str, ...]]]) -> dict[str, Any]:
        by_position = {name: property(itemgetter(index)) for name, index in self.index.items()}
        computed = {
            name: property(_computed(function, [self.index[column] for column in columns]))
            for name, (function, columns) in derived.items()
        }
        return {**by_position, **computed}


def mentions(selected: Iterable[ColumnElement[Any]], table: FromClause) -> bool:
    """Some of the selected SQL is of that table, which has to be joined for it."""
    return any(getattr(part, "table", None) is table for each in selected for part in visitors.iterate(each))


def _computed(function: Callable[..., T], places: Sequence[int]) -> Callable[[Any], T]:
    values = itemgetter(*places)
    if len(places) == 1:
        return lambda row: function(values(row))
    return lambda row: function(*values(row))


def _declared(row: type[Row]) -> list[Column[Any]]:
    return [attribute for attribute in row.attributes.values() if isinstance(attribute, Column)]


@lru_cache(maxsize=1024)
def _columns(row: type[R], names: frozenset[str]) -> Columns[R]:
    return Columns(row, [column for column in _declared(row) if column.name in names])


@lru_cache(maxsize=1024)
def _joined(columns: Columns[R], names: tuple[str, ...]) -> Columns[R]:
    return columns.row.columns([*columns.names, *names])
