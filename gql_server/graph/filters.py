"""Inputs that several lists share: ranges, directions, and the values of a clause."""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Any
from unicodedata import normalize

import strawberry
from strawberry import UNSET

from gql_server.errors import BadInput
from gql_server.reads.jobs.filter import Match, Range

VALUES_MAX = 100
TEXT_MAX = 200


@strawberry.enum(description="Sort direction; what has no value always comes last.")
class Direction(Enum):
    ASC = strawberry.enum_value("ASC", description="Smallest, or oldest, first.")
    DESC = strawberry.enum_value("DESC", description="Greatest, or newest, first.")


@strawberry.input(description="Half-open: from ≤ t < to. What has no time does not match.")
class TimeRange:
    from_: datetime | None = strawberry.field(name="from", default=UNSET, description="The first instant that belongs to it.")
    to: datetime | None = strawberry.field(default=UNSET, description="The first instant that does not.")

    def bounds(self) -> Range[datetime]:
        return Range(given(self.from_), given(self.to))


@strawberry.input(description="Closed range; either end may be missing. What has no value does not match.")
class FloatRange:
    min: float | None = strawberry.field(default=UNSET, description="The smallest that belongs to it.")
    max: float | None = strawberry.field(default=UNSET, description="The greatest that belongs to it.")

    def bounds(self) -> Range[float]:
        return Range(given(self.min), given(self.max), closed=True)


def given(value: Any) -> Any:
    """The value of an argument; None when it was left out."""
    return None if value is UNSET else value


def match(choice: Any) -> Match | None:
    """The members of an enum to keep, or to drop: what an input of `in` and `notIn`, of which one is given, stands for."""
    if not choice:
        return None
    is_negated = choice.in_ is None
    chosen = choice.not_in if is_negated else choice.in_
    return Match(tuple(sorted({member.name for member in chosen.value})), negated=is_negated)


def range_of(value: TimeRange | FloatRange | None) -> Range[Any] | None:
    """The bounds that were asked for, if any."""
    return value.bounds() if value else None


def values(name: str, items: Iterable[Any] | None) -> tuple[Any, ...] | None:
    """The values of a list clause, each once and in order; None without the clause. Raises BadInput for too many."""
    if items is UNSET or items is None:
        return None
    distinct = tuple(sorted(set(items)))
    if len(distinct) > VALUES_MAX:
        raise BadInput(f"`{name}` takes at most {VALUES_MAX} values.")
    return distinct


def names(name: str, members: Iterable[Enum] | None) -> tuple[str, ...] | None:
    """The names of the members of an enum clause."""
    return values(name, members if members is UNSET or members is None else [member.name for member in members])


def text(name: str, value: str | None) -> str | None:
    """The text of a clause, in NFC. Raises BadInput for what the database cannot hold."""
    if value is UNSET or value is None:
        return None
    if "\0" in value or len(value) > TEXT_MAX:
        raise BadInput(f"`{name}` is not a text of at most {TEXT_MAX} characters.")
    return normalize("NFC", value)


def texts(name: str, items: Iterable[str] | None) -> tuple[str, ...] | None:
    """The texts of a list clause."""
    named = values(name, items)
    return None if named is None else tuple(checked for each in named if (checked := text(name, each)) is not None)
