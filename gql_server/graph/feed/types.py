"""Events of the feed as a client sees them."""

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from gql_server.errors import BadInput
from gql_server.feed import queries
from gql_server.feed.events import Entered, Heartbeat, Left, Reading, Reset, Snapshot
from gql_server.feed.session import Phase
from gql_server.feed.tokens import Resume
from gql_server.graph import fields
from gql_server.graph.context import Info
from gql_server.graph.fields import First, SemanticNonNull
from gql_server.graph.jobs.types import Job
from gql_server.graph.nodes import encode
from gql_server.graph.pipelines.types import Pipeline, PipelineConnection
from gql_server.graph.scalars import FeedToken, SchemaCoordinate
from gql_server.graph.selection import load, read
from gql_server.reads.pagination.pages import Page
from gql_server.reads.pipelines.queries import OF_LIST, page

THROTTLE_MS = 250
THROTTLE_MAX_MS = 60_000

After = Annotated[
    FeedToken | None,
    strawberry.argument(description="Go on from there: nothing that happened later is missed, and nothing before is repeated."),
]
ThrottleMs = Annotated[
    int | None,
    strawberry.argument(description=f"At most one message in that many milliseconds; up to {THROTTLE_MAX_MS}."),
]


@strawberry.interface(description="Every message carries the token that resumes right after it.")
class FeedEvent:
    token: FeedToken = strawberry.field(description="Position of the feed when this was read.")
    at: datetime = strawberry.field(description="When this was read.")


def moment(token: str) -> dict[str, Any]:
    """The fields of every event."""
    return {"token": FeedToken(token), "at": datetime.now(UTC)}


@strawberry.type(
    description="A pipeline as it is now. In a list, it was there when the client was last told, and still is: replace it; if "
    "you do not hold it, it is on a page that you have not loaded. The first message of `Subscription.pipeline` says that "
    "nothing has changed yet."
)
class PipelineChanged(FeedEvent):
    pipeline: Pipeline = strawberry.field(description="The pipeline, read for this message.")
    changed: list[SchemaCoordinate] = strawberry.field(
        description="Fields of the pipeline that differ from the message before, `progress` always among them; "
        "those of its jobs are not. If it failed, so are `isResolved` and `resolvedBy`, which later runs decide. Resumed "
        "from a token, all that may differ.",
        metadata={"of_rows": OF_LIST.names},
    )
    key: strawberry.Private[UUID]
    span: strawberry.Private[tuple[int, int] | None]

    @strawberry.field(description="Jobs that changed since the message before, lowest id first.")
    async def changed_jobs(self, info: Info) -> list[Job]:
        if self.span is None:
            return []
        return await load(info, queries.jobs_by_event_span, (self.key, self.span))

    @classmethod
    def of(cls, reading: Reading, token: str) -> "PipelineChanged":
        return cls(
            **moment(token),
            pipeline=reading.row,
            changed=coordinates(reading.changed if reading.since is None else (*reading.changed, *_followed(reading.row))),
            key=reading.row.key,
            span=reading.span,
        )


@strawberry.enum(description="Why the feed cannot continue from the given token.")
class ResetReason(Enum):
    TOKEN_EXPIRED = strawberry.enum_value(
        "TOKEN_EXPIRED",
        description="What happened after it is no longer kept; or it is a token of an older version, of another signing key, "
        "or of who may see something else.",
    )
    SERVER_RESTART = strawberry.enum_value(
        "SERVER_RESTART", description="The database is another one than the token's, or was restored to a time before it."
    )


@strawberry.type(description="History before this point is gone: forget what you hold, and go on from what follows.")
class FeedReset(FeedEvent):
    reset_reason: ResetReason = strawberry.field(description="Why.")


@strawberry.type(description="Sent when nothing happened for a while, so that a client can tell quiet from dead.")
class FeedHeartbeat(FeedEvent):
    lag_seconds: float = strawberry.field(description="How long ago the server last read the feed to its end.")


@strawberry.type(description="A page of the list as it is now: the first message, unless `snapshot: false`.")
class FeedSnapshot(FeedEvent):
    page: strawberry.Private[Page]

    @strawberry.field(
        description="The first page, as long as the subscription says unless an argument says otherwise. Its cursors are "
        "those of `Query.pipelines` with the same filter.",
        directives=[SemanticNonNull()],
        graphql_type=PipelineConnection | None,
    )
    async def pipelines(self, info: Info, first: First = UNSET, after: fields.After = UNSET) -> Page:
        if first is UNSET and after is UNSET:
            return self.page
        criteria = self.page.criteria
        window = info.context.window("Query.pipelines", first=first, after=after, criteria=criteria, descending=True)
        return await read(info, page, criteria=criteria, window=window)


@strawberry.enum(
    description="Where a pipeline that enters belongs in the list, which is in the order of creation, newest first."
)
class EntryPosition(Enum):
    HEAD = strawberry.enum_value("HEAD", description="Before all others: it is the newest.")
    ELSEWHERE = strawberry.enum_value("ELSEWHERE", description="Where its `createdAt` puts it.")


@strawberry.type(
    description="A pipeline is in the list that was not when the client was last told: it was created, or changed into it. Put "
    "it in its place; where you hold it nevertheless, replace it. A token knows the 256 newest pipelines of a list whose "
    "filter asks for what changes: one further down enters again after a resume."
)
class PipelineEntered(FeedEvent):
    pipeline: Pipeline = strawberry.field(description="The pipeline, read for this message.")
    position: EntryPosition = strawberry.field(description="Where it belongs.")
    newer_node_id: strawberry.ID | None = strawberry.field(
        description="Global id of the next newer one that is in the list by then; null at its head, and far down a long list."
    )
    older_node_id: strawberry.ID | None = strawberry.field(
        description="Global id of the next older one that is in the list by then; null at its end, and far down in a long list."
    )


@strawberry.enum(description="Why a pipeline left the live list.")
class LeaveReason(Enum):
    NO_LONGER_MATCHES = strawberry.enum_value("NO_LONGER_MATCHES", description="It changed, and the filter excludes it.")
    ACCESS_REVOKED = strawberry.enum_value("ACCESS_REVOKED", description="You may no longer see it.")


@strawberry.type(
    description="A pipeline is no longer in the list. Remove it; if you do not hold it, it was on a page you have not loaded."
)
class PipelineLeft(FeedEvent):
    pipeline_node_id: strawberry.ID = strawberry.field(description="Its global id; it is not sent again.")
    leave_reason: LeaveReason = strawberry.field(description="Why.")


EVENTS = (FeedSnapshot, PipelineEntered, PipelineChanged, PipelineLeft, FeedReset, FeedHeartbeat)


def event_of(event: Reading | Reset | Heartbeat | Snapshot | Entered | Left, token: str) -> FeedEvent:
    """The event as a client sees it, with the token that resumes after it."""
    match event:
        case Reading():
            return PipelineChanged.of(event, token)
        case Reset():
            return FeedReset(**moment(token), reset_reason=ResetReason[event.reason.name])
        case Heartbeat():
            return FeedHeartbeat(**moment(token), lag_seconds=event.lag_seconds)
        case Snapshot():
            return FeedSnapshot(**moment(token), page=event.page)
        case Entered():
            return PipelineEntered(
                **moment(token),
                pipeline=event.row,
                position=EntryPosition.HEAD if event.place.is_head else EntryPosition.ELSEWHERE,
                newer_node_id=_node_id(event.place.newer),
                older_node_id=_node_id(event.place.older),
            )
        case Left():
            gone = strawberry.ID(encode("Pipeline", event.key))
            return PipelineLeft(**moment(token), pipeline_node_id=gone, leave_reason=LeaveReason[event.reason.name])


def _node_id(key: UUID | None) -> strawberry.ID | None:
    return None if key is None else strawberry.ID(encode("Pipeline", key))


def position_of(token: FeedToken | None, info: Info) -> Resume | None:
    """Position that the client comes from: its transport knows best, else the token says. Raises BadInput."""
    context = info.context
    if context.session.phase is Phase.LIVE:
        return None
    last = context.session.resume or token
    return None if last is None or last is UNSET else context.tokens.open(last, context.viewer)


def throttle_seconds(throttle_ms: int | None, default: int) -> float:
    """Raises BadInput."""
    throttle_ms = default if throttle_ms is None else throttle_ms
    if not 0 <= throttle_ms <= THROTTLE_MAX_MS:
        raise BadInput(f"`throttleMs` must be between 0 and {THROTTLE_MAX_MS}.")
    return throttle_ms / 1000


# Attributes of a row that are fields of another name, or of no field.
_FIELDS = {
    **dict.fromkeys(("level", "year", "module_type_id", "data_entry_type_id", "unit_institutional_id", "provider"), "scope"),
    **dict.fromkeys(("actor_kind", "actor_name", "actor_email"), "triggered_by"),
    **dict.fromkeys(("node_type", "key"), "id"),
    "root_id": "root_job",
    "has_live_jobs": "viewer_can",
    **dict.fromkeys(("value", "failed_key")),
}


def _followed(row: Any) -> tuple[str, ...]:
    """Fields that are not in the row, and may differ whenever it is told."""
    return ("progress", "is_resolved", "resolved_by") if row.failed_key is not None else ("progress",)


def coordinates(attributes: tuple[str, ...]) -> list[SchemaCoordinate]:
    """Schema coordinates of the fields that show these attributes of a row."""
    fields = dict.fromkeys(_FIELDS.get(name, name) for name in attributes)
    return [SchemaCoordinate(f"Pipeline.{to_camel_case(name)}") for name in fields if name]
