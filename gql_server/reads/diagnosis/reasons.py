"""Reasons why something is in its state: what they are called, how bad they are, and which comes first."""

from collections.abc import Iterable
from dataclasses import dataclass
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
    TOO_MANY_ROWS_REJECTED = "TOO_MANY_ROWS_REJECTED"
    OTHER = "OTHER"


class Severity(StrEnum):
    """How bad it is, worst first: names of tones."""

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
    since: datetime | None = None
    job_id: int | None = None
    worker_id: str | None = None
    blocked_by: UUID | None = None


def worst_first(reasons: Iterable[Reason]) -> list[Reason]:
    """The reasons in order of severity; of those that say the same, the first."""
    first: dict[tuple[Code, str], Reason] = {}
    for reason in reasons:
        first.setdefault((reason.code, reason.message), reason)
    return sorted(first.values(), key=lambda reason: list(Severity).index(reason.severity))
