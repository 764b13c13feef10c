"""Subscriptions: live data over a socket, read through the same loaders and the same policy as queries."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.utils.str_converters import to_camel_case

from gql_server.context import Context, Info
from gql_server.errors import BadInput
from gql_server.feed.follow import Reading, follow
from gql_server.feed.tokens import to_token
from gql_server.fields import SemanticNonNull
from gql_server.jobs.queries import jobs_of_events
from gql_server.jobs.types import Job
from gql_server.pipelines.queries import pipelines_by_key
from gql_server.pipelines.types import Pipeline, PipelineBy
from gql_server.scalars import FeedToken, SchemaCoordinate

THROTTLE_MS = 250
THROTTLE_MAX_MS = 60_000


@strawberry.interface(description="Every message carries the token of the state it shows.")
class FeedEvent:
    token: FeedToken = strawberry.field(description="Position of the feed when this was read.")
    at: datetime = strawberry.field(description="When this was read.")


@strawberry.type(description="A pipeline as it is now. The first message of a subscription says that nothing has changed yet.")
class PipelineChanged(FeedEvent):
    pipeline: Pipeline = strawberry.field(description="The pipeline, read for this message.")
    changed: list[SchemaCoordinate] = strawberry.field(
        description="Fields of the pipeline that differ from the message before, `progress` always among them; "
        "those of its jobs are not."
    )
    key: strawberry.Private[UUID]
    span: strawberry.Private[tuple[int, int] | None]

    @strawberry.field(description="Jobs that changed since the message before, lowest id first.")
    async def changed_jobs(self, info: Info) -> list[Job]:
        return await info.context.read(jobs_of_events, pipeline_key=self.key, span=self.span) if self.span else []

    @classmethod
    def of(cls, reading: Reading) -> "PipelineChanged":
        return cls(
            token=FeedToken(to_token(reading.row.feed_position)),
            at=datetime.now(UTC),
            pipeline=reading.row,
            changed=coordinates(reading.changed) if reading.since is None else coordinates((*reading.changed, "progress")),
            key=reading.row.key,
            span=reading.span,
        )


@strawberry.type
class PipelineSubscription:
    @strawberry.subscription(
        description="One pipeline until it is terminal, then complete. Begins with its present state. "
        "A pipeline that is unknown or not visible completes at once.",
        directives=[SemanticNonNull()],
    )
    async def pipeline(
        self,
        info: Info,
        by: Annotated[PipelineBy, strawberry.argument(description="Its name.")],
        throttle_ms: Annotated[
            int | None, strawberry.argument(description="At most one message in that many milliseconds; up to 60000.")
        ] = THROTTLE_MS,
    ) -> AsyncIterator[FeedEvent | None]:
        throttle_ms = THROTTLE_MS if throttle_ms is None else throttle_ms
        if not 0 <= throttle_ms <= THROTTLE_MAX_MS:
            raise BadInput(f"`throttleMs` must be between 0 and {THROTTLE_MAX_MS}.")
        context = info.context
        key = await by.key(info)
        if key is None:
            return
        readings = follow(context.hub, key, lambda: _read(context, key), throttle_ms / 1000)
        async with aclosing(readings):
            async for reading in readings:
                yield PipelineChanged.of(reading)


async def _read(context: Context, key: UUID) -> Any:
    """The pipeline with fresh loaders, which then serve the rest of the message."""
    context.renew()
    return await context.load(pipelines_by_key, key)


# Attributes of a row that are fields of another name, or of no field.
_FIELDS = {
    **dict.fromkeys(("level", "year", "module_type_id", "data_entry_type_id", "unit_institutional_id", "provider"), "scope"),
    **dict.fromkeys(("actor_kind", "actor_name", "actor_email"), "triggered_by"),
    "root_id": "root_job",
}


def coordinates(attributes: tuple[str, ...]) -> list[SchemaCoordinate]:
    """Schema coordinates of the fields that show these attributes of a row."""
    fields = dict.fromkeys(_FIELDS.get(name, name) for name in attributes)
    return [SchemaCoordinate(f"Pipeline.{to_camel_case(name)}") for name in fields]
