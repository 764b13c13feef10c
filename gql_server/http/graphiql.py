"""The GraphiQL page: built browser assets, and the document that tells them where the API is."""

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from gql_server.http.assets import assets_of

PATH = "/graphiql"
BUILT = Path(__file__).parent.parent / "static" / "graphiql"
PLACEHOLDER = "<!-- page config -->"
NOT_BUILT = "The GraphiQL page has not been built: run `make frontend`. The API itself is up, at {url}.\n"

PAGE_HEADERS = {"Cache-Control": "no-store"}
RELATIVE = re.compile(r'(?<==")\./')
"""Beginning of the addresses in the built page."""

# Monaco writes its colours as inline styles; everything else comes from this origin.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data:; worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STATIC_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


Headers = Callable[[], Mapping[str, str]]
"""Headers of a request, asked for whenever the page is served: a token in them is fresh."""


@dataclass(frozen=True)
class Tab:
    """An operation that a first-time visitor finds in a tab."""

    query: str
    variables: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class Persona:
    """Viewer whom the page can act as: a name to choose, and the headers that make it so."""

    label: str
    headers: Headers


@dataclass(frozen=True)
class PageConfig:
    """Configuration of the page. Everything in it is readable by whoever can open the page, tokens included."""

    url: str = "/graphql"
    subscription_url: str = "/graphql"
    headers: Headers = dict[str, str]
    tabs: Sequence[Tab] = ()
    viewers: Sequence[Persona] = ()
    title: str = "gql-server"
    signs_in: bool = False

    def as_script(self, base: str = "") -> str:
        """JavaScript that sets `window.__GQL__` for a page under this path, safe inside a script element."""
        return f"window.__GQL__ = {self.as_json(base)}"

    def as_json(self, base: str = "") -> str:
        """The configuration of a page under this path, safe inside a script element."""
        config = {
            "url": base + self.url,
            "subscriptionUrl": base + self.subscription_url,
            "headers": dict(self.headers()),
            "tabs": [{"query": tab.query, "variables": _editor_text(tab.variables)} for tab in self.tabs],
            "viewers": [{"label": viewer.label, "headers": dict(viewer.headers())} for viewer in self.viewers],
            "title": self.title,
            **({"signIn": f"{base}/sign-in", "signOut": f"{base}/sign-out"} if self.signs_in else {}),
        }
        return json.dumps(config).replace("<", r"\u003c")


def routes(config: PageConfig, directory: Path = BUILT) -> list[Route | Mount]:
    """The page at `/graphiql` and its assets; 503 and a sentence while `directory` holds no built page."""

    def page(request: Request) -> Response:
        return _page(config, directory / "index.html", base_of(request))

    return [Route(PATH, page), assets_of(directory, PATH)]


def base_of(request: Request) -> str:
    """Path under which the server is shown."""
    return request.scope.get("root_path", "")


class Pages(StaticFiles):
    """Pages without a build, which run their own scripts alone."""

    def file_response(self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Content-Security-Policy"] = STATIC_POLICY
        return response


def _page(config: PageConfig, index: Path, base: str) -> Response:
    if not index.is_file():
        return PlainTextResponse(NOT_BUILT.format(url=base + config.url), status_code=503, headers=PAGE_HEADERS)
    nonce = secrets.token_urlsafe(16)
    script = f'<script nonce="{nonce}">{config.as_script(base)}</script>'
    policy = {"Content-Security-Policy": CONTENT_SECURITY_POLICY.format(nonce=nonce)}
    page = RELATIVE.sub(f"{base}{PATH}/", index.read_text("utf-8")).replace(PLACEHOLDER, script)
    return HTMLResponse(page, headers={**PAGE_HEADERS, **policy})


def _editor_text(variables: Mapping[str, object]) -> str:
    return json.dumps(variables, indent=2) if variables else ""
