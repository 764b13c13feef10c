"""Sign-in of browsers at the identity provider, and sign-out: the routes, and what a person sees when it does not work."""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from html import escape
from urllib.parse import quote, urlsplit

import orjson
from cryptography.fernet import Fernet, InvalidToken
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gql_server import base64url
from gql_server.errors import PublicError, Unauthenticated
from gql_server.http.cookies import SESSION, SIGN_IN, Cookies, Site, credentials_of
from gql_server.http.graphiql import PAGE_HEADERS
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.refusals import STATUS
from gql_server.http.relying_party import Attempt, NotGranted, RelyingParty
from gql_server.http.sessions import BrowserSessions
from gql_server.http.uploads import refusal

PATH, OUT_PATH = "/sign-in", "/sign-out"
WITHIN = timedelta(minutes=10)
NEXT_LENGTH = 1024
OWN_PATH = re.compile(r"(?!//|[^?#]*/(\.|%2e){1,2}([/?#]|$))/[\x21-\x5b\x5d-\x7e]*", re.IGNORECASE)
"""A path on this server: without another host, or what a browser reads as one (`\\`, control characters), or a step upwards."""
DONE = "<p>You are signed in. Close this window: the page that asked goes on where it was.</p>"


class SignIn:
    """The routes of the sign-in. Each attempt is bound to its browser by a key in a cookie, and to its place by the state."""

    def __init__(
        self, party: RelyingParty, sessions: BrowserSessions, cookies: Cookies, site: Site, authenticate: Authenticate
    ) -> None:
        self._party, self._sessions, self._cookies, self._site = party, sessions, cookies, site
        self._authenticate = authenticate

    def routes(self) -> list[Route]:
        return [
            Route(PATH, self._told(self.begin)),
            Route(f"{PATH}/callback", self._told(self.complete)),
            Route(f"{PATH}/done", self.done),
            Route(f"{PATH}/session", self.session),
            Route(OUT_PATH, self.sign_out, methods=["POST"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider. Raises Unavailable."""
        key = self._key(request) or Fernet.generate_key()
        state = Fernet(key).encrypt(orjson.dumps(self._next(request))).decode()
        response = RedirectResponse(await self._party.authorization_url(self._attempt(request, key, state)), 303, PAGE_HEADERS)
        self._cookies.write(request.scope, response, SIGN_IN, key.decode(), WITHIN)
        return response

    async def complete(self, request: Request) -> Response:
        """Begin the session of somebody who comes back from the provider. Raises NotGranted or Unavailable."""
        given = dict(request.query_params)
        key, state = self._key(request), given.get("state", "")
        back = self._opened(key, state)
        if key is None or back is None:
            raise NotGranted("This sign-in was not begun in this browser, or more than ten minutes ago.")
        await self._party.check_issuer(given)
        if "code" not in given:
            raise NotGranted(given.get("error_description") or given.get("error") or "The identity provider has sent no code.")
        grant = await self._party.redeem(given["code"], self._attempt(request, key, state))
        secret = await self._sessions.open(grant)
        if (former := self._cookies.session(request.scope)) is not None:
            await self._sessions.forget(former)
        response = RedirectResponse(back, 303, PAGE_HEADERS)
        self._cookies.write(request.scope, response, SESSION, secret, self._sessions.lifetime)
        return response

    async def session(self, request: Request) -> Response:
        """Tell a page who has signed in."""
        try:
            viewer = await viewer_of(self._authenticate, credentials_of(request.scope))
        except Unauthenticated:
            return JSONResponse({"viewer": None}, headers=PAGE_HEADERS)
        except PublicError as error:
            return refusal(error)
        told = {"subject": viewer.subject, "name": viewer.display_name or viewer.subject}
        return JSONResponse({"viewer": told}, headers=PAGE_HEADERS)

    async def done(self, request: Request) -> Response:
        """End of a sign-in in a window of its own."""
        return _page(DONE)

    async def sign_out(self, request: Request) -> Response:
        """End the session, and tell the page where to go on."""
        if not self._site.is_own(request.scope):
            return JSONResponse({"error": {"message": "Only a page of this server signs out.", "code": "FORBIDDEN"}}, 403)
        back = f"{self._site.origin(request.scope)}{self._site.base_path}/"
        try:
            former = self._cookies.session(request.scope)
            location = back if former is None else await self._sessions.close(former, back)
        except PublicError as error:
            return refusal(error)
        response = JSONResponse({"location": location}, headers=PAGE_HEADERS)
        self._cookies.clear(request.scope, response, SESSION)
        return response

    def _told(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Shows a person what went wrong."""

        async def handling(request: Request) -> Response:
            try:
                return await handle(request)
            except NotGranted as error:
                return self._failure(request, str(error), 403)
            except PublicError as error:
                return self._failure(request, error.message, STATUS[error.code])

        return handling

    def _failure(self, request: Request, message: str, status: int) -> Response:
        back = self._opened(self._key(request), request.query_params.get("state", "")) or f"{self._site.base_path}/"
        again = f"{self._site.base_path}{PATH}?next={quote(back, safe='/')}"
        return _page(
            f'<p>You are not signed in. {escape(message[:500])}</p><p><a href="{escape(again)}">Try again</a></p>', status
        )

    def _key(self, request: Request) -> bytes | None:
        """The key of this browser's attempts."""
        value = self._cookies.read(request.scope, SIGN_IN)
        return value.encode() if value is not None and re.fullmatch(r"[\w-]{43}=", value, re.ASCII) else None

    def _attempt(self, request: Request, key: bytes, state: str) -> Attempt:
        redirect_uri = f"{self._site.origin(request.scope)}{self._site.base_path}{PATH}/callback"
        return Attempt(redirect_uri, state, _derived(key, "nonce", state), _derived(key, "verifier", state))

    def _opened(self, key: bytes | None, state: str) -> str | None:
        """Path at which a person wanted to be who comes back with this state; None unless it is of this browser, and of now."""
        if key is None:
            return None
        try:
            return orjson.loads(Fernet(key).decrypt(state.encode(), ttl=int(WITHIN.total_seconds())))
        except InvalidToken:
            return None

    def _next(self, request: Request) -> str:
        """The path that is asked for, if it is one of this server's pages."""
        wanted, home = request.query_params.get("next", ""), f"{self._site.base_path}/"
        is_own = len(wanted) <= NEXT_LENGTH and OWN_PATH.fullmatch(wanted) and wanted.startswith(home)
        path = urlsplit(wanted).path.removeprefix(self._site.base_path) if is_own else ""
        is_page = path == f"{PATH}/done" or not path.startswith((PATH, OUT_PATH))
        return wanted if path and is_page else home


def _derived(key: bytes, use: str, state: str) -> str:
    return base64url.encode(hmac.digest(key, f"{use} {state}".encode(), hashlib.sha256))


def _page(text: str, status: int = 200) -> Response:
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign-in</title>{text}</html>'
    return HTMLResponse(page, status, PAGE_HEADERS)
