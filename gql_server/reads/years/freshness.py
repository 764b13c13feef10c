"""Freshness of a year: its emissions with its factors, its totals with its emissions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gql_server.db.models import JobState
from gql_server.reads.years.visible_jobs import NO_VISIBLE_JOBS, VisibleJobs


class Freshness(StrEnum):
    """State of the totals of a module in a year (domain §7.4)."""

    FRESH = "FRESH"
    NO_AGGREGATION_EVER = "NO_AGGREGATION_EVER"
    PENDING_AGGREGATION_STUCK = "PENDING_AGGREGATION_STUCK"
    LAST_AGGREGATION_FAILED = "LAST_AGGREGATION_FAILED"
    LAST_RECALCULATION_FAILED = "LAST_RECALCULATION_FAILED"
    LAST_AGGREGATION_TOO_OLD = "LAST_AGGREGATION_TOO_OLD"
    ENTRIES_WITHOUT_EMISSION = "ENTRIES_WITHOUT_EMISSION"


UP_TO_DATE = (Freshness.FRESH, Freshness.ENTRIES_WITHOUT_EMISSION)
"""There is nothing to compute anew."""


class LastAggregation(Protocol):
    """The newest aggregation of a module in a year; its `job_id` is None when there never was one.

    `aggregation_failed` means that one failed, and no later one did its work. `aggregated_at` is when the newest began to
    read, and `changed_at` when data or factors last changed. `recalculation_failed` means that emissions are missing: a
    recalculation failed, and no later one did its work; `lacks_emissions` that entries have none for want of a factor, a rate
    or a value."""

    @property
    def job_id(self) -> int | None: ...
    @property
    def state(self) -> str | None: ...
    @property
    def aggregation_failed(self) -> bool: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def aggregated_at(self) -> datetime | None: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def changed_at(self) -> datetime | None: ...
    @property
    def recalculation_failed(self) -> bool: ...
    @property
    def lacks_emissions(self) -> bool: ...


def freshness(last: LastAggregation, cutoff: datetime) -> Freshness:
    """Freshness of totals. Nothing is stale for what is younger than the cutoff, nor for age alone; WARNING is healthy."""
    if last.job_id is None:
        return Freshness.NO_AGGREGATION_EVER
    if last.state != JobState.FINISHED and last.created_at < cutoff:
        return Freshness.PENDING_AGGREGATION_STUCK
    if last.aggregation_failed:
        return Freshness.LAST_AGGREGATION_FAILED
    if last.recalculation_failed:
        return Freshness.LAST_RECALCULATION_FAILED
    if last.state == JobState.FINISHED and _is_outdated(last, cutoff):
        return Freshness.LAST_AGGREGATION_TOO_OLD
    return Freshness.ENTRIES_WITHOUT_EMISSION if last.lacks_emissions else Freshness.FRESH


def _is_outdated(last: LastAggregation, cutoff: datetime) -> bool:
    if last.finished_at is None or last.aggregated_at is None:
        return True
    return last.finished_at < cutoff and last.changed_at is not None and last.changed_at > last.aggregated_at


@dataclass(frozen=True, slots=True)
class ModuleFreshness:
    """Freshness of a module's totals in a year: None for one that is disabled, which is never stale. Beside it, the newest
    aggregation that the viewer may see."""

    year: int
    module_type_id: int
    freshness: Freshness | None
    last_aggregation_job_id: int | None


@dataclass(frozen=True, slots=True)
class EntryTypeRecalculation:
    """Newest factors and newest recalculation of an entry type in a year, by job.

    `last_complete_job_id` is the newest recalculation of all units that succeeded or still runs, and `last_failed_job_id` the
    newest after it that failed, of however many units, unless a later one of those units succeeded. `seen` are the newest
    that the viewer may see.
    """

    module_type_id: int
    data_entry_type_id: int
    last_factor_job_id: int | None
    last_recalculation_job_id: int | None
    last_complete_job_id: int | None
    last_failed_job_id: int | None
    is_enabled: bool = True
    seen: VisibleJobs = NO_VISIBLE_JOBS

    @property
    def needs_recalculation(self) -> bool:
        """True if the factors, or a failure, are newer than the emissions (domain §7.1); never for what is disabled."""
        if not self.is_enabled or self.last_factor_job_id is None:
            return False
        newest = max(self.last_factor_job_id, self.last_failed_job_id or 0)
        return self.last_complete_job_id is None or newest > self.last_complete_job_id
