"""The chain of jobs as a client sees it."""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.graph.context import Info
from gql_server.graph.fields import Experimental, SemanticNonNull
from gql_server.graph.nodes import encode
from gql_server.graph.selection import load, made_of
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.graph.graph import Graph, GraphEdge
from gql_server.reads.pipelines.graph.mermaid import mermaid
from gql_server.reads.pipelines.graph.queries import JOBS_MAX, graph_by_pipeline
from gql_server.reads.pipelines.row import PipelineRow

if TYPE_CHECKING:
    from gql_server.graph.jobs.types import Job

Node = Annotated["Job", strawberry.lazy("gql_server.graph.jobs.types")]


FirstJobs = Annotated[int | None, strawberry.argument(description="Jobs to show at most, lowest ids first.")]
FirstLinks = Annotated[int | None, strawberry.argument(description="Edges to show at most.")]
LINKED = made_of(JobRow.job_id, JobRow.pipeline_key)
WITHIN = f", among the first {JOBS_MAX:,} jobs of the pipeline"


@strawberry.enum(description="How an edge is known.")
class EdgeProvenance(Enum):
    RECORDED = strawberry.enum_value("RECORDED", description="The chain recorded its parent.")
    INFERRED = strawberry.enum_value("INFERRED", description="Derived from the fixed shape root, recalculations, aggregation.")


@strawberry.type(description="One dependency; both ends are global ids of jobs.")
class JobEdgeLink:
    @strawberry.field(name="from", description="The job that comes first.")
    @staticmethod
    def source_id(root: strawberry.Parent[GraphEdge]) -> strawberry.ID:
        return strawberry.ID(encode("Job", root.source))

    @strawberry.field(name="to", description="The job that waits for it.")
    @staticmethod
    def target_id(root: strawberry.Parent[GraphEdge]) -> strawberry.ID:
        return strawberry.ID(encode("Job", root.target))

    provenance: EdgeProvenance = strawberry.field(description="How it is known.")


@strawberry.type(description="The chain of jobs as a directed acyclic graph.")
class PipelineGraph:
    @strawberry.field(
        description="Jobs of the pipeline, the root first, and those of other pipelines that its work was merged into, as far "
        "as you may see those: `sharedJobs` names them."
    )
    @staticmethod
    async def nodes(root: strawberry.Parent[Graph], info: Info) -> list[Node]:
        found = await asyncio.gather(*(load(info, jobs_by_id, job.job_id) for job in root.nodes))
        return [job for job in found if job is not None]

    edges: list[JobEdgeLink] = strawberry.field(description="Every job but the root has one into it.")
    omitted_jobs: int = strawberry.field(description="Later jobs of the pipeline that the graph leaves out.")

    @strawberry.field(description="Global ids of those nodes that are jobs of other pipelines, and do work of this one.")
    @staticmethod
    def shared_jobs(root: strawberry.Parent[Graph]) -> list[strawberry.ID]:
        return [strawberry.ID(encode("Job", id)) for id in root.shared_jobs]

    @strawberry.field(description="Global ids of the jobs on the longest path by duration, the root first.")
    @staticmethod
    def critical_path(root: strawberry.Parent[Graph]) -> list[strawberry.ID]:
        return [strawberry.ID(encode("Job", id)) for id in root.critical_path]

    @strawberry.field(
        name="mermaid",
        description="Mermaid text of the graph: kinds and states; inferred edges are dotted.",
        directives=[Experimental(since="0.1")],
    )
    @staticmethod
    def as_mermaid(root: strawberry.Parent[Graph]) -> str:
        return mermaid(root)


@strawberry.type
class GraphFields:
    """Field of a pipeline."""

    @strawberry.field(
        graphql_type=PipelineGraph | None,
        description="The chain as nodes and edges, with the longest path marked.",
        directives=[SemanticNonNull()],
        metadata=made_of(PipelineRow.key),
    )
    @staticmethod
    async def graph(root: strawberry.Parent[PipelineRow], info: Info, first: FirstJobs = UNSET) -> Any:
        graph = await info.context.load(graph_by_pipeline, root.key)
        return (graph or Graph.of([])).first(info.context.window("Pipeline.graph", first=first).size)


@strawberry.type
class JobDependencyFields:
    """Fields of a job."""

    @strawberry.field(description=f"Edges into this job, lowest id first{WITHIN}.", metadata=LINKED)
    @staticmethod
    async def depends_on(root: strawberry.Parent[JobRow], info: Info, first: FirstLinks = UNSET) -> list[JobEdgeLink]:
        return _links((await _graph(root, info)).into, root, _size(info, first))

    @strawberry.field(description=f"Edges out of this job, lowest id first{WITHIN}.", metadata=LINKED)
    @staticmethod
    async def dependents(root: strawberry.Parent[JobRow], info: Info, first: FirstLinks = UNSET) -> list[JobEdgeLink]:
        return _links((await _graph(root, info)).out_of, root, _size(info, first))


async def _graph(job: JobRow, info: Info) -> Graph:
    return await info.context.load(graph_by_pipeline, job.pipeline_key) or Graph.of([])


def _size(info: Info, first: int | None) -> int:
    return info.context.window("Job.links", first=first).size


def _links(edges: dict[int, list[GraphEdge]], job: JobRow, size: int) -> Any:
    return edges[job.job_id][:size]
