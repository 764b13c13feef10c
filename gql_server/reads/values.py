"""Values that follow from columns of rows: names of enums, times, tones. Pure functions, each said once."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from gql_server.db.models import TERMINAL_STATUSES, JobResult, JobState, JobType, PipelineStatus

T = TypeVar("T")


class Names(dict[str | None, T]):
    """Names by what is stored, and another for what is not among them. To look one up is no call of Python's."""

    def __init__(self, names: Mapping[Any, T], other: T) -> None:
        super().__init__(names)
        self.other = other

    def __missing__(self, stored: str | None) -> T:
        return self.other


KINDS = {kind.value: kind.value.upper() for kind in JobType}
kind_name: Callable[[str | None], str] = Names(KINDS, "OTHER").__getitem__
"""Name of a kind, OTHER for job types this version does not know."""


def known_or_null(members: type[StrEnum], other: str) -> Callable[[str | None], str | None]:
    """The function that gives the name of a stored text, `other` for what this version does not know; null stays null."""
    return Names[str | None]({None: None, **_names(members)}, other).__getitem__


def known_or_other(members: type[StrEnum], other: str) -> Callable[[str | None], str]:
    """The same, in which null is not known either."""
    return Names(_names(members), other).__getitem__


def _names(members: type[StrEnum]) -> dict[Any, str]:
    return {item.value: item.name for item in members}


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds between two instants, never negative; None when either is."""
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def duration(start: datetime | None, end: datetime | None, now: datetime) -> float | None:
    """Seconds from the start to the end, or to now."""
    return seconds_between(start, now if end is None else end)


def rate(count: int | None, start: datetime | None, end: datetime | None, now: datetime) -> float | None:
    """Mean number a second from the start to the end, or to now; None when nothing can be said."""
    took = duration(start, end, now)
    return count / took if took and count is not None else None


def is_terminal(status: str | None) -> bool:
    """No further change of a pipeline of that status is expected."""
    return status in TERMINAL_STATUSES


def pipeline_tone(status: str | None, has_warning: bool) -> str:
    """Colour family of a pipeline."""
    if status == PipelineStatus.SUCCESS and has_warning:
        return "WARNING"
    return PIPELINE_TONES.get(status or "", "NEUTRAL")


def job_tone(state: str | None, result: str | None) -> str:
    """Colour family of a job."""
    running = "PROGRESS" if state == JobState.RUNNING else "NEUTRAL"
    return JOB_TONES.get(result or "", running)


PIPELINE_TONES: dict[str, str] = {
    PipelineStatus.FAILED: "DANGER",
    PipelineStatus.PARTIAL: "WARNING",
    PipelineStatus.SUCCESS: "SUCCESS",
    PipelineStatus.RUNNING: "PROGRESS",
}
JOB_TONES: dict[str, str] = {JobResult.ERROR: "DANGER", JobResult.WARNING: "WARNING", JobResult.SUCCESS: "SUCCESS"}
