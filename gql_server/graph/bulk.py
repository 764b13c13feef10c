"""Progress of a bulk abort, asked or followed."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gql_server.feed.session import run_session
from gql_server.feed.watch import ValueSource
from gql_server.graph.context import Context, Info
from gql_server.graph.feed.types import ThrottleMs, throttle_seconds
from gql_server.reads.bulk import bulk_aborts_by_id

THROTTLE_MS = 250

BulkId = Annotated[UUID, strawberry.argument(description="`BulkPreview.bulkId`.")]


@strawberry.type(
    description="How far a bulk abort is: it works in steps, each of which stays, and goes on where it was interrupted."
)
class BulkProgress:
    bulk_id: UUID = strawberry.field(description="Its name.")
    count: int = strawberry.field(description="How many pipelines it is about.")
    done: int = strawberry.field(description="How many of them are done with.")
    succeeded: int = strawberry.field(description="Of those, aborted.")
    refused: int = strawberry.field(description="Of those, left alone.")
    started_at: datetime | None = strawberry.field(description="When it began; null for a preview.")
    finished_at: datetime | None = strawberry.field(description="When the last was done with.")


@strawberry.type
class BulkQuery:
    @strawberry.field(
        description="How far an `abortPipelines` is, for operators; null for others, and a day after its preview.",
        graphql_type=BulkProgress | None,
    )
    async def abort_progress(self, info: Info, bulk_id: BulkId) -> Any:
        return await info.context.load(bulk_aborts_by_id, bulk_id)


@strawberry.type
class BulkSubscription:
    @strawberry.subscription(
        description="How far an `abortPipelines` is, pushed when it has moved, until it is finished, then complete.",
        graphql_type=BulkProgress | None,
    )
    async def abort_progress(self, info: Info, bulk_id: BulkId, throttle_ms: ThrottleMs = THROTTLE_MS) -> AsyncIterator[Any]:
        context = info.context
        context.session.shows_changes_only = True
        source = ValueSource(
            context.hub,
            None,
            partial(_progress, context, bulk_id),
            now=context.now,
            throttle_seconds=(seconds := throttle_seconds(throttle_ms, THROTTLE_MS)),
            at_least_every=max(seconds, 1.0),
            is_last=_is_finished,
        )
        async with aclosing(run_session(context.session, source, None, context.token)) as samples:
            async for sample in samples:
                yield sample.value


async def _progress(context: Context, bulk_id: UUID) -> Any:
    context.renew()
    return await context.load(bulk_aborts_by_id, bulk_id)


def _is_finished(bulk: Any) -> bool:
    return bulk.finished_at is not None
