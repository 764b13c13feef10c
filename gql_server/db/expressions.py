"""SQL expressions that several queries share."""

import typing
from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Float,
    Integer,
    Interval,
    Numeric,
    Row,
    Select,
    SQLColumnExpression,
    Text,
    any_,
    bindparam,
    case,
    cast,
    extract,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.types import TypeEngine

TEXT = Text()
QUOTE = "'"
INTEGER_MAX = 2**31 - 1

Column = SQLColumnExpression[Any]
Keys = Collection[Any] | ColumnElement[Any]
"""Keys, or the array that they are given as."""
AnySelect = Select[*tuple[Any, ...]]
AnyRow = Row[*tuple[Any, ...]]


def among(column: QueryableAttribute[Any], keys: Keys) -> ColumnElement[bool]:
    """`column = ANY(keys)`: one parameter and one prepared statement, however many keys."""
    return column == any_(array(column, keys))


def array(column: QueryableAttribute[Any], keys: Keys) -> ColumnElement[Any]:
    """The keys as one array parameter of the column's type."""
    if isinstance(keys, ColumnElement):
        return keys
    return literal(list(keys), ARRAY(column.expression.type))


def given_keys(column: QueryableAttribute[Any]) -> ColumnElement[Any]:
    """An array of the column's type that is given as `keys` when the statement is executed.

    PostgreSQL cannot look into it, and expects as many keys whether it plans for those given or for any: so it keeps its
    plan, which takes longer to make than a few keys to look up. Of a bare parameter it makes one anew for each single key.
    """
    type_ = ARRAY(column.expression.type)
    return cast(select(bindparam("keys", type_=type_)).scalar_subquery(), type_)


def inline(value: Any, kind: TypeEngine[Any] = TEXT) -> ColumnElement[Any]:
    """A value of a closed set, written into the statement: PostgreSQL plans for it, and matches partial indexes."""
    quoted = str(value) if isinstance(value, int) else f"'{str(value).replace(QUOTE, QUOTE * 2)}'"
    return literal_column(quoted, kind)


def planned(value: Any, column: Column) -> ColumnElement[Any]:
    """A value to compare the column with, for which PostgreSQL is to plan: written into the statement when it is executed.

    Plans are kept for parameters whatever their values, so none may be a value on which the best plan depends.
    """
    if isinstance(value, BindParameter):
        return value
    return bindparam(None, value, type_=type_of(column), unique=True, literal_execute=True)


def words(clause: ColumnElement[Any]) -> str:
    """The clause as text, its values written out: for statements that are written by hand."""
    return str(clause.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))


def type_of(column: Column) -> TypeEngine[Any]:
    """The type of its values."""
    return getattr(column, "type", TEXT)


def one_of(column: Column, values: Collection[Any]) -> ColumnElement[bool]:
    """The column has one of these values of a closed set; none of them, none matches."""
    inlined = [inline(value, type_of(column)) for value in values]
    return column == inlined[0] if len(inlined) == 1 else column.in_(inlined) if inlined else false()


def constant(text: str) -> ColumnElement[str]:
    """A text constant of ours, not a parameter."""
    return inline(text)


def number(value: int) -> ColumnElement[int]:
    """A number of ours, not a parameter."""
    return literal_column(str(value), Integer)


def duration(value: timedelta) -> ColumnElement[timedelta]:
    """A duration of ours, not a parameter."""
    return literal_column(f"interval '{value.total_seconds()} seconds'", Interval)


def member(column: Column, members: type[StrEnum], other: str) -> ColumnElement[str]:
    """The stored text if this version knows it, else `other`; null stays null."""
    stored = cast(column, Text)
    return case((one_of(stored, tuple(members)), stored), (stored.is_not(None), constant(other)))


def seconds(start: Column, end: Column) -> ColumnElement[float]:
    """Seconds between two instants, never negative; null when either is."""
    elapsed = cast(extract("epoch", end - start), Float)
    return case((elapsed < number(0), cast(number(0), Float)), else_=elapsed)


def run_seconds(row: Any) -> ColumnElement[float | None]:
    """Seconds from the first claim of a job or pipeline to its end; null for one that never ran, where the column says 0."""
    return case((row.started_at.is_not(None), row.duration_seconds))


def integer(value: Column) -> ColumnElement[int | None]:
    """A JSON number as an integer; null when it is something else."""
    bounded = func.greatest(func.least(cast(value, Numeric), number(INTEGER_MAX)), number(-INTEGER_MAX))
    return case((func.jsonb_typeof(value) == constant("number"), cast(bounded, Integer)))


def at(value: Column, *names: str) -> ColumnElement[Any]:
    """Value in a JSON object under a name, and in that under the next."""
    for name in names:
        value = value.op("->", return_type=JSONB())(constant(name))
    return typing.cast("ColumnElement[Any]", value.expression if isinstance(value, QueryableAttribute) else value)


def text_at(value: Column, name: str) -> ColumnElement[str | None]:
    """Value in a JSON object under a name, as text."""
    return typing.cast("ColumnElement[str | None]", value.op("->>", return_type=TEXT)(constant(name)))


def excerpt(text: Column) -> ColumnElement[str | None]:
    """The first 500 characters."""
    return func.left(text, number(500))


def found(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """EXISTS for a column that is read: probed row by row, where the planner might hash a whole table for EXISTS itself."""
    return func.coalesce(select(true()).where(*where).limit(number(1)).scalar_subquery(), false())
