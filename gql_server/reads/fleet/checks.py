"""Checks of an installation's health, as pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from gql_server.reads.diagnosis.reasons import Code, Reason, Severity, worst_first
from gql_server.reads.diagnosis.rules import PATIENCE, mixed_revisions

FEED_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class HealthChecks:
    """The vital signs as one viewer sees them: workers are everybody's, jobs are those of the viewer's provider.

    `feed_lag_seconds` is None while this process does not follow the feed; `feed_is_deaf` when it is not notified and polls.
    """

    live_workers: int
    revisions: list[str]
    oldest_queued_seconds: float | None
    oldest_queued_id: int | None
    stuck_count: int
    stuck_id: int | None
    stuck_worker_id: str | None
    feed_lag_seconds: float | None
    feed_is_deaf: bool = False

    @cached_property
    def diagnosis(self) -> list[Reason]:
        """Reasons for which the installation needs attention, worst first."""
        return worst_first([*_workers(self), *_stuck(self), *_queue(self), *_feed(self)])

    @property
    def tone(self) -> str:
        """The worst of what is wrong, else SUCCESS."""
        return self.diagnosis[0].severity if self.diagnosis else "SUCCESS"


def _workers(checks: HealthChecks) -> Iterator[Reason]:
    if checks.live_workers == 0:
        yield Reason(Code.NO_LIVE_WORKER, Severity.DANGER, "No worker is running, so nothing starts.", "Start a worker.")
    if len(checks.revisions) > 1:
        yield mixed_revisions(len(checks.revisions))


def _stuck(checks: HealthChecks) -> Iterator[Reason]:
    if checks.stuck_count:
        message = f"{checks.stuck_count} jobs are held by workers that have fallen silent."
        if checks.stuck_count == 1:
            message = "1 job is held by workers that have fallen silent."
        remedy = "A live worker puts them back in the queue by itself; if none does, start one or recover the jobs."
        because = partial(Reason, job_id=checks.stuck_id, worker_id=checks.stuck_worker_id)
        yield because(Code.STALE_LOCK, Severity.DANGER, message, remedy)


def _queue(checks: HealthChecks) -> Iterator[Reason]:
    waited = checks.oldest_queued_seconds
    if waited is not None and waited > PATIENCE.total_seconds():
        message = f"A job has waited {round(waited / 60)} min to start."
        remedy = "Ask its diagnosis what it waits for; start more workers if they are all busy."
        yield Reason(Code.WAITING_FOR_WORKER, Severity.WARNING, message, remedy, job_id=checks.oldest_queued_id)


def _feed(checks: HealthChecks) -> Iterator[Reason]:
    lag = checks.feed_lag_seconds
    if lag is None:
        message = "This server does not follow the changes, so live views stand still."
        yield Reason(Code.OTHER, Severity.WARNING, message, "See in its log why it cannot listen to the database.")
    elif lag > FEED_PATIENCE_SECONDS:
        message = f"Live views are {round(lag)} s behind."
        yield Reason(Code.OTHER, Severity.WARNING, message, "See in the log of this server why it cannot keep up.")
    if checks.feed_is_deaf:
        message = "This server is not notified of changes, so it looks for them several times a second."
        remedy = (
            "Connect it to PostgreSQL directly, or through a pooler of sessions: one of transactions passes no notifications."
        )
        yield Reason(Code.OTHER, Severity.WARNING, message, remedy)
