"""graphql-sse in distinct connections: the results of one operation as an event stream, which a client resumes by itself."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import cast

import orjson
from graphql import GraphQLError
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from gql_server.credentials.revocation import Cause
from gql_server.errors import PublicError, Unauthenticated
from gql_server.http.head import Head
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.live import LiveOperations, Operation, OperationRefused
from gql_server.http.masking import counted, internal, public
from gql_server.http.media import Media
from gql_server.http.revocation import Revocations
from gql_server.http.streams import Draining, Interrupted, TooSlow
from gql_server.policy import Viewer

SEND_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 12.0
KEEP_ALIVE = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"
EXPIRED = "The access token has expired: connect again with a new one, and resume."
ENDED = "The session has ended, or the token was revoked: sign in again."
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """Gives up a client that takes nothing in; it may come again, with its last token."""

    async def stream_response(self, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        async with aclosing(cast(AsyncGenerator[bytes, None], self.body_iterator)):
            await super().stream_response(in_time)


@dataclass(frozen=True, slots=True)
class Caller:
    """Credentials of a stream's caller, and who knows of them."""

    credentials: str | None
    authenticate: Authenticate
    revocations: Revocations


def stream(head: Head, live: LiveOperations, operation: Operation, caller: Caller) -> StreamingResponse:
    """The results of a subscription. `Last-Event-ID` resumes it."""
    last_event_id = head.text(b"last-event-id")
    return EventStream(_authorized(live, operation, caller, last_event_id), media_type=Media.EVENTS, headers=HEADERS)


def single(payload: str) -> StreamingResponse:
    """The one result of a query or a mutation."""

    async def events() -> AsyncIterator[bytes]:
        yield event(payload)
        yield COMPLETE

    return StreamingResponse(events(), media_type=Media.EVENTS, headers=HEADERS)


def event(payload: str, token: str | None = None) -> bytes:
    """One result; its id is what `Last-Event-ID` brings back."""
    id = f"id: {token}\n" if token else ""
    return f"{id}event: next\ndata: {payload}\n\n".encode()


async def _events(
    live: LiveOperations, operation: Operation, viewer: Viewer, last_event_id: str
) -> AsyncGenerator[bytes, None]:
    """Ends with `complete` when the operation does; a stream that ends without is to be resumed."""
    has_begun = False
    try:
        async with aclosing(live.frames(operation, viewer, resume=last_event_id or None)) as frames:
            async for frame in frames:
                yield event(frame.payload, frame.token)
                has_begun = True
    except (TooSlow, Interrupted, Draining):
        return
    except OperationRefused as refused:
        yield _errors(refused.errors)
    except PublicError as error:
        yield _errors(counted([public(error)]))
    except Exception as error:
        yield _errors(counted([internal(error)]))
        return
    else:
        has_begun = False
    if not has_begun:
        yield COMPLETE


async def _authorized(
    live: LiveOperations, operation: Operation, caller: Caller, last_event_id: str
) -> AsyncGenerator[bytes, None]:
    """The events until the caller's credentials end."""
    end: asyncio.Future[Cause] = asyncio.get_running_loop().create_future()

    def ended(cause: Cause) -> None:
        if not end.done():
            end.set_result(cause)

    with caller.revocations.held(caller.credentials, ended):
        try:
            viewer = await viewer_of(caller.authenticate, caller.credentials)  # who may have left meanwhile
        except PublicError as error:
            yield _errors([public(error)])
            yield COMPLETE
            return
        async with aclosing(_while_valid(_events(live, operation, viewer, last_event_id), viewer, end)) as events:
            async for event in events:
                yield event


async def _while_valid(
    events: AsyncGenerator[bytes, None], viewer: Viewer, end: "asyncio.Future[Cause]"
) -> AsyncGenerator[bytes, None]:
    """The events until the token expires or has ended, and a comment whenever there was none for a while."""
    async with aclosing(events):
        following = asyncio.ensure_future(anext(events, None))
        try:
            while (left := _seconds_left(viewer)) > 0 and not end.done():
                timeout = min(left, KEEP_ALIVE_SECONDS)
                done, _ = await asyncio.wait([following, end], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    yield KEEP_ALIVE
                elif end not in done:
                    if (chunk := following.result()) is None:
                        return
                    yield chunk
                    following = asyncio.ensure_future(anext(events, None))
            if end.done() and end.result() is Cause.CHANGED:
                return
            yield _errors([public(Unauthenticated(ENDED if end.done() else EXPIRED))])
            yield COMPLETE
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _errors(errors: list[GraphQLError]) -> bytes:
    return event(orjson.dumps({"errors": [error.formatted for error in errors]}).decode())


def _seconds_left(viewer: Viewer) -> float:
    return inf if viewer.expires_at is None else (viewer.expires_at - datetime.now(UTC)).total_seconds()
