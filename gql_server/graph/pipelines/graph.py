"""The chain of jobs as a client sees it."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.fields import Experimental, SemanticNonNull
from gql_server.graph.nodes import encode
from gql_server.reads.pipelines.graph.graph import Edge, Graph
from gql_server.reads.pipelines.graph.mermaid import mermaid
from gql_server.reads.pipelines.graph.queries import graph_by_pipeline

if TYPE_CHECKING:
    from gql_server.graph.jobs.types import Job

Node = Annotated["Job", strawberry.lazy("gql_server.graph.jobs.types")]


@strawberry.enum(description="How an edge is known.")
class EdgeProvenance(Enum):
    RECORDED = strawberry.enum_value("RECORDED", description="The chain recorded its parent.")
    INFERRED = strawberry.enum_value("INFERRED", description="Derived from the fixed shape root, recalculations, aggregation.")


@strawberry.type(description="One dependency; both ends are global ids of jobs.")
class JobEdgeLink:
    @strawberry.field(name="from", description="The job that comes first.")
    def source_id(self: Any) -> strawberry.ID:
        return strawberry.ID(encode("Job", self.source))

    @strawberry.field(name="to", description="The job that waits for it.")
    def target_id(self: Any) -> strawberry.ID:
        return strawberry.ID(encode("Job", self.target))

    provenance: EdgeProvenance = strawberry.field(description="How it is known.")


@strawberry.type(description="The chain of jobs as a directed acyclic graph.")
class PipelineGraph:
    nodes: list[Node] = strawberry.field(description="All jobs of the pipeline, the root first.")
    edges: list[JobEdgeLink] = strawberry.field(description="Every job but the root has one into it.")

    @strawberry.field(description="Global ids of the jobs on the longest path by duration, the root first.")
    def critical_path(self: Any) -> list[strawberry.ID]:
        return [strawberry.ID(encode("Job", id)) for id in self.critical_path]

    @strawberry.field(
        name="mermaid",
        description="Mermaid text of the graph: kinds and states; inferred edges are dotted.",
        directives=[Experimental(since="0.2")],
    )
    def as_mermaid(self: Any) -> str:
        return mermaid(self)


@strawberry.type
class Charted:
    """Field of a pipeline."""

    @strawberry.field(description="The chain as nodes and edges, with the longest path marked.", directives=[SemanticNonNull()])
    async def graph(self: Any, info: Info) -> PipelineGraph | None:
        return await info.context.load(graph_by_pipeline, self.key)


@strawberry.type
class Linked:
    """Fields of a job."""

    @strawberry.field(description="Edges into this job.")
    async def depends_on(self: Any, info: Info) -> list[JobEdgeLink]:
        return _links((await _graph(self, info)).into, self)

    @strawberry.field(description="Edges out of this job.")
    async def dependents(self: Any, info: Info) -> list[JobEdgeLink]:
        return _links((await _graph(self, info)).out_of, self)


async def _graph(job: Any, info: Info) -> Graph:
    return await info.context.load(graph_by_pipeline, job.pipeline_key)


def _links(edges: dict[int, list[Edge]], job: Any) -> Any:
    return edges[job.job_id]
