"""Starting the work of many pipelines again, with an outcome for each."""

import asyncio
from collections import Counter
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gql_server.commands.bulk_retry import retry_each
from gql_server.errors import BadInput, PublicError
from gql_server.graph.context import Context, Info
from gql_server.graph.mutations.payloads import started_pipeline
from gql_server.graph.mutations.pipelines import RetryPipelinePayload, RetryPipelineResult
from gql_server.graph.mutations.resolver import about, answer, argument, idempotency_key, key_of, mutation
from gql_server.graph.nodes import encode, uuid_key
from gql_server.graph.problems import Problems, problem

RETRIED_MAX = 100
INPUT = "RetryPipelinesInput"


@strawberry.input(description="Start the work of many pipelines again.")
class RetryPipelinesInput:
    ids: list[strawberry.ID] = strawberry.field(
        description=f"Global ids of the pipelines, at most {RETRIED_MAX}, each once; they are started in this order."
    )
    replace_newer: bool = strawberry.field(
        default=False, description="As in `RetryPipelineInput`, for all of them: also in place of newer data."
    )
    idempotency_key: UUID | None = idempotency_key()

    def keys(self) -> list[UUID]:
        """Raises BadInput."""
        with about("ids"):
            if len(self.ids) > RETRIED_MAX:
                raise BadInput(f"at most {RETRIED_MAX} pipelines are started at a time, not {len(self.ids)}")
            keys = [uuid_key("Pipeline", id) for id in self.ids]
            if twice := [key for key, count in Counter(keys).items() if count > 1]:
                raise BadInput(f"pipeline {twice[0]} is named twice")
        return keys


@strawberry.type(description="What came of one of many pipelines.")
class RetryOutcome:
    pipeline_node_id: strawberry.ID = strawberry.field(description="Global id of the pipeline that was to be started again.")
    result: RetryPipelineResult = strawberry.field(description="What `retryPipeline` of it would have returned.")


@strawberry.type(description="Each pipeline was started again, or refused.")
class RetryPipelinesPayload:
    started: int = strawberry.field(description="How many were started again.")
    refused: int = strawberry.field(description="How many were not; what is refused may be sent again under the same key.")
    outcomes: list[RetryOutcome] = strawberry.field(description="What came of each, in the order of `ids`.")


RetryPipelinesResult = Annotated[
    RetryPipelinesPayload | Problems, strawberry.union("RetryPipelinesResult", description="Outcome of `retryPipelines`.")
]


@strawberry.type
class BulkRetryMutation:
    @mutation(
        "Mutation.retryPipelines",
        "Start the work of many ended pipelines again, each as `retryPipeline` does: what one of them refuses does not hold up "
        "the others. Interrupted, and sent again under its `idempotencyKey`, it does what is left.",
    )
    async def retry_pipelines(
        self, info: Info, input: Annotated[RetryPipelinesInput, argument("Which pipelines.")]
    ) -> RetryPipelinesResult | None:
        return await answer(info.context, INPUT, _retried(info, input), input)


async def _retried(info: Info, input: RetryPipelinesInput) -> RetryPipelinesPayload:
    context, keys, key = info.context, input.keys(), key_of(info.field_name, input)
    done = await retry_each(context.commands, context.viewer, keys, key, replace_newer=input.replace_newer)
    context.forget()
    outcomes = await asyncio.gather(*(_outcome(context, *each) for each in done.items()))
    refused = sum(isinstance(outcome, PublicError) for outcome in done.values())
    return RetryPipelinesPayload(started=len(done) - refused, refused=refused, outcomes=outcomes)


async def _outcome(context: Context, pipeline: UUID, outcome: Any) -> RetryOutcome:
    """The outcome of a pipeline: what a submit minted, or its refusal, as the graph shows it."""
    if isinstance(outcome, PublicError):
        result = await problem(context, outcome, "RetryPipelineInput")
    else:
        result = RetryPipelinePayload(pipeline=await started_pipeline(context, outcome))
    return RetryOutcome(pipeline_node_id=strawberry.ID(encode("Pipeline", pipeline)), result=result)
