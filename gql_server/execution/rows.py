"""Rows as columns: the values of one attribute for all rows of a list, read by position where the rows are tuples.

A class of rows is read by position when it is a tuple with `_fields`, as a NamedTuple is. It may have `_derived` beside them:
of attributes that are pure functions of some of its fields, the function and the names of these.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import getattr_static
from operator import attrgetter
from typing import Any, NamedTuple

Columns = Sequence[Sequence[Any]]
Reader = Callable[["Table"], Sequence[Any]]


class _Sample(NamedTuple):
    field: None


FIELD = type(getattr_static(_Sample, "field"))
"""Reads a field of a NamedTuple by its name; something else may stand in its place."""


class Table:
    """Rows of one list, and their columns."""

    __slots__ = ("_kind", "columns", "kinds", "rows")

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self.kinds = set(map(type, rows))
        """Classes of the rows."""
        self._kind = next(iter(self.kinds)) if len(self.kinds) == 1 else object
        self.columns: Columns = list(zip(*rows, strict=True)) if _is_tuple(self._kind) else ()
        """All columns, by position."""

    def column(self, name: str) -> Sequence[Any]:
        """The attribute of that name of every row. Raises what reading it raises."""
        return _reader(self._kind, name)(self)


@lru_cache(maxsize=4096)
def _is_tuple(kind: type) -> bool:
    """True if rows of that class are read by position."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


@lru_cache(maxsize=4096)
def _reader(kind: type, name: str) -> Reader:
    if not _is_tuple(kind):
        return _by_name(name)
    fields: Sequence[str] = getattr(kind, "_fields", ())
    positions = {field: position for position, field in enumerate(fields)}
    if name in positions and (hasattr(kind, "_derived") or isinstance(getattr_static(kind, name), FIELD)):
        position = positions[name]
        return lambda table: table.columns[position]
    function, inputs = getattr(kind, "_derived", {}).get(name, (None, ()))
    if function is None or not positions.keys() >= set(inputs):
        return _by_name(name)
    return _derived(function, [positions[field] for field in inputs])


def _by_name(name: str) -> Reader:
    read = attrgetter(name)
    return lambda table: list(map(read, table.rows))


def _derived(function: Callable[..., Any], positions: list[int]) -> Reader:
    return lambda table: list(map(function, *(table.columns[position] for position in positions)))
