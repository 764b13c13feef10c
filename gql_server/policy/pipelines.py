"""Capabilities of a viewer on a pipeline or a job, as pure functions of rows. The commands decide the same."""

from collections.abc import Collection, Mapping
from typing import Any

from gql_server.errors import RefusalReason
from gql_server.policy import FAILURES_ACKNOWLEDGE, OPERATIONS_EDIT, OPERATIONS_VIEW, UPLOAD, Viewer, permits
from gql_server.policy.capabilities import ALLOWED, Capability, Refusal, missing, refused
from gql_server.policy.retry import RetryFacts, refuse_retry

REFUSALS: Mapping[RefusalReason | None, Refusal] = {
    None: Refusal.MISSING_PERMISSION,
    RefusalReason.ALREADY_INGESTED: Refusal.WRONG_STATE,
    RefusalReason.ALREADY_RUNNING: Refusal.WRONG_STATE,
    RefusalReason.NOT_ENDED: Refusal.WRONG_STATE,
    RefusalReason.SUPERSEDED: Refusal.SUPERSEDED,
    RefusalReason.YEAR_NOT_PROVISIONED: Refusal.WRONG_STATE,
}
"""Codes under which a client reads why a retry is refused."""
CANNOT_RECOVER = {
    "ENDED": "It has ended.",
    "NOT_RUNNING": "It is not running.",
    "HELD": "Its worker is still at work on it.",
    "FOLLOW_UP_WAITS": "A follow-up of it already waits.",
}


def may_abort(viewer: Viewer, pipeline: Any) -> Capability:
    """Capability to stop it by `abortPipeline`."""
    if not viewer.may(OPERATIONS_EDIT):
        return missing(OPERATIONS_EDIT)
    if pipeline.is_orphan:
        return refused(Refusal.NOT_AVAILABLE, "A job without a pipeline cannot be stopped.")
    if pipeline.has_live_jobs:
        return ALLOWED
    ended, shared = "Nothing of it is left to stop.", "What is left of it is done by another pipeline: stop that."
    return refused(Refusal.WRONG_STATE, ended if pipeline.is_terminal else shared)


def may_retry(
    viewer: Viewer,
    facts: RetryFacts | None,
    job_types: Collection[str],
    api_sources: Collection[tuple[str, int]],
    *,
    replace_newer: bool = False,
) -> Capability:
    """Capability to start it again by `retryPipeline`, given the job types and the sources that this server knows."""
    refusal = refuse_retry(viewer, facts, job_types, api_sources, replace_newer=replace_newer)
    return ALLOWED if refusal is None else refused(REFUSALS.get(refusal.reason, Refusal.NOT_AVAILABLE), refusal.message)


def may_view_error(viewer: Viewer, *, failed: bool) -> Capability:
    """Capability to read the full text of errors."""
    if not viewer.may(OPERATIONS_VIEW):
        return missing(OPERATIONS_VIEW)
    return ALLOWED if failed else refused(Refusal.NOT_AVAILABLE, "Nothing has failed.")


def may_acknowledge(viewer: Viewer, pipeline: Any) -> Capability:
    """Capability to acknowledge its failures."""
    if not viewer.may(FAILURES_ACKNOWLEDGE):
        return missing(FAILURES_ACKNOWLEDGE)
    if pipeline.error_count or pipeline.has_warning:
        return ALLOWED
    return refused(Refusal.WRONG_STATE, "Nothing of it has failed, or left something out.")


def may_recover(viewer: Viewer, job: Any) -> Capability:
    """Capability to put it back in the queue by `recoverJob`."""
    if not viewer.may(OPERATIONS_EDIT):
        return missing(OPERATIONS_EDIT)
    obstacle = job.recover_obstacle
    return ALLOWED if obstacle is None else refused(Refusal.WRONG_STATE, CANNOT_RECOVER[obstacle])


def may_download(viewer: Viewer, job: Any) -> Capability:
    """Capability to download the file that it read: for those who could have uploaded it."""
    if not permits(viewer, UPLOAD, job):
        return missing(OPERATIONS_EDIT)
    return ALLOWED if job.has_source else refused(Refusal.NOT_AVAILABLE, "It has read no file, or that is not kept any more.")
