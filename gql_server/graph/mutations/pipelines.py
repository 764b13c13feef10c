"""Mutations of pipelines: stopping one, and starting its work again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.commands import pipelines as pipeline_commands
from gql_server.commands.retry import retry_pipeline
from gql_server.graph.context import Context, Info
from gql_server.graph.jobs.types import Job
from gql_server.graph.mutations.payloads import PIPELINE, resolve_start
from gql_server.graph.mutations.resolver import about, argument, idempotency_key, mutation, resolve, still_visible
from gql_server.graph.nodes import uuid_key
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.problems import Problems
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.pipelines.queries import pipelines_by_key


@strawberry.input(description="Abort every unfinished job of one pipeline.")
class AbortPipelineInput:
    id: strawberry.ID = strawberry.field(description="Global id of the pipeline.")
    reason: str = strawberry.field(description="Why, in 1 to 500 characters; kept with the jobs.")
    expected_updated_at: datetime | None = strawberry.field(
        default=UNSET, description="`Pipeline.updatedAt` as you read it: if it changed since, nothing is aborted."
    )
    idempotency_key: UUID | None = idempotency_key()

    def key(self) -> UUID:
        with about("id"):
            return uuid_key("Pipeline", self.id)


@strawberry.type(description="The pipeline was aborted.")
class AbortPipelinePayload:
    pipeline: Pipeline = strawberry.field(description="The pipeline, as the abort left it.")
    aborted_jobs: list[Job] = strawberry.field(description="Jobs that were ended, lowest id first.")


AbortPipelineResult = Annotated[
    AbortPipelinePayload | Problems, strawberry.union("AbortPipelineResult", description="Outcome of `abortPipeline`.")
]


@strawberry.input(description="Start the work of a pipeline again.")
class RetryPipelineInput:
    id: strawberry.ID = strawberry.field(description="Global id of the pipeline; it must have ended.")
    replace_newer: bool = strawberry.field(
        default=False,
        description="Also when a newer pipeline has brought the same data, in place of that. Else it is refused with the "
        "reason `SUPERSEDED`.",
    )
    idempotency_key: UUID | None = idempotency_key()

    def key(self) -> UUID:
        with about("id"):
            return uuid_key("Pipeline", self.id)


@strawberry.type(description="The same work was submitted as a new pipeline.")
class RetryPipelinePayload:
    pipeline: Pipeline | None = strawberry.field(description=f"The new pipeline. {PIPELINE}")


RetryPipelineResult = Annotated[
    RetryPipelinePayload | Problems, strawberry.union("RetryPipelineResult", description="Outcome of `retryPipeline`.")
]


@strawberry.type
class PipelineMutation:
    @mutation("Mutation.abortPipeline", "Abort every unfinished job of one pipeline.")
    async def abort_pipeline(
        self, info: Info, input: Annotated[AbortPipelineInput, argument("Which, and why.")]
    ) -> AbortPipelineResult | None:
        context = info.context
        return await resolve(
            info,
            input,
            lambda connection: pipeline_commands.abort_pipeline(
                connection,
                context.commands.registry,
                context.viewer,
                input.key(),
                input.reason,
                expected_updated_at=input.expected_updated_at or None,
            ),
            lambda outcome: _aborted(context, outcome),
        )

    @mutation(
        "Mutation.retryPipeline",
        "Start the work of an ended pipeline again, as a new pipeline: the same file, API, recalculation or unit sync. Where "
        "its data has landed, only what failed runs again; where not, it is read again, and never adds rows twice.",
    )
    async def retry_pipeline(
        self, info: Info, input: Annotated[RetryPipelineInput, argument("Which pipeline.")]
    ) -> RetryPipelineResult | None:
        context = info.context
        return await resolve_start(
            info,
            input,
            lambda connection: retry_pipeline(
                connection,
                context.commands.registry,
                context.viewer,
                input.key(),
                context.commands.api_sources,
                replace_newer=input.replace_newer,
            ),
            RetryPipelinePayload,
        )


async def _aborted(context: Context, outcome: Any) -> AbortPipelinePayload:
    pipeline = still_visible(await context.load(pipelines_by_key, UUID(outcome["pipeline_id"])))
    jobs = [await job for job in [context.load(jobs_by_id, job_id) for job_id in outcome["aborted_job_ids"]]]
    return AbortPipelinePayload(pipeline=pipeline, aborted_jobs=[job for job in jobs if job is not None])
