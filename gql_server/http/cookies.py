"""Cookies of browsers that have signed in, which count for pages of this server alone: one that another page makes go along
does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.http.websocket_origin import is_same_origin, normalize_origin

from gql_server.http.head import head_of
from gql_server.http.requests import PREFLIGHT
from gql_server.http.sessions import SessionSecret

SESSION, SIGN_IN = "gql-session", "gql-sign-in"
COOKIE_LENGTH = 512
KEPT = "gql_server.session"
"""Name in the scope of a request."""


def credentials_of(scope: Scope) -> str | None:
    """Credentials of who sends a request: a bearer token, whatever else there is, or else the session of its browser."""
    given = head_of(scope).get(b"authorization")
    return given.decode("latin-1") if given else scope.get(KEPT)


@dataclass(frozen=True, slots=True)
class Site:
    """The address under which browsers see this server: as configured, or as each request says."""

    public_origin: str | None
    base_path: str

    def origin(self, scope: Scope) -> str:
        if self.public_origin:
            return self.public_origin
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        return f"{scheme}://{head_of(scope).text(b'host')}"

    def is_secure(self, scope: Scope) -> bool:
        return self.origin(scope).startswith("https:")

    def is_own(self, scope: Scope) -> bool:
        """True if a page of this server sends this request, and knows that it does; or a program. True for a page that a person
        opens, which changes nothing, and which nobody else can read."""
        headers = head_of(scope)
        if scope["type"] == "http" and not headers.get(PREFLIGHT):
            return scope["method"] == "GET" and headers.get(b"sec-fetch-dest") == b"document"
        if (site := headers.get(b"sec-fetch-site")) is not None:
            return site == b"same-origin"
        if b"origin" not in headers:
            return True
        origin = headers.text(b"origin")
        return is_same_origin(origin, headers.text(b"host")) or self._is_public(origin)

    def _is_public(self, origin: str) -> bool:
        return self.public_origin is not None and normalize_origin(origin) == normalize_origin(self.public_origin)


class Cookies:
    """The cookies of this server, at the site: as hard to set and to read by others as its address allows."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def session(self, scope: Scope) -> SessionSecret | None:
        """The secret of the browser's session, whoever sends the request."""
        value = self.read(scope, SESSION)
        return None if value is None else SessionSecret(value)

    def read(self, scope: Scope, name: str) -> str | None:
        """The value of a cookie, if it is there."""
        value = _all(scope).get(self._named(scope, name))
        return value if value and len(value) <= COOKIE_LENGTH else None

    def write(self, scope: Scope, response: Response, name: str, value: str, age: timedelta) -> None:
        """Set a cookie."""
        response.set_cookie(
            self._named(scope, name),
            value,
            max_age=int(age.total_seconds()),
            path=self._site.base_path or "/",
            secure=self._site.is_secure(scope),
            httponly=True,
            samesite="lax",
        )

    def clear(self, scope: Scope, response: Response, name: str) -> None:
        """Take a cookie back."""
        self.write(scope, response, name, "", timedelta(0))

    def _named(self, scope: Scope, name: str) -> str:
        """Name of a cookie that no other host, and none that is not encrypted, can set in its place."""
        if not self._site.is_secure(scope):
            return name
        return f"__Secure-{name}" if self._site.base_path else f"__Host-{name}"


class SessionCookie:
    """Middleware that takes the session of a request of this server's own pages from its cookie."""

    def __init__(self, app: ASGIApp, cookies: Cookies, site: Site) -> None:
        self._app, self._cookies, self._site = app, cookies, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and b"cookie" in head_of(scope) and self._site.is_own(scope):
            scope[KEPT] = self._cookies.session(scope)
        await self._app(scope, receive, send)


def _all(scope: Scope) -> Mapping[str, str]:
    return cookie_parser(head_of(scope).text(b"cookie"))
