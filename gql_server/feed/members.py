"""Members of a list, and the neighbours between which another pipeline belongs."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

MEMBERS_KEPT = 20_000
"""Pipelines that are known to be in a list: when a long-lived one has grown to twice as many, the oldest are forgotten."""


class Place(NamedTuple):
    """Neighbours of a pipeline in a list; none that is newer at its head. Below what is known of the list, neither."""

    is_head: bool = False
    newer: UUID | None = None
    older: UUID | None = None


class Members:
    """Keys of the newest pipelines in a list, in their order. If those are not all, nothing is known below them."""

    def __init__(self, keys: Iterable[UUID] = (), *, are_all: bool = False) -> None:
        self._keys, self._are_all = sorted(keys), are_all

    def copy(self) -> "Members":
        copy = Members(are_all=self._are_all)
        copy._keys = self._keys[:]
        return copy

    def newest(self, count: int) -> tuple[Sequence[UUID], bool]:
        """So many of them, and whether those are all."""
        return self._keys[-count:], self._are_all and len(self._keys) <= count

    def has(self, key: UUID) -> bool | None:
        """True if it is in the list; None if that is not known."""
        if self._is_below(key):
            return None
        return self._is_at(bisect_left(self._keys, key), key)

    def add(self, key: UUID) -> Place:
        """Add it; returns its place."""
        if self._is_below(key):
            return Place()
        at = bisect_left(self._keys, key)
        if not self._is_at(at, key):
            self._keys.insert(at, key)
        newer = self._keys[at + 1] if at + 1 < len(self._keys) else None
        place = Place(newer is None, newer, self._keys[at - 1] if at else None)
        self._forget_oldest()
        return place

    def remove(self, key: UUID) -> None:
        at = bisect_left(self._keys, key)
        if self._is_at(at, key):
            del self._keys[at]

    def _is_at(self, at: int, key: UUID) -> bool:
        return at < len(self._keys) and self._keys[at] == key

    def _is_below(self, key: UUID) -> bool:
        return not self._are_all and (not self._keys or key < self._keys[0])

    def _forget_oldest(self) -> None:
        if len(self._keys) > 2 * MEMBERS_KEPT:
            self._keys, self._are_all = self._keys[-MEMBERS_KEPT:], False
