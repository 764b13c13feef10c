"""The one place for weights and assumed sizes of lists. A coordinate that is not here has the default.

By default an object weighs 1, a leaf nothing, and a list of objects counts as 10 of them. A page is as
long as its `first` or `last` says.
"""

from collections.abc import Mapping
from types import MappingProxyType

ASSUMED_SIZE = 10


WEIGHTS: Mapping[str, int] = MappingProxyType(
    {
        "*.totalCount": 3,
        "*.facets": 10,
        "Query.cost": 0,
        "Query.failureGroups": 10,
        "Query.freshness": 10,
        "Query.locks": 20,
        "Meta.raw": 20,
        "Job.rowErrors": 5,
        "SystemHealth.staleScopes": 10,
        "FailureGroup.histogram": 5,
        "Pipeline.comparison": 10,
        "Pipeline.diagnosis": 10,
        "Pipeline.graph": 5,
        "Pipeline.isResolved": 2,
        "Pipeline.next": 2,
        "Pipeline.previous": 2,
        "Pipeline.resolvedBy": 2,
        "Pipeline.ticketMarkdown": 5,
        "Pipeline.timeline": 10,
        "Job.timeline": 3,
        "PipelineConnection.facets": 10,
        "PipelineConnection.totalCount": 3,
        "JobConnection.totalCount": 3,
        "Job.diagnosis": 3,
        "FailureGroup.unresolvedPipelines": 3,
        "Viewer.views": 20,
        "YearConfiguration.config": 10,
        "YearConfiguration.modules": 5,
        "Subscription.pipeline": 10,
    }
)


INPUT_WEIGHTS: Mapping[str, int] = MappingProxyType({"PipelineFilter.search": 5000})
"""Weights of fields of inputs, which count when they are given: what asks for more than reading along an index."""


def weight_of(coordinate: str) -> int | None:
    """The weight that the table gives a field, for itself or for all of its name."""
    return WEIGHTS.get(coordinate, WEIGHTS.get(f"*.{coordinate.partition('.')[2]}"))


ASSUMED_SIZES: Mapping[str, int] = MappingProxyType(
    {
        "FailureGroup.histogram": 24,
        "Query.freshness": 12,
        "Query.locks": 20,
        "Query.workers": 20,
        "SystemHealth.staleScopes": 20,
        "Query.yearConfigurations": 20,
        "Job.dependents": 10,
        "Job.dependsOn": 10,
        "Job.phases": 4,
        "Meta.entries": 4,
        "Pipeline.failures": 3,
        "Pipeline.jobs": 20,
        "PipelineComparison.fixedFailures": 3,
        "PipelineComparison.newFailures": 3,
        "PipelineComparison.slowestJobs": 5,
        "Pipeline.graph": 20,
        "PipelineFacet.values": 10,
        "Viewer.views": 200,
        "Query.nodes": 100,
        "RetryPipelinesPayload.outcomes": 100,
        "YearConfiguration.modules": 12,
    }
)
"""Lengths that lists are taken to have when no argument says them."""
