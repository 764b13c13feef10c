"""Requests and sockets: each has an id and a trace, which it is answered with and every line about it names, and a line when
it has ended."""

import re
import time
from functools import lru_cache
from logging import DEBUG, INFO
from os import urandom
from typing import Any

import structlog
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_server import tracing
from gql_server.http.envelope import RawHeaders, careful
from gql_server.http.head import Head, head_of, is_probe
from gql_server.logs import NAMES, NOTES
from gql_server.metrics import HTTP_REQUESTS, HTTP_SECONDS, OTHER
from gql_server.tallies import Count
from gql_server.tracing import TRACEPARENT

ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
ACCEPTED_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace_id>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
WEBSOCKET = "WEBSOCKET"
CLIENT_GONE = 499
NORMAL_CLOSURE = 1000
UNKNOWN = 1006

log = structlog.get_logger(__name__)


class RequestLog:
    """Layer around all requests: gives each its id, the client's own if it is well formed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope, send)
        TRACEPARENT.set(visit.trace)
        if tracing.is_on() and not visit.is_socket and not visit.is_probe:
            await self._traced(visit, receive)
        else:
            await self._told(visit, receive)

    async def _traced(self, visit: "Visit", receive: Receive) -> None:
        path = visit.scope["path"]
        with tracing.span(visit.method, parent=tracing.continued(visit.trace), kind=SpanKind.SERVER, url__path=path) as span:
            visit.trace = tracing.traceparent()
            await self._told(visit, receive)
            span.update_name(f"{visit.method} {visit.route}")

    async def _told(self, visit: "Visit", receive: Receive) -> None:
        NOTES.set(None if visit.is_socket else visit.notes)
        names = NAMES.set(visit.names)
        try:
            await self.app(visit.scope, receive, visit.send)
        finally:
            visit.end()
            NAMES.reset(names)


class Visit:
    """A request or a socket: who it is from, what it is answered, and what its messages tell of its outcome."""

    def __init__(self, scope: Scope, send: Send) -> None:
        head = head_of(scope)
        self.scope, self._send = scope, send
        self.id, self.trace = request_id(head), _trace(head)
        self.is_socket = scope["type"] == "websocket"
        self.is_probe = not self.is_socket and is_probe(scope)  # what answers may change where its path begins
        self.notes: dict[str, object] = {}
        self.began = time.perf_counter()
        self.status: int | None = None
        self.bytes = 0

    @property
    def method(self) -> str:
        """Its method, as label of metrics and name of spans."""
        return WEBSOCKET if self.is_socket else self.scope["method"] if self.scope["method"] in METHODS else OTHER

    @property
    def route(self) -> str:
        """The route that it has taken, as label."""
        return getattr(self.scope.get("route"), "path", OTHER)

    @property
    def names(self) -> dict[str, str]:
        """Names that every line about it has."""
        trace = ACCEPTED_TRACE.fullmatch(self.trace) if self.trace else None
        return {"request_id": self.id, "trace_id": trace["trace_id"]} if trace else {"request_id": self.id}

    async def send(self, message: Message) -> None:
        """Send a message of its answer, whose head says what it is known as."""
        match message["type"]:
            case "http.response.body":
                self.bytes += len(message.get("body", b""))
            case "http.response.start" | "websocket.http.response.start":
                self.status = message["status"]
                message["headers"] = careful(message.get("headers", ())) + self._ids
            case "websocket.accept":
                message["headers"] = [*message.get("headers", ()), *self._ids]
            case "websocket.close":
                self.status = message.get("code", NORMAL_CLOSURE)
            case _:
                pass
        await self._send(message)

    @property
    def _ids(self) -> RawHeaders:
        ids = [(b"x-request-id", self.id.encode())]
        return [*ids, (b"traceparent", self.trace.encode())] if self.trace else ids

    def end(self) -> None:
        """Count it, and write its line."""
        seconds, route = time.perf_counter() - self.began, self.route
        _count(route, self.method, self.status or (UNKNOWN if self.is_socket else CLIENT_GONE)).value += 1
        if not self.is_socket:
            HTTP_SECONDS.of(route).add(seconds)
        if log.is_enabled_for(INFO):
            self._tell(DEBUG if self.is_probe else INFO, seconds)

    def _tell(self, level: int, seconds: float) -> None:
        client: Any = self.scope.get("client") or (None,)
        fields = {"path": self.scope["path"], "duration_ms": round(1000 * seconds, 1), "client": client[0]}
        if self.is_socket:
            log.log(level, "socket.closed", **fields, code=self.status or UNKNOWN)
        else:
            answered = {"status": self.status, "response_bytes": self.bytes}
            log.log(level, "request.ended", method=self.scope["method"], **fields, **answered, **self.notes)


def request_id(head: Head) -> str:
    """The id that the client gave its request, else a new one."""
    given = head.get(b"x-request-id")
    return given.decode() if given and ACCEPTED_ID.fullmatch(given) else urandom(16).hex()


def _trace(head: Head) -> str | None:
    given = head.text(b"traceparent") if b"traceparent" in head else ""
    return given if ACCEPTED_TRACE.fullmatch(given) else None


@lru_cache(maxsize=512)
def _count(route: str, method: str, status: int) -> Count:
    return HTTP_REQUESTS.of(route, method, str(status))
