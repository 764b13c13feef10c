"""Capabilities of a viewer on a pipeline or a job, as a client sees them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.permission import Permission
from gql_server.graph.selection import made_of
from gql_server.policy import Viewer
from gql_server.policy.capabilities import Capability
from gql_server.policy.pipelines import may_abort, may_acknowledge, may_download, may_recover, may_retry, may_view_error
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.rows import Attribute


def _permission(rule: Callable[[Viewer, Any], Capability], description: str, *facts: Attribute[Any]) -> Any:
    """A permission that these attributes of the parent's row decide."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Capability:
        return rule(info.context.viewer, root)

    return strawberry.field(resolver=resolve, graphql_type=Permission, description=description, metadata=made_of(*facts))


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

    @strawberry.field(
        description="Start the same work again, as a new pipeline. What has landed is not read again: only what failed runs.",
        graphql_type=Permission,
        metadata=made_of(PipelineRow.key),
    )
    @staticmethod
    async def retry(root: strawberry.Parent[PipelineRow], info: Info) -> Capability:
        return await _retry_capability(info, root.key)

    @strawberry.field(
        description="Start it again with `replaceNewer: true`, where `retry` is refused with `SUPERSEDED`: it is read again, "
        "in place of what the newer pipeline brought.",
        graphql_type=Permission,
        metadata=made_of(PipelineRow.key),
    )
    @staticmethod
    async def retry_replacing_newer(root: strawberry.Parent[PipelineRow], info: Info) -> Capability:
        return await _retry_capability(info, root.key, replace_newer=True)


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


async def _retry_capability(info: Info, key: UUID, *, replace_newer: bool = False) -> Capability:
    context, commands = info.context, info.context.commands
    facts = await context.load(retry_facts_by_pipeline, key)
    return may_retry(context.viewer, facts, commands.registry.names, commands.api_sources, replace_newer=replace_newer)
