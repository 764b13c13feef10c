"""The impact of a pipeline as a client sees it."""

import strawberry

from gql_server.graph.fields import child
from gql_server.reads.pipelines.impacts import impact_by_pipeline


@strawberry.type(description="Sizes only; the ids are kilobytes per row and stay on the server.")
class PipelineImpact:
    affected_module_count: int | None = strawberry.field(
        description="Report modules whose entries or emissions changed; null while no job has said."
    )
    affected_unit_count: int | None = strawberry.field(description="Units that these belong to.")
    rows_written: int | None = strawberry.field(description="Rows that its ingest wrote; null when it has said nothing of it.")


@strawberry.type
class ImpactFields:
    """Field of a pipeline."""

    impact: PipelineImpact | None = child(impact_by_pipeline, key="key", description="How much was touched.")
