"""The rules that say why a job or a pipeline is in its state, as pure functions of facts. Nothing unusual gives no reason."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.ledger.progress import is_live, status_of_counts
from gql_server.reads.diagnosis.facts import DiagnosedJob, DiagnosedPipeline, Fleet, RetryPreview
from gql_server.reads.diagnosis.failures import of_failure
from gql_server.reads.diagnosis.reasons import Action, Code, Reason, Severity, worst_first

PATIENCE = timedelta(minutes=1)
"""Time for which work may wait before somebody should look."""
LOCK_PATIENCE = timedelta(minutes=10)
NOTHING_KNOWN = RetryPreview()
REASONS_MAX = 20
"""Reasons that are given for a pipeline; more of them tell nobody more."""
PENDING = (JobState.NOT_STARTED, JobState.QUEUED)


def of_job(job: DiagnosedJob, fleet: Fleet, again: RetryPreview = NOTHING_KNOWN) -> list[Reason]:
    """Reasons for the state of a job, worst first; `again` previews starting its pipeline again."""
    return worst_first([*_job(job, fleet, again), *_orphan(job), *(_mixed(fleet) if is_live(job) else ())])


def of_pipeline(pipeline: DiagnosedPipeline, fleet: Fleet) -> list[Reason]:
    """Reasons for the state of a pipeline, worst first: what holds for one of its jobs, and what holds for the whole."""
    jobs = pipeline.jobs
    reasons = [reason for job in jobs for reason in _job(job, fleet, pipeline.again)]
    whole = [*_status(pipeline), *_aggregation(pipeline), *_taken_over(pipeline)]
    orphans = [reason for job in jobs for reason in _orphan(job)]
    return worst_first([*reasons, *whole, *orphans, *(_mixed(fleet) if pipeline.tally.live else ())])[:REASONS_MAX]


def _job(job: DiagnosedJob, fleet: Fleet, again: RetryPreview) -> Iterator[Reason]:
    if job.state in PENDING:
        yield _pending(job, fleet)
    elif job.state == JobState.RUNNING:
        yield from _running(job)
    elif job.state == JobState.FINISHED:
        yield from of_failure(job, again)
    yield from _year(job)


def _pending(job: DiagnosedJob, fleet: Fleet) -> Reason:
    due = max(job.created_at, job.run_after or job.created_at)
    waited = job.now - due
    because = partial(Reason, since=job.created_at, job_id=job.id)
    if job.attempts >= job.max_attempts:
        exhausted = f"It has used all {job.max_attempts} attempts and will not be tried again."
        remedy = "Abort the pipeline, then retry it."
        return because(Code.RETRIES_EXHAUSTED, Severity.DANGER, exhausted, remedy, Action.ABORT_PIPELINE)
    if job.job_type is None:
        return because(Code.OTHER, Severity.WARNING, "It does not say what kind of work it is, so no worker takes it.")
    if due > job.now:
        return because(Code.SCHEDULED_LATER, Severity.NEUTRAL, f"It will not start before {_time(due)}.")
    if job.blocked_by == job.pipeline_key:
        same = "It waits for another job of this pipeline that works on the same data."
        return because(Code.WAITING_FOR_SIBLINGS, Severity.NEUTRAL, same)
    if job.blocked_by is not None:
        return because(
            Code.WAITING_FOR_LOCK,
            Severity.WARNING if waited > LOCK_PATIENCE else Severity.NEUTRAL,
            "It waits for other work on the same data to end.",
            "It starts by itself; look at what blocks it if that takes too long.",
            blocked_by=job.blocked_by,
        )
    if fleet.live_workers == 0:
        message = "No worker is running, so nothing starts."
        return because(Code.NO_LIVE_WORKER, Severity.DANGER, message, "Start a worker.", Action.START_WORKER)
    if waited > PATIENCE:
        remedy = "See what the workers are busy with, or start more of them."
        return because(Code.WAITING_FOR_WORKER, Severity.WARNING, "It has waited long for a free worker.", remedy)
    return because(Code.WAITING_FOR_WORKER, Severity.NEUTRAL, "It waits for a free worker.")


def _running(job: DiagnosedJob) -> Iterator[Reason]:
    remedy = "A live worker puts it back in the queue by itself; if none does, start one or recover the job."
    at_worker = {"since": job.locked_at, "job_id": job.id, "worker_id": job.worker_id}
    silent = partial(Reason, remedy=remedy, action=Action.RECOVER_JOB, **at_worker)
    if job.worker_is_lost:
        message = "The worker that runs it has fallen silent."
        yield silent(Code.HEARTBEAT_LOST, Severity.DANGER, message)
    elif job.lease_is_over:
        message = "Its worker has not said for too long that it still works on it."
        yield silent(Code.STALE_LOCK, Severity.DANGER, message)


def _year(job: DiagnosedJob) -> Iterator[Reason]:
    failed = job.state == JobState.FINISHED and job.result == JobResult.ERROR
    concerned = failed or (is_live(job) and job.job_type != JobType.UNIT_SYNC)
    if concerned and job.year is not None and not job.year_is_provisioned:
        message = f"The year {job.year} is not ready: its unit sync has not succeeded."
        if job.year_is_syncing:
            remedy = "Its unit sync is under way: wait until it has succeeded."
            yield Reason(Code.YEAR_NOT_PROVISIONED, Severity.WARNING, message, remedy, job_id=job.id)
            return
        remedy = "Run the unit sync of the year and wait until it has succeeded."
        yield Reason(Code.YEAR_NOT_PROVISIONED, Severity.WARNING, message, remedy, Action.SYNC_UNITS, job_id=job.id)


def _orphan(job: DiagnosedJob) -> Iterator[Reason]:
    if job.is_orphan:
        severity = Severity.WARNING if job.result == JobResult.ERROR else Severity.NEUTRAL
        message = "It was started without a pipeline, so nothing follows from it."
        yield Reason(Code.ORPHAN_NO_PIPELINE, severity, message, since=job.created_at, job_id=job.id)


def _status(pipeline: DiagnosedPipeline) -> Iterator[Reason]:
    wanted = status_of_counts(pipeline.tally, owes_aggregation=pipeline.owes_aggregation)
    if pipeline.status is not None and wanted != pipeline.status:
        message = f"It is shown as {pipeline.status}, but its jobs say {wanted}."
        remedy = "A worker corrects it within a minute or two; if it stays, check that one is live."
        yield Reason(Code.STATUS_OUT_OF_DATE, Severity.WARNING, message, remedy)


def _aggregation(pipeline: DiagnosedPipeline) -> Iterator[Reason]:
    if not pipeline.owes_aggregation:
        return
    left, all_of_them = pipeline.live_recalculations, pipeline.recalculations
    if left and left < all_of_them:
        message = f"The totals are computed once {left} of {all_of_them} recalculations have ended as well."
        yield Reason(Code.WAITING_FOR_SIBLINGS, Severity.NEUTRAL, message)
    elif not pipeline.tally.live:
        message = "Everything has been recalculated, but nothing has started to compute the totals."
        remedy = "A worker starts it within a minute or two; if not, check that one is live."
        yield Reason(Code.AGGREGATION_OWED, Severity.WARNING, message, remedy)


def _taken_over(pipeline: DiagnosedPipeline) -> Iterator[Reason]:
    if pipeline.taken_over_by is not None:
        message = "Another pipeline does work of this one, because it waited for the same."
        yield Reason(Code.DEDUPLICATED, Severity.NEUTRAL, message, blocked_by=pipeline.taken_over_by)


def _mixed(fleet: Fleet) -> Iterator[Reason]:
    if fleet.revisions is not None and fleet.revisions > 1:
        yield mixed_revisions(fleet.revisions)


def mixed_revisions(revisions: int) -> Reason:
    """Live workers run that many revisions."""
    message = f"Workers of {revisions} different revisions are running."
    return Reason(Code.MIXED_WORKER_REVISIONS, Severity.WARNING, message, "Finish the deployment, or stop the stray workers.")


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
