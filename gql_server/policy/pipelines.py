"""What a viewer may do with a pipeline or a job, and why not, as pure functions of rows. The commands decide the same."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gql_server.carbon.catalog import MODULES
from gql_server.carbon.formats import entry_format, factor_format
from gql_server.db.models import FILE_JOBS, RECALCULATIONS, JobType, TargetType
from gql_server.policy import OPERATIONS_EDIT, OPERATIONS_VIEW, Viewer, permits
from gql_server.policy.capabilities import ALLOWED, Capability, Refusal, missing, refused
from gql_server.policy.years import UPLOAD

OF_A_YEAR = (*FILE_JOBS, JobType.API_INGEST, *RECALCULATIONS)
CANNOT_RECOVER = {
    "NOT_RUNNING": "It is not running.",
    "HELD": "Its worker is still at work on it.",
    "FOLLOW_UP_WAITS": "A follow-up of it already waits.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFacts:
    """What decides whether the work of a pipeline can be started again: of its root job, its file and its year."""

    key: UUID
    job_type: str | None
    target_type: str | None
    provider: str
    module_type_id: int | None
    data_entry_type_id: int | None
    unit_institutional_id: str | None
    unit_is_known: bool
    year: int | None
    has_ended: bool
    has_file: bool
    is_being_read: bool
    is_being_done: bool
    year_is_visible: bool
    year_is_provisioned: bool


def may_abort(viewer: Viewer, pipeline: Any) -> Capability:
    """Whether `abortPipeline` would stop it."""
    if not viewer.may(OPERATIONS_EDIT):
        return missing(OPERATIONS_EDIT)
    if pipeline.is_orphan:
        return refused(Refusal.NOT_AVAILABLE, "A job without a pipeline cannot be stopped.")
    if pipeline.has_live_jobs:
        return ALLOWED
    ended, shared = "Nothing of it is left to stop.", "What is left of it is done by another pipeline: stop that."
    return refused(Refusal.WRONG_STATE, ended if pipeline.is_terminal else shared)


def may_retry(
    viewer: Viewer, facts: RetryFacts, job_types: Collection[str], api_sources: Collection[tuple[str, int]]
) -> Capability:
    """Whether `retryPipeline` would start it again, given the job types and the sources that this server knows."""
    if not _may_start(viewer, facts):
        return missing(OPERATIONS_EDIT)
    if facts.job_type not in job_types or facts.job_type == JobType.AGGREGATION:
        return refused(Refusal.NOT_AVAILABLE, "Work of this kind cannot be started by hand.")
    if facts.year is None and facts.job_type in (*OF_A_YEAR, JobType.UNIT_SYNC):
        return refused(Refusal.NOT_AVAILABLE, "It does not say which year it is about.")
    if facts.job_type in OF_A_YEAR and facts.module_type_id not in MODULES:
        return refused(Refusal.NOT_AVAILABLE, "It is about a module that this server does not know.")
    if not facts.has_ended:
        return refused(Refusal.WRONG_STATE, "It has not ended yet.")
    return _may_start_now(facts, api_sources)


def may_view_error(viewer: Viewer, *, failed: bool) -> Capability:
    """Whether the full text of errors can be read."""
    if not viewer.may(OPERATIONS_VIEW):
        return missing(OPERATIONS_VIEW)
    return ALLOWED if failed else refused(Refusal.NOT_AVAILABLE, "Nothing has failed.")


def may_acknowledge(viewer: Viewer, pipeline: Any) -> Capability:
    """Whether its failures can be acknowledged."""
    if not viewer.may(OPERATIONS_VIEW):
        return missing(OPERATIONS_VIEW)
    return ALLOWED if pipeline.error_count else refused(Refusal.WRONG_STATE, "Nothing has failed.")


def may_recover(viewer: Viewer, job: Any) -> Capability:
    """Whether `recoverJob` would put it back in the queue."""
    if not viewer.may(OPERATIONS_EDIT):
        return missing(OPERATIONS_EDIT)
    obstacle = job.recover_obstacle
    return ALLOWED if obstacle is None else refused(Refusal.WRONG_STATE, CANNOT_RECOVER[obstacle])


def may_download(viewer: Viewer, job: Any) -> Capability:
    """Whether the file that it read can be had: by those who could have uploaded it."""
    if not permits(viewer, UPLOAD, job):
        return missing(OPERATIONS_EDIT)
    return ALLOWED if job.has_source else refused(Refusal.NOT_AVAILABLE, "It has read no file, or that is not kept any more.")


def _may_start(viewer: Viewer, facts: RetryFacts) -> bool:
    own_data = facts.job_type in FILE_JOBS and facts.target_type == TargetType.DATA_ENTRIES
    return permits(viewer, UPLOAD, facts) if own_data else viewer.may(OPERATIONS_EDIT)


def _may_start_now(facts: RetryFacts, api_sources: Collection[tuple[str, int]]) -> Capability:
    of_file = facts.job_type in FILE_JOBS
    if of_file and not facts.has_file:
        return refused(Refusal.NOT_AVAILABLE, "Its file is not kept any more: upload it again.")
    if of_file and not _takes_files(facts):
        return refused(Refusal.NOT_AVAILABLE, "Files like this are not taken any more.")
    if facts.job_type == JobType.API_INGEST and (facts.provider, facts.module_type_id) not in api_sources:
        return refused(Refusal.NOT_AVAILABLE, "There is no API any more that has its entries.")
    if facts.job_type in OF_A_YEAR and not facts.year_is_provisioned:
        return refused(Refusal.WRONG_STATE, f"The unit sync of {facts.year} has not succeeded yet.")
    if facts.job_type == JobType.UNIT_SYNC and not facts.year_is_visible:
        return refused(Refusal.NOT_AVAILABLE, f"There is no year {facts.year}.")
    if facts.is_being_read if of_file else facts.is_being_done and facts.job_type != JobType.API_INGEST:
        return refused(Refusal.WRONG_STATE, "The same work waits or runs already.")
    return ALLOWED


def _takes_files(facts: RetryFacts) -> bool:
    module_type_id = facts.module_type_id or 0
    match facts.target_type:
        case TargetType.DATA_ENTRIES:
            known_unit = facts.unit_institutional_id is None or facts.unit_is_known
            return known_unit and entry_format(module_type_id, facts.data_entry_type_id) is not None
        case TargetType.FACTORS:
            return factor_format(module_type_id) is not None
        case _:
            return facts.target_type == TargetType.REFERENCE_DATA
