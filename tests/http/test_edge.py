"""The edge of the whole application: other origins, proxies, ids and headers."""

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gql_server.app import create_app
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.settings import Settings

APP = "https://app.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Edge:
    """The application with these settings, as clients reach it."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        self.settings = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"), **settings)
        self.app: Starlette = create_app(self.settings, dsn, PageConfig())
        self.token = self.token_of("operator")

    def token_of(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {TokenAuthority.of(self.settings).mint(role)}"}

    async def send(self, method: str, path: str, /, host: str = "server", **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=request.pop("raise_app_exceptions", True))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **request)

    async def query(self, query: str = "{ __typename }", path: str = "/graphql", **headers: str) -> httpx.Response:
        return await self.send("POST", path, json={"query": query}, headers={**self.token, **headers})


Open = Callable[..., Awaitable[Edge]]


@pytest.fixture
async def opened(dsn: str) -> AsyncIterator[Open]:
    """Opens the application with settings."""
    async with AsyncExitStack() as stack:

        async def open_edge(**settings: Any) -> Edge:
            edge = Edge(dsn, **settings)
            await stack.enter_async_context(edge.app.router.lifespan_context(edge.app))
            return edge

        yield open_edge


@pytest.fixture
def logged() -> Any:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_a_page_of_an_allowed_origin_may_ask(opened: Open):
    edge = await opened(allowed_origins=(APP,))

    preflight = await edge.send("OPTIONS", "/graphql", headers={"Origin": APP, **PREFLIGHT})
    answer = await edge.query(Origin=APP)

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == answer.headers["access-control-allow-origin"] == APP
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert "Retry-After" in answer.headers["access-control-expose-headers"]


async def test_a_page_of_another_origin_is_refused_and_the_log_says_what_would_let_it_in(opened: Open, logged: list[Any]):
    edge = await opened(allowed_origins=(APP,))

    preflight = await edge.send("OPTIONS", "/graphql", headers={"Origin": "https://evil.example.org", **PREFLIGHT})
    answer = await edge.query(Origin="https://evil.example.org")

    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in {**preflight.headers, **answer.headers}
    [line] = [entry for entry in logged if entry["event"] == "origin.refused"]
    assert line["advice"] == (
        "a page of https://evil.example.org was turned away: GQL_ALLOWED_ORIGINS=https://evil.example.org lets it in"
    )


async def test_only_the_names_that_are_allowed_are_answered_but_probes_always(opened: Open, logged: list[Any]):
    edge = await opened(allowed_hosts=("api.example.org", "*.internal", "[::1]"))

    statuses = {
        host: (await edge.send("GET", path, host=host)).status_code
        for host, path in [
            ("api.example.org", "/graphiql"),
            ("API.example.org:8000", "/graphiql"),
            ("one.internal", "/graphiql"),
            ("[::1]:8000", "/graphiql"),
            ("internal", "/graphiql"),
            ("evil.example.org", "/graphiql"),
            ("10.0.0.7", "/livez"),
        ]
    }

    assert {host for host, status in statuses.items() if status == 421} == {"internal", "evil.example.org"}
    assert [entry["advice"] for entry in logged if entry["event"] == "host.refused"] == [
        f"a request for {name} was turned away: GQL_ALLOWED_HOSTS={name} lets it in"
        for name in ("internal", "evil.example.org")
    ]


@pytest.mark.parametrize("on", ["", "/gql"])
async def test_the_server_is_found_under_its_base_path_whether_or_not_the_proxy_takes_it_off(opened: Open, on: str):
    edge = await opened(base_path="/gql")

    live = await edge.send("GET", f"{on}/livez")
    answer = await edge.query(path=f"{on}/graphql")

    assert (live.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}})


@pytest.mark.parametrize(
    "path", ["/livez", "/graphql", "/", "/graphiql", "/graphiql/assets/gone.js", "/nowhere", "/jobs/1/source"]
)
async def test_every_answer_keeps_browsers_careful(opened: Open, path: str):
    response = await (await opened()).send("GET", path)

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.parametrize("on", ["", "/gql"])
async def test_a_probe_below_the_base_path_is_told_of_to_those_who_debug_alone(opened: Open, logged: list[Any], on: str):
    await (await opened(base_path="/gql")).send("GET", f"{on}/readyz")

    assert [(line["log_level"], line["path"]) for line in logged if line["event"] == "request.ended"] == [
        ("debug", "/gql/readyz")
    ]


@pytest.mark.parametrize("origin", [{}, {"Origin": APP}, {"Origin": "https://evil.example.org"}])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
@pytest.mark.parametrize("query", ["{ __typename }", "{ __schema { types { name } } }"])
async def test_an_answer_names_what_it_varies_by(opened: Open, origin: dict[str, str], coding: str, query: str):
    answer = await (await opened(allowed_origins=(APP,))).query(query, **origin, **{"Accept-Encoding": coding})

    assert answer.headers.get_list("vary") == ["Accept, Accept-Encoding, Origin"]


async def test_an_operation_is_counted_by_its_route_below_a_base_path_too(opened: Open):
    edge, labels = await opened(base_path="/gql"), {"route": "/graphql", "method": "POST", "status": "200"}
    before = REGISTRY.get_sample_value("gql_http_requests_total", labels) or 0

    await edge.query(path="/gql/graphql")

    assert REGISTRY.get_sample_value("gql_http_requests_total", labels) == before + 1


async def test_a_request_is_answered_with_its_ids(opened: Open):
    edge = await opened()

    given = await edge.query(**{"X-Request-ID": "order-7:42", "traceparent": TRACE})
    made = [await edge.query(**{"X-Request-ID": bad, "traceparent": "nonsense"}) for bad in ("", "a b", "x" * 129)]

    assert (given.headers["x-request-id"], given.headers["traceparent"]) == ("order-7:42", TRACE)
    assert len({response.headers["x-request-id"] for response in made}) == 3
    assert all(len(response.headers["x-request-id"]) == 32 and "traceparent" not in response.headers for response in made)


async def test_what_fails_is_reported_under_the_id_of_its_request(opened: Open, logged: list[Any], engine: AsyncEngine):
    edge = await opened()
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE pipelines RENAME COLUMN last_error TO renamed")

    answer = await edge.query("{ pipelines { nodes { id lastError } } }", **{"X-Request-ID": "mine"})

    assert answer.json()["errors"][0]["extensions"]["requestId"] == "mine"
    assert [entry["request_id"] for entry in logged if entry["event"] == "request.failed"] == ["mine"]


@pytest.mark.parametrize("path", ["/graphql", "/broken"])
async def test_an_answer_to_what_breaks_has_its_id_and_line_and_keeps_browsers_careful(
    opened: Open, logged: list[Any], path: str
):
    edge = await opened()

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    edge.app.router.routes.insert(0, Route("/broken", lambda request: None))
    [route, *_] = [route for route in edge.app.router.routes if isinstance(route, Route) and route.path == path]
    route.app = broken

    answer = await edge.send("GET", path, headers={"X-Request-ID": "mine"}, raise_app_exceptions=False)

    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [(line["status"], line["path"]) for line in logged if line["event"] == "request.ended"] == [(500, path)]


async def test_a_long_answer_comes_compressed_to_who_takes_that_and_a_short_one_as_it_is(opened: Open):
    edge = await opened()
    types = "{ __schema { types { name } } }"

    long = await edge.query(types, **{"Accept-Encoding": "gzip"})
    plain = await edge.query(types, **{"Accept-Encoding": "identity"})
    short = await edge.query(**{"Accept-Encoding": "gzip"})

    assert (long.headers["content-encoding"], long.json()) == ("gzip", plain.json())
    assert "content-encoding" not in {**plain.headers, **short.headers}
    assert "Accept-Encoding" in long.headers["vary"]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("x-gzipped", None),
        ("*;q=0.5, gzip;q=0", None),
        ("GZIP", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0.1, *;q=0", "gzip"),
    ],
)
async def test_an_answer_is_compressed_for_those_alone_who_take_that(opened: Open, accepted: str, coding: str | None):
    answer = await (await opened()).query("{ __schema { types { name } } }", **{"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == coding


async def test_the_schema_definition_is_sent_again_only_when_it_has_changed(opened: Open):
    edge = await opened()
    tag = (await edge.query("{ api { schemaHash } }")).json()["data"]["api"]["schemaHash"]

    first = await edge.send("GET", "/schema.graphql", headers=edge.token)
    again = await edge.send("GET", "/schema.graphql", headers={**edge.token, "If-None-Match": f'"x", W/"{tag}"'})

    assert (first.status_code, first.headers["etag"]) == (200, f'W/"{tag}"')
    assert first.text.startswith(("type ", '"""', "directive", "schema"))
    assert (again.status_code, again.content) == (304, b"")


async def test_a_compressed_upload_is_refused(opened: Open):
    edge = await opened()
    parameters = {"module": "process_emissions", "year": "2025"}

    headers = {**edge.token, "Content-Encoding": "gzip"}
    response = await edge.send("POST", "/uploads", params=parameters, content=gzip.compress(b"a,b\n"), headers=headers)

    assert (response.status_code, response.json()["error"]["argument"]) == (415, "body")
