"""Pipelines of a list that a client has been told of, as its token says it: the newest of them, in a few bytes each."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import accumulate, pairwise
from uuid import UUID

from gql_server.reads.pipelines.filter import PipelineCriteria

HELD_MAX = 256
"""Pipelines that a token names; more than a page has."""
LIST_BYTES = 8
TIME_SHIFT = 80
"""Bits of a UUIDv7 below its milliseconds."""
ALL_BELOW = 2**64 - 1


def mark(key: UUID) -> int:
    """Its milliseconds and last 16 bits: as ordered as the keys, and next to unique."""
    return (key.int >> TIME_SHIFT) << 16 | key.int & 0xFFFF


def digest(criteria: PipelineCriteria) -> bytes:
    """Digest of a filter, to tell lists apart."""
    return sha256(repr(criteria).encode()).digest()[:LIST_BYTES]


@dataclass(frozen=True, slots=True)
class Held:
    """Marks of the pipelines, ascending. Up to `floor` there may be others."""

    listing: bytes
    marks: tuple[int, ...] = ()
    floor: int = 0

    @classmethod
    def of(cls, listing: bytes, keys: Iterable[UUID], *, are_all: bool) -> "Held":
        """The newest of the keys; if those are not all, nothing is known below them."""
        marks = sorted(map(mark, keys))
        return cls(listing, tuple(marks), 0 if are_all else marks[0] if marks else ALL_BELOW)._limited()

    def has(self, key: UUID) -> bool | None:
        """True if it is one of them; None if that is not known."""
        wanted = mark(key)
        at = bisect_left(self.marks, wanted)
        if self.marks[at : at + 1] == (wanted,):
            return True
        return False if wanted > self.floor else None

    def with_(self, key: UUID) -> "Held":
        at = bisect_left(self.marks, wanted := mark(key))
        if self.marks[at : at + 1] == (wanted,):
            return self
        return replace(self, marks=(*self.marks[:at], wanted, *self.marks[at:]))._limited()

    def without(self, key: UUID) -> "Held":
        gone = mark(key)
        return replace(self, marks=tuple(each for each in self.marks if each != gone))

    def _limited(self) -> "Held":
        if len(self.marks) <= HELD_MAX:
            return self
        kept = self.marks[-HELD_MAX:]
        return replace(self, marks=kept, floor=max(self.floor, kept[0]))

    def pack(self) -> bytes:
        steps = (after - before for before, after in pairwise((0, *self.marks)))
        return self.listing + b"".join(map(_packed, (self.floor, *steps)))

    @classmethod
    def unpack(cls, packed: bytes) -> "Held":
        floor, *steps = _unpacked(packed[LIST_BYTES:])
        return cls(packed[:LIST_BYTES], tuple(accumulate(steps)), floor)


def _packed(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the last byte has no high bit."""
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _packed(high) if high else bytes([low])


def _unpacked(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
