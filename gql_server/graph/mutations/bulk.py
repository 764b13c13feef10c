"""Aborting by filter, in two steps: a preview of what would be aborted, then its token."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
import strawberry
from strawberry import UNSET

from gql_server.commands.bulk import begin_abort, begun_at, go_on, keep_preview
from gql_server.commands.pipelines import check_reason, may_operate, not_live
from gql_server.db.models import TERMINAL_STATUSES
from gql_server.errors import BadInput, CursorFilterMismatch, CursorInvalid
from gql_server.graph.bulk import BulkProgress
from gql_server.graph.context import Context, Info
from gql_server.graph.mutations.resolver import answer, argument, idempotency_key, mutation, resolve, still_visible
from gql_server.graph.pipelines.list import PipelineFilter
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.problems import Problem, Problems, problem
from gql_server.reads.bulk import SHOWN, bulk_aborts_by_id, outcome_of
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import members
from gql_server.reads.pipelines.queries import pipelines_by_key

PREVIEW_HOLDS = timedelta(minutes=10)
SAMPLE = 10
ABORTED_MAX = 10_000
INPUT = "AbortPipelinesInput"


@strawberry.input(
    description="Abort by filter, in two steps. Step 1, `dryRun: true`, returns what would be aborted and a token. Step 2 "
    "sends the same filter with the token; it is a conflict if the set has grown since. It answers when all is done, or after "
    "15 seconds, and goes on behind: `abortProgress` tells how far it is. Should the server stop meanwhile, step 2 sent again "
    "goes on where it was."
)
class AbortPipelinesInput:
    filter: PipelineFilter = strawberry.field(description="Which pipelines. Of them the unfinished ones are meant, no orphans.")
    reason: str = strawberry.field(description="Why, in 1 to 500 characters; kept with the jobs.")
    dry_run: bool = strawberry.field(default=True, description="Step 1: abort nothing, and return a preview.")
    preview_token: str | None = strawberry.field(
        default=UNSET,
        description="Step 2: the token of a preview that you got, with this filter, in the last 10 minutes.",
    )
    max: int = strawberry.field(default=50, description=f"Refused if there are more; at most {ABORTED_MAX}.")
    idempotency_key: UUID | None = idempotency_key()


@strawberry.type(description="What a bulk call would touch.")
class BulkPreview:
    bulk_id: UUID = strawberry.field(description="Name of the abort, for `abortProgress`.")
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
    succeeded: list[Pipeline] = strawberry.field(description=f"Pipelines that were aborted, newest first; at most {SHOWN}.")
    refused: list[BulkRefusal] = strawberry.field(
        description=f"Pipelines that were left alone: they ended meanwhile, say. At most {SHOWN}."
    )
    progress: BulkProgress = strawberry.field(description="How many there were of each.")


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
        return await answer(context, INPUT, _confirmed(info, input), input)


async def _preview(context: Context, input: AbortPipelinesInput) -> BulkPreview:
    may_operate(context.viewer)
    check_reason(input.reason)
    found = await _matching(context, input)
    expires_at = datetime.now(UTC) + PREVIEW_HOLDS
    bulk_id = await keep_preview(context.commands, context.viewer, found)
    promise = {"expires_at": expires_at.timestamp(), "bulk_id": str(bulk_id)}
    return BulkPreview(
        bulk_id=bulk_id,
        count=len(found),
        sample=await _visible(context, found[:SAMPLE]),
        preview_token=context.paging.cursors.encode(_scope(context, input), orjson.dumps(promise).decode()),
        expires_at=expires_at,
    )


async def _confirmed(info: Info, input: AbortPipelinesInput) -> Any:
    """The outcome of step 2. What it is about is looked up before, and waited for after the command: that holds a
    connection."""
    context = info.context
    may_operate(context.viewer)
    promise = _promise(context, input)
    bulk_id = UUID(promise["bulk_id"])
    has_begun = await begun_at(context.commands, context.viewer, bulk_id) is not None
    if not has_begun and promise["expires_at"] < datetime.now(UTC).timestamp():
        raise BadInput("the preview has ended: preview again", argument="previewToken")
    found = None if has_begun else await _matching(context, input)
    return await resolve(
        info,
        input,
        lambda connection: begin_abort(connection, context.viewer, bulk_id, input.reason, found),
        lambda outcome: _outcome(context, UUID(outcome["bulk_id"])),
    )


async def _outcome(context: Context, bulk_id: UUID) -> BulkOutcome:
    await go_on(context.commands, context.viewer, bulk_id)
    context.forget()
    ended, refused = await context.read(outcome_of, bulk_id=bulk_id)
    return BulkOutcome(
        succeeded=await _visible(context, ended),
        refused=[BulkRefusal(pipeline=row, problem=await _problem(context, row)) for row in await _visible(context, refused)],
        progress=still_visible(await context.load(bulk_aborts_by_id, bulk_id)),
    )


async def _problem(context: Context, row: Any) -> Problem:
    return await problem(context, not_live(row.key, has_ended=row.status in TERMINAL_STATUSES), INPUT)


async def _visible(context: Context, keys: Sequence[UUID]) -> list[Any]:
    rows = [await row for row in [context.load(pipelines_by_key, key) for key in keys]]
    return [row for row in rows if row is not None]


async def _matching(context: Context, input: AbortPipelinesInput) -> list[UUID]:
    """The unfinished pipelines of the filter, newest first. Raises BadInput when there are more than `max`."""
    if not 1 <= input.max <= ABORTED_MAX:
        raise BadInput(f"max must be between 1 and {ABORTED_MAX}", argument="max")
    asked = _criteria(context, input)
    if asked.is_active is False or asked.is_orphan:
        return []
    criteria = replace(asked, is_active=True, is_orphan=False)
    found: list[UUID] = await context.read(members, criteria=criteria, limit=ABORTED_MAX)
    if len(found) > ABORTED_MAX:
        raise BadInput(f"more than {ABORTED_MAX} unfinished pipelines match: narrow the filter", argument="max")
    if len(found) > input.max:
        raise BadInput(
            f"{len(found)} unfinished pipelines match: narrow the filter, or set max to {len(found)}", argument="max"
        )
    return found


def _criteria(context: Context, input: AbortPipelinesInput) -> PipelineCriteria:
    return input.filter.criteria(context.viewer)


def _scope(context: Context, input: AbortPipelinesInput) -> str:
    """Scope that a token is bound to."""
    return repr((INPUT, context.viewer.provider, context.viewer.subject, _criteria(context, input)))


def _promise(context: Context, input: AbortPipelinesInput) -> dict[str, Any]:
    """Content of a preview's token. Raises BadInput for one that is not of this viewer and filter."""
    if not input.preview_token:
        raise BadInput("step 2 needs the token of a preview: ask with dryRun first", argument="previewToken")
    try:
        return orjson.loads(context.paging.cursors.decode(_scope(context, input), input.preview_token))
    except (CursorInvalid, CursorFilterMismatch):
        raise BadInput("this token is not of a preview of yours with this filter", argument="previewToken") from None
