"""The GraphQL endpoint over HTTP: POST of JSON in, JSON out, whatever goes wrong."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData, process_result
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from gql_server.errors import DeadlineExceeded, ErrorCode, Unauthenticated
from gql_server.graph.context import Context
from gql_server.graph.document_limits import REQUEST_SECONDS, SUBSCRIPTIONS_PER_SOCKET
from gql_server.graph.executable_schema import Schema
from gql_server.http import sse
from gql_server.http.live import Limits, LiveOperations, Operation
from gql_server.http.masking import counted, internal, masked, public, refusal
from gql_server.http.websocket import SocketContext, Sockets, TransportHandler
from gql_server.policy import Viewer

UNWATCHED_SECONDS = 0.02
"""Time that an operation may take before somebody looks whether its client is still there."""
OPTIONAL: dict[str, type] = {"variables": dict, "operationName": str, "extensions": dict}

T = TypeVar("T")

Authenticate = Callable[[str | None], Viewer]
CreateContext = Callable[[Viewer], Context]


class GraphQLEndpoint(GraphQL[Any, None]):
    """Authenticates, executes and masks. Queries over POST, everything over graphql-transport-ws."""

    graphql_transport_ws_handler_class = TransportHandler

    def __init__(
        self,
        schema: Schema,
        *,
        authenticate: Authenticate,
        create_context: CreateContext,
        request_max_bytes: int,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            multipart_uploads_enabled=False,
            max_subscriptions_per_connection=SUBSCRIPTIONS_PER_SOCKET,
        )
        self.authenticate = authenticate
        self.create_context = create_context
        self.live = LiveOperations(schema, create_context, self.encode_json, limits)
        self.sockets = Sockets()
        self.request_max_bytes = request_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._respond(Request(scope, _capped(receive, self.request_max_bytes)))
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def drain(self) -> None:
        """End all streams so that their clients can resume them elsewhere, and take no new work."""
        self.live.drain()
        await self.sockets.drain()

    async def _respond(self, request: Request) -> Response:
        try:
            if self.live.is_draining:
                return _failure(refusal("The server restarts: try again.", ErrorCode.UNAVAILABLE), 503, {"Retry-After": "1"})
            _check(request, self.request_max_bytes)
            if sse.is_asked_for(request):
                return await self._stream(request)
            return await self._answer(request)
        except HTTPException as error:
            return _failure(refusal(error.reason), error.status_code)
        except DeadlineExceeded as error:
            return _failure(public(error), 504)
        except Unauthenticated as error:
            return _failure(public(error), 401, {"WWW-Authenticate": "Bearer"})
        except Exception as error:
            return _failure(internal(error), 500)

    async def _answer(self, request: Request) -> Response:
        """The result of a query or a mutation, from rows to bytes in one pass."""
        context = self.create_context(self.authenticate(request.headers.get("authorization")))
        data = await self.parse_http_body(self.request_adapter_class(request))
        result = await self.execute_operation(request, data, context)
        body = orjson.dumps(await self.process_result(request, result), option=orjson.OPT_UTC_Z)
        return Response(body, media_type="application/json")

    async def _stream(self, request: Request) -> Response:
        """The results of any operation as an event stream; but one answer as JSON to whoever takes that too."""
        viewer = self.authenticate(request.headers.get("authorization"))
        data = await self.parse_http_body(self.request_adapter_class(request))
        assert data.query is not None
        operation = Operation(data.query, data.variables or {}, data.operation_name)
        if self.live.plan(operation).is_subscription:
            return sse.stream(request, self.live, operation, viewer)
        if "json" in request.headers["accept"]:
            return await self._answer(request)
        result = await self.execute_operation(request, data, self.create_context(viewer))
        return sse.single(self.encode_json(await self.process_result(request, result)))

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context | SocketContext:
        """Of a request, the context of its operation; of a socket, what says who asks for each of its operations."""
        authorization = request.headers.get("authorization")
        if isinstance(request, WebSocket):
            return SocketContext(authorization, self.authenticate)
        return self.create_context(self.authenticate(authorization))

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        if result.errors:
            result.errors = masked(result.errors, cast(Schema, self.schema).executable)
        return process_result(cast(Any, result))

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        body = self.parse_json(await request.get_body())
        match body:
            case {"query": str(query), **rest} if _is_well_formed(rest):
                return GraphQLRequestData(query, rest.get("variables"), rest.get("operationName"), rest.get("extensions"))
            case _:
                raise HTTPException(400, "The request body must be an object with a `query`; see the GraphQL over HTTP draft.")

    async def execute_operation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: Request, request_data: GraphQLRequestData, context: Context, **_: Any
    ) -> ExecutionResult:
        execution = self.schema.execute(
            request_data.query,
            variable_values=request_data.variables,
            context_value=context,
            operation_name=request_data.operation_name,
            allowed_operation_types=(OperationType.QUERY, OperationType.MUTATION),
        )
        try:
            return await _while_wanted(request, execution)
        except MissingQueryError:
            raise HTTPException(400, "The document is empty.") from None
        except CannotGetOperationTypeError as error:
            raise HTTPException(400, error.as_http_error_reason()) from None
        except InvalidOperationTypeError:
            raise HTTPException(
                400, "Subscriptions are served over graphql-transport-ws, and as `Accept: text/event-stream`."
            ) from None

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        """Text, because graphql-transport-ws wants text frames."""
        return orjson.dumps(data, option=orjson.OPT_UTC_Z).decode()


async def _while_wanted(request: Request, execution: Coroutine[Any, Any, T]) -> T:
    """The result, unless the client goes away, or it takes too long: then all that it had begun is cancelled."""
    executing = asyncio.ensure_future(execution)
    begun: list[asyncio.Future[Any]] = [executing]
    try:
        await asyncio.wait(begun, timeout=UNWATCHED_SECONDS)
        if not executing.done():
            begun.append(gone := asyncio.ensure_future(_disconnected(request)))
            await asyncio.wait(begun, timeout=REQUEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not executing.done():
                raise HTTPException(499, "The client has gone away.")
        if not executing.done():
            raise DeadlineExceeded(f"The operation took longer than {REQUEST_SECONDS} seconds: ask for less at a time.")
        return executing.result()
    finally:
        unfinished = [task for task in begun if not task.done()]
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.gather(*unfinished, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    """Returns when the client goes away. The body has been read by now."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _is_well_formed(optional: dict[str, Any]) -> bool:
    return all(isinstance(optional.get(name), kind | None) for name, kind in OPTIONAL.items())


def _check(request: Request, max_bytes: int) -> None:
    """Raises HTTPException for what is not a POST of JSON within the limit."""
    if request.method != "POST":
        raise HTTPException(405, "Send the operation with POST.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send the operation as `Content-Type: application/json`.")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)


def _capped(receive: Receive, max_bytes: int) -> Receive:
    """Stops a body that is streamed without saying how long it will be."""
    received = 0

    async def capped() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise _too_large(max_bytes)
        return message

    return capped


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"The request body is larger than {max_bytes} bytes.")


def _failure(error: GraphQLError, status: int, headers: dict[str, str] | None = None) -> Response:
    body = {"errors": [each.formatted for each in counted([error])]}
    return Response(orjson.dumps(body), status, headers, "application/json")
