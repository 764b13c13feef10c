"""Declares for every argument and input field whether an answer depends through it on who asks, beyond what they may see.

Viewers of equal permissions share the execution of a live operation unless it names something that depends on the subject.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gql_server.policy.table import POLICY

PAGING = frozenset({"first", "after", "last", "before"})
"""Arguments of every connection: none depends on the subject."""


@dataclass(frozen=True, slots=True)
class InputRule:
    """Arguments of a field, fields of an input type, or members of an enum: alike for everyone, or by the subject."""

    alike: frozenset[str]
    by_subject: frozenset[str]


def inputs(alike: str = "", *, by_subject: str = "") -> InputRule:
    """Names, separated by blanks."""
    return InputRule(frozenset(alike.split()), frozenset(by_subject.split()))


COMMAND = "idempotencyKey"

INPUTS: Mapping[str, InputRule] = MappingProxyType(
    {
        # arguments of fields
        "FailureGroup.affectedJobs": inputs("limit"),
        "FailureGroup.affectedPipelines": inputs("limit"),
        "FailureGroup.unresolvedPipelines": inputs("limit"),
        "FailureGroup.histogram": inputs("buckets since"),
        "FailureGroupConnection.totalCount": inputs("limit"),
        "Job.rowErrors": inputs("contains"),
        "JobConnection.totalCount": inputs("limit"),
        "Meta.entries": inputs("keys"),
        "Pipeline.comparison": inputs("with"),
        "Pipeline.jobs": inputs("filter orderBy"),
        "PipelineConnection.facets": inputs("keys limit"),
        "PipelineConnection.totalCount": inputs("limit"),
        "Query.abortProgress": inputs("bulkId"),
        "Query.changes": inputs("filter"),
        "Query.cost": inputs("dryRun"),
        "Query.failureGroups": inputs("filter orderBy"),
        "Query.freshness": inputs("year"),
        "Query.job": inputs("by"),
        "Query.jobs": inputs("filter orderBy"),
        "Query.node": inputs("id"),
        "Query.nodes": inputs("ids"),
        "Query.pipeline": inputs("by"),
        "Query.pipelines": inputs("filter orderBy around"),
        "Query.workers": inputs("liveOnly"),
        "Query.yearConfiguration": inputs("by"),
        "RowErrorConnection.groups": inputs("limit"),
        "RowErrorConnection.totalCount": inputs("limit"),
        "Subscription.abortProgress": inputs("bulkId throttleMs"),
        "Subscription.facets": inputs("keys filter throttleMs"),
        "Subscription.health": inputs("throttleMs"),
        "Subscription.jobProgress": inputs("by throttleMs"),
        "Subscription.pipeline": inputs("by throttleMs"),
        "Subscription.pipelines": inputs("filter snapshot throttleMs"),
        "SystemHealth.staleScopes": inputs("olderThanMinutes"),
        "Viewer.fieldAccess": inputs("coordinates"),
        "YearConfiguration.config": inputs("paths"),
        **{f"Mutation.{name}": inputs("input") for name in sorted(POLICY["Mutation"].open | POLICY["Mutation"].guarded.keys())},
        # fields of input types
        "AbortPipelineInput": inputs(f"id reason expectedUpdatedAt {COMMAND}"),
        "AbortPipelinesInput": inputs(f"filter reason dryRun previewToken max {COMMAND}"),
        "AcknowledgeFailureInput": inputs(f"id until note {COMMAND}"),
        "ApiSourceInput": inputs("filters"),
        "CloseYearInput": inputs(f"year {COMMAND}"),
        "DeleteViewInput": inputs(f"id {COMMAND}"),
        "CreateYearConfigurationInput": inputs(f"year config isStarted {COMMAND}"),
        "FailureGroupFilter": inputs("class seenAt years modules moduleTypeIds acknowledged isNew"),
        "FailureGroupOrder": inputs("field direction"),
        "FloatRange": inputs("min max"),
        "IngestionSourceInput": inputs("uploadId previousJob api"),
        "JobBy": inputs("id jobId"),
        "JobFilter": inputs("kind state result isStuck isCurrent workerId attemptAtLeast startedAt"),
        "JobOrder": inputs("field direction"),
        "KindMatch": inputs("in notIn"),
        "OpenYearInput": inputs(f"year {COMMAND}"),
        "PipelineBy": inputs("id pipelineId jobId"),
        "PipelineFilter": inputs(
            "ids status tone kind modules moduleTypeIds dataEntryTypes dataEntryTypeIds years level unitInstitutionalId "
            "createdAt startedAt finishedAt durationSeconds hasErrors isOrphan isActive isAborted isStuck unresolved "
            "failureClass failureGroup workerId search",
            by_subject="triggeredBy triggeredByMe",
        ),
        "PipelineOrder": inputs("field direction"),
        "RecalculateInput": inputs(f"year module moduleTypeId dataEntryType dataEntryTypeId onlyStale {COMMAND}"),
        "RecoverJobInput": inputs(f"id {COMMAND}"),
        "RetryPipelineInput": inputs(f"id replaceNewer {COMMAND}"),
        "RetryPipelinesInput": inputs(f"ids replaceNewer {COMMAND}"),
        "SaveViewInput": inputs(f"id name description document variables isShared {COMMAND}"),
        "StartIngestionInput": inputs(
            "source year module moduleTypeId target dataEntryType dataEntryTypeId unitInstitutionalId addAgain "
            f"maxRejectedShare sheet decimalMark {COMMAND}"
        ),
        "StatusMatch": inputs("in notIn"),
        "SyncUnitsInput": inputs(f"year {COMMAND}"),
        "TimeRange": inputs("from to"),
        "UpdateYearConfigurationInput": inputs(f"year config isStarted expectedUpdatedAt {COMMAND}"),
        "UploadFactorsInput": inputs(
            f"uploadId year module moduleTypeId dataEntryType dataEntryTypeId maxRejectedShare sheet decimalMark {COMMAND}"
        ),
        "YearBy": inputs("year provider"),
        # members of enums, where one depends on the subject
        "PipelineFacetKey": inputs("STATUS KIND MODULE YEAR SCOPE FAILURE_CLASS TONE ALERT", by_subject="TRIGGERED_BY"),
    }
)


def _by_subject() -> Iterator[str]:
    for name, of_type in POLICY.items():
        yield from (f"{name}.{field}" for field in of_type.by_subject)
    for owner, of_owner in INPUTS.items():
        yield from (f"{owner}({name}:)" if "." in owner else f"{owner}.{name}" for name in of_owner.by_subject)


BY_SUBJECT: frozenset[str] = frozenset(_by_subject())
"""Coordinates of what depends on the subject: fields, arguments, input fields and enum members."""
WORDS_BY_SUBJECT = frozenset(name for owner, of in INPUTS.items() if "." not in owner for name in of.by_subject)
"""Names of the input fields and enum members among them, as they stand in the value of a variable."""
