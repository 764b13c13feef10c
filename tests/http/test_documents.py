"""Trusted documents, automatic persisted queries, and who may ask what nobody foresaw."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from gql_server.app import create_app
from gql_server.cli import app
from gql_server.errors import Stop
from gql_server.http import console
from gql_server.http.authentication import TokenAuthority
from gql_server.http.documents import KEPT, Documents, digest, load
from gql_server.http.graphiql import PageConfig
from gql_server.http.tabs import operation_texts
from gql_server.settings import Settings

WHO = "query Who { viewer { id } }"
OTHER = "query Other { viewer { displayName } }"
TYPES = "{ __schema { queryType { name } } }"
INSIDE = 'query { ...T } fragment T on Query { __type(name: "Job") { name } }'
MANIFESTS = {
    "codegen": {digest(WHO): WHO},
    "codegen with the algorithm": {f"sha256:{digest(WHO)}": WHO},
    "relay": {"0f00ba7": WHO},
    "apollo": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [{"id": digest(WHO), "name": "Who", "type": "query", "body": WHO}],
    },
}


class Site:
    """The application with these settings."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        self.settings = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"), **settings)
        self.app = create_app(self.settings, dsn, PageConfig())

    def headers(self, role: str) -> dict[str, str]:
        unit = "10208" if role == "principal" else None
        return {"Authorization": f"Bearer {TokenAuthority.of(self.settings).mint(role, unit=unit)}"}

    async def post(self, role: str = "principal", **request: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server") as client:
            return (await client.post("/graphql", json=request, headers=self.headers(role))).json()

    async def get(self, path: str, role: str, **parameters: str) -> httpx.Response:
        headers = {**self.headers(role), "GraphQL-Require-Preflight": "1", "Accept": "application/graphql-response+json"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server") as client:
            return await client.get(path, params=parameters, headers=headers)


Opens = Callable[..., Awaitable[Site]]


@pytest.fixture
async def opens(dsn: str) -> AsyncIterator[Opens]:
    async with AsyncExitStack() as stack:

        async def open_site(**settings: Any) -> Site:
            site = Site(dsn, **settings)
            await stack.enter_async_context(site.app.router.lifespan_context(site.app))
            return site

        yield open_site


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "documents.json"
    path.write_text(json.dumps(MANIFESTS["relay"]))
    return path


def _codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer["errors"]]


@pytest.mark.parametrize("form", MANIFESTS)
async def test_a_document_of_a_manifest_is_asked_for_by_id(opens: Opens, tmp_path: Path, form: str):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFESTS[form]))
    site = await opens(trusted_documents=(tmp_path / "manifest.json",), trusted_documents_only=True)
    id = "0f00ba7" if form == "relay" else digest(WHO)
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest(WHO)}}

    answers = [
        await site.post(documentId=id),
        await site.post(documentId=f"sha256:{digest(WHO)}"),
        await site.post(doc_id=id, variables={}),
        await site.post(extensions=persisted),
        await site.post(query=WHO),
        (await site.get("/graphql", "principal", documentId=id)).json(),
        (await site.get("/graphql", "principal", extensions=json.dumps(persisted))).json(),
    ]

    assert answers == [{"data": {"viewer": {"id": "principal-10208"}}}] * len(answers)


async def test_the_documents_of_the_built_console_are_trusted_without_being_named(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(console, "MANIFEST", tmp_path / "documents.json")
    unbuilt = await opens(trusted_documents_only=True)
    (tmp_path / "documents.json").write_text(json.dumps(MANIFESTS["codegen"]))
    built = await opens(trusted_documents_only=True)

    assert _codes(await unbuilt.post(query=WHO)) == ["FORBIDDEN"]
    assert await built.post(query=WHO) == {"data": {"viewer": {"id": "principal-10208"}}}
    assert _codes(await built.post(query=OTHER)) == ["FORBIDDEN"]


async def test_others_are_for_those_who_may_explore(opens: Opens, manifest: Path):
    site = await opens(trusted_documents=(manifest,), trusted_documents_only=True)

    refused, allowed = await site.post(query=OTHER), await site.post("operator", query=OTHER)

    assert _codes(refused) == ["FORBIDDEN"]
    assert refused["errors"][0]["extensions"]["permission"] == "backoffice.api:explore"
    assert allowed == {"data": {"viewer": {"displayName": "Operator"}}}


async def test_an_unknown_id_is_not_found_and_may_be_followed_by_the_text(opens: Opens):
    site = await opens()
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest(WHO)}}

    unknown = await site.post(extensions=persisted)
    registered = await site.post(query=WHO, extensions=persisted)
    known = await site.post(extensions=persisted)
    forged = await site.post(query=OTHER, extensions=persisted)
    status = (await site.get("/graphql", "operator", documentId="x")).status_code

    assert (unknown["errors"][0]["message"], _codes(unknown)) == ("PersistedQueryNotFound", ["PERSISTED_QUERY_NOT_FOUND"])
    assert registered == known == {"data": {"viewer": {"id": "principal-10208"}}}
    assert _codes(forged) == ["BAD_USER_INPUT"]
    assert status == 404


def test_so_many_registered_documents_are_kept_and_no_more():
    documents = Documents()
    texts = [f"{{ a{number}: __typename }}" for number in range(KEPT + 1)]
    for text in texts:
        documents.text({"query": text, "extensions": {"persistedQuery": {"sha256Hash": digest(text)}}})

    assert len(documents._registered) == KEPT
    assert digest(texts[0]) not in documents._registered


@pytest.mark.parametrize(
    "request_", [{}, {"documentId": 7}, {"query": None, "documentId": "x"}, {"extensions": {"persistedQuery": 1}}]
)
async def test_a_request_without_a_document_is_refused(opens: Opens, request_: dict[str, Any]):
    assert _codes(await (await opens()).post(**request_)) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"a": 1}', '{"format": "apollo-persisted-query-manifest", "operations": [{"id": 1, "body": ""}]}'],
)
def test_what_is_no_manifest_is_named(tmp_path: Path, content: str):
    path = tmp_path / "manifest.json"
    path.write_text(content)

    with pytest.raises(ValueError, match=r"manifest\.json: "):
        load([path])
    with pytest.raises(Stop, match="GQL_TRUSTED_DOCUMENTS"):
        Site("postgresql://nobody@/nothing", trusted_documents=(path,))


def test_the_operations_of_the_page_are_a_manifest(tmp_path: Path):
    printed = CliRunner().invoke(app, ["documents"])
    (tmp_path / "page.json").write_text(printed.stdout)

    assert load([tmp_path / "page.json"]) == {digest(text): text for text in operation_texts()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ nope }", "Cannot query field 'nope' on type 'Query'. Did you mean 'node' or 'nodes'?"),
        ("", "Syntax Error: Unexpected <EOF>."),
        ("query A { __typename } query B { __typename }", "the document must have exactly one operation"),
    ],
)
def test_what_nobody_could_execute_is_not_trusted(tmp_path: Path, text: str, said: str):
    path = tmp_path / "bad.graphql"
    path.write_text(text)

    result = CliRunner().invoke(app, ["documents", str(path)])

    assert (result.stdout, str(result.exception)) == ("", f"{path}: {said}")
    assert isinstance(result.exception, Stop)


async def test_the_schema_is_told_to_everyone_unless_it_is_said_otherwise(opens: Opens):
    everyone, permitted = await opens(), await opens(introspection="permitted")
    told = {"data": {"__schema": {"queryType": {"name": "Query"}}}}

    assert await everyone.post(query=TYPES) == await permitted.post("operator", query=TYPES) == told
    assert _codes(await permitted.post(query=TYPES)) == ["FORBIDDEN"]
    assert _codes(await permitted.post(query='query { ...T } fragment T on Query { __type(name: "Job") { name } }')) == [
        "FORBIDDEN"
    ]
    assert await permitted.post(query="{ __typename }") == {"data": {"__typename": "Query"}}
    assert (await permitted.get("/schema.graphql", "principal")).status_code == 403
    assert (await permitted.get("/schema.graphql", "operator")).status_code == 200


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ pipelinez { nodes { id } } }", {}),
        ("query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }", {"filter": {"yearz": [1]}}),
    ],
)
async def test_nothing_is_suggested_to_who_may_not_see_the_schema(opens: Opens, query: str, variables: dict[str, Any]):
    site = await opens(introspection="permitted")

    with_hint = await site.post("operator", query=query, variables=variables)
    without = await site.post(query=query, variables=variables)
    again = await site.post("operator", query=query, variables=variables)

    assert "Did you mean" in with_hint["errors"][0]["message"]
    assert "Did you mean" not in json.dumps(without)
    assert again == with_hint
