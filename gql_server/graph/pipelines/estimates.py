"""An estimate as a client sees it."""

from datetime import datetime

import strawberry

from gql_server.graph.context import Info
from gql_server.ledger.progress import Progress
from gql_server.reads.pipelines.estimates import estimates_by_pipeline


@strawberry.type(
    description="From runs of the same kind and scope level that landed in the last 90 days, at most the latest 500. What "
    "failed at its root or was stopped is not among them."
)
class CompletionEstimate:
    finish_at_p50: datetime = strawberry.field(
        name="finishAtP50", description="Half of them would have ended by then. In the past when this one takes longer."
    )
    finish_at_p90: datetime = strawberry.field(name="finishAtP90", description="Nine of ten would have ended by then.")
    sample_size: int = strawberry.field(description="How many past runs this rests on; at least 5.")
    is_slower_than_p95: bool = strawberry.field(
        name="isSlowerThanP95", description="It already takes longer than 19 of 20 of them did."
    )


@strawberry.type
class EstimateField:
    """Field of a pipeline's progress."""

    @strawberry.field(
        description="Null when it has not started, when it has ended, and when fewer than 5 past runs can be compared."
    )
    @staticmethod
    async def estimate(root: strawberry.Parent[Progress], info: Info) -> CompletionEstimate | None:
        if root.done or root.pipeline_key is None:
            return None
        return await info.context.load(estimates_by_pipeline, root.pipeline_key)
