"""Rows of the ledger before they have their ids, and what the runner would have stored about a pipeline of such jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from operator import attrgetter
from random import Random
from typing import Any
from uuid import UUID

from gql_server.db import dumps
from gql_server.db.models import (
    TERMINAL_STATUSES,
    EntityType,
    HistoryKind,
    IngestionMethod,
    JobResult,
    JobState,
    JobType,
    PipelineStatus,
    TargetType,
)
from gql_server.ledger.failures.classify import Failure, classify
from gql_server.ledger.failures.ending import Ending
from gql_server.ledger.history import HISTORY_LIMIT
from gql_server.ledger.progress import is_error, pipeline_status


@dataclass(slots=True, kw_only=True)
class DraftJob:
    """A job as it will be copied; `id` and `parent_job_id` are known once all that came before have theirs."""

    id: int = 0
    time_key: UUID
    pipeline_id: UUID | None
    parent_job_id: int | None = None
    job_type: str | None
    entity_type: str = EntityType.MODULE_PER_YEAR.value
    module_type_id: int | None
    data_entry_type_id: int | None = None
    year: int | None
    target_type: str | None = TargetType.DATA_ENTRIES.value
    ingestion_method: str = IngestionMethod.COMPUTED.value
    provider: str
    state: str = JobState.NOT_STARTED.value
    result: str | None = None
    status_message: str | None = None
    config: str = "{}"
    meta: str = "{}"
    scope_module_ids: list[int] | None = None
    affected_module_ids: list[int] | None = None
    failure_class: str | None = None
    failure_fingerprint: str | None = None
    lock_keys: list[str] = field(default_factory=list[str])
    upload_id: UUID | None = None
    locked_by: str | None = None
    locked_at: datetime | None = None
    claimed_by: str | None = None
    attempts: int = 0
    max_attempts: int = 3
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


JOB_COLUMNS = tuple(column.name for column in fields(DraftJob))
job_record = attrgetter(*JOB_COLUMNS)


@dataclass(slots=True)
class Draft:
    """A job with what is not a column of it: its parent, the bag it will have, and the rows it rejected."""

    job: DraftJob
    parent: "Draft | None" = None
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    history: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    row_errors: Sequence[tuple[int, str, str, str]] = ()
    keeps_place: bool = True
    """True if it stays the current one of its combination: a job that was aborted or given up does not."""

    def note(self, message: str, at: datetime, kind: HistoryKind | None = None) -> None:
        """A message, and the entry of the history that tells it."""
        self.job.status_message = message
        self.tell(message, at, kind)

    def tell(self, message: str, at: datetime, kind: HistoryKind | None = None) -> None:
        """An entry of the history alone."""
        self.history.append({"message": message, "ts": at.isoformat(), **({"kind": kind.value} if kind else {})})

    def fails(self) -> Failure | None:
        """Classify its failure, if it failed, as the one who ended it would; returns it."""
        job = self.job
        first = [{"reason": reason} for _, _, reason, _ in self.row_errors[:1]]
        meta = {**self.meta, **({"row_errors": first} if first else {})}
        by_itself = not meta.keys() & {"error", "aborted", "given_up"}
        failure = classify(Ending(job.job_type, job.result, job.status_message, meta, refused=by_itself))
        if failure is not None:
            job.failure_class, job.failure_fingerprint = failure.failure_class, failure.fingerprint
        return failure

    def closed(self) -> DraftJob:
        """The job, with its bag as JSON."""
        if self.history:
            self.meta["status_history"] = self.history[-HISTORY_LIMIT:]
        self.job.meta = dumps(self.meta)
        if self.parent is not None:
            self.job.parent_job_id = self.parent.job.id
        return self.job


def uuid7(random: Random, at: datetime) -> UUID:
    """A time-ordered id of that moment, laid out as the database's own `gql_uuid7()`."""
    microseconds = round(at.timestamp() * 1_000_000)
    milliseconds, rest = divmod(microseconds, 1000)
    number = milliseconds << 80 | 7 << 76 | (rest * 4096 // 1000) << 64 | 2 << 62 | random.getrandbits(62)
    return UUID(int=number)


PIPELINE_COLUMNS = (
    "id",
    "provider",
    "kind",
    "status",
    "entity_type",
    "ingestion_method",
    "module_type_id",
    "data_entry_type_id",
    "year",
    "unit_institutional_id",
    "file_name",
    "file_digest",
    "expected_recalc",
    "owes_aggregation",
    "job_count",
    "error_count",
    "has_warning",
    "last_error",
    "created_by",
    "aborted_at",
    "created_at",
    "started_at",
    "finished_at",
    "updated_at",
)


def pipeline_record(
    jobs: Sequence[DraftJob],
    *,
    unit: str | None,
    file: tuple[object, object],
    owes_aggregation: bool,
    created_by: str | None,
    aborted_at: datetime | None,
) -> tuple[object, ...]:
    """The pipelines row that the runner would have stored, root first in `jobs`. Raises ValueError without jobs."""
    root = jobs[0]
    status = pipeline_status(jobs, owes_aggregation=owes_aggregation)
    if status is None:
        raise ValueError("a pipeline needs a job")
    errors = [job for job in jobs if is_error(job)]
    started, finished = _times(job.started_at for job in jobs), _times(job.finished_at for job in jobs)
    ended = status in TERMINAL_STATUSES
    return (
        root.pipeline_id,
        root.provider,
        root.job_type,
        status.value,
        root.entity_type,
        root.ingestion_method,
        root.module_type_id,
        root.data_entry_type_id,
        root.year,
        unit,
        *file,
        sum(job.job_type == JobType.EMISSION_RECALC for job in jobs),
        owes_aggregation,
        len(jobs),
        len(errors),
        any(job.result == JobResult.WARNING for job in jobs),
        _last_error(errors),
        created_by,
        aborted_at,
        root.created_at,
        min(started, default=None),
        max(finished, default=None) if ended else None,
        _updated_at(root, status, started, finished),
    )


def _times(times: Iterable[datetime | None]) -> list[datetime]:
    return [at for at in times if at is not None]


def _last_error(errors: Sequence[DraftJob]) -> str | None:
    """Of the first job that failed and does not claim success, else of the first."""
    honest = (job for job in errors if (job.status_message or "").strip().lower() != "success")
    first = next(honest, errors[0] if errors else None)
    return first and first.status_message


def _updated_at(root: DraftJob, status: PipelineStatus, started: list[datetime], finished: list[datetime]) -> datetime:
    if status == PipelineStatus.NOT_STARTED:
        return root.created_at
    return max([*finished, *started[:1], root.created_at]) + timedelta(milliseconds=2)
