"""Events of the feed, before they are shown as GraphQL."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from gql_server.feed.held import Held
from gql_server.feed.members import Place
from gql_server.feed.tokens import NOTHING, Position
from gql_server.reads.pagination.pages import Page

LOOKED_AT = ("key", "status", "is_terminal")
"""Attributes of a row that a feed looks at, whatever is shown of it."""


class ResetReason(StrEnum):
    """Reasons for which the feed cannot continue from a given token."""

    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    SERVER_RESTART = "SERVER_RESTART"


@dataclass(frozen=True, slots=True)
class Reset:
    """History before this point is not to be had: what follows is the present state."""

    position: Position
    reason: ResetReason
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a while, up to this point. `lag_seconds` is how long ago the events were last read to their end."""

    position: Position
    lag_seconds: float
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a pipeline and, if there was a reading before, its position and the attributes that differ.

    In a list, `resume` is the newest event of this pipeline: those of others that the row's reading shows are yet to be told.
    """

    row: Any
    since: Position | None = None
    changed: tuple[str, ...] = ()
    resume: Position | None = None
    held: Held | None = None

    @property
    def position(self) -> Position:
        """The newest event that the row shows."""
        return self.resume or Position.parse(self.row.feed_position)

    @property
    def delivered(self) -> Position:
        """The newest event of this pipeline that the row shows."""
        return self.resume or Position(self.position.epoch, self.row.event_sequence or 0)

    @property
    def span(self) -> tuple[int, int] | None:
        """The events that the row shows and the reading before did not; None without one."""
        return None if self.since is None else self.position.span_since(self.since)


def reset_reason(after: Position, now: Position) -> ResetReason:
    """Reason for which nothing can be resumed after that position: the database is another or an older one, or they are not to
    be had."""
    is_older = after.epoch == now.epoch and after <= now
    return ResetReason.TOKEN_EXPIRED if is_older or after == NOTHING.position else ResetReason.SERVER_RESTART


@dataclass(frozen=True, slots=True)
class Sample:
    """A value as it was at that position, or later."""

    position: Position
    value: Any
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A page of a list as it is now."""

    position: Position
    page: Page
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """A pipeline began to be in the list, in that place."""

    position: Position
    row: Any
    place: Place
    held: Held | None = None


class LeaveReason(StrEnum):
    """Reasons for which a pipeline leaves a list."""

    NO_LONGER_MATCHES = "NO_LONGER_MATCHES"
    ACCESS_REVOKED = "ACCESS_REVOKED"


@dataclass(frozen=True, slots=True)
class Left:
    """A pipeline is no longer in the list."""

    position: Position
    key: UUID
    reason: LeaveReason
    held: Held | None = None


def differences(previous: Any, row: Any) -> tuple[str, ...]:
    """Names of the attributes in which two readings of a row differ, but for those that always do; all without a previous."""
    moving = {"feed_position", "event_sequence", *(() if row.is_terminal else ("duration_seconds",))}
    return tuple(
        name
        for name in row.shown()
        if name not in moving and (previous is None or getattr(previous, name) != getattr(row, name))
    )
