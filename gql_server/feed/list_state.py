"""State of one who follows a list, from which follows what a change of a pipeline is to them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from gql_server.feed.events import Entered, LeaveReason, Left, Reading, differences
from gql_server.feed.held import ALL_BELOW, HELD_MAX, Held, mark
from gql_server.feed.members import Members
from gql_server.feed.queries import Changed
from gql_server.feed.tokens import Position

ROWS_KEPT = 1000
"""Pipelines whose last reading is kept to say what differs."""

Delivered = Entered | Reading | Left


class ListState:
    """All members of a list, and their last readings.

    In a list that is settled, a pipeline is a member from its creation on or never: no token has to name any.
    """

    def __init__(self, members: Members, listing: bytes, *, is_settled: bool) -> None:
        self.members, self._listing, self._is_settled = members, listing, is_settled
        self._rows: dict[UUID, Any] = {}
        self._expected: dict[int, int] = {}

    def held_at(self, sequence: int | None = None) -> Held | None:
        """Pipelines held by a client to whom everything up to that event was delivered, or all, for its token.

        In a settled list, what it does not hold: pipelines that were created by then, and are yet to be told.
        """
        if not self._is_settled:
            return self._held_now()
        missing = sorted(each for each, first in self._expected.items() if sequence is not None and first <= sequence)
        return Held(self._listing, tuple(missing), ALL_BELOW) if missing else None

    def _held_now(self) -> Held | None:
        keys, are_all = self.members.newest(HELD_MAX)
        return Held.of(self._listing, keys, are_all=are_all)

    def had(self, change: Changed) -> bool | None:
        """True if it was a member before it changed; None if that is not known."""
        if change.is_new:
            return False
        known = self._has(change.key)
        return True if known is None and self._is_settled and change.is_visible else known

    def is_deliverable(self, change: Changed) -> bool:
        """True if the change may be delivered at all: the viewer sees the pipeline, or holds it."""
        return change.is_visible or self.had(change) is True

    def deliver(self, changed: Sequence[Changed], rows: Mapping[UUID, Any], since: Position) -> list[Delivered]:
        """Events of changed pipelines, of which those with a row are in the list now."""
        if self._is_settled:
            self.expect(change for change in changed if change.key in rows)
        delivered = (self._deliver(change, rows.get(change.key), since) for change in changed)
        return [event for event in delivered if event]

    def expect(self, changed: Iterable[Changed]) -> None:
        """Note which of these are not held, and are yet to be told."""
        self._expected |= {mark(change.key): change.first for change in changed if not self.had(change)}

    def _deliver(self, change: Changed, row: Any, since: Position) -> Delivered | None:
        position, had = Position(since.epoch, change.sequence), self.had(change)
        self._expected.pop(mark(change.key), None)
        if row is None:
            return self._left(change, position) if had or (had is None and change.is_visible) else None
        before, place = self._keep(change.key, row), self._add(change.key)
        if had:
            return Reading(row, since, differences(before, row), position, self.held_at(change.sequence))
        return Entered(position, row, place, self.held_at(change.sequence))

    def _left(self, change: Changed, position: Position) -> Left:
        self._remove(change.key)
        self._rows.pop(change.key, None)
        reason = LeaveReason.NO_LONGER_MATCHES if change.is_visible else LeaveReason.ACCESS_REVOKED
        return Left(position, change.key, reason, self.held_at(change.sequence))

    def _keep(self, key: UUID, row: Any) -> Any:
        """The reading before."""
        before = self._rows.pop(key, None)
        self._rows[key] = row
        if len(self._rows) > ROWS_KEPT:
            del self._rows[next(iter(self._rows))]
        return before

    def _has(self, key: UUID) -> bool | None:
        return self.members.has(key)

    def _add(self, key: UUID) -> Any:
        return self.members.add(key)

    def _remove(self, key: UUID) -> None:
        self.members.remove(key)


class ResumedState(ListState):
    """State of the bearer of a token; the members say only where a pipeline belongs."""

    def __init__(self, held: Held | None, members: Members, listing: bytes, *, is_settled: bool) -> None:
        super().__init__(members, listing, is_settled=is_settled)
        self._held = held if held and held.listing == listing else None
        if is_settled and self._held:
            self._expected, self._held = dict.fromkeys(self._held.marks, 0), None

    @property
    def marks(self) -> Sequence[int]:
        """Of pipelines that it must be told of though they are hidden."""
        return self._held.marks if self._held else ()

    def _held_now(self) -> Held | None:
        return self._held

    def rewind(self, changed: Sequence[Changed], rows: Mapping[UUID, Any]) -> None:
        """Take the members back from what they are now to what they were before those changes."""
        for change in changed:
            if change.key not in rows and self.had(change):
                self.members.add(change.key)
            elif change.key in rows and not self.had(change):
                self.members.remove(change.key)

    def _has(self, key: UUID) -> bool | None:
        if self._is_settled:
            return False if mark(key) in self._expected else None
        return self._held.has(key) if self._held else None

    def _add(self, key: UUID) -> Any:
        self._held = self._held and self._held.with_(key)
        return super()._add(key)

    def _remove(self, key: UUID) -> None:
        self._held = self._held and self._held.without(key)
        super()._remove(key)
