"""Around requests: the path under which a proxy shows the server, headers that keep browsers careful, and layers that only
those pass by whom they concern."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipResponder
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gql_server.http.head import head_of, path_of
from gql_server.http.media import takes

RawHeaders = list[tuple[bytes, bytes]]
CAREFUL = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For what says nothing else: an answer to a program, which no browser shall show."""
VARY = b"vary"
COMPRESSED_BYTES_MIN = 1400
"""More than a packet."""


def careful(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of an answer, with those that keep browsers from guessing, framing and running, and caches from giving it
    to another origin."""
    kept: RawHeaders = []
    varies = b""
    for header in headers:
        if header[0] == VARY:
            varies += b"," + header[1]
        else:
            kept.append(header)
    return kept + _added(tuple(dict(kept)), varies)


@lru_cache(maxsize=256)
def _added(names: tuple[bytes, ...], varies: bytes) -> RawHeaders:
    """Headers that go with those of these names; among them what an answer varies by, each once, and the origin."""
    varied = filter(None, map(bytes.strip, varies.split(b",")))
    missing = [header for header in CAREFUL if header[0] not in names]
    return [*missing, (VARY, b", ".join(dict.fromkeys([*varied, b"Origin"])))]


class Application(Starlette):
    """Starlette with these layers around all that it answers, also when something fails inside."""

    def __init__(self, layers: Sequence[Middleware], **options: Any) -> None:
        super().__init__(**options)
        self._layers = layers

    def build_middleware_stack(self) -> ASGIApp:
        app = super().build_middleware_stack()
        for layer, arguments, named in reversed(self._layers):
            app = layer(app, *arguments, **named)
        return app


class BasePath:
    """Serves under a path, whether the proxy in front leaves it on or takes it off."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app, self._base = app, base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            path = scope["path"]
            is_on = path == self._base or path.startswith(f"{self._base}/")
            scope = {**scope, "root_path": self._base, "path": path if is_on else self._base + path}
        await self._app(scope, receive, send)


class Shortcut:
    """Leads requests to these routes straight there: what is asked most need not be looked for among all others."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app, self._routes = app, {route.path: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(path_of(scope)) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = route
            await route.app(scope, receive, send)


class Compressed:
    """Compresses long answers, quickly, for those who take that. Its application says `Vary`; event streams are left as they
    are."""

    def __init__(self, app: ASGIApp, level: int = 1) -> None:
        self._app, self._level = app, level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if takes(head_of(scope).get(b"accept-encoding", b""), "gzip"):
            app = GZipResponder(app, COMPRESSED_BYTES_MIN, compresslevel=self._level)
        await app(scope, receive, send)
