"""Progress and status of a pipeline, as pure functions of its jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Protocol
from uuid import UUID

from gql_server.db.models import LIVE_STATES, TERMINAL_STATUSES, JobResult, JobState, JobType, PipelineStatus


class PhaseKey(StrEnum):
    """The three fixed phases, in order."""

    DATA = "DATA"
    EMISSIONS = "EMISSIONS"
    AGGREGATION = "AGGREGATION"


PHASES = tuple(PhaseKey)
BY_ID = attrgetter("id")


class ProgressJob(Protocol):
    """Fields of a job that progress reads; a ledger row has them."""

    @property
    def id(self) -> int: ...
    @property
    def job_type(self) -> str | None: ...
    @property
    def state(self) -> str | None: ...
    @property
    def result(self) -> str | None: ...


class ProgressPipeline(Protocol):
    """Fields of a pipeline's row that progress reads."""

    @property
    def kind(self) -> str | None: ...
    @property
    def status(self) -> str: ...
    @property
    def expected_recalc(self) -> int | None: ...


class RowCounts(Protocol):
    """Rows that a job has handled so far."""

    @property
    def rows_stage(self) -> str | None: ...
    @property
    def rows_processed(self) -> int: ...
    @property
    def rows_total(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a pipeline. `phase_index` counts from 1 to `phase_count`."""

    phase: PhaseKey
    done: bool
    has_error: bool
    status: str | None
    kind: str | None
    finished_jobs: int
    expected_jobs: int | None
    rows: RowCounts | None = None
    pipeline_key: UUID | None = None

    phase_count = len(PHASES)

    @property
    def phase_index(self) -> int:
        return PHASES.index(self.phase) + 1

    @property
    def fraction(self) -> float | None:
        """Finished of expected jobs, 1 when done; None while the fan-out is unknown."""
        if self.done:
            return 1.0
        return self.finished_jobs / self.expected_jobs if self.expected_jobs else None


def is_live(job: ProgressJob) -> bool:
    """Not finished, and so still able to change the pipeline."""
    return job.state in LIVE_STATES


def is_error(job: ProgressJob) -> bool:
    """Finished with ERROR: nothing of it landed."""
    return job.state == JobState.FINISHED and job.result == JobResult.ERROR


def progress(
    own: Sequence[ProgressJob], row: ProgressPipeline | None = None, *, shared: Sequence[ProgressJob] = ()
) -> Progress:
    """Progress of a pipeline from all of its jobs, in any order, and its stored row if it has one. `shared` are jobs of other
    pipelines that its work was merged into: they count like its own, but none of them is its root.

    The phase always comes from the jobs; a stored status decides `done` and `has_error`, because the jobs may be
    an older snapshot than the row. Without a row, done means: no live job left. One that is done expects no more jobs than it
    has.
    """
    root = min(own, key=BY_ID, default=None)
    jobs = (*own, *shared)
    kinds = [job.job_type for job in jobs]
    finished = [job.job_type for job in jobs if job.state == JobState.FINISHED]
    recalcs, aggregations = kinds.count(JobType.EMISSION_RECALC), kinds.count(JobType.AGGREGATION)
    expected = row.expected_recalc if row is not None and row.expected_recalc is not None else recalcs

    landed = root is not None and root.state == JobState.FINISHED
    recalculated = landed and finished.count(JobType.EMISSION_RECALC) >= expected
    aggregated = recalculated and finished.count(JobType.AGGREGATION) == aggregations
    failed = JobResult.ERROR in [job.result for job in jobs if job.state == JobState.FINISHED]
    done = row.status in TERMINAL_STATUSES if row else (aggregated or failed) and not any(is_live(job) for job in jobs)
    known = len(jobs) if done else _expected_jobs(len(jobs), recalcs, aggregations, expected) if landed else None
    return Progress(
        phase=PhaseKey.AGGREGATION if recalculated else PhaseKey.EMISSIONS if landed else PhaseKey.DATA,
        done=done,
        has_error=row.status in (PipelineStatus.PARTIAL, PipelineStatus.FAILED) if row else failed,
        status=row.status if row else None,
        kind=(row.kind if row else None) or (root.job_type if root else None),
        finished_jobs=len(finished),
        expected_jobs=known,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """Counts that the status of a pipeline follows from: jobs that work for it, of those the live, the untouched and the
    failed."""

    jobs: int
    live: int
    untouched: int
    errors: int
    root_failed: bool


def pipeline_status(
    own: Sequence[ProgressJob], *, owes_aggregation: bool, shared: Sequence[ProgressJob] = ()
) -> PipelineStatus | None:
    """The status to store: terminal only when no job is live and nothing is owed; PARTIAL or FAILED by the root's result.

    `shared` are jobs of other pipelines that its work was merged into. None when there are no jobs. The reconciling statement
    of the runner computes the same in SQL.
    """
    jobs = (*own, *shared)
    tally = JobCounts(
        jobs=len(jobs),
        live=sum(map(is_live, jobs)),
        untouched=sum(job.state in (JobState.NOT_STARTED, JobState.QUEUED) for job in jobs),
        errors=sum(map(is_error, jobs)),
        root_failed=bool(own) and is_error(min(own, key=lambda job: job.id)),
    )
    return status_of_counts(tally, owes_aggregation=owes_aggregation)


def status_of_counts(tally: JobCounts, *, owes_aggregation: bool) -> PipelineStatus | None:
    """The same of jobs that were counted."""
    if not tally.jobs:
        return None
    if tally.live or owes_aggregation:
        return PipelineStatus.NOT_STARTED if tally.untouched == tally.jobs else PipelineStatus.RUNNING
    if tally.root_failed:
        return PipelineStatus.FAILED
    return PipelineStatus.PARTIAL if tally.errors else PipelineStatus.SUCCESS


def _expected_jobs(jobs: int, recalcs: int, aggregations: int, expected_recalc: int) -> int:
    """Jobs that the pipeline will have in the end, once its fan-out is known."""
    recalc_total = max(recalcs, expected_recalc)
    return jobs - recalcs - aggregations + recalc_total + max(aggregations, 1 if recalc_total else 0)
