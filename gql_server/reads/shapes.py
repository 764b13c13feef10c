"""Shapes: what a statement is built for. It is built once for all that differ only in values that may be any.

In a shape such values are `Free`: given by name when the statement is executed. Keys and what cursors say become parameters,
for which plans are kept; a value that is filtered by is written in, so that PostgreSQL plans for it. Values of closed sets,
sizes, and whether there is a clause at all, belong to the shape.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from sqlalchemy import BindParameter, Executable, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from gql_server.db import DirectConnection, DirectStatement

C = TypeVar("C", bound=Any)
P = ParamSpec("P")
Types = Mapping[str, TypeEngine[Any]]
BUILT = 128
"""Statements of one sort that are kept: a quarter of a megabyte each, with what they are compiled to."""


class Compilations(dict[Any, Any]):
    """Compiled forms of one statement: found by dialect and parameters, while SQLAlchemy would compare whole statements."""

    def get(self, key: Any, default: Any = None) -> Any:
        dialect, _, *others = key
        return super().get((dialect, *others), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        dialect, _, *others = key
        super().__setitem__((dialect, *others), compiled)


class Built:
    """A statement that is built once, None for one that nothing can match, with what it is compiled to."""

    def __init__(self, statement: Executable | None) -> None:
        self.statement, self._options = statement, {"compiled_cache": Compilations()}
        self._direct = None if statement is None else DirectStatement(statement)

    async def rows(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Sequence[Any]:
        """The rows that it gives for these values: by the driver, or by SQLAlchemy in a transaction of its."""
        if self.statement is None or self._direct is None:
            return ()
        if isinstance(connection, DirectConnection) and connection.is_direct:
            return await connection.fetch(self._direct, values)
        return (await connection.execute(self.statement, values, execution_options=self._options)).all()

    async def named(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Sequence[Any]:
        """The rows, with attributes named like the columns."""
        return list(map(self._named, await self.rows(connection, values)))

    @cached_property
    def _named(self) -> Callable[[Any], Any]:
        names = cast(Any, self.statement).selected_columns.keys()
        # its own `_make` is Python's, and counts the columns of each row
        return partial(cast(Any, tuple).__new__, namedtuple("Row", names))  # pyright: ignore[reportUntypedNamedTuple]


def built_once(build: Callable[P, Executable | None]) -> Callable[P, Built]:
    """Keeps what a function builds for its arguments, which are a shape."""

    @wraps(build)
    def built(*shape: P.args, **named: P.kwargs) -> Built:
        return Built(build(*shape, **named))

    return cast(Any, lru_cache(maxsize=BUILT)(built))


class Free(NamedTuple):
    """A value that is not known when a statement is built, but its name."""

    name: str

    def of(self, kind: TypeEngine[Any]) -> BindParameter[Any]:
        """The parameter that takes its place."""
        return bindparam(self.name, type_=kind)


def shaped(criteria: C, free: Types) -> tuple[C, dict[str, Any]]:
    """The shape of criteria of which these may be any, and their values by name."""
    values: dict[str, Any] = {}
    names = {name: _name(name, value, kind, values) for name, kind, value in _asked(criteria, free)}
    return replace(criteria, **names) if names else criteria, values


def parametrized(shape: C, free: Types) -> C:
    """The criteria of a shape, with parameters in place of what is free."""
    return replace(shape, **{name: _parameter(value, kind) for name, kind, value in _asked(shape, free)})


def _asked(criteria: Any, free: Types) -> Iterator[tuple[str, TypeEngine[Any], Any]]:
    return ((name, kind, value) for name, kind in free.items() if (value := getattr(criteria, name)) is not None)


def _name(name: str, value: Any, kind: TypeEngine[Any], values: dict[str, Any]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(kind, ARRAY) or not _has_parts(value):
        values[name] = list(value) if isinstance(kind, ARRAY) else value
        return Free(name)
    return _made_of(value, [_name(f"{name}_{place}", part, kind, values) for place, part in enumerate(value)])


def _parameter(value: Any, kind: TypeEngine[Any]) -> Any:
    if isinstance(value, Free):
        is_written = not isinstance(kind, ARRAY)
        return bindparam(value.name, type_=kind, literal_execute=is_written)
    return _made_of(value, [_parameter(part, kind) for part in value]) if _has_parts(value) else value


def _has_parts(value: object) -> bool:
    """It is a range, or several values of which each has a clause."""
    return isinstance(value, tuple) and not isinstance(value, Free)


def _made_of(value: Any, parts: list[Any]) -> Any:
    return value._make(parts) if hasattr(value, "_make") else tuple(parts)
