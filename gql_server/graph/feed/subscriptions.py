"""Live data over a socket or an event stream, read through the same loaders and the same policy as queries."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.db.models import JobState
from gql_server.feed import queries
from gql_server.feed.follow import PipelineSource
from gql_server.feed.list_reader import ListReader
from gql_server.feed.live_list import ListSource
from gql_server.feed.session import run_session
from gql_server.feed.watch import ValueSource
from gql_server.graph.context import Context, Info
from gql_server.graph.facets import FacetValue, Keys, PipelineFacet, PipelineFacetKey
from gql_server.graph.feed.types import After, FeedEvent, ThrottleMs, event_of, moment, position_of, throttle_seconds
from gql_server.graph.fields import First, SemanticNonNull, access, access_sentence, may_read
from gql_server.graph.fleet.health import SystemHealth
from gql_server.graph.jobs.types import Job, JobBy
from gql_server.graph.pipelines.list import PipelineFilter
from gql_server.graph.pipelines.types import PipelineBy
from gql_server.graph.scalars import FeedToken
from gql_server.graph.selection import selected
from gql_server.reads.facets import facets
from gql_server.reads.fleet.health import health_checks
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.queries import keys_by_job, pipelines_by_key
from gql_server.reads.pipelines.row import PipelineRow

THROTTLE_MS = 250
LIST_THROTTLE_MS = 500
FACETS_THROTTLE_MS = 2000
HEALTH_THROTTLE_MS = 5000
STUCK_SECONDS = 5.0
"""Until a job is counted as stuck of which nothing has been heard."""
MEMBERS_MAX = 10_000

Filter = Annotated[PipelineFilter | None, strawberry.argument(description="Which ones; all without it.")]


@strawberry.type(description="A job as it is now.")
class JobProgressed(FeedEvent):
    job: Job = strawberry.field(description="The job, read for this message.")


@strawberry.type
class PipelineSubscription:
    @strawberry.subscription(
        description="One pipeline until it is terminal, then complete. Begins with its present state, or after `after`. "
        "A pipeline that is unknown or not visible completes at once.",
        directives=[SemanticNonNull()],
    )
    async def pipeline(
        self,
        info: Info,
        by: Annotated[PipelineBy, strawberry.argument(description="Its name.")],
        after: After = UNSET,
        throttle_ms: ThrottleMs = THROTTLE_MS,
    ) -> AsyncIterator[FeedEvent | None]:
        seconds, position = throttle_seconds(throttle_ms, THROTTLE_MS), position_of(after, info)
        context = info.context
        key = await by.key(info)
        if key is None:
            context.session.end()
            return
        source = PipelineSource(
            context.hub,
            key,
            partial(_afresh, context, pipelines_by_key, key, columns=selected(info, PipelineRow) | PipelineSource.LOOKED_AT),
            is_resumable=partial(_asked, context, queries.is_resumable),
            has_changed=partial(_asked, context, queries.has_changed_since, viewer=context.viewer, pipeline_key=key),
            throttle_seconds=seconds,
            heartbeat_seconds=context.session.heartbeat_seconds,
        )
        async with aclosing(run_session(context.session, source, position, context.token)) as readings:
            async for reading in readings:
                yield event_of(reading, context.session.told.token)

    @strawberry.subscription(
        description="A live list, newest first: what enters, changes and leaves, by the filter and by what you may see.",
        directives=[SemanticNonNull()],
    )
    async def pipelines(
        self,
        info: Info,
        filter: Filter = UNSET,
        after: After = UNSET,
        snapshot: Annotated[
            bool | None,
            strawberry.argument(description="Begin with the first page, unless resumed."),
        ] = True,
        first: First = 25,
        throttle_ms: ThrottleMs = LIST_THROTTLE_MS,
    ) -> AsyncIterator[FeedEvent | None]:
        seconds, position = throttle_seconds(throttle_ms, LIST_THROTTLE_MS), position_of(after, info)
        context = info.context
        source = ListSource(
            context.hub,
            _list_reader(info, filter, first),
            renew=context.renew_alone,
            with_snapshot=snapshot is not False,
            throttle_seconds=seconds,
            heartbeat_seconds=context.session.heartbeat_seconds,
        )
        async with aclosing(run_session(context.session, source, position, context.token)) as events:
            async for event in events:
                yield event_of(event, context.session.told.token)

    @strawberry.subscription(
        description="The alert strip: the counts of `PipelineConnection.facets`, pushed when they change, at most once per "
        "`throttleMs`.",
        directives=[SemanticNonNull()],
    )
    async def facets(
        self, info: Info, keys: Keys, filter: Filter = UNSET, throttle_ms: ThrottleMs = FACETS_THROTTLE_MS
    ) -> AsyncIterator[list[PipelineFacet] | None]:
        seconds = throttle_seconds(throttle_ms, FACETS_THROTTLE_MS)
        context = info.context
        criteria = filter.criteria(context.viewer) if filter else PipelineCriteria()
        asked = list(dict.fromkeys(keys))
        count = partial(_afresh, context, facets, criteria, names=tuple(key.name for key in asked), limit=None)
        is_of_time = PipelineFacetKey.ALERT in asked or criteria.is_stuck is not None
        at_least_every = max(seconds, STUCK_SECONDS) if is_of_time else None
        async with aclosing(_watched(context, None, count, seconds, at_least_every=at_least_every)) as samples:
            async for sample in samples:
                yield [
                    PipelineFacet(key=key, values=[FacetValue.of(key, value) for value in sample.value[key.name]])
                    for key in asked
                ]

    @strawberry.subscription(
        description=f"Health, pushed when it changes, at most once per `throttleMs`. {access_sentence('Subscription.health')}",
        directives=access("Subscription.health"),
        graphql_type=SystemHealth | None,
    )
    async def health(self, info: Info, throttle_ms: ThrottleMs = HEALTH_THROTTLE_MS) -> AsyncIterator[Any]:
        seconds = throttle_seconds(throttle_ms, HEALTH_THROTTLE_MS)
        context = info.context
        if not may_read("Subscription.health", self, info):
            context.session.end()
            yield None
            return

        async def read() -> Any:
            context.renew()
            return await context.read(health_checks, **context.hub.health_arguments())

        async with aclosing(_watched(context, None, read, seconds, at_least_every=max(seconds, 1.0))) as samples:
            async for sample in samples:
                yield sample.value

    @strawberry.subscription(
        description="One job, with the rows it has handled, until it is finished, then complete. A job that is unknown or not "
        "visible completes at once.",
        directives=[SemanticNonNull()],
    )
    async def job_progress(
        self,
        info: Info,
        by: Annotated[JobBy, strawberry.argument(description="Its name.")],
        throttle_ms: ThrottleMs = THROTTLE_MS,
    ) -> AsyncIterator[JobProgressed | None]:
        seconds, job_id = throttle_seconds(throttle_ms, THROTTLE_MS), by.key()
        context = info.context
        key = await context.load(keys_by_job, job_id)
        if key is None:
            context.session.end()
            return
        read = partial(_afresh, context, jobs_by_id, job_id, columns=selected(info, JobRow) | ["state"])
        async with aclosing(_watched(context, key, read, seconds, is_last=_is_finished)) as samples:
            async for sample in samples:
                yield JobProgressed(**moment(context.session.told.token), job=sample.value)


@strawberry.type(description="A slice of the change feed.")
class ChangePage:
    events: list[FeedEvent] = strawberry.field(description="What happened, oldest first; what happened twice is there once.")
    next_token: FeedToken = strawberry.field(description="Where to go on.")
    has_more: bool = strawberry.field(description="There is more already.")


@strawberry.type
class ChangesQuery:
    @strawberry.field(
        description="The live list by polling: same events, same tokens, nothing twice. Without history since the token: a "
        "`FeedReset` and a `FeedSnapshot`.",
        directives=[SemanticNonNull()],
    )
    async def changes(
        self,
        info: Info,
        after: Annotated[FeedToken, strawberry.argument(description="Where to go on; a page's `feedToken` to begin with.")],
        filter: Filter = UNSET,
        first: Annotated[
            int | None, strawberry.argument(description="Pipelines at most, of those you may see; up to 200.")
        ] = 100,
    ) -> ChangePage | None:
        context = info.context
        reader = _list_reader(info, filter, first)
        source = ListSource(context.hub, reader, renew=context.renew_alone)
        slice = await source.slice(context.tokens.open(after, context.viewer), reader.page_size)
        return ChangePage(
            events=[event_of(event, context.token(event.position, event.held)) for event in slice.events],
            next_token=FeedToken(context.token(slice.next.position, slice.next.held)),
            has_more=slice.has_more,
        )


def _list_reader(info: Info, filter: PipelineFilter | None, first: int | None) -> ListReader:
    """Raises BadInput."""
    context = info.context
    criteria = filter.criteria(context.viewer) if filter else PipelineCriteria()
    window = context.window("Query.pipelines", first=first, criteria=criteria, descending=True)
    return ListReader(context.engine, context.viewer, criteria, window, selected(info, PipelineRow))


def _watched(
    context: Context, key: UUID | None, read: Callable[[], Awaitable[Any]], throttle_seconds: float, **ending: Any
) -> Any:
    now = partial(_asked, context, queries.now)
    source = ValueSource(context.hub, key, read, now=now, throttle_seconds=throttle_seconds, **ending)
    context.session.shows_changes_only = True
    return run_session(context.session, source, None, context.token)


async def _afresh(context: Context, query: Any, key: Any, **arguments: Any) -> Any:
    """The value of the key with fresh loaders, which then serve the rest of the message."""
    context.renew()
    return await context.load(query, key, **arguments)


async def _asked(context: Context, query: Any, *values: Any, **arguments: Any) -> Any:
    """Answer of a query of the feed itself: nobody's rows, so for no viewer."""
    async with context.engine.connect() as connection:
        return await query(connection, *values, **arguments)


def _is_finished(job: Any) -> bool:
    return job.state == JobState.FINISHED
