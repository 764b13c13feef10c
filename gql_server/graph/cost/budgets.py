"""Budgets of viewers, by the minute. Kept in the process: with several of them behind one address, each has its own count."""

from dataclasses import dataclass
from datetime import UTC, datetime

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from gql_server.policy import Viewer

LIMIT = 50_000
PER_MINUTE = 2_000_000


@dataclass(frozen=True, slots=True)
class Bill:
    """Cost of one operation, and what is left of the viewer's minute once it is paid."""

    estimated: int
    limit: int
    budget_remaining: int
    reset_at: datetime


class Budgets:
    """The budgets of all viewers. `limit` is what one operation may cost."""

    def __init__(self, limit: int = LIMIT, per_minute: int = PER_MINUTE) -> None:
        self.limit = limit
        self.per_minute = per_minute
        self._window = RateLimitItemPerMinute(per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def affords(self, viewer: Viewer, cost: int) -> bool:
        """True if so much is left of the viewer's minute; takes nothing."""
        return self._limiter.test(self._window, viewer.provider, viewer.subject, cost=cost)

    def charge(self, viewer: Viewer, cost: int) -> None:
        """Take it off. An operation that costs nothing opens no minute."""
        if cost:
            self._limiter.hit(self._window, viewer.provider, viewer.subject, cost=cost)

    def bill(self, viewer: Viewer, cost: int) -> Bill:
        """Bill of the viewer as it stands."""
        reset_at, remaining = self._limiter.get_window_stats(self._window, viewer.provider, viewer.subject)
        return Bill(cost, self.limit, remaining, datetime.fromtimestamp(reset_at, UTC))
