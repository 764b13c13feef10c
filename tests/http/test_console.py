import json
import re
from itertools import count
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from gql_server.http import graphiql
from gql_server.http.console import routes
from gql_server.http.envelope import BasePath
from gql_server.http.graphiql import PageConfig, Persona, Tab

INDEX = "<html><head><!-- page config --></head></html>"
HOSTILE = '</script><script>alert("<!--")</script>'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "index-abc123.js").write_text("console.log(1);\n" * 100)
    return tmp_path


def client(directory: Path, config: PageConfig | None = None) -> httpx.AsyncClient:
    app = Starlette(routes=routes(config or PageConfig(), directory))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


def told(page: str) -> dict[str, object]:
    data = re.search(r'<script type="application/json" id="config" data-base="[^"]*">(.*?)</script>', page)
    assert data is not None
    return json.loads(data.group(1))


async def test_the_page_is_told_where_the_api_is_and_who_it_can_act_as_and_no_tabs_of_graphiql(built: Path) -> None:
    persona = Persona("superadmin", lambda: {"authorization": "Bearer t"})
    config = PageConfig(url="/api", subscription_url="/live", tabs=[Tab("{ viewer { id } }")], viewers=[persona], title="demo")

    response = await client(built, config).get("/")

    assert response.status_code == 200
    assert told(response.text) == {
        "url": "/api",
        "subscriptionUrl": "/live",
        "headers": {},
        "tabs": [],
        "viewers": [{"label": "superadmin", "headers": {"authorization": "Bearer t"}}],
        "title": "demo",
    }


async def test_a_page_asked_for_again_has_a_fresh_token(built: Path) -> None:
    numbers = count(1)
    config = PageConfig(viewers=[Persona("one", lambda: {"x-viewer": f"{next(numbers)}"})])

    async with client(built, config) as browser:
        pages = [told((await browser.get("/pipelines")).text)["viewers"] for _ in range(2)]

    assert pages == [[{"label": "one", "headers": {"x-viewer": str(number)}}] for number in (1, 2)]


@pytest.mark.parametrize("path", ["/", "/pipelines", "/pipelines/018f", "/failures", "/years/2025", "/fleet"])
async def test_the_address_of_every_page_opens_it(built: Path, path: str) -> None:
    response = await client(built).get(path, params={"lang": "fr"})

    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "path", ["/pipeline", "/pipelinesx", "/metrics", "/console/", "/console/index.html", "/console/assets/gone.js"]
)
async def test_other_addresses_are_not_found(built: Path, path: str) -> None:
    assert (await client(built).get(path)).status_code == 404


async def test_the_page_runs_no_script_and_takes_no_style_that_stands_in_a_document(built: Path) -> None:
    response = await client(built).get("/")

    assert response.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["cache-control"] == "no-store"


async def test_a_configured_text_cannot_leave_its_element(built: Path) -> None:
    response = await client(built, PageConfig(title=HOSTILE)).get("/")

    assert response.text.count("</script>") == 1
    assert told(response.text)["title"] == HOSTILE


async def test_a_page_under_a_path_is_told_so_and_finds_its_assets(built: Path) -> None:
    (built / "index.html").write_text('<!-- page config --><script src="./assets/index-abc123.js"></script>')
    app = BasePath(Starlette(routes=routes(PageConfig(), built)), "/ops")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as browser:
        response = await browser.get("/ops/pipelines/018f")
        asset = await browser.get("/ops/console/assets/index-abc123.js")

    assert (response.status_code, asset.status_code) == (200, 200)
    assert 'data-base="/ops"' in response.text
    assert told(response.text)["url"] == "/ops/graphql"
    assert '<script src="/ops/console/assets/index-abc123.js">' in response.text


async def test_assets_are_cached_for_ever_and_sent_compressed(built: Path) -> None:
    response = await client(built).get("/console/assets/index-abc123.js", headers={"accept-encoding": "gzip"})

    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_a_console_that_is_not_built_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphiql, "BUILT", tmp_path)

    async with client(tmp_path / "nowhere", PageConfig(url="/api")) as browser:
        answers = [await browser.get(path) for path in ("/", "/pipelines")]

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.text for answer in answers} == {
        "The operations console has not been built: run `make frontend`. The API itself is up, at /api.\n"
    }


async def test_graphiql_stands_in_at_the_root_for_a_console_that_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.html").write_text(INDEX)
    monkeypatch.setattr(graphiql, "BUILT", tmp_path)

    response = await client(tmp_path / "nowhere").get("/")

    assert (response.status_code, response.headers["location"]) == (307, "/graphiql")
