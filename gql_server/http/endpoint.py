"""The GraphQL endpoint: a request over HTTP is authenticated, executed, masked and answered, whatever goes wrong."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import orjson
from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from gql_server.errors import ErrorCode, PublicError
from gql_server.graph.context import Context
from gql_server.graph.document_limits import SUBSCRIPTIONS_PER_SOCKET
from gql_server.graph.executable_schema import Schema
from gql_server.http import sse
from gql_server.http.answers import SOON, answer, failure, headers_of, is_syntax_error, payload
from gql_server.http.cookies import credentials_of
from gql_server.http.documents import Documents
from gql_server.http.head import head_of
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.live import Limits, LiveOperations, Operation
from gql_server.http.masking import internal, masked, public, refusal
from gql_server.http.media import Accepted, Media, accepted
from gql_server.http.origins import Origins
from gql_server.http.refusals import STATUS, Refusal
from gql_server.http.requests import check_method, request_data
from gql_server.http.revocation import Revocations
from gql_server.http.sockets import SocketLimits, Sockets
from gql_server.http.wanted import while_wanted
from gql_server.http.websocket import SocketContext, TransportHandler, address_of
from gql_server.policy import Viewer

INIT_WITHIN = timedelta(seconds=5)
BY_DEFAULT = Accepted(Media.JSON, events=False)
ALLOWED = {"POST": (OperationType.QUERY, OperationType.MUTATION), "GET": (OperationType.QUERY,)}

CreateContext = Callable[[Viewer], Context]


class GraphQLEndpoint(GraphQL[Any, None]):
    """Queries over GET and POST, mutations over POST, subscriptions as event streams, everything over graphql-transport-ws."""

    graphql_transport_ws_handler_class = TransportHandler

    def __init__(
        self,
        schema: Schema,
        *,
        authenticate: Authenticate,
        create_context: CreateContext,
        request_max_bytes: int,
        limits: Limits = Limits(),  # noqa: B008
        socket_limits: SocketLimits = SocketLimits(),  # noqa: B008
        origins: Origins = Origins(),  # noqa: B008
        documents: Documents | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            multipart_uploads_enabled=False,
            max_subscriptions_per_connection=SUBSCRIPTIONS_PER_SOCKET,
            connection_init_wait_timeout=INIT_WITHIN,
        )
        self.authenticate = authenticate
        self.create_context = create_context
        self.live = LiveOperations(schema, create_context, self.encode_json, limits)
        self.sockets = Sockets(socket_limits)
        self.request_max_bytes = request_max_bytes
        self.origins = origins
        self.documents = documents or Documents()
        self.revocations = revocations or Revocations()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._respond(scope, receive)
            await response(scope, receive, send)
        elif not self.origins.admits_socket(head_of(scope)):
            await PlainTextResponse("This origin is not among GQL_ALLOWED_ORIGINS.\n", 403)(scope, receive, send)
        elif not self.sockets.admits(address_of(WebSocket(scope, receive, send))):
            await PlainTextResponse("Too many sockets are open.\n", 503, SOON)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def drain(self) -> None:
        """End all streams so that their clients can resume them elsewhere, and take no new work."""
        self.live.drain()
        await self.sockets.drain()

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        takes = BY_DEFAULT
        try:
            if self.live.is_draining:
                raise Refusal(503, "The server restarts: try again.", SOON, ErrorCode.UNAVAILABLE)
            check_method(scope)
            takes = accepted(head_of(scope).get(b"accept", b""))
            return await self._answer(scope, receive, takes)
        except Refusal as error:
            return failure(refusal(error.reason, error.code), takes.json, error.status_code, error.headers)
        except HTTPException as error:
            return failure(refusal(error.reason), takes.json, error.status_code)
        except PublicError as error:
            return failure(public(error), takes.json, STATUS[error.code], headers_of([public(error)]))
        except Exception as error:
            return failure(internal(error), takes.json, 500)

    async def _answer(self, scope: Scope, receive: Receive, takes: Accepted) -> ASGIApp:
        """Of a subscription, its results as an event stream; else the result in the media that the client takes."""
        credentials = credentials_of(scope)
        viewer = await viewer_of(self.authenticate, credentials)
        data = await request_data(scope, receive, self.request_max_bytes, self.documents)
        assert data.query is not None
        self.documents.check(data.query, viewer)
        if takes.events:
            operation = Operation(data.query, data.variables or {}, data.operation_name)
            if self.live.plan(operation).is_subscription:
                caller = sse.Caller(credentials, self.authenticate, self.revocations)
                return sse.stream(head_of(scope), self.live, operation, caller)
        result = await self._executed(scope["method"], receive, data, self.create_context(viewer))
        if result.errors:
            result.errors = masked(result.errors, cast(Schema, self.schema).executable)
        if takes.json is None and not is_syntax_error(result):
            return sse.single(self.encode_json(payload(result)))
        return answer(result, takes.json, is_get=scope["method"] == "GET")

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context | SocketContext:
        """Of a request, the context of its operation; of a socket, what says who asks for each of its operations."""
        credentials = credentials_of(request.scope)
        if isinstance(request, WebSocket):
            return SocketContext(credentials, self.authenticate)
        return self.create_context(await viewer_of(self.authenticate, credentials))

    def is_websocket_origin_allowed(self, request: WebSocket, origin: str) -> bool:
        """True: it was asked before."""
        return True

    async def _executed(self, method: str, receive: Receive, data: GraphQLRequestData, context: Context) -> ExecutionResult:
        execution = self.schema.execute(
            data.query,
            variable_values=data.variables,
            context_value=context,
            operation_name=data.operation_name,
            operation_extensions=data.extensions,
            allowed_operation_types=ALLOWED[method],
        )
        try:
            return await while_wanted(receive, execution)
        except MissingQueryError:
            raise HTTPException(400, "The document is empty.") from None
        except CannotGetOperationTypeError as error:
            raise HTTPException(400, error.as_http_error_reason()) from None
        except InvalidOperationTypeError as error:
            if error.operation_type is OperationType.MUTATION:
                raise Refusal(405, "Send a mutation with POST.", {"Allow": "POST"}) from None
            raise HTTPException(
                400, "Subscriptions are served over graphql-transport-ws, and as `Accept: text/event-stream`."
            ) from None

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        """Text, because graphql-transport-ws wants text frames."""
        return orjson.dumps(data, option=orjson.OPT_UTC_Z).decode()
