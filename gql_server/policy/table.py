"""The policy: for every object type of the graph, who may see its objects and each of their fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gql_server.policy.guards import DenialMode, Guard
from gql_server.policy.permissions import (
    CONFIGURATION_EDIT,
    CONFIGURATION_VIEW,
    FAILURES_ACKNOWLEDGE,
    OPERATIONS_EDIT,
    OPERATIONS_VIEW,
    USERS_VIEW,
    VIEWS_EDIT,
)


@dataclass(frozen=True, slots=True)
class TypeRule:
    """The fields of a type. The open ones are visible with their object, the guarded ones need a permission as well; of both,
    those `by_subject` depend on who asks, beyond what they may see.

    With `hidden_without`, an object whose expression does not hold is absent; without, it is visible wherever it is reached.
    """

    open: frozenset[str]
    guarded: Mapping[str, Guard]
    hidden_without: Guard | None = None
    by_subject: frozenset[str] = frozenset()


def rule(*fields: str, hidden_without: str | None = None, by_subject: str = "", **guarded: Guard | str) -> TypeRule:
    """Names of open fields, separated by blanks; guarded ones by name, with REDACT unless their guard says otherwise."""
    of_subject = frozenset(by_subject.split())
    return TypeRule(
        open=frozenset(name for line in fields for name in line.split()) | (of_subject - guarded.keys()),
        by_subject=of_subject,
        guarded=MappingProxyType({name: Guard(each) if isinstance(each, str) else each for name, each in guarded.items()}),
        hidden_without=Guard(hidden_without, DenialMode.HIDE) if hidden_without else None,
    )


CONNECTION = "edges nodes pageInfo"
EDGE = "cursor node"
FEED_EVENT = "token at"
PROBLEM = "code message retryable"
MAY_OPERATE = Guard(OPERATIONS_EDIT, DenialMode.PROBLEM)
MAY_INGEST = Guard(f"{OPERATIONS_EDIT} | modules.{{module}}:sync@{{unit}}", DenialMode.PROBLEM)
MAY_SAVE = Guard(VIEWS_EDIT, DenialMode.PROBLEM)
MAY_CONFIGURE = Guard(CONFIGURATION_EDIT, DenialMode.PROBLEM)
UNIT_SEEN = f"{OPERATIONS_VIEW} | modules.*:view@{{unit}}"
PIPELINE_SEEN = f"{OPERATIONS_VIEW} | modules.{{module}}:sync@{{unit}}"
# What is told of a module as a whole comes from the work of all units, so it is for those who see all of it.
WHOLE_MODULE_SEEN = f"{CONFIGURATION_VIEW} | {OPERATIONS_VIEW}"

POLICY: Mapping[str, TypeRule] = MappingProxyType(
    {
        "Query": rule(
            "changes abortProgress",
            "node nodes viewer",
            "pipelines pipeline",
            "job jobs",
            "cost api",
            "yearConfigurations yearConfiguration freshness",
            "failureGroups",
            workers=Guard(OPERATIONS_VIEW, DenialMode.ERROR),
            health=Guard(OPERATIONS_VIEW, DenialMode.ERROR),
            locks=Guard(OPERATIONS_EDIT, DenialMode.ERROR),
        ),
        "Subscription": rule(
            "pipeline pipelines facets jobProgress abortProgress", health=Guard(OPERATIONS_VIEW, DenialMode.ERROR)
        ),
        "Mutation": rule(
            saveView=MAY_SAVE,
            deleteView=MAY_SAVE,
            abortPipelines=MAY_OPERATE,
            acknowledgeFailure=Guard(FAILURES_ACKNOWLEDGE, DenialMode.PROBLEM),
            abortPipeline=MAY_OPERATE,
            retryPipeline=MAY_INGEST,
            retryPipelines=MAY_INGEST,
            recoverJob=MAY_OPERATE,
            startIngestion=MAY_INGEST,
            uploadFactors=MAY_OPERATE,
            recalculate=MAY_OPERATE,
            syncUnits=MAY_OPERATE,
            createYearConfiguration=MAY_CONFIGURE,
            updateYearConfiguration=MAY_CONFIGURE,
            openYear=MAY_CONFIGURE,
            closeYear=MAY_CONFIGURE,
        ),
        # what work is about
        "Actor": rule("kind", displayName=USERS_VIEW, email=USERS_VIEW),
        "DataEntryType": rule("id typeId key"),
        "ModuleType": rule("id typeId key"),
        "Unit": rule("id institutionalId", hidden_without=UNIT_SEEN),
        "WorkScope": rule(
            "level year provider module dataEntryType", unit=f"{OPERATIONS_VIEW} | modules.{{module}}:view@{{unit}}"
        ),
        # pipelines
        "Pipeline": rule(
            "id pipelineId isOrphan kind kindRaw scope triggeredBy meta feedToken",
            "status statusRaw statusSource tone isTerminal isAborted hasWarning",
            "createdAt startedAt finishedAt updatedAt queuedSeconds durationSeconds",
            "progress message lastError jobCount errorCount",
            "diagnosis viewerCan",
            "failures rootJob jobs",
            "previous next isResolved resolvedBy",
            "graph timeline impact comparison ticketMarkdown",
            hidden_without=PIPELINE_SEEN,
        ),
        "PipelineConnection": rule(CONNECTION, "totalCount facets feedToken"),
        "PipelineFacet": rule("key values"),
        "FacetValue": rule("value count filter"),
        "PipelineEdge": rule(EDGE),
        "JobEdgeLink": rule("from to provenance"),
        "TimelineConnection": rule(CONNECTION, "truncatedTo"),
        "TimelineEdge": rule(EDGE),
        "TimelineEntry": rule("at job actor kind message"),
        "CompletionEstimate": rule("finishAtP50 finishAtP90 sampleSize isSlowerThanP95"),
        "PipelineImpact": rule("affectedModuleCount affectedUnitCount rowsWritten"),
        "PipelineComparison": rule("baseline durationDeltaSeconds rowsDelta newFailures fixedFailures slowestJobs"),
        "JobDelta": rule("kind dataEntryType deltaSeconds"),
        "PipelineGraph": rule("nodes edges omittedJobs sharedJobs criticalPath mermaid"),
        "PipelineProgress": rule("phase phaseIndex phaseCount fraction finishedJobs expectedJobs rows estimate"),
        "RowProgress": rule("stage processed total rowsPerSecond"),
        # jobs
        "Job": rule(
            "id jobId pipeline kind kindRaw scope target method meta",
            "state result tone message isCurrent isAborted",
            "createdAt startedAt finishedAt durationSeconds rowProgress phases",
            "attempt maxAttempts retriesLeft nextAttemptAt",
            "isStuck diagnosis viewerCan failure rowErrorCount",
            "dependsOn dependents timeline supersedes supersededBy",
            hidden_without=PIPELINE_SEEN,
            worker=OPERATIONS_VIEW,
            lockedAt=OPERATIONS_VIEW,
            errorDetail=OPERATIONS_VIEW,
            rowErrors=OPERATIONS_VIEW,
        ),
        "RowError": rule("row column reason", value=OPERATIONS_EDIT),
        "RowErrorConnection": rule(CONNECTION, "totalCount groups"),
        "RowErrorEdge": rule(EDGE),
        "RowErrorGroup": rule("reason count sampleRow"),
        "BoundedCount": rule("value precision"),
        "JobConnection": rule(CONNECTION, "totalCount"),
        "JobEdge": rule(EDGE),
        "JobPhase": rule("name state startedAt finishedAt durationSeconds"),
        "Meta": rule("providerName filters targetYear entries omitted", raw=OPERATIONS_EDIT),
        "OmittedMeta": rule("key approximateBytes reason"),
        "MetaEntry": rule("key value"),
        # failures
        "FailureGroup": rule(
            "id fingerprint class kind kindRaw title rule",
            "firstSeenAt lastSeenAt affectedPipelines unresolvedPipelines affectedJobs histogram pipelines",
            "isNew acknowledgement",
            sample=OPERATIONS_VIEW,
        ),
        "FailureGroupConnection": rule(f"{CONNECTION} totalCount"),
        "FailureGroupEdge": rule(EDGE),
        "HistogramBucket": rule("from to count"),
        "Acknowledgement": rule("by at until reopenedAt", note=OPERATIONS_VIEW),
        # years
        "YearConfiguration": rule(
            "id year provider isStarted isProvisioned provisionedAt updatedAt",
            "activePipelines provisioningPipeline viewerCan",
            hidden_without=f"{CONFIGURATION_VIEW} | year.isStarted",
            config=CONFIGURATION_VIEW,
            modules=f"{CONFIGURATION_VIEW} | modules.*:sync@*",
            readiness=CONFIGURATION_VIEW,
        ),
        "YearReadiness": rule("ready blockers"),
        "YearBlocker": rule("code message isRequired module dataEntryType pipeline"),
        "YearCapabilities": rule("open upload"),
        "ModuleYearCapabilities": rule("recalculate"),
        "ModuleYear": rule(
            "module year totals lastAggregation dataEntryTypes currentPipeline lastSuccessful viewerCan",
            hidden_without=f"{WHOLE_MODULE_SEEN} | modules.{{module}}:sync@*",
            freshness=WHOLE_MODULE_SEEN,
            needsRecalculation=WHOLE_MODULE_SEEN,
            readiness=CONFIGURATION_VIEW,
        ),
        "ModuleTotals": rule(
            "kgCo2eq scope1KgCo2eq scope2KgCo2eq scope3KgCo2eq itKgCo2eq entryCount entriesWithoutEmission withoutEmission "
            "unitCount computedAt"
        ),
        "EntriesWithoutEmission": rule("reason entryCount"),
        "ModuleReadiness": rule("isEnabled isIncomplete currentCommonDataJob currentCommonFactorJob"),
        "DataEntryTypeYear": rule(
            "dataEntryType lastFactorJob lastRecalculationJob",
            needsRecalculation=WHOLE_MODULE_SEEN,
            readiness=CONFIGURATION_VIEW,
        ),
        "DataEntryTypeReadiness": rule(
            "isEnabled isIncomplete incompleteReasons",
            "currentDataJob currentApiDataJob currentFactorJob currentReferenceJob",
        ),
        # the fleet
        "Diagnosis": rule("code severity message remedy action since job blockedBy", worker=OPERATIONS_VIEW),
        "SystemHealth": rule("tone diagnosis liveWorkers revisions oldestQueuedSeconds feedLagSeconds stuckJobs staleScopes"),
        "AdvisoryLock": rule("category scope holder waiters heldForSeconds"),
        "Worker": rule(
            "id podId gitSha version bootedAt lastHeartbeatAt heartbeatAgeSeconds isLive claimedJobs",
            hidden_without=OPERATIONS_VIEW,
        ),
        # the viewer, and what is shared
        "FieldAccess": rule("coordinate permission"),
        "PipelineCapabilities": rule("abort retry retryReplacingNewer viewErrorDetails acknowledge"),
        "JobCapabilities": rule("recover viewErrorDetails downloadSource"),
        "Permission": rule("allowed code message"),
        "ApiInfo": rule("version schemaHash limits feedRetentionSeconds deprecations"),
        "ApiLimits": rule(
            "maxPageSize maxDepth maxFields maxRootFields maxAliases maxTokens maxCost budgetPerMinute",
            "maxSubscriptionsPerConnection requestTimeoutSeconds",
        ),
        "Deprecation": rule("coordinate reason removedAfter"),
        "QueryCost": rule("estimated limit", by_subject="budgetRemaining resetAt"),
        "Viewer": rule("permissions fieldAccess", by_subject="id displayName views"),
        "TriageView": rule("id name description documentId document variables isShared owner", by_subject="isMine"),
        "PageInfo": rule("hasNextPage hasPreviousPage startCursor endCursor"),
        # results of mutations
        "AcknowledgeFailurePayload": rule("failureGroup"),
        "AbortPipelinePayload": rule("pipeline abortedJobs"),
        "BulkPreview": rule("bulkId count sample previewToken expiresAt"),
        "BulkOutcome": rule("succeeded refused progress"),
        "BulkProgress": rule("bulkId count done succeeded refused startedAt finishedAt"),
        "BulkRefusal": rule("pipeline problem"),
        "SaveViewPayload": rule("view"),
        "DeleteViewPayload": rule("deletedId"),
        "RecoverJobPayload": rule("job"),
        "RetryPipelinePayload": rule("pipeline"),
        "RetryPipelinesPayload": rule("started refused outcomes"),
        "RetryOutcome": rule("pipelineNodeId result"),
        "StartIngestionPayload": rule("pipeline"),
        "UploadFactorsPayload": rule("pipeline"),
        "RecalculatePayload": rule("pipeline"),
        "SyncUnitsPayload": rule("pipeline"),
        "CreateYearConfigurationPayload": rule("yearConfiguration pipeline"),
        "UpdateYearConfigurationPayload": rule("yearConfiguration"),
        "OpenYearPayload": rule("yearConfiguration"),
        "CloseYearPayload": rule("yearConfiguration"),
        "NotFoundProblem": rule(PROBLEM),
        "ForbiddenProblem": rule(PROBLEM, "permission"),
        "ConflictProblem": rule(PROBLEM, "reason current currentYear currentJob"),
        "InputProblem": rule(PROBLEM, "coordinate path"),
        # the feed
        "PipelineChanged": rule(FEED_EVENT, "pipeline changed changedJobs"),
        "PipelineEntered": rule(FEED_EVENT, "pipeline position newerNodeId olderNodeId"),
        "PipelineLeft": rule(FEED_EVENT, "pipelineNodeId leaveReason"),
        "FeedSnapshot": rule(FEED_EVENT, "pipelines"),
        "JobProgressed": rule(FEED_EVENT, "job"),
        "ChangePage": rule("events nextToken hasMore"),
        "FeedReset": rule(FEED_EVENT, "resetReason"),
        "FeedHeartbeat": rule(FEED_EVENT, "lagSeconds"),
    }
)


FILTERS: Mapping[str, Guard] = MappingProxyType(
    {
        "PipelineFilter.unitInstitutionalId": Guard(UNIT_SEEN, DenialMode.ERROR),
        "PipelineFilter.triggeredBy": Guard(USERS_VIEW, DenialMode.ERROR),
        "PipelineFilter.workerId": Guard(OPERATIONS_VIEW, DenialMode.ERROR),
        "JobFilter.workerId": Guard(OPERATIONS_VIEW, DenialMode.ERROR),
    }
)
"""Guards of filters by guarded fields: those who may not read such a field are refused, for an empty list would say that there
is nothing."""


def _guards() -> Iterator[tuple[str, Guard]]:
    for name, of_type in POLICY.items():
        if of_type.hidden_without:
            yield name, of_type.hidden_without
        yield from ((f"{name}.{field}", guard) for field, guard in of_type.guarded.items())
    yield from FILTERS.items()


GUARDS: Mapping[str, Guard] = MappingProxyType(dict(_guards()))
"""Every guarded coordinate, a type, a field or a filter, with its guard."""
