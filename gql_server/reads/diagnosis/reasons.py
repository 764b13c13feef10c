"""Reasons why something is in its state: what they are called, how bad they are, what to do, and which comes first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Code(StrEnum):
    """Stable names of the reasons."""

    WAITING_FOR_WORKER = "WAITING_FOR_WORKER"
    NO_LIVE_WORKER = "NO_LIVE_WORKER"
    SCHEDULED_LATER = "SCHEDULED_LATER"
    WAITING_FOR_SIBLINGS = "WAITING_FOR_SIBLINGS"
    WAITING_FOR_LOCK = "WAITING_FOR_LOCK"
    STALE_LOCK = "STALE_LOCK"
    HEARTBEAT_LOST = "HEARTBEAT_LOST"
    RETRIES_EXHAUSTED = "RETRIES_EXHAUSTED"
    DEDUPLICATED = "DEDUPLICATED"
    MIXED_WORKER_REVISIONS = "MIXED_WORKER_REVISIONS"
    YEAR_NOT_PROVISIONED = "YEAR_NOT_PROVISIONED"
    STATUS_OUT_OF_DATE = "STATUS_OUT_OF_DATE"
    ORPHAN_NO_PIPELINE = "ORPHAN_NO_PIPELINE"
    SUCCESS_WITH_ALL_ROWS_FAILED = "SUCCESS_WITH_ALL_ROWS_FAILED"
    ALL_ROWS_REJECTED = "ALL_ROWS_REJECTED"
    TOO_MANY_ROWS_REJECTED = "TOO_MANY_ROWS_REJECTED"
    SOME_ROWS_REJECTED = "SOME_ROWS_REJECTED"
    MISSING_COLUMN = "MISSING_COLUMN"
    INPUT_REFUSED = "INPUT_REFUSED"
    MISSING_FACTOR = "MISSING_FACTOR"
    MISSING_EXCHANGE_RATE = "MISSING_EXCHANGE_RATE"
    DEADLOCK = "DEADLOCK"
    TIMEOUT = "TIMEOUT"
    TRANSACTION_POISONED = "TRANSACTION_POISONED"
    CONSTRAINT = "CONSTRAINT"
    UPSTREAM_API = "UPSTREAM_API"
    ABORTED = "ABORTED"
    UNEXPECTED_ERROR = "UNEXPECTED_ERROR"
    AGGREGATION_OWED = "AGGREGATION_OWED"
    OTHER = "OTHER"


class Action(StrEnum):
    """Stable names of what can be done about a reason, and is not refused."""

    RETRY_PIPELINE = "RETRY_PIPELINE"
    REPLACE_NEWER = "REPLACE_NEWER"
    UPLOAD_FILE = "UPLOAD_FILE"
    UPLOAD_FACTORS = "UPLOAD_FACTORS"
    UPLOAD_EXCHANGE_RATES = "UPLOAD_EXCHANGE_RATES"
    SEE_ROW_ERRORS = "SEE_ROW_ERRORS"
    SEE_ERROR_DETAIL = "SEE_ERROR_DETAIL"
    SYNC_UNITS = "SYNC_UNITS"
    RECOVER_JOB = "RECOVER_JOB"
    ABORT_PIPELINE = "ABORT_PIPELINE"
    START_WORKER = "START_WORKER"


class Severity(StrEnum):
    """Severities, worst first: names of tones."""

    DANGER = "DANGER"
    WARNING = "WARNING"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `blocked_by` is the key of the pipeline that must move first."""

    code: Code
    severity: Severity
    message: str
    remedy: str | None = None
    action: Action | None = None
    since: datetime | None = None
    job_id: int | None = None
    worker_id: str | None = None
    blocked_by: UUID | None = None


ONE_FOR_ALL = (Action.UPLOAD_FACTORS, Action.UPLOAD_EXCHANGE_RATES)
"""Actions that are done once, whatever number of jobs ask for them."""


def worst_first(reasons: Iterable[Reason]) -> list[Reason]:
    """The reasons in order of severity. Of those that say the same, or are remedied by the same, the first, which counts the
    others."""
    alike: dict[tuple[object, ...], list[Reason]] = {}
    for reason in reasons:
        alike.setdefault(_sort(reason), []).append(reason)
    return sorted(map(_first, alike.values()), key=lambda reason: list(Severity).index(reason.severity))


def _sort(reason: Reason) -> tuple[object, ...]:
    """Equal for reasons of which one is told for all."""
    if reason.action in ONE_FOR_ALL or (reason.severity == Severity.NEUTRAL and reason.remedy):
        return reason.code, reason.severity, reason.remedy, reason.blocked_by
    return reason.code, reason.message


def _first(alike: Sequence[Reason]) -> Reason:
    others = len({reason.message for reason in alike}) - 1
    return replace(alike[0], message=f"{alike[0].message} (and {others} more of this)") if others else alike[0]
