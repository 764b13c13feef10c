"""Rows as columns: the values of one attribute for all rows of a list, read by position where the rows are tuples.

A class of rows is read by position when it is a tuple with `_fields`, as a NamedTuple is. It may have `_derived` beside them:
of attributes that are pure functions of some of its fields, the function and the names of these.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import getattr_static
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

Columns = Sequence[Sequence[Any]]
Reader = Callable[["Table"], Sequence[Any]]


class _Sample(NamedTuple):
    field: None


FIELD = type(getattr_static(_Sample, "field"))
"""Reads a field of a NamedTuple by its name; something else may stand in its place."""


class Table:
    """Rows of one list, and their columns."""

    __slots__ = ("columns", "kind", "kinds", "rows")

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self.kinds = set(map(type, rows))
        """Classes of the rows."""
        self.kind = type(rows[0]) if len(self.kinds) == 1 else object
        """The class of all rows, if they have one in common."""
        self.columns: Columns = list(zip(*rows)) if _is_tuple(self.kind) else ()  # noqa: B905
        """All columns, by position."""

    def column(self, name: str) -> Sequence[Any]:
        """The attribute of that name of every row. Raises what reading it raises."""
        return reader(self.kind, name)(self)


@lru_cache(maxsize=4096)
def _is_tuple(kind: type) -> bool:
    """True if rows of that class are read by position."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


@lru_cache(maxsize=4096)
def place(kind: type, name: str) -> int | None:
    """The position of the attribute of that name in rows of that class; None for one that is not read by position."""
    if not _is_tuple(kind):
        return None
    positions = _positions(kind)
    is_field = name in positions and (hasattr(kind, "_derived") or isinstance(getattr_static(kind, name), FIELD))
    return positions[name] if is_field else None


@lru_cache(maxsize=4096)
def reader(kind: type, name: str) -> Reader:
    """The function that reads the attribute of that name of rows of that class."""
    if (position := place(kind, name)) is not None:
        return lambda table: table.columns[position]
    if not _is_tuple(kind):
        return _by_name(name)
    if not kind.__dictoffset__ and isinstance(value := getattr_static(kind, name, None), str):
        return lambda table: [value] * len(table.rows)
    function, inputs = getattr(kind, "_derived", {}).get(name, (None, ()))
    positions = _positions(kind)
    if function is None or not positions.keys() >= set(inputs):
        return _by_name(name)
    return _derived(function, [positions[field] for field in inputs])


def _positions(kind: type) -> dict[str, int]:
    fields: Sequence[str] = getattr(kind, "_fields", ())
    return {field: position for position, field in enumerate(fields)}


def _by_name(name: str) -> Reader:
    read = attrgetter(name)
    return lambda table: list(map(read, table.rows))


def _derived(function: Callable[..., Any], positions: list[int]) -> Reader:
    if len(positions) == 1:
        [position] = positions
        return lambda table: list(map(function, table.columns[position]))
    taken = itemgetter(*positions)
    return lambda table: list(map(function, *taken(table.columns)))
