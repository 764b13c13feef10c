"""Advice in a remedy to start a pipeline again: only where that would not be refused, and nothing where nothing is left to
do."""

from dataclasses import replace

from gql_server.db.models import FILE_JOBS, JobResult, JobType
from gql_server.errors import RefusalReason
from gql_server.policy.retry import RetryRefusal
from gql_server.reads.diagnosis.facts import DiagnosedJob, RetryPreview
from gql_server.reads.diagnosis.reasons import Action, Reason, Severity

READS = (*FILE_JOBS, JobType.API_INGEST)
RESOLVED = "Nothing is left to do here: a later run of the same has succeeded, and says itself if it left something out."
ADDS_UP = "Another file of the unit has landed since, and files of a unit add up: leave out the rows that were in that one."
REREAD = "Nothing is left to do here: the same was read again by a later run, which says itself what it left out."
REDONE = "Nothing is left to do here: later work does, or did, the same for all that this is about, and says what still lacks."
SETTLED = "Nothing is left to do: all its entries have their emissions by now."
RATED = "The rates have come since, but the emissions were not computed with them: look at the pipeline that brought them."
SUPERSEDED = "A newer pipeline brings the same data: look at that one, and do nothing about this."
REPLACING = (
    "A newer pipeline brings the same data, so a plain retry is refused. Retry with `replaceNewer: true` only if this shall be "
    "put in place of it."
)
IN_PART = "A newer pipeline has brought a part of the same data since: this would take the place of that."
RETRYING_IN_PART = (
    "A newer pipeline has brought a part of the same data since, so a plain retry is refused: `replaceNewer: true` puts this "
    "in place of it."
)
SENTENCES = {
    RefusalReason.ALREADY_RUNNING: "The same work waits or runs already: wait until it has ended.",
    RefusalReason.NOT_ENDED: "Retry the pipeline when it has ended.",
    RefusalReason.FILE_GONE: "Upload its file again, which is not kept any more.",
    RefusalReason.YEAR_NOT_PROVISIONED: "Retry the pipeline when the unit sync of its year has succeeded.",
}


def outdated(reason: Reason, job: DiagnosedJob, again: RetryPreview) -> Reason | None:
    """The reason with what has become of its cause, if that is gone or others see to it; None while it stands."""
    neutral = replace(reason, severity=Severity.NEUTRAL, action=None)
    is_superseded = again.superseded_by is not None and again.is_superseded_wholly
    if job.result != JobResult.ERROR and is_superseded and job.job_type in READS:
        return replace(neutral, remedy=SUPERSEDED, blocked_by=again.superseded_by)
    if job.result != JobResult.ERROR and job.reread_by is not None:
        return replace(neutral, remedy=REREAD, blocked_by=job.reread_by)
    if job.is_settled:
        return replace(neutral, remedy=SETTLED)
    if job.redone_by is not None:
        return replace(neutral, remedy=REDONE, blocked_by=job.redone_by)
    if job.rates_by is not None:
        return replace(reason, remedy=RATED, action=None, blocked_by=job.rates_by)
    return None


def advised(failure: Reason, again: RetryPreview, *, retries: bool) -> Reason:
    """The failure with a remedy that can be followed. `retries` says that a retry is part of it."""
    if again.resolved_by is not None:
        return replace(failure, severity=Severity.NEUTRAL, remedy=RESOLVED, action=None, blocked_by=again.resolved_by)
    if again.superseded_by is not None:
        replaces = retries and again.refusal_replacing is None
        action = Action.REPLACE_NEWER if replaces else None
        if not again.is_superseded_wholly:
            remedy = _and(failure, RETRYING_IN_PART if replaces else IN_PART)
            return replace(failure, remedy=remedy, action=failure.action or action, blocked_by=again.superseded_by)
        return replace(failure, remedy=REPLACING if replaces else SUPERSEDED, action=action, blocked_by=again.superseded_by)
    told = _retried(failure, again.refusal) if retries else failure
    if again.other_file_by is None or told.blocked_by is not None:
        return told
    return replace(told, remedy=_and(told, ADDS_UP), blocked_by=again.other_file_by)


def cautioned(reason: Reason, again: RetryPreview) -> Reason:
    """The reason of what landed, with what its remedy would replace."""
    if again.superseded_by is None or reason.blocked_by is not None:
        return reason
    return replace(reason, remedy=_and(reason, IN_PART), blocked_by=again.superseded_by)


def _retried(failure: Reason, refusal: RetryRefusal | None) -> Reason:
    if refusal is None:
        sentence = "Then retry the pipeline." if failure.action else "Retry the pipeline."
        return replace(failure, remedy=_and(failure, sentence), action=failure.action or Action.RETRY_PIPELINE)
    sentence = SENTENCES.get(refusal.reason) if refusal.reason else None
    action = Action.UPLOAD_FILE if refusal.reason == RefusalReason.FILE_GONE else None
    blocked_by = refusal.pipeline if refusal.reason == RefusalReason.ALREADY_RUNNING else None
    remedy = _and(failure, sentence or f"You cannot retry the pipeline: {refusal.message}")
    return replace(failure, remedy=remedy, action=failure.action or action, blocked_by=blocked_by)


def _and(failure: Reason, sentence: str) -> str:
    return f"{failure.remedy} {sentence}" if failure.remedy else sentence
