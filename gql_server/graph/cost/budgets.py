"""Budgets of viewers, by the minute. Kept in the process: with several of them behind one address, each has its own count."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from gql_server.policy import Viewer

LIMIT = 50_000
PER_MINUTE = 2_000_000
MINUTE_SECONDS = 60.0
MINUTES_KEPT = 10_000
"""Minutes of so many viewers are kept before those that are over are looked for."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Cost of one operation, and what is left of the viewer's minute once it is paid."""

    estimated: int
    limit: int
    budget_remaining: int
    reset_at: datetime


@dataclass(slots=True)
class Minute:
    """Minute of a viewer: what was spent since it began, whether on something refused, and when it is over."""

    ends_at: float
    spent: int = 0
    is_refused: bool = False


class Budgets:
    """The budgets of all viewers. `limit` is what one operation may cost."""

    def __init__(self, limit: int = LIMIT, per_minute: int = PER_MINUTE) -> None:
        self.limit = limit
        self.per_minute = per_minute
        self._minutes: dict[tuple[str, str], Minute] = {}

    def charge(self, viewer: Viewer, cost: int) -> bool:
        """Take so much off, if it is left of the viewer's minute; False if not. What costs nothing opens no minute."""
        minute = self._minute(viewer)
        if minute.spent + cost > self.per_minute:
            return False
        if cost:
            minute.spent += cost
            self._minutes[viewer.provider, viewer.subject] = minute
        return True

    def note_refusal(self, viewer: Viewer) -> None:
        """Remember in the minute that runs, where something was spent, that a document was refused."""
        self._minute(viewer).is_refused = True

    def was_refused(self, viewer: Viewer) -> bool:
        """True if the minute that runs has seen a document of the viewer that was refused."""
        minute = self._minutes.get((viewer.provider, viewer.subject))
        return minute is not None and minute.is_refused and minute.ends_at > time.time()

    def bill(self, viewer: Viewer, cost: int) -> Bill:
        """Bill of the viewer as it stands."""
        minute = self._minute(viewer)
        remaining = max(0, self.per_minute - minute.spent)
        return Bill(cost, self.limit, remaining, datetime.fromtimestamp(minute.ends_at, UTC))

    def _minute(self, viewer: Viewer) -> Minute:
        """The minute that runs, or one that would begin now."""
        now = time.time()
        minute = self._minutes.get((viewer.provider, viewer.subject))
        if minute is not None and minute.ends_at > now:
            return minute
        if len(self._minutes) > MINUTES_KEPT:
            self._minutes = {who: each for who, each in self._minutes.items() if each.ends_at > now}
        return Minute(now + MINUTE_SECONDS)
