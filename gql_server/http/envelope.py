"""Around requests: the path under which a proxy shows the server, headers that keep browsers careful, and layers that only
those pass by whom they concern."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gql_server.http.head import head_of, path_of

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
    given = [*headers]
    names = {name for name, _ in given}
    varied = _varied(*(value for name, value in given if name == VARY))
    kept = [header for header in given if header[0] != VARY] if VARY in names else given
    return [*kept, *(header for header in CAREFUL if header[0] not in names), (VARY, varied)]


@lru_cache(maxsize=64)
def _varied(*values: bytes) -> bytes:
    """Names that an answer varies by, each once, and the origin."""
    names = [name.strip() for value in values for name in value.split(b",")]
    return b", ".join(dict.fromkeys([*names, b"Origin"]))


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

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, minimum_size=COMPRESSED_BYTES_MIN, compresslevel=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        takes = "gzip" in head_of(scope).get("accept-encoding", "")
        await (self._compressing if takes else self._app)(scope, receive, send)
