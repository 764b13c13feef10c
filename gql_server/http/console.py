"""The operations console: one built page, which its own router turns into many, and what tells it where the API is."""

from dataclasses import replace
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from gql_server.http import graphiql
from gql_server.http.assets import assets_of
from gql_server.http.graphiql import PAGE_HEADERS, PLACEHOLDER, RELATIVE, PageConfig, base_of

BUILT = Path(__file__).parent.parent / "static" / "console"
MANIFEST = BUILT / "documents.json"
"""Documents that the page sends, as its build wrote them."""
PAGES = ("pipelines", "failures", "years", "fleet")
NOT_BUILT = "The operations console has not been built: run `make frontend`. The API itself is up, at {url}.\n"

# Script and style come from files of this origin alone: what the page is told is data, which no browser executes.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(config: PageConfig, directory: Path = BUILT) -> list[Route | Mount]:
    """The console at `/`, at the addresses below each of its `PAGES`, and its assets; GraphiQL at `/` while it is not built."""

    def page(request: Request) -> Response:
        return _page(config, directory / "index.html", base_of(request))

    def root(request: Request) -> Response:
        if not (directory / "index.html").is_file() and (graphiql.BUILT / "index.html").is_file():
            return RedirectResponse(base_of(request) + graphiql.PATH)
        return page(request)

    deep = [Route(path, page) for name in PAGES for path in (f"/{name}", f"/{name}/{{rest:path}}")]
    return [Route("/", root), *deep, assets_of(directory, "/console")]


def _page(config: PageConfig, index: Path, base: str) -> Response:
    if not index.is_file():
        return PlainTextResponse(NOT_BUILT.format(url=base + config.url), status_code=503, headers=PAGE_HEADERS)
    data = replace(config, tabs=()).as_json(base)
    told = f'<script type="application/json" id="config" data-base="{escape(base)}">{data}</script>'
    page = RELATIVE.sub(f"{base}/console/", index.read_text("utf-8")).replace(PLACEHOLDER, told)
    return HTMLResponse(page, headers={**PAGE_HEADERS, "Content-Security-Policy": CONTENT_SECURITY_POLICY})
