"""HTTP connections with deadlines: whoever sends nothing, or half a request, is let go; probes are answered at the limit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar, cast

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gql_server.http.begun import Begun
from gql_server.http.head import PROBES
from gql_server.http.media import too_large
from gql_server.http.refusals import Refusal

HEADERS_SECONDS = 10.0
BODY_SECONDS = 10.0
IDLE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 4096
PROBE_PATHS = tuple(probe.encode() for probe in PROBES)

T = TypeVar("T")

log = structlog.get_logger(__name__)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Takes a handshake that was refused for a complete one, where uvicorn's own logs an error beside the refusal."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True


class PatientProtocol(HttpToolsProtocol):
    """Waits for the head of each request so long and no longer. Between two of them uvicorn's own limit counts."""

    _deadline: asyncio.TimerHandle | None = None
    _is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is None and not self._is_answering and not self._is_upgraded:
            self._await_head()

    def handle_websocket_upgrade(self) -> None:
        self._is_upgraded = True
        super().handle_websocket_upgrade()

    def on_headers_complete(self) -> None:
        self._forget_deadline()
        if self.url.partition(b"?")[0].endswith(PROBE_PATHS):
            self.limit_concurrency = None
        elif self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            advice = (
                f"a request was turned away, as {len(self.connections)} connections are open: GQL_CONNECTIONS_MAX allows more"
            )
            log.warning("connection.refused", advice=advice)
        super().on_headers_complete()
        self.limit_concurrency = self.config.limit_concurrency

    @property
    def _is_answering(self) -> bool:
        cycle = cast(RequestResponseCycle | None, self.cycle)  # uvicorn's type leaves out what it is at first
        return cycle is not None and not cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEADERS_SECONDS, self.timeout_keep_alive_handler)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def whole_body(receive: Receive, max_bytes: int) -> bytearray:
    """The body of a request. Raises Refusal (408) when it takes long, HTTPException (413) as soon as it is too large."""
    return await in_time(_collected(receive, max_bytes), BODY_SECONDS)


async def _collected(receive: Receive, max_bytes: int) -> bytearray:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise too_large(max_bytes)
        if not message.get("more_body", False):
            return body


async def parts(request: Request) -> AsyncIterator[bytes]:
    """The parts of a large body. Raises Refusal (408) when nothing comes for long, or too little."""
    loop, stream, received = asyncio.get_running_loop(), request.stream(), 0
    began = loop.time()
    while part := await in_time(anext(stream, b""), IDLE_SECONDS):
        received += len(part)
        if loop.time() - began > IDLE_SECONDS + received / SLOWEST_BYTES_PER_SECOND:
            raise _too_slow()
        yield part


async def in_time(reading: Awaitable[T], seconds: float) -> T:
    """The result of reading. Raises Refusal (408)."""
    begun = Begun(reading)
    if begun.is_done:
        return begun.result
    try:
        async with asyncio.timeout(seconds):
            return await begun
    except TimeoutError:
        raise _too_slow() from None


def _too_slow() -> Refusal:
    return Refusal(408, "The request came too slowly.", {"Connection": "close"})
