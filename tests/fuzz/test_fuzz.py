"""Anything at all, sent as three viewers: no answer is a 5xx, no code INTERNAL, and no socket ends without a code."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gql_server.graph.nodes import encode
from gql_server.http.connections import PatientProtocol
from tests.graphql import AUTHORITY, Client, endpoint

pytestmark = pytest.mark.fuzz

ROLES = ("superadmin", "principal", "standard")
LANE = settings(
    max_examples=int(os.environ.get("GQL_TEST_FUZZ_EXAMPLES", "250")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROTOCOL = Subprotocol("graphql-transport-ws")
ABRUPT = (1006, 1011)

text = st.text(max_size=40)
scalar = st.none() | st.booleans() | st.integers() | st.floats() | text
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
id = text | st.builds(encode, st.sampled_from(["Pipeline", "Job", "Unit", "FailureGroup", "Worker", "TriageView", "X"]), text)
instant = st.sampled_from(["2025-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z", "now", ""])
filters = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(id, max_size=3),
        "years": st.lists(st.integers(-(2**33), 2**33), max_size=3),
        "search": text,
        "modules": st.lists(text, max_size=2),
        "unitInstitutionalId": text,
        "triggeredBy": st.lists(text, max_size=2),
        "createdAt": st.fixed_dictionaries({}, optional={"from": instant, "to": instant}),
        "durationSeconds": st.fixed_dictionaries({}, optional={"min": st.floats(), "max": st.floats()}),
        "unresolved": st.booleans(),
        "anything": value,
    },
)
OPERATIONS: dict[str, tuple[str, st.SearchStrategy[dict[str, Any]]]] = {
    "pipelines": (
        "query ($a: String, $n: Int, $f: PipelineFilter) { pipelines(after: $a, first: $n, filter: $f) {"
        " nodes { id status diagnosis { code } } totalCount { value } pageInfo { endCursor } } }",
        st.fixed_dictionaries({}, optional={"a": text, "n": st.integers() | value, "f": filters | value}),
    ),
    "node": ("query ($id: ID!) { node(id: $id) { id } }", st.fixed_dictionaries({"id": id | value})),
    "nodes": (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        st.fixed_dictionaries({"ids": st.lists(id, max_size=4) | value}),
    ),
    "job": (
        "query ($by: JobBy!) { job(by: $by) { id message meta { entries { key } } } }",
        st.fixed_dictionaries({"by": st.fixed_dictionaries({}, optional={"jobId": st.integers(), "id": id}) | value}),
    ),
    "changes": (
        "query ($t: FeedToken!, $n: Int) { changes(after: $t, first: $n) { nextToken hasMore } }",
        st.fixed_dictionaries({"t": text | value}, optional={"n": st.integers()}),
    ),
    "failures": (
        "query ($a: String, $s: DateTime) { failureGroups(after: $a, filter: { seenAt: { from: $s } }) { nodes { id } } }",
        st.fixed_dictionaries({}, optional={"a": text, "s": instant | value}),
    ),
    "save": (
        "mutation ($i: SaveViewInput!) { saveView(input: $i) { __typename } }",
        st.fixed_dictionaries(
            {"i": st.fixed_dictionaries({"name": text, "document": text}, optional={"variables": value}) | value}
        ),
    ),
}
documents = text | st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "(",
            ")",
            "...",
            "query",
            "fragment F on Query",
            "viewer",
            "id",
            "$a: Int",
            "@skip(if: true)",
            '"',
            "1",
            "é",
            "\0",
        ]
    ),
    max_size=25,
).map(" ".join)
requests = st.fixed_dictionaries(
    {},
    optional={
        "query": documents | value,
        "variables": value,
        "operationName": value,
        "extensions": value | st.builds(lambda sent: {"persistedQuery": {"sha256Hash": sent}}, text),
        "documentId": value,
    },
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(["*/*", "", ";q=", "text/event-stream", "application/graphql-response+json;q=nan", "a/b,,c"]),
        "Content-Type": st.sampled_from(["application/json", "application/json;charset", "text/plain", ""]),
        "Content-Encoding": st.sampled_from(["gzip", "", "identity"]),
        "GraphQL-Require-Preflight": st.sampled_from(["", "1"]),
        "Last-Event-ID": st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
        "X-Request-ID": st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    },
)


def _sent(body: object) -> bytes:
    """JSON as clients may write it: NaN and halves of characters too."""
    return json.dumps(body).encode()


def _check(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    assert '"INTERNAL"' not in response.text


async def _send(client: Client, method: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=client.transport, base_url="http://test") as http:
        return await http.request(method, "/graphql", **request)


@pytest.fixture(params=ROLES)
def client(request: pytest.FixtureRequest, engine: AsyncEngine) -> Client:
    return Client(engine, request.param, unit="10208" if request.param == "principal" else None)


@given(
    body=st.binary(max_size=200) | requests.map(_sent) | value.map(_sent),
    sent=headers,
    method=st.sampled_from(["POST", "GET", "PUT"]),
)
@LANE
async def test_bodies_and_headers(client: Client, body: bytes, sent: dict[str, str], method: str):
    _check(await _send(client, method, content=body, headers={"Content-Type": "application/json", **client.headers, **sent}))


@given(
    parameters=st.dictionaries(
        st.sampled_from(["query", "variables", "operationName", "extensions", "documentId"]), text | documents
    )
)
@LANE
async def test_parameters(client: Client, parameters: dict[str, str]):
    given_ = {name: value.encode("utf-8", "replace").decode() for name, value in parameters.items()}
    _check(await _send(client, "GET", params=given_, headers={**client.headers, "GraphQL-Require-Preflight": "1"}))


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data())
@LANE
async def test_variables_cursors_and_ids(client: Client, name: str, data: st.DataObject):
    query, variables = OPERATIONS[name]
    body = _sent({"query": query, "variables": data.draw(variables)})

    _check(await _send(client, "POST", content=body, headers={**client.headers, "Content-Type": "application/json"}))


@pytest.fixture
async def url(engine: AsyncEngine) -> AsyncIterator[str]:
    """Address of a server of its own."""
    config = uvicorn.Config(endpoint(engine), port=0, lifespan="off", log_config=None, http=PatientProtocol)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/graphql"
    server.should_exit = True
    await task


messages = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["connection_init", "subscribe", "complete", "ping", "pong", "next"]) | value},
        optional={"id": text | value, "payload": requests | value},
    ).map(lambda message: _sent(message).decode())
    | value.map(lambda message: _sent(message).decode())
    | text.map(lambda message: message.encode("utf-8", "replace").decode())
    | st.binary(max_size=20),
    max_size=5,
)


@given(sent=messages, begins=st.booleans())
@LANE
async def test_messages_of_sockets(url: str, sent: list[str | bytes], begins: bool):
    authorization = {"Authorization": f"Bearer {AUTHORITY.mint('operator')}"}
    async with connect(url, subprotocols=[PROTOCOL], additional_headers=authorization) as socket:
        try:
            if begins:
                await socket.send('{"type": "connection_init"}')
            for message in sent:
                await socket.send(message)
            await socket.send('{"type": "nonsense"}')
            async with asyncio.timeout(20):
                async for answer in socket:
                    assert '"INTERNAL"' not in str(answer)
        except ConnectionClosed:
            pass
    assert socket.close_code not in ABRUPT
