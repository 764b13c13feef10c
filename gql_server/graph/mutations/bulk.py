"""Aborting by filter, in two steps: a preview of what would be aborted, then its token."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
import strawberry
from strawberry import UNSET

from gql_server.commands.bulk import abort_pipelines
from gql_server.commands.pipelines import check_reason, may_operate
from gql_server.errors import BadInput, Conflict, CursorFilterMismatch, CursorInvalid, Reason
from gql_server.graph.context import Context, Info
from gql_server.graph.mutations.perform import answer, argument, idempotency_key, mutation, perform
from gql_server.graph.pipelines.list import PipelineFilter
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.problems import Problem, Problems, problem
from gql_server.reads.pagination import Page
from gql_server.reads.pipelines.filter import Criteria
from gql_server.reads.pipelines.queries import page, pipelines_by_key

PREVIEW_HOLDS = timedelta(minutes=10)
SAMPLE = 10
INPUT = "AbortPipelinesInput"


@strawberry.input(
    description="Abort by filter, in two steps. Step 1, `dryRun: true`, returns what would be aborted and a token. Step 2 "
    "sends the same filter with the token; it is a conflict if the set has grown since."
)
class AbortPipelinesInput:
    filter: PipelineFilter = strawberry.field(description="Which pipelines. Of them the unfinished ones are meant, no orphans.")
    reason: str = strawberry.field(description="Why, in 1 to 500 characters; kept with the jobs.")
    dry_run: bool = strawberry.field(default=True, description="Step 1: abort nothing, and return a preview.")
    preview_token: str | None = strawberry.field(
        default=UNSET,
        description="Step 2: the token of a preview that you got, with this filter, in the last 10 minutes.",
    )
    max: int = strawberry.field(default=50, description="Refused if there are more; at most the size of a page.")
    idempotency_key: UUID | None = idempotency_key()


@strawberry.type(description="What a bulk call would touch.")
class BulkPreview:
    count: int = strawberry.field(description="How many pipelines.")
    sample: list[Pipeline] = strawberry.field(description=f"The newest of them, at most {SAMPLE}.")
    preview_token: str = strawberry.field(description="For step 2; fits only this viewer and filter.")
    expires_at: datetime = strawberry.field(description="When the token ends.")


@strawberry.type(description="One pipeline that was left alone.")
class BulkRefusal:
    pipeline: Pipeline = strawberry.field(description="The pipeline, as it is now.")
    problem: Problem = strawberry.field(description="Why.")


@strawberry.type(description="What a bulk call did. What is not visible any more is left out.")
class BulkOutcome:
    succeeded: list[Pipeline] = strawberry.field(description="Pipelines that were aborted.")
    refused: list[BulkRefusal] = strawberry.field(description="Pipelines that were left alone: they ended meanwhile, say.")


AbortPipelinesResult = Annotated[
    BulkPreview | BulkOutcome | Problems,
    strawberry.union("AbortPipelinesResult", description="Outcome of `abortPipelines`."),
]


@strawberry.type
class BulkMutation:
    @mutation("Mutation.abortPipelines", "Abort by filter, in two steps.")
    async def abort_pipelines(
        self, info: Info, input: Annotated[AbortPipelinesInput, argument("Which, and why.")]
    ) -> AbortPipelinesResult | None:
        context = info.context
        if input.dry_run:
            return await answer(context, INPUT, _preview(context, input))
        async with context.commands.bulk:
            return await perform(info, input, lambda _: _abort(context, input), lambda outcome: _outcome(context, outcome))


async def _preview(context: Context, input: AbortPipelinesInput) -> BulkPreview:
    may_operate(context.viewer)
    check_reason(input.reason)
    found = await _matching(context, input)
    expires_at = datetime.now(UTC) + PREVIEW_HOLDS
    promise = {"expires_at": expires_at.timestamp(), "keys": [row.key.hex for row in found.nodes]}
    return BulkPreview(
        count=len(found.nodes),
        sample=list(found.nodes[:SAMPLE]),
        preview_token=context.paging.cursors.encode(_scope(context, input), orjson.dumps(promise).decode()),
        expires_at=expires_at,
    )


async def _abort(context: Context, input: AbortPipelinesInput) -> object:
    may_operate(context.viewer)
    previewed = _previewed(context, input)
    found = [row.key for row in (await _matching(context, input)).nodes]
    if grown := [key for key in found if key not in previewed]:
        raise Conflict(
            f"{len(grown)} more pipelines match than in the preview: preview again",
            reason=Reason.SET_GREW,
            pipelineId=str(grown[0]),
        )
    return await abort_pipelines(context.commands, context.viewer, found, input.reason)


async def _outcome(context: Context, outcome: Any) -> BulkOutcome:
    refusals = {UUID(each["pipeline_id"]): each for each in outcome["refused"]}
    succeeded = await _visible(context, [UUID(key) for key in outcome["succeeded"]])
    return BulkOutcome(
        succeeded=succeeded,
        refused=[
            BulkRefusal(pipeline=row, problem=await _problem(context, refusals[row.key]))
            for row in await _visible(context, list(refusals))
        ],
    )


async def _problem(context: Context, refusal: dict[str, Any]) -> Problem:
    reason = Reason(refusal["reason"])
    return await problem(context, Conflict(refusal["message"], reason=reason, pipelineId=refusal["pipeline_id"]), INPUT)


async def _visible(context: Context, keys: Sequence[UUID]) -> list[Any]:
    rows = [await row for row in [context.load(pipelines_by_key, key) for key in keys]]
    return [row for row in rows if row is not None]


async def _matching(context: Context, input: AbortPipelinesInput) -> Page:
    """The unfinished pipelines of the filter, newest first. Raises BadInput when there are more than `max`."""
    if not 1 <= input.max <= context.paging.size_max:
        raise BadInput(f"max must be between 1 and {context.paging.size_max}", argument="max")
    asked = _criteria(context, input)
    if asked.is_active is False or asked.is_orphan:
        return Page([], has_next_page=False, has_previous_page=False, cursor=str)
    criteria = replace(asked, is_active=True, is_orphan=False)
    window = context.window(f"{INPUT}.filter", first=input.max, criteria=criteria, descending=True)
    found: Page = await context.read(page, criteria=criteria, window=window)
    if found.has_next_page:
        raise BadInput(f"more than {input.max} unfinished pipelines match: narrow the filter, or raise max", argument="max")
    return found


def _criteria(context: Context, input: AbortPipelinesInput) -> Criteria:
    return input.filter.criteria(context.viewer)


def _scope(context: Context, input: AbortPipelinesInput) -> str:
    """What a token is bound to."""
    return repr((INPUT, context.viewer.provider, context.viewer.subject, _criteria(context, input)))


def _previewed(context: Context, input: AbortPipelinesInput) -> set[UUID]:
    """The pipelines of the preview. Raises BadInput for a token that is not of this viewer and filter, or has ended."""
    if not input.preview_token:
        raise BadInput("step 2 needs the token of a preview: ask with dryRun first", argument="previewToken")
    try:
        promise = orjson.loads(context.paging.cursors.decode(_scope(context, input), input.preview_token))
    except (CursorInvalid, CursorFilterMismatch):
        raise BadInput("this token is not of a preview of yours with this filter", argument="previewToken") from None
    if promise["expires_at"] < datetime.now(UTC).timestamp():
        raise BadInput("the preview has ended: preview again", argument="previewToken")
    return {UUID(key) for key in promise["keys"]}
