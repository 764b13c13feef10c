"""Requests and sockets: each has an id and a trace, which it is answered with and every line about it names, and a line when
it has ended."""

import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from secrets import token_hex

import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_server import tracing
from gql_server.http.origins import PROBES
from gql_server.logs import NOTES
from gql_server.metrics import HTTP_REQUESTS, HTTP_SECONDS, OTHER
from gql_server.tracing import TRACEPARENT

REQUEST_ID = "x-request-id"
TRACEPARENT_HEADER = "traceparent"
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
ACCEPTED_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace_id>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
CLIENT_GONE = 499
NORMAL_CLOSURE = 1000
UNKNOWN = 1006

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Seen:
    """Outcome of a request, as its messages tell it."""

    status: int | None = None
    bytes: int = 0
    notes: dict[str, object] = field(default_factory=dict[str, object])


class RequestLog:
    """Middleware that gives each request its id, the client's own if it is well formed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = _trace(headers)
        TRACEPARENT.set(given)
        if scope["type"] == "websocket" or scope["path"] in PROBES:
            await self._tell_of(scope, receive, send, headers, given)
            return
        method = scope["method"] if scope["method"] in METHODS else OTHER
        with tracing.span(method, parent=tracing.continued(given), kind=SpanKind.SERVER, url__path=scope["path"]) as span:
            await self._tell_of(scope, receive, send, headers, tracing.traceparent())
            span.update_name(f"{method} {getattr(scope.get('route'), 'path', OTHER)}")

    async def _tell_of(self, scope: Scope, receive: Receive, send: Send, headers: Headers, place: str | None) -> None:
        answered = {REQUEST_ID: request_id(headers), **({TRACEPARENT_HEADER: place} if place else {})}
        seen, began = _Seen(), time.perf_counter()
        NOTES.set(seen.notes if scope["type"] == "http" else None)
        with structlog.contextvars.bound_contextvars(**_fields(answered)):
            try:
                await self.app(scope, receive, _watched(send, seen, answered))
            finally:
                seconds = time.perf_counter() - began
                _tell(scope, seen, seconds)
                _count(scope, seen, seconds)


def request_id(headers: Headers) -> str:
    """The id that the client gave its request, else a new one."""
    given = headers.get(REQUEST_ID, "")
    return given if ACCEPTED_ID.fullmatch(given) else token_hex(16)


def _trace(headers: Headers) -> str | None:
    given = headers.get(TRACEPARENT_HEADER, "")
    return given if ACCEPTED_TRACE.fullmatch(given) else None


def _fields(answered: dict[str, str]) -> dict[str, str]:
    trace = ACCEPTED_TRACE.fullmatch(answered.get(TRACEPARENT_HEADER, ""))
    return {"request_id": answered[REQUEST_ID], **({"trace_id": trace["trace_id"]} if trace else {})}


def _watched(send: Send, seen: _Seen, answered: dict[str, str]) -> Send:
    async def watched(message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                seen.status = message["status"]
                MutableHeaders(scope=message).update(answered)
            case "websocket.accept":
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(answered)
            case "http.response.body":
                seen.bytes += len(message.get("body", b""))
            case "websocket.close":
                seen.status = message.get("code", NORMAL_CLOSURE)
            case _:
                pass
        await send(message)

    return watched


def _tell(scope: Scope, seen: _Seen, seconds: float) -> None:
    """Probes are told of to those who debug alone."""
    fields = {"path": scope["path"], "duration_ms": round(1000 * seconds, 1), "client": (scope.get("client") or [None])[0]}
    if scope["type"] == "websocket":
        log.info("socket.closed", **fields, code=seen.status or UNKNOWN)
        return
    tell = log.debug if scope["path"] in PROBES else log.info
    tell("request.ended", method=scope["method"], **fields, status=seen.status, response_bytes=seen.bytes, **seen.notes)


def _count(scope: Scope, seen: _Seen, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", OTHER)
    if scope["type"] == "http":
        method = scope["method"] if scope["method"] in METHODS else OTHER
        _counter(route, method, seen.status or CLIENT_GONE).inc()
        HTTP_SECONDS.labels(route).observe(seconds)
    else:
        _counter(route, "WEBSOCKET", seen.status or UNKNOWN).inc()


@lru_cache(maxsize=512)
def _counter(route: str, method: str, status: int) -> Counter:
    return HTTP_REQUESTS.labels(route, method, str(status))
