"""Capabilities of a viewer on a pipeline or a job, as a client sees them."""

from collections.abc import Callable
from typing import Any

import strawberry

from gql_server.graph.context import Context
from gql_server.graph.fields import child, judged
from gql_server.graph.permission import Permission
from gql_server.policy import Viewer
from gql_server.policy.capabilities import Capability
from gql_server.policy.pipelines import may_abort, may_acknowledge, may_download, may_recover, may_retry, may_view_error
from gql_server.policy.retry import RetryFacts
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.rows import Attribute


def _permission(rule: Callable[[Viewer, Any], Capability], description: str, *facts: Attribute[Any]) -> Any:
    """A permission that these attributes of the parent's row decide."""
    return judged(rule, *facts, description=description, kind=Permission)


def _retry(description: str, *, replace_newer: bool = False) -> Any:
    """A permission that facts on the work of the pipeline decide."""

    def rule(context: Context, facts: RetryFacts | None) -> Capability:
        names, sources = context.commands.registry.names, context.commands.api_sources
        return may_retry(context.viewer, facts, names, sources, replace_newer=replace_newer)

    return child(retry_facts_by_pipeline, key="key", description=description, then=rule, kind=Permission)


@strawberry.type(description="What the viewer may do with this pipeline.")
class PipelineCapabilities:
    abort: Permission = _permission(
        may_abort,
        "Stop what of it has not ended.",
        PipelineRow.is_orphan,
        PipelineRow.has_live_jobs,
        PipelineRow.is_terminal,
    )
    view_error_details: Permission = _permission(
        lambda viewer, row: may_view_error(viewer, failed=row.error_count > 0),
        "Read the full text of its errors.",
        PipelineRow.error_count,
    )
    acknowledge: Permission = _permission(
        may_acknowledge,
        "Take care of its failures, with `acknowledgeFailure`.",
        PipelineRow.error_count,
        PipelineRow.has_warning,
    )

    retry: Permission = _retry(
        "Start the same work again, as a new pipeline. What has landed is not read again: only what failed runs."
    )
    retry_replacing_newer: Permission = _retry(
        "Start it again with `replaceNewer: true`, where `retry` is refused with `SUPERSEDED`: it is read again, in place of "
        "what the newer pipeline brought.",
        replace_newer=True,
    )


@strawberry.type(description="What the viewer may do with this job.")
class JobCapabilities:
    recover: Permission = _permission(
        may_recover, "Put it back in the queue, when its worker has fallen silent.", JobRow.recover_obstacle
    )
    view_error_details: Permission = _permission(
        lambda viewer, row: may_view_error(viewer, failed=row.result == "ERROR"),
        "Read the full text of its error.",
        JobRow.result,
    )
    download_source: Permission = _permission(
        may_download,
        "Get the file that it has read: `GET /jobs/{jobId}/source`.",
        JobRow.has_source,
        JobRow.module_type_id,
        JobRow.unit_institutional_id,
    )
