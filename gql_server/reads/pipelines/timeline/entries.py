"""The entries of a timeline, as a pure function of what the ledger keeps: stamps, histories and stages.

The stamps of a job tell its creation, first claim and end; the history tells what came between, as kinds that the runner wrote,
and progress where it wrote none. An entry of a history that has no readable time is left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from gql_server.db.models import HistoryKind
from gql_server.instants import recorded
from gql_server.reads.pagination import Page, Window

MESSAGE_LENGTH = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AFTER_ALL_JOBS = 2**31


class TimelineKind(StrEnum):
    """Sort of entry."""

    CREATED = "CREATED"
    CLAIMED = "CLAIMED"
    PROGRESS = "PROGRESS"
    PHASE_STARTED = "PHASE_STARTED"
    PHASE_FINISHED = "PHASE_FINISHED"
    RETRIED = "RETRIED"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"
    RECOVERED = "RECOVERED"
    STATUS_CHANGED = "STATUS_CHANGED"
    NOTE = "NOTE"


class Author(NamedTuple):
    """Who did it, under the names that an actor is read by."""

    kind: str | None = None
    name: str | None = None
    email: str | None = None


NOBODY = Author()
RUNNER = Author("RUNNER")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a job, or to the pipeline when there is no `job_id`."""

    at: datetime
    kind: TimelineKind
    message: str | None = None
    author: Author = NOBODY
    job_id: int | None = None
    position: str = ""

    @property
    def actor_kind(self) -> str | None:
        return self.author.kind

    @property
    def actor_name(self) -> str | None:
        return self.author.name

    @property
    def actor_email(self) -> str | None:
        return self.author.email


class PipelineFacts(Protocol):
    """What is told of a pipeline; times as stamped, `author` its creator."""

    @property
    def created_at(self) -> datetime: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def status(self) -> str: ...
    @property
    def actor_kind(self) -> str: ...
    @property
    def actor_name(self) -> str | None: ...
    @property
    def actor_email(self) -> str | None: ...


class JobFacts(Protocol):
    """What is told of a job; `history` and `phases` as JSON that anybody may have written."""

    @property
    def job_id(self) -> int: ...
    @property
    def is_chained(self) -> bool: ...
    @property
    def actor_kind(self) -> str: ...
    @property
    def actor_name(self) -> str | None: ...
    @property
    def actor_email(self) -> str | None: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def message(self) -> str | None: ...
    @property
    def is_aborted(self) -> bool: ...
    @property
    def aborted_by(self) -> str | None: ...
    @property
    def abort_reason(self) -> str | None: ...
    @property
    def history(self) -> Any: ...
    @property
    def phases_raw(self) -> Any: ...


def timeline(pipeline: PipelineFacts | None, jobs: Iterable[JobFacts]) -> list[Entry]:
    """Everything that happened to the jobs, and to their pipeline if it is given, oldest first."""
    told = [entry for job in jobs for entry in _positioned(job.job_id, _of_job(job))]
    if pipeline is not None:
        told += [*_positioned(0, _created(pipeline)), *_positioned(_AFTER_ALL_JOBS, _statuses(pipeline))]
    return sorted(told, key=lambda entry: entry.position)


def cut(entries: Sequence[Entry], window: Window) -> Page:
    """The page of a timeline."""
    inside = [
        entry
        for entry in entries
        if (window.after is None or entry.position > window.after) and (window.before is None or entry.position < window.before)
    ]
    return window.page(inside[::-1] if window.backward else inside, "position")


def _positioned(place: int, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Text whose order is that of time, then of jobs, then of what is told of one job."""
    for index, entry in enumerate(entries):
        microseconds = max(0, (entry.at - _EPOCH) // timedelta(microseconds=1))
        job_id = place if 0 < place < _AFTER_ALL_JOBS else None
        position = f"{microseconds:020d}.{place:010d}.{index:04d}"
        yield Entry(entry.at, entry.kind, entry.message, entry.author, job_id, position)


def _created(pipeline: PipelineFacts) -> Iterator[Entry]:
    yield Entry(pipeline.created_at, TimelineKind.CREATED, author=_creator(pipeline))


def _statuses(pipeline: PipelineFacts) -> Iterator[Entry]:
    if pipeline.started_at is not None:
        yield Entry(pipeline.started_at, TimelineKind.STATUS_CHANGED, "RUNNING")
    if pipeline.finished_at is not None:
        yield Entry(pipeline.finished_at, TimelineKind.STATUS_CHANGED, pipeline.status)


def _of_job(job: JobFacts) -> Iterator[Entry]:
    yield Entry(job.created_at, TimelineKind.CREATED, author=RUNNER if job.is_chained else _creator(job))
    if job.started_at is not None:
        yield Entry(job.started_at, TimelineKind.CLAIMED)
    yield from _history(job.history)
    yield from _phases(job.phases_raw)
    if job.finished_at is not None:
        yield _end(job, job.finished_at)


def _end(job: JobFacts, at: datetime) -> Entry:
    if not job.is_aborted:
        return Entry(at, TimelineKind.FINISHED, job.message)
    by = job.aborted_by
    return Entry(at, TimelineKind.ABORTED, job.abort_reason, Author("USER", by, by if by and "@" in by else None))


def _history(history: Any) -> Iterator[Entry]:
    """What came between. The end is told by its stamp, which stays when the history has forgotten it."""
    for raw in _objects(history):
        at, kind = recorded(raw.get("ts")), _kind(raw.get("kind"))
        if at is not None and kind not in (TimelineKind.FINISHED, TimelineKind.ABORTED):
            yield Entry(at, kind, _text(raw.get("message")))


def _kind(written: Any) -> TimelineKind:
    if written is None:
        return TimelineKind.PROGRESS
    return TimelineKind(written) if written in list(HistoryKind) else TimelineKind.NOTE


def _phases(phases: Any) -> Iterator[Entry]:
    for raw in _objects(phases):
        name, failed = _text(raw.get("name")), raw.get("state") == "failed"
        if (started := recorded(raw.get("started_at"))) is not None:
            yield Entry(started, TimelineKind.PHASE_STARTED, name)
        if (finished := recorded(raw.get("finished_at"))) is not None:
            yield Entry(finished, TimelineKind.PHASE_FINISHED, f"{name} failed" if failed else name)


def _creator(row: PipelineFacts | JobFacts) -> Author:
    return NOBODY if row.actor_kind == "UNKNOWN" else Author(row.actor_kind, row.actor_name, row.actor_email)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _text(value: Any) -> str | None:
    return value[:MESSAGE_LENGTH] if isinstance(value, str) else None
