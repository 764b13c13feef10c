"""GET /docs: the reference of the schema, a page for each type, searchable, and examples."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from importlib import resources

from jinja2 import Environment, PackageLoader
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gql_server.errors import PublicError
from gql_server.http.graphiql import base_of
from gql_server.http.reference import words
from gql_server.http.reference.index import SchemaIndex, kind_of
from gql_server.http.refusals import STATUS

SEARCH_LENGTH = 100
# No script at all; the only form asks this server.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "private, no-cache"}


class ReferencePages:
    """The pages, which are made of the definition when they are first asked for. `check` raises a public error for those who
    may not see the schema."""

    def __init__(
        self,
        definition: Callable[[], str],
        operations: Mapping[str, str],
        version: str,
        check: Callable[[Request], Awaitable[None]],
    ) -> None:
        self._definition, self._operations, self._version, self._check = definition, operations, version, check

    def routes(self, middleware: Sequence[Middleware] = ()) -> list[Route]:
        """`/docs`, and what is below it."""
        addresses = {"/docs": self.get, "/docs/style.css": self.style, "/docs/{name}": self.get}
        return [Route(path, page, middleware=middleware) for path, page in addresses.items()]

    async def get(self, request: Request) -> Response:
        name = request.path_params.get("name", "")
        try:
            await self._check(request)
        except PublicError as error:
            page = await run_in_threadpool(self._render, "refused.html", base_of(request), reason=error.message)
            return HTMLResponse(page, STATUS[error.code], HEADERS)
        sought = request.query_params.get("q", "").strip()[:SEARCH_LENGTH]
        return await run_in_threadpool(self._page, name, sought, base_of(request))

    async def style(self, request: Request) -> Response:
        sheet = resources.files(__package__ or "").joinpath("style.css").read_text("utf-8")
        return Response(sheet, media_type="text/css", headers={"Cache-Control": "public, max-age=300"})

    def _page(self, name: str, sought: str, base: str) -> Response:
        if name == "examples":
            page = self._render("examples.html", base, operations=self._operations)
        elif name in self._index.elements:
            page = self._render("element.html", base, name=name, element=self._index.elements[name])
        elif name or sought:
            sought = sought or name[:SEARCH_LENGTH]
            found = self._index.search(sought)
            return HTMLResponse(self._render("found.html", base, sought=sought, found=found), 404 if name else 200, HEADERS)
        else:
            page = self._render("index.html", base)
        return HTMLResponse(page, headers=HEADERS)

    def _render(self, template: str, base: str, **given: object) -> str:
        return self._templates.get_template(template).render(base=base, index=self._index, version=self._version, **given)

    @cached_property
    def _index(self) -> SchemaIndex:
        return SchemaIndex(self._definition(), self._operations)

    @cached_property
    def _templates(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("gql_server.http.reference"), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters.update({name: getattr(words, name) for name in FILTERS}, kind_of=kind_of)
        return environment


FILTERS = ("described", "first_sentence", "linked", "link_to", "default_of", "facts")
