"""Pages of other origins, and the names this server is asked under: who is let in, and what would let in the others."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.http.websocket_origin import is_same_origin, normalize_allowed_origins, normalize_origin

from gql_server.http.head import Head, head_of, is_probe

METHODS = ("GET", "POST")
SENT = (
    "Authorization",
    "GraphQL-Require-Preflight",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "traceparent",
    "X-Request-ID",
)
READ = ("ETag", "Retry-After", "traceparent", "X-Request-ID")
SHOWN = 200

log = structlog.get_logger(__name__)


class Origins:
    """Origins, beside the server's own, whose pages may ask: all for `*`. Raises ValueError for one that is none."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = normalize_allowed_origins(allowed)

    def admits(self, origin: str) -> bool:
        """True if a page of that origin may ask."""
        return "*" in self._allowed or normalize_origin(origin) in self._allowed

    def admits_socket(self, headers: Head) -> bool:
        """True if the page, if it is one, may open a socket. A refusal is logged."""
        if b"origin" not in headers or headers.get(b"sec-fetch-site") == b"same-origin":
            return True
        origin = headers.text(b"origin")
        if is_same_origin(origin, headers.text(b"host")):
            return True
        return self.admits(origin) or refused(origin)


def refused(origin: str) -> bool:
    """False, and a line in the log."""
    shown = origin[:SHOWN]
    advice = f"a page of {shown} was turned away: GQL_ALLOWED_ORIGINS={shown} lets it in"
    log.warning("origin.refused", origin=shown, advice=advice)
    return False


class CrossOrigin(CORSMiddleware):
    """Lets pages of allowed origins ask, with a bearer token of their own: no cookies go with it."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        super().__init__(app, allow_methods=METHODS, allow_headers=SENT, expose_headers=READ)
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Programs, which name no origin, pass."""
        through = super().__call__ if scope["type"] == "http" and b"origin" in head_of(scope) else self.app
        await through(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        return self._origins.admits(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        origin = request_headers["origin"]
        if not self.is_allowed_origin(origin):
            refused(origin)
            return PlainTextResponse("This origin is not among GQL_ALLOWED_ORIGINS.\n", 403)
        return super().preflight_response(request_headers)


class Hosts:
    """Answers under these names alone, of which `*.example.com` stands for all one level below.

    A page that carries tokens is so safe from DNS rebinding. Probes are answered under every name.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower().strip("[]") for host in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_allowed(scope):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("This name is not among GQL_ALLOWED_HOSTS.\n", 421)(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = head_of(scope).text(b"host")
        name = _name(given)
        if {name, f"*.{name.partition('.')[2]}", "*"} & self._allowed or is_probe(scope):
            return True
        advice = f"a request for {given[:SHOWN]} was turned away: GQL_ALLOWED_HOSTS={name[:SHOWN]} lets it in"
        log.warning("host.refused", host=given[:SHOWN], advice=advice)
        return False


def _name(host: str) -> str:
    """The name in a Host header, without its port; nothing of one that is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
