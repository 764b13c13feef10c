"""What a feed says, before it is shown as GraphQL."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gql_server.feed.tokens import Position


class ResetReason(StrEnum):
    """Why the feed cannot continue from the given token."""

    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    CONSUMER_TOO_SLOW = "CONSUMER_TOO_SLOW"
    SERVER_RESTART = "SERVER_RESTART"
    FILTER_CHANGED = "FILTER_CHANGED"


@dataclass(frozen=True, slots=True)
class Reset:
    """History before this point is not to be had: what follows is the present state."""

    position: Position
    reason: ResetReason


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a while, up to this point. `lag_seconds` is how long ago the events were last read to their end."""

    position: Position
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a pipeline and, if there was a reading before, its position and the attributes that differ."""

    row: Any
    since: Position | None = None
    changed: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """The newest event that the row shows."""
        return Position.parse(self.row.feed_position)

    @property
    def span(self) -> tuple[int, int] | None:
        """The events that the row shows and the reading before did not; None without one."""
        return None if self.since is None else self.position.span_since(self.since)


def reset_reason(after: Position, now: Position) -> ResetReason:
    """Why nothing can be resumed after that position: the database is another one, or the events have been pruned."""
    return ResetReason.TOKEN_EXPIRED if after.epoch == now.epoch else ResetReason.SERVER_RESTART
