"""Serializers of leaves, for a whole column of values at once."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from math import isfinite
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLString,
    Undefined,
)
from graphql.pyutils import is_awaitable

Serializer = Callable[[Sequence[Any]], Sequence[Any]]
NOTHING = type(None)


class Unplanned(Exception):
    """Something unusual that graphql-core has to answer."""


@dataclass(frozen=True, slots=True)
class Native:
    """Values of a scalar that the JSON encoder writes as the scalar serializes them, if `holds`, where given, is true."""

    kind: type
    holds: Callable[[Sequence[Any]], bool] | None = None


Natives = Mapping[str, Native]
"""By the name of the scalar."""


def serializer(type_: Any, natives: Natives, *, is_nullable: bool = True) -> Serializer:
    """The serializer of a leaf, or of lists of them. It raises Unplanned, or what serializing raises."""
    if isinstance(type_, GraphQLNonNull):
        return serializer(type_.of_type, natives, is_nullable=False)
    if isinstance(type_, GraphQLList):
        return _strictly(_listed(serializer(type_.of_type, natives)), is_nullable)
    each = _strictly(lambda values: _each(type_, values), is_nullable)
    if isinstance(type_, GraphQLEnumType):
        return _named(type_, each, is_nullable)
    native = natives.get(type_.name) or PLAIN.get(type_)
    return each if native is None else _checked(native, each, is_nullable)


def lengths(lists: Iterable[Sequence[Any] | None]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """The items of all lists one after the other, and what cuts something made of them into such lists again.

    Raises Unplanned for a list of a class of its own."""
    found = [each for each in lists if each is not None]
    if not set(map(type, found)) <= {list, tuple}:
        raise Unplanned

    def cut(items: Sequence[Any]) -> list[Any]:
        rest = iter(items)
        return [None if each is None else list(islice(rest, len(each))) for each in lists]

    return list(chain.from_iterable(found)), cut


@lru_cache(maxsize=4096)
def is_ordinary(kind: type) -> bool:
    """True if values of this class are values, and not something that is to be raised or awaited."""
    is_null = kind is NOTHING or kind is type(Undefined)
    return not is_null and not issubclass(kind, Exception) and not hasattr(kind, "__await__")


def _in_range(values: Sequence[int]) -> bool:
    return not values or (min(values) >= GRAPHQL_MIN_INT and max(values) <= GRAPHQL_MAX_INT)


PLAIN: Mapping[Any, Native] = {
    GraphQLString: Native(str),
    GraphQLID: Native(str),
    GraphQLBoolean: Native(bool),
    GraphQLInt: Native(int, _in_range),
    GraphQLFloat: Native(float, lambda values: all(map(isfinite, values))),
}
"""Scalars that serialize values of this class, for which that is true, to themselves."""


def _strictly(serialize: Serializer, is_nullable: bool) -> Serializer:
    def serialize_all(values: Sequence[Any]) -> Sequence[Any]:
        serialized = serialize(values)
        if NOTHING in set(map(type, serialized)):
            raise Unplanned
        return serialized

    return serialize if is_nullable else serialize_all


def _listed(serialize: Serializer) -> Serializer:
    def serialize_all(values: Sequence[Any]) -> Sequence[Any]:
        items, cut = lengths(values)
        return cut(serialize(items))

    return serialize_all


def _named(enum: GraphQLEnumType, each: Serializer, is_nullable: bool) -> Serializer:
    """Names by what stands for them: the values of the enum, and members of its class."""
    names: dict[Any, str | None] = {None: None} if is_nullable else {}
    for value in enum.values.values():
        for known in (value.value, *_members(enum, value.value)):
            if isinstance(known, Hashable):
                names[known] = enum.coerce_output_value(known)

    def serialize_all(values: Sequence[Any]) -> Sequence[Any]:
        try:
            return list(map(names.__getitem__, values))
        except (KeyError, TypeError):
            return each(values)

    return serialize_all


def _members(enum: GraphQLEnumType, value: object) -> Iterable[Any]:
    return [member for member in getattr(enum, "wrapped_cls", ()) if member.value == value]


def _checked(native: Native, each: Serializer, is_nullable: bool) -> Serializer:
    """Leaves values of that class as they are, and serializes a column in which something else is found."""
    holds, kinds = native.holds, {native.kind, NOTHING} if is_nullable else {native.kind}

    def serialize_all(values: Sequence[Any]) -> Sequence[Any]:
        found = set(map(type, values))
        if not found <= kinds:
            return each(values)
        if holds is None:
            return values
        given = values if NOTHING not in found else [value for value in values if value is not None]
        return values if holds(given) else each(values)

    return serialize_all


def _each(leaf: GraphQLLeafType, values: Sequence[Any]) -> Sequence[Any]:
    return [None if value is None or value is Undefined else _one(leaf, value) for value in values]


def _one(leaf: GraphQLLeafType, value: Any) -> Any:
    if isinstance(value, Exception) or is_awaitable(value):
        raise Unplanned
    serialized = leaf.coerce_output_value(value)
    if serialized is None or serialized is Undefined:
        raise Unplanned
    return serialized
