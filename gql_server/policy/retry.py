"""The rule by which the work of a pipeline is started again, for the command and for what `viewerCan` says of it alike."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from gql_server.carbon.catalog import MODULES
from gql_server.carbon.formats import entry_format, factor_format
from gql_server.carbon.reference import takes_reference
from gql_server.db.models import FILE_JOBS, RECALCULATIONS, JobType, TargetType
from gql_server.errors import RefusalReason
from gql_server.policy.guards import UPLOAD, permits
from gql_server.policy.permissions import OPERATIONS_EDIT, Viewer

OF_A_YEAR = (*FILE_JOBS, JobType.API_INGEST, *RECALCULATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFacts:
    """Facts that decide whether the work of a pipeline can be started again: of its root job, its file, its year and its
    successors.

    `has_landed`: its rows are in. `resumes`: so that only its failed steps are to run. `read_by`, `done_by`, `superseded_by`
    and `brought_by` are the keys of pipelines that read its file, do the same work, brought newer data in place of its own (of
    all of it, if `is_superseded_wholly`), or another upload of the same bytes that adds up with it.
    """

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
    has_landed: bool
    resumes: bool
    read_by: UUID | None
    done_by: UUID | None
    superseded_by: UUID | None
    is_superseded_wholly: bool
    brought_by: UUID | None
    year_is_visible: bool
    year_is_provisioned: bool


@dataclass(frozen=True, slots=True)
class RetryRefusal:
    """Refusal to retry a pipeline: a sentence, a reason unless a permission is missing, and the pipeline in the way."""

    message: str
    reason: RefusalReason | None
    pipeline: UUID | None = None


NO_JOB = RetryRefusal("It has no job that could be started again.", RefusalReason.NOT_REPEATABLE)


def refuse_retry(
    viewer: Viewer,
    facts: RetryFacts | None,
    job_types: Collection[str],
    api_sources: Collection[tuple[str, int]],
    *,
    replace_newer: bool = False,
) -> RetryRefusal | None:
    """Refusal to start it again for this viewer, given the job types and sources that this server knows; None when they may.
    Without a job there are no facts."""
    if facts is None:
        return NO_JOB
    return (
        _permission(viewer, facts)
        or _kind(facts, job_types)
        or _running(facts)
        or (None if resumes(facts) else _same_file(facts) or _input(facts, api_sources))
        or _year(facts)
        or _same_work(facts)
        or (None if replace_newer else _superseded(facts))
    )


def resumes(facts: RetryFacts) -> bool:
    """Only the steps that failed run again: the data landed, and nothing newer has replaced it."""
    return facts.resumes and facts.superseded_by is None


def _permission(viewer: Viewer, facts: RetryFacts) -> RetryRefusal | None:
    own_data = facts.job_type in FILE_JOBS and facts.target_type == TargetType.DATA_ENTRIES
    allowed = permits(viewer, UPLOAD, facts) if own_data else viewer.may(OPERATIONS_EDIT)
    return None if allowed else RetryRefusal(f"You need the permission `{OPERATIONS_EDIT}`.", None)


def _kind(facts: RetryFacts, job_types: Collection[str]) -> RetryRefusal | None:
    message = None
    if facts.job_type not in job_types or facts.job_type == JobType.AGGREGATION:
        message = "Work of this kind cannot be started by hand."
    elif facts.year is None and facts.job_type in (*OF_A_YEAR, JobType.UNIT_SYNC):
        message = "It does not say which year it is about."
    elif facts.job_type in OF_A_YEAR and facts.module_type_id not in MODULES:
        message = "It is about a module that this server does not know."
    return RetryRefusal(message, RefusalReason.NOT_REPEATABLE) if message else None


def _running(facts: RetryFacts) -> RetryRefusal | None:
    return None if facts.has_ended else RetryRefusal("It has not ended yet.", RefusalReason.NOT_ENDED, facts.key)


def _input(facts: RetryFacts, api_sources: Collection[tuple[str, int]]) -> RetryRefusal | None:
    of_file = facts.job_type in FILE_JOBS
    if of_file and not facts.has_file:
        return RetryRefusal(f"Its file is not kept any more: {_instead(facts)}.", RefusalReason.FILE_GONE, facts.key)
    if of_file and not _takes_files(facts):
        return RetryRefusal("Files like this are not taken any more.", RefusalReason.NOT_REPEATABLE, facts.key)
    if facts.job_type == JobType.API_INGEST and (facts.provider, facts.module_type_id) not in api_sources:
        return RetryRefusal("There is no API any more that has its entries.", RefusalReason.NOT_REPEATABLE, facts.key)
    return None


def _instead(facts: RetryFacts) -> str:
    """Instruction for whoever has the file that is gone: rows of a unit that are in would add up."""
    adds_up = facts.job_type == JobType.CSV_INGEST and facts.unit_institutional_id is not None
    return "its rows are in, upload those that it left out alone" if adds_up and facts.has_landed else "upload it again"


def _takes_files(facts: RetryFacts) -> bool:
    module_type_id = facts.module_type_id or 0
    match facts.target_type:
        case TargetType.DATA_ENTRIES:
            known_unit = facts.unit_institutional_id is None or facts.unit_is_known
            return known_unit and entry_format(module_type_id, facts.data_entry_type_id) is not None
        case TargetType.FACTORS:
            return factor_format(module_type_id) is not None
        case _:
            return facts.target_type == TargetType.REFERENCE_DATA and takes_reference(module_type_id)


def _year(facts: RetryFacts) -> RetryRefusal | None:
    if facts.job_type in OF_A_YEAR and not facts.year_is_provisioned:
        return RetryRefusal(f"The unit sync of {facts.year} has not succeeded yet.", RefusalReason.YEAR_NOT_PROVISIONED)
    if facts.job_type == JobType.UNIT_SYNC and not facts.year_is_visible:
        return RetryRefusal(f"There is no year {facts.year}.", RefusalReason.YEAR_NOT_CREATED)
    return None


def _same_work(facts: RetryFacts) -> RetryRefusal | None:
    of_file, of_api = facts.job_type in FILE_JOBS, facts.job_type == JobType.API_INGEST
    live = facts.read_by if of_file else None if of_api else facts.done_by
    return None if live is None else RetryRefusal("The same work waits or runs already.", RefusalReason.ALREADY_RUNNING, live)


def _same_file(facts: RetryFacts) -> RetryRefusal | None:
    if (other := facts.brought_by) is None:
        return None
    message = f"Pipeline {other} reads another upload of the same bytes: this would add its rows twice."
    return RetryRefusal(message, RefusalReason.ALREADY_INGESTED, other)


def _superseded(facts: RetryFacts) -> RetryRefusal | None:
    if (newer := facts.superseded_by) is None:
        return None
    message = f"Pipeline {newer} is newer and brings the same data: `replaceNewer: true` puts this in place of it."
    return RetryRefusal(message, RefusalReason.SUPERSEDED, newer)
