"""The reason of a job that failed or left rows out: one for each failure class, with what to do about it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from gql_server.db.models import FILE_JOBS, JobResult
from gql_server.ledger.failures.classify import classify
from gql_server.ledger.failures.ending import Ending
from gql_server.ledger.failures.rules import FailureClass
from gql_server.reads.diagnosis.advice import Advice, cut
from gql_server.reads.diagnosis.facts import DiagnosedJob, RetryPreview
from gql_server.reads.diagnosis.lacks import lacks_factor_now, lacks_rate_now, missing_factor, missing_rate, waits_for_factors
from gql_server.reads.diagnosis.reasons import Action, Code, Reason, Severity
from gql_server.reads.diagnosis.refusals import refused
from gql_server.reads.diagnosis.rejections import (
    NAMED_OTHER_TYPE,
    NAMED_WRONG,
    REJECTED,
    all_rows,
    left_out,
    of_other_type,
    too_many_rows,
    without_factor,
)
from gql_server.reads.diagnosis.retry_advice import READS, advised, cautioned, outdated

MORE_OF_THE_UNIT = (
    "See its row errors. Another file of the unit has landed since, and files of a unit add up: upload the corrected rows only "
    "if they were not in that one."
)


def of_failure(job: DiagnosedJob, again: RetryPreview) -> Iterator[Reason]:
    """The reason of a finished job, if it failed or left something out: one for each thing that its entries lack now."""
    for advice in _lacking(job) or filter(None, [_advice(job)]):
        reason = Reason(
            code=advice.code,
            severity=advice.severity,
            message=advice.message,
            remedy=advice.remedy or None,
            action=advice.action,
            since=job.finished_at,
            job_id=job.id,
            worker_id=job.worker_id if advice.code == Code.RETRIES_EXHAUSTED else None,
        )
        yield outdated(reason, job, again) or _standing(reason, advice, job, again)


def _standing(reason: Reason, advice: Advice, job: DiagnosedJob, again: RetryPreview) -> Reason:
    """The reason while its cause stands: what landed needs advice on a retry only if that is what remedies it."""
    if job.result == JobResult.ERROR or advice.retries or job.claims_success:
        return advised(reason, again, retries=advice.retries)
    if again.other_file_by is not None and job.job_type in FILE_JOBS:
        return replace(reason, remedy=MORE_OF_THE_UNIT, blocked_by=again.other_file_by)
    return cautioned(reason, again) if job.job_type in READS else reason


def _advice(job: DiagnosedJob) -> Advice | None:
    if job.claims_success:
        return _claims_success()
    if job.result not in (JobResult.ERROR, JobResult.WARNING):
        return None
    if job.result == JobResult.ERROR and job.is_aborted:
        return _aborted(job)
    if job.given_up:
        return _given_up(job)
    advice = WARNINGS if job.result == JobResult.WARNING else ADVICE
    known = _class(job)
    if job.lack_factors and known in REJECTED and not NAMED_WRONG.search(job.message or ""):
        return without_factor(job, known)
    if known in REJECTED and (other := NAMED_OTHER_TYPE.search(job.message or "")):
        return of_other_type(job, known, other["others"])
    tell = advice.get(known, _other if job.result == JobResult.ERROR else None)
    return tell(job) if tell else None


def _lacking(job: DiagnosedJob) -> list[Advice]:
    """Advice on what its entries lack now, where that is not what they lacked when it ended."""
    known = _class(job)
    if job.result != JobResult.WARNING or job.claims_success or known not in LACKS:
        return []
    now = [lack for lack, stands in zip(LACKS, (job.lacks_factor, job.lacks_rate), strict=True) if stands]
    return [] if now in ([], [known]) else [(WARNINGS if lack == known else LACKS)[lack](job) for lack in now]


def _class(job: DiagnosedJob) -> FailureClass:
    """The class as stored, else as it will be."""
    if job.failure_class in list(FailureClass):
        return FailureClass(str(job.failure_class))
    meta = {"error": job.message} if job.has_exception else {}
    failure = classify(Ending(job.job_type, job.result, job.message, meta))
    return failure.failure_class if failure else FailureClass.UNCLASSIFIED


def _claims_success() -> Advice:
    message = "It reported success although every row was rejected."
    remedy = "Correct the file by its row errors and upload it again."
    return Advice(Code.SUCCESS_WITH_ALL_ROWS_FAILED, message, remedy, Action.SEE_ROW_ERRORS)


def _aborted(job: DiagnosedJob) -> Advice:
    remedy = "Nothing is to be done, unless it is wanted after all."
    return Advice(Code.ABORTED, "An operator stopped it.", remedy, retries=True, severity=Severity.WARNING)


def _given_up(job: DiagnosedJob) -> Advice:
    message = f"Its worker fell silent in attempt {job.attempts} of {job.max_attempts}, so it was given up."
    return Advice(Code.RETRIES_EXHAUSTED, message, "Find out what stopped the workers.", retries=True)


def _deadlock(job: DiagnosedJob) -> Advice:
    message = "It and other work on the same data waited for each other, so the database ended it."
    return Advice(Code.DEADLOCK, message, "Nothing is wrong with the data.", retries=True)


def _timeout(job: DiagnosedJob) -> Advice:
    message = "The database took longer than allowed, or other work held the same data for too long."
    return Advice(Code.TIMEOUT, message, "See whether other work still holds the data.", retries=True)


def _poisoned(job: DiagnosedJob) -> Advice:
    message = "It went on after an error of the database, which then refused all that followed."
    remedy = "Nothing of it was stored. If it fails like this again, report it with the full text of its error."
    return Advice(Code.TRANSACTION_POISONED, message, remedy, retries=True)


def _constraint(job: DiagnosedJob) -> Advice:
    message = f"The database refused a row that contradicts others: {cut(job.message)}"
    remedy = "See in the full text of the error which row that is, and correct it where it comes from."
    return Advice(Code.CONSTRAINT, message, remedy, Action.SEE_ERROR_DETAIL)


def _upstream(job: DiagnosedJob) -> Advice:
    message = f"A system that the data comes from did not answer as it should: {cut(job.message)}"
    return Advice(Code.UPSTREAM_API, message, "See whether that system works.", retries=True)


def _other(job: DiagnosedJob) -> Advice:
    if job.has_exception:
        message = f"It broke off with an error that nobody expected: {cut(job.message)}"
        remedy = "Report it with the full text of its error."
        return Advice(Code.UNEXPECTED_ERROR, message, remedy, Action.SEE_ERROR_DETAIL)
    remedy = "See the full text of its error, and remove the cause."
    return Advice(Code.OTHER, f"It failed: {cut(job.message)}", remedy, Action.SEE_ERROR_DETAIL, retries=True)


ADVICE: Mapping[FailureClass, Callable[[DiagnosedJob], Advice]] = {
    FailureClass.DEADLOCK: _deadlock,
    FailureClass.TRANSACTION_POISONED: _poisoned,
    FailureClass.TIMEOUT: _timeout,
    FailureClass.CONSTRAINT: _constraint,
    FailureClass.ALL_ROWS_REJECTED: all_rows,
    FailureClass.TOO_MANY_ROWS_REJECTED: too_many_rows,
    FailureClass.SOME_ROWS_REJECTED: left_out,
    FailureClass.MISSING_FACTOR: missing_factor,
    FailureClass.MISSING_EXCHANGE_RATE: missing_rate,
    FailureClass.UPSTREAM_API: _upstream,
    FailureClass.VALIDATION: refused,
    FailureClass.WORKER_LOST: _given_up,
    FailureClass.ABORTED: _aborted,
    FailureClass.UNCLASSIFIED: _other,
}

WARNINGS: Mapping[FailureClass, Callable[[DiagnosedJob], Advice]] = {
    FailureClass.SOME_ROWS_REJECTED: left_out,
    FailureClass.MISSING_FACTOR: waits_for_factors,
    FailureClass.MISSING_EXCHANGE_RATE: missing_rate,
}

LACKS: Mapping[FailureClass, Callable[[DiagnosedJob], Advice]] = {
    FailureClass.MISSING_FACTOR: lacks_factor_now,
    FailureClass.MISSING_EXCHANGE_RATE: lacks_rate_now,
}
