import json
import re
from itertools import count
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette

from gql_server.http.graphiql import PageConfig, Persona, Tab, routes
from gql_server.http.tabs import operator_tabs

SCHEMA = Path(__file__).parents[2] / "schema.graphql"
INDEX = "<html><head><!-- page config --></head></html>"
ASSET = "console.log(1);\n" * 100
HOSTILE = '</script><script>alert("<!--")</script>'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "index-abc123.js").write_text(ASSET)
    return tmp_path


def client(directory: Path, config: PageConfig | None = None) -> httpx.AsyncClient:
    app = Starlette(routes=routes(config or PageConfig(), directory))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


def told(page: str) -> dict[str, object]:
    script = re.search(r"<script nonce=\"[^\"]+\">window.__GQL__ = (.*)</script>", page)
    assert script is not None
    return json.loads(script.group(1))


async def test_the_page_is_told_where_the_api_is_and_who_it_can_act_as(built: Path) -> None:
    config = PageConfig(
        url="/graphql",
        subscription_url="/live",
        headers=lambda: {"x-from": "page"},
        tabs=[Tab("{ viewer { id } }"), Tab("query One($id: Int) { x }", {"id": 1})],
        viewers=[Persona("superadmin", lambda: {"authorization": "Bearer t"})],
        title="demo",
    )

    response = await client(built, config).get("/graphiql")

    assert response.status_code == 200
    assert told(response.text) == {
        "url": "/graphql",
        "subscriptionUrl": "/live",
        "headers": {"x-from": "page"},
        "tabs": [
            {"query": "{ viewer { id } }", "variables": ""},
            {"query": "query One($id: Int) { x }", "variables": '{\n  "id": 1\n}'},
        ],
        "viewers": [{"label": "superadmin", "headers": {"authorization": "Bearer t"}}],
        "title": "demo",
    }


async def test_headers_are_asked_for_whenever_the_page_is_served(built: Path) -> None:
    numbers = count(1)
    config = PageConfig(
        headers=lambda: {"x-page": f"{next(numbers)}"}, viewers=[Persona("one", lambda: {"x-viewer": f"{next(numbers)}"})]
    )

    async with client(built, config) as browser:
        pages = [told((await browser.get("/graphiql")).text) for _ in range(2)]

    assert [page["headers"] for page in pages] == [{"x-page": "1"}, {"x-page": "3"}]
    assert [page["viewers"] for page in pages] == [
        [{"label": "one", "headers": {"x-viewer": "2"}}],
        [{"label": "one", "headers": {"x-viewer": "4"}}],
    ]


async def test_the_page_may_load_nothing_from_elsewhere_and_is_never_stored(built: Path) -> None:
    response = await client(built).get("/graphiql")

    nonce = re.findall(r'<script nonce="([^"]+)">', response.text)
    assert response.headers["content-security-policy"] == (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce[0]}'; style-src 'self' 'unsafe-inline'; "
        "font-src 'self' data:; img-src 'self' data:; worker-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["cache-control"] == "no-store"


async def test_every_response_has_a_nonce_of_its_own(built: Path) -> None:
    async with client(built) as browser:
        first, second = [await browser.get("/graphiql") for _ in range(2)]

    assert first.headers["content-security-policy"] != second.headers["content-security-policy"]


async def test_a_configured_text_cannot_leave_its_script_element(built: Path) -> None:
    response = await client(built, PageConfig(tabs=[Tab(HOSTILE)], title=HOSTILE)).get("/graphiql")

    assert response.text.count("</script>") == 1
    assert response.text.count("<!--") == 0
    assert told(response.text)["title"] == HOSTILE


async def test_assets_are_cached_for_ever_and_sent_compressed(built: Path) -> None:
    response = await client(built).get("/graphiql/assets/index-abc123.js", headers={"accept-encoding": "gzip"})

    assert response.text == ASSET
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("accepted", "coding", "sent"),
    [
        ("gzip, deflate, br", "br", b"as brotli"),
        ("gzip", "gzip", b"as gzip"),
        ("deflate, br;q=0", None, ASSET.encode()),
        ("br;q=0, GZIP;q=0.5", "gzip", b"as gzip"),
        ("gzip;q=0, *", "br", b"as brotli"),
        ("", None, ASSET.encode()),
    ],
)
async def test_an_asset_is_sent_as_the_build_compressed_it_in_the_best_way_that_is_taken(
    built: Path, accepted: str, coding: str | None, sent: bytes
) -> None:
    (built / "assets" / "index-abc123.js.br").write_bytes(b"as brotli")
    (built / "assets" / "index-abc123.js.gz").write_bytes(b"as gzip")

    async with client(built).stream(
        "GET", "/graphiql/assets/index-abc123.js", headers={"accept-encoding": accepted}
    ) as response:
        body = b"".join([part async for part in response.aiter_raw()])

    assert body == sent
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_an_asset_the_browser_still_has_is_not_sent_again(built: Path) -> None:
    async with client(built) as browser:
        first = await browser.get("/graphiql/assets/index-abc123.js")
        again = await browser.get("/graphiql/assets/index-abc123.js", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_only_assets_are_served(built: Path) -> None:
    (built / "secret.txt").write_text("secret")

    async with client(built) as browser:
        outside = await browser.get("/graphiql/assets/%2e%2e/secret.txt")
        missing = await browser.get("/graphiql/assets/gone.js")

    assert [outside.status_code, missing.status_code] == [404, 404]


async def test_a_page_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    async with client(tmp_path / "nowhere", PageConfig(url="/api")) as browser:
        page = await browser.get("/graphiql")
        asset = await browser.get("/graphiql/assets/index-abc123.js")

    assert page.status_code == 503
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.text == ("The GraphiQL page has not been built: run `make frontend`. The API itself is up, at /api.\n")
    assert asset.status_code == 404


async def test_a_page_built_while_the_server_runs_is_served(tmp_path: Path) -> None:
    async with client(tmp_path) as browser:
        before = await browser.get("/graphiql")
        (tmp_path / "index.html").write_text(INDEX)
        after = await browser.get("/graphiql")

    assert [before.status_code, after.status_code] == [503, 200]


@pytest.mark.parametrize(
    "tab", operator_tabs(), ids=lambda tab: re.findall(r"(?:query|mutation|subscription) (\w+)", tab.query)[0]
)
def test_a_default_tab_is_valid_against_the_schema(tab: Tab) -> None:
    schema = build_schema(SCHEMA.read_text())

    assert validate(schema, parse(tab.query)) == []


def test_the_detail_and_live_tabs_point_at_the_same_pipeline() -> None:
    pointed = [tab.variables for tab in operator_tabs(job_id=17, ingest_id=25) if "$by" in tab.query or "$job" in tab.query]

    by = {"by": {"jobId": 17}}
    assert pointed == [by, {"job": 25}, by]
