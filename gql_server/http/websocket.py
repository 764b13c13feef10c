"""graphql-transport-ws: one context for each operation, and no operation can bring down its siblings."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    CompleteMessage,
    ConnectionInitMessage,
    Message,
    PingMessage,
    SubscribeMessage,
)

from gql_server.credentials.revocation import Cause
from gql_server.errors import PublicError, RateLimited, Unauthenticated, Unavailable
from gql_server.graph.context import Context
from gql_server.graph.document_limits import SUBSCRIPTIONS_PER_SOCKET
from gql_server.graph.executable_schema import Schema
from gql_server.http import live, streams
from gql_server.http.documents import Documents
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.masking import counted, internal, masked, public
from gql_server.http.requests import is_well_formed
from gql_server.http.revocation import Revocations
from gql_server.http.sockets import Sockets
from gql_server.policy import Viewer

SEND_SECONDS = 10.0
DRAIN_SECONDS = 1.0
LOOK_SECONDS = 3600.0
ID_LENGTH = 256
# Close codes after which graphql-ws's client comes again by itself, and may resume.
RESTART = 1012
EXPIRED = 4440
TRY_AGAIN_LATER = 1013
TOO_SLOW = 4441
UNAUTHORIZED = 4401
FORBIDDEN = 4403
HAS_EXPIRED = (EXPIRED, "The access token has expired: connect again with a new one, and resume")
FAREWELLS = {
    Cause.ENDED: (FORBIDDEN, "The session has ended, or the token was revoked: sign in again"),
    Cause.CHANGED: (EXPIRED, "Your account or its permissions have changed: connect again, and resume"),
}


class Expired(Exception):
    """The caller's token is no longer valid."""


log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SocketContext:
    """Credentials of a socket's caller: in `connection_init` or a later `ping`, else those of the handshake."""

    handshake: str | None
    authenticate: Authenticate
    connection_params: dict[str, Any] = field(default_factory=dict[str, Any])

    async def viewer(self) -> Viewer:
        """The caller. Raises Unauthenticated or Unavailable."""
        return await viewer_of(self.authenticate, self.authorization)

    @property
    def authorization(self) -> str | None:
        """Credentials, if there are any."""
        given = {key.lower(): value for key, value in self.connection_params.items()}
        authorization = given.get("authorization") or self.handshake
        return authorization if isinstance(authorization, str) else None


class Endpoint(Protocol):
    """The endpoint that a socket belongs to, as far as its operations need it."""

    live: live.LiveOperations
    sockets: Sockets
    revocations: Revocations
    create_context: Callable[[Viewer], Context]
    documents: Documents

    def encode_json(self, data: object) -> str: ...


class TransportHandler(BaseGraphQLTransportWSHandler[Any, None]):
    """Answers whatever is wrong with an operation to that operation alone. A socket lives as long as its token, which a `ping`
    with a payload `{"authorization": …}` renews."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._viewer: Viewer | None = None
        self._lifetimes: set[asyncio.Timeout] = set()
        self._ends: float | None = None
        self._held = ExitStack()
        self._credentials = ExitStack()
        self._farewell: tuple[int, str] | None = None

    async def handle(self) -> None:
        opened = self._endpoint.sockets.opened(self, address_of(self._socket))
        with opened, self._held, self._credentials, suppress(TimeoutError):
            async with asyncio.timeout(None) as self._patience:
                await super().handle()

    @property
    def _endpoint(self) -> Endpoint:
        return cast(Endpoint, self.view)

    @property
    def _socket(self) -> WebSocket:
        return cast(ASGIWebSocketAdapter, self.websocket).ws

    async def drain(self) -> None:
        """Let the client go; it comes again by itself."""
        await self._leave(RESTART, "The server restarts: connect again and resume with the last token")

    async def handle_ping(self, message: PingMessage) -> None:
        payload = cast(object, message.get("payload"))
        is_renewal = isinstance(payload, dict) and "authorization" in payload
        if not is_renewal or await self._is_renewed(cast(dict[str, Any], payload)):
            await super().handle_ping(message)

    async def _is_renewed(self, payload: dict[str, Any]) -> bool:
        """True if it goes on with another token of the same caller. Closes the socket otherwise."""
        context = cast(SocketContext, self.context)
        before, context.connection_params = context.connection_params, {**context.connection_params, **payload}
        viewer = await self._admitted(context)
        if viewer is None:
            return False
        if self._viewer is not None and replace(viewer, expires_at=None) != replace(self._viewer, expires_at=None):
            context.connection_params = before
            await self._leave(FORBIDDEN, "This token is somebody else's, or of another scope: connect again with it")
            return False
        self._ends = _end_of(viewer)
        for lifetime in self._lifetimes:
            lifetime.reschedule(self._ends)
        return True

    async def handle_message(self, message: Message) -> None:
        if not _is_well_formed(message):
            await self.handle_invalid_message("Failed to parse message")
        elif message["type"] != "subscribe" or not self.connection_acknowledged or await self._is_accepted(message):
            await super().handle_message(message)

    async def _is_accepted(self, message: SubscribeMessage) -> bool:
        """True if there is room for the operation, and its document is found. Answers it otherwise."""
        if message["id"] in self.operations or len(self.operations) < SUBSCRIPTIONS_PER_SOCKET:
            return await self._is_found(message)
        too_many = f"{SUBSCRIPTIONS_PER_SOCKET} operations of this connection are under way: end one first, or open another."
        await self._refuse(message["id"], RateLimited(too_many, limit=SUBSCRIPTIONS_PER_SOCKET))
        return False

    async def _refuse(self, id: str, error: PublicError) -> None:
        errors = [each.formatted for each in counted([public(error)])]
        await self.send_message({"id": id, "type": "error", "payload": errors})

    async def _is_found(self, message: SubscribeMessage) -> bool:
        """True once the message has the text of its document. Answers it otherwise."""
        payload = cast(dict[str, Any], message["payload"])
        try:
            payload["query"] = self._endpoint.documents.text(payload)
        except PublicError as error:
            await self._refuse(message["id"], error)
            return False
        return True

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        given = cast(object, message.get("payload"))
        payload: Any = {} if given is None else given
        if self.connection_init_received or not isinstance(payload, dict) or await self._is_welcome(payload):
            await super().handle_connection_init({"type": "connection_init", "payload": payload})

    async def _is_welcome(self, payload: dict[str, Any]) -> bool:
        """True if the caller may stay: the token is good, and their sockets are not too many. Closes the socket otherwise."""
        context = cast(SocketContext, self.context)
        context.connection_params = payload
        viewer = await self._admitted(context)
        if viewer is None:
            return False
        if not self._endpoint.sockets.admits_viewer(viewer):
            await self.websocket.close(TRY_AGAIN_LATER, "You have too many sockets: close one first")
            return False
        self._held.enter_context(self._endpoint.sockets.held(viewer))
        self._viewer, self._ends = viewer, _end_of(viewer)
        self._held.callback(asyncio.create_task(self._close_when_expired()).cancel)
        return True

    async def _admitted(self, context: SocketContext) -> Viewer | None:
        """The caller; None, and the socket is closed, where the token is not good, or cannot be looked at."""
        self._hold(context.authorization)
        try:
            viewer = await context.viewer()
        except Unauthenticated as error:
            await self._leave(FORBIDDEN if context.authorization else UNAUTHORIZED, error.message)
            return None
        except Unavailable as error:
            await self._leave(TRY_AGAIN_LATER, error.message)
            return None
        return None if self._farewell else viewer

    def _hold(self, credentials: str | None) -> None:
        """End with these credentials, no longer with others."""
        self._credentials.close()
        self._credentials.enter_context(self._endpoint.revocations.held(credentials, self._end))

    def _end(self, cause: Cause) -> None:
        """Let the client go whose credentials ended: nothing more is sent to it."""
        if self._farewell:
            return
        self._farewell = FAREWELLS[cause]
        for lifetime in self._lifetimes:
            lifetime.reschedule(asyncio.get_running_loop().time())
        self._held.callback(asyncio.create_task(self._leave(*self._farewell)).cancel)

    async def _leave(self, code: int, reason: str) -> None:
        with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.websocket.close(code, reason)

    async def _close_when_expired(self) -> None:
        """Let a client go that has a token no longer; operations tell of it themselves."""
        while self._ends is not None and (left := self._ends - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
        if self._ends is not None and not self.operations:
            await self._leave(*HAS_EXPIRED)

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        try:
            await self._run(operation)
        except WebSocketDisconnected:
            log.debug("socket.gone", operation_id=operation.id)
        except streams.TooSlow:
            await self.websocket.close(TOO_SLOW, "Too slow: connect again and resume with the last token")
        except streams.Interrupted:
            await self.websocket.close(TRY_AGAIN_LATER, "The database is away: connect again and resume with the last token")
        except streams.Draining:
            await self.drain()
        except Expired:
            await self._leave(*(self._farewell or HAS_EXPIRED))
        except live.OperationRefused as refused:
            await operation.send_initial_errors(refused.errors)
        except PublicError as error:
            await operation.send_initial_errors(counted([public(error)]))
        except GraphQLError as error:
            await operation.send_initial_errors(masked([error], cast(Schema, self.schema).executable))
        except Exception as error:
            await operation.send_initial_errors(counted([internal(error)]))

    async def _run(self, operation: Operation[Any, None]) -> None:
        """Raises Expired when the caller's token expires meanwhile."""
        viewer = self._viewer = await cast(SocketContext, self.context).viewer()
        if self._farewell:
            raise Expired
        lifetime = asyncio.timeout_at(_end_of(viewer))
        self._lifetimes.add(lifetime)
        try:
            async with lifetime:
                await self._send_results(operation, viewer)
        except TimeoutError:
            if lifetime.expired():
                raise Expired from None
            raise
        finally:
            self._lifetimes.discard(lifetime)

    async def _send_results(self, operation: Operation[Any, None], viewer: Viewer) -> None:
        self._endpoint.documents.check(operation.query, viewer)
        asked = live.Operation(operation.query, operation.variables or {}, operation.operation_name)
        if self._endpoint.live.plan(asked).is_subscription:
            await self._follow(operation, asked, viewer)
        else:
            await self._execute(operation, self._endpoint.create_context(viewer))
        await operation.send_operation_message(CompleteMessage(id=operation.id, type="complete"))

    async def _follow(self, operation: Operation[Any, None], asked: live.Operation, viewer: Viewer) -> None:
        prefix = f'{{"id":{self._endpoint.encode_json(operation.id)},"type":"next","payload":'
        async with aclosing(self._endpoint.live.frames(asked, viewer)) as frames:
            async for frame in frames:
                await self._send_text(prefix + frame.payload + "}")

    async def _send_text(self, text: str) -> None:
        """Raises WebSocketDisconnected. The socket of a client that takes nothing in ends, and what waits for it."""
        ending = asyncio.get_running_loop().call_later(SEND_SECONDS, self._give_up)
        try:
            await self._socket.send_text(text)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error
        finally:
            ending.cancel()

    def _give_up(self) -> None:
        if not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def _execute(self, operation: Operation[Any, None], context: Context) -> None:
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name,
        )
        async with aclosing(results):
            await self._send_result_stream(operation, self._masked(results))

    async def _masked(self, results: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        async for result in results:
            if result.errors:
                result.errors = masked(result.errors, cast(Schema, self.schema).executable)
            yield result

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        return None


def address_of(socket: WebSocket) -> str:
    """Address of the client: its own, where the proxy between is trusted."""
    return socket.client.host if socket.client else ""


def _end_of(viewer: Viewer) -> float | None:
    """Time at which the token expires, on the loop's clock."""
    if viewer.expires_at is None:
        return None
    return asyncio.get_running_loop().time() + (viewer.expires_at - datetime.now(UTC)).total_seconds()


def _is_well_formed(message: object) -> bool:
    """True if it has the shape of a message of the protocol, as far as the handler relies on it."""
    match message:
        case {"type": "connection_init" | "ping" | "pong"}:
            return True
        case {"type": "complete", "id": str()}:
            return True
        case {"type": "subscribe", "id": str(id), "payload": {**payload}}:
            return 0 < len(id) <= ID_LENGTH and is_well_formed(payload)
        case _:
            return False
