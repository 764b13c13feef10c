"""A ticket's card as a client gets it."""

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.fields import Experimental, SemanticNonNull, may_read
from gql_server.graph.selection import made_of
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.pipelines.ticket.markdown import SHOWN, markdown
from gql_server.reads.pipelines.ticket.queries import failed_step_by_pipeline


@strawberry.type
class TicketFields:
    """Field of a pipeline."""

    @strawberry.field(
        description="Markdown card for a ticket: status, scope, times, and the first step that failed with its message, as far "
        "as the viewer may know them. Quoted texts are escaped.",
        directives=[SemanticNonNull(), Experimental(since="0.1")],
        metadata=made_of(*SHOWN),
    )
    @staticmethod
    async def ticket_markdown(root: strawberry.Parent[PipelineRow], info: Info) -> str | None:
        step = await info.context.load(failed_step_by_pipeline, root.key) if root.error_count else None
        who = root.actor_name if root.actor_name and may_read("Actor.displayName", root, info) else None
        unit = root.unit_institutional_id
        shown = unit if unit and may_read("WorkScope.unit", root, info) else None
        return markdown(root, step, who=who, unit=shown)
