"""The schema as pages: everything of it is there, linked, readable without a script, and shown to those who may see it."""

import html
import re

import pytest
from graphql import build_schema

from gql_server.graph.schema import sdl
from tests.http.test_edge import Edge

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
LINK = re.compile(r'(?:href|action)="([^"]+)"')


def text_of(page: str) -> str:
    """A page as it is read."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())


async def page_of(edge: Edge, path: str, status: int = 200, **headers: str) -> str:
    response = await edge.send("GET", path, headers=headers)
    assert response.status_code == status
    return response.text


async def test_every_type_has_a_page_with_all_its_members_and_every_link_leads_somewhere():
    edge = Edge(NOWHERE)
    index = await page_of(edge, "/docs")
    pages = {"/docs": index, "/docs/examples": await page_of(edge, "/docs/examples")}
    types = {name: each for name, each in build_schema(sdl()).type_map.items() if not name.startswith("__")}
    ours = types.keys() - {"Int", "Float", "String", "Boolean", "ID"}
    for name in [*ours, "@access", "@cost"]:
        assert f'href="/docs/{name}"' in index
        pages[f"/docs/{name}"] = await page_of(edge, f"/docs/{name}")

    for name in ours:
        members = {**getattr(types[name], "fields", {}), **getattr(types[name], "values", {})}
        assert [member for member in members if f'id="{member}"' not in pages[f"/docs/{name}"]] == []
    links = {link for page in pages.values() for link in LINK.findall(page)}
    elsewhere = {"/", "/graphiql", "/schema.graphql", "/docs/style.css", "data:,"}
    for link in links - elsewhere:
        path, _, anchor = link.partition("#")
        if path:
            assert not anchor or f'id="{anchor}"' in (pages.get(path) or await page_of(edge, path))


async def test_a_field_says_what_it_is_takes_costs_needs_and_promises():
    edge = Edge(NOWHERE)

    query, pipeline = text_of(await page_of(edge, "/docs/Query")), text_of(await page_of(edge, "/docs/Pipeline"))

    assert "locks: [AdvisoryLock!]" in query
    assert "needs backoffice.pipeline_operations:edit, else null, with an error FORBIDDEN · experimental since 0.1" in query
    assert "orderBy: JobOrder = { field: CREATED, direction: ASC } In which order." in pipeline
    assert "null only with an error · its elements are counted by first, last, else as if they were 20" in pipeline
    assert "null only with an error · costs 5 · its elements are counted by first, else as if they were 20" in pipeline
    assert "Used by" in pipeline


async def test_a_field_leads_to_operations_that_select_it():
    edge = Edge(NOWHERE)

    assert '<a href="/docs/examples#Console">Console</a>' in await page_of(edge, "/docs/Query")
    assert "query Console(" in text_of(await page_of(edge, "/docs/examples"))


async def test_pages_need_no_script_and_load_nothing_from_elsewhere():
    response = await Edge(NOWHERE).send("GET", "/docs/Pipeline")

    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "script" not in policy
    assert "<script" not in response.text
    assert "style=" not in response.text
    assert "http" not in response.text.replace("https://", "http")[: response.text.index("<main>")]


async def test_words_are_found_in_names_before_descriptions_and_a_name_that_there_is_not_is_looked_for():
    edge = Edge(NOWHERE)

    found = await page_of(edge, "/docs?q=is+Resolved")
    assert found.index("Pipeline.isResolved") < found.index("Pipeline.resolvedBy")
    assert "found for “retryPipelin”" in await page_of(edge, "/docs/retryPipelin", 404)
    assert 'href="/docs/Mutation#retryPipeline"' in await page_of(edge, "/docs/retryPipelin", 404)


async def test_what_is_sought_is_text_and_not_long():
    found = await page_of(Edge(NOWHERE), "/docs?q=" + '"><script>alert(1)</script>' + "x" * 500)

    assert "<script" not in found
    assert "&#34;&gt;&lt;script&gt;" in found
    assert "x" * 101 not in found


async def test_pages_below_a_path_lead_to_pages_below_it():
    page = await page_of(Edge(NOWHERE, base_path="/gql"), "/gql/docs/Query")

    assert {link for link in LINK.findall(page) if not link.startswith(("/gql/", "#", "data:"))} == set()


@pytest.mark.parametrize("path", ["/docs", "/docs/Query", "/docs/examples", "/docs?q=job", "/schema.graphql"])
async def test_the_schema_is_shown_to_anybody_unless_it_is_said_otherwise(path: str):
    permitted = Edge(NOWHERE, introspection="permitted")
    standard = permitted.token_of("standard")

    assert (await Edge(NOWHERE).send("GET", path)).status_code == 200
    assert (await permitted.send("GET", path)).status_code == 401
    assert (await permitted.send("GET", path, headers=standard)).status_code == 403
    assert (await permitted.send("GET", path, headers=permitted.token)).status_code == 200
