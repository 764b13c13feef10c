"""Hostile and careless clients: what they cost, what they are told, and what others notice of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gql_server.db import create_engine
from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.nodes import encode
from gql_server.http.connections import PatientProtocol
from gql_server.http.masking import BUSY, MESSAGE_LENGTH
from gql_server.reads.lanes import Lanes
from tests.graphql import AUTHORITY, Client, endpoint

FILTERED = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }"
SAVE = "mutation ($name: String!, $document: String!) { saveView(input: { name: $name, document: $document }) { __typename } }"
OPEN = "mutation { openYear(input: { year: 1999 }) { __typename } }"
LISTS = "{ " + " ".join(f"a{n}: pipelines(first: {n}) {{ nodes {{ id }} }}" for n in range(1, 7)) + " }"


async def test_unknown_keys_are_told_of_five_times_and_briefly(engine: AsyncEngine):
    response = await Client(engine).post(
        json={"query": FILTERED, "variables": {"filter": {f"{'key' * 50}{n}": "x" * 200 for n in range(600)}}}
    )

    errors = response.json()["errors"]
    assert len(errors) == 6
    assert all(len(error["message"]) <= MESSAGE_LENGTH for error in errors)
    assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}
    assert len(response.content) < 8_000


@pytest.mark.parametrize(
    "query",
    ["{ nonsense }", "{ viewer", "query A { viewer { id } }", "{ " + "viewer { id } " * 30 + "}", "subscription { nonsense }"],
)
async def test_a_document_that_is_refused_is_paid_for_by_its_length(engine: AsyncEngine, query: str):
    budgets = Budgets(per_minute=10_000)
    client = Client(engine, budgets=budgets)
    request = {"query": query, "operationName": "B" if query.startswith("query") else None}

    for _ in range(2):
        await client.post(json=request)
    left = (await client.query("{ cost { budgetRemaining } }"))["cost"]["budgetRemaining"]

    assert left == 10_000 - 2 * (100 + len(query))


async def test_who_has_spent_the_minute_on_refused_documents_waits(engine: AsyncEngine):
    client = Client(engine, budgets=Budgets(per_minute=250))

    answers = [await client.codes("{ nonsense }") for _ in range(3)]

    assert answers == [["GRAPHQL_VALIDATION_FAILED"], ["GRAPHQL_VALIDATION_FAILED"], ["RATE_LIMITED"]]


async def test_an_answer_tells_a_hundred_errors_and_how_many_more_there_are(engine: AsyncEngine):
    query = "query ($ids: [ID!]!) { a: nodes(ids: $ids) { id } b: nodes(ids: $ids) { id } }"

    answer = await Client(engine).execute(query, ids=["nonsense"] * 80)

    *told, last = answer["errors"]
    assert (len(told), last) == (
        100,
        {"message": "60 more errors are left out.", "extensions": {"code": "BAD_USER_INPUT", "omitted": 60}},
    )
    assert answer["data"] == {"a": [None] * 80, "b": [None] * 80}


async def test_one_id_that_is_none_leaves_the_others_alone(engine: AsyncEngine):
    unit = encode("ModuleType", "4")

    answer = await Client(engine).execute(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[unit, "nonsense", encode("Pipeline", "x"), unit]
    )

    assert answer["data"] == {"nodes": [{"id": unit}, None, None, {"id": unit}]}
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["nodes", 1], "BAD_USER_INPUT"),
        (["nodes", 2], "BAD_USER_INPUT"),
    ]


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 400, "1e999"])
async def test_a_number_without_end_is_bad_input(engine: AsyncEngine, number: str):
    body = '{"query": "query ($n: Int) { pipelines(first: $n) { nodes { id } } }", "variables": {"n": ' + number + "}}"

    response = await Client(engine).post(content=body, headers={"content-type": "application/json"})

    assert response.status_code in (200, 400)
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["BAD_USER_INPUT"]


@asynccontextmanager
async def locked(engine: AsyncEngine, table: str = "pipelines") -> AsyncGenerator[None]:
    """Let readers of the table wait."""
    async with engine.begin() as connection:
        await connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


async def _waiting(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return (await connection.execute(waiting)).scalar_one()


class Shared(Client):
    """A client of the endpoint that others ask as well."""

    def __init__(self, app: Any, subject: str) -> None:
        self.headers = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin', subject=subject)}"}
        self.transport = httpx.ASGITransport(app)


async def test_one_viewer_leaves_connections_to_the_others(dsn: str, engine: AsyncEngine):
    small = create_engine(dsn, application="x", pool_size=3, pool_timeout=1)
    app = endpoint(small, lanes=Lanes(2))
    async with locked(engine):
        greedy = [asyncio.create_task(Shared(app, "greedy").execute(LISTS)) for _ in range(3)]
        while await _waiting(engine) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        waiting = await _waiting(engine)
        neighbour = await Shared(app, "neighbour").query("{ workers { podId } }")
    answers = await asyncio.gather(*greedy)

    await small.dispose()
    assert (waiting, neighbour) == (2, {"workers": []})
    assert [answer.get("errors") for answer in answers] == [None, None, None]


async def test_one_viewer_leaves_connections_to_the_changes_of_others(dsn: str, engine: AsyncEngine):
    small = create_engine(dsn, application="x", pool_size=3, pool_timeout=1)
    app = endpoint(small)
    async with locked(engine, "triage_views"):
        greedy = [
            asyncio.create_task(Shared(app, "greedy").query(SAVE, name=f"view {number}", document="{ viewer { id } }"))
            for number in range(8)
        ]
        while await _waiting(engine) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        waiting = await _waiting(engine)
        neighbour = await Shared(app, "neighbour").query(OPEN)
    answers = await asyncio.gather(*greedy)

    await small.dispose()
    assert (waiting, neighbour) == (2, {"openYear": {"__typename": "NotFoundProblem"}})
    assert [answer["saveView"]["__typename"] for answer in answers] == ["SaveViewPayload"] * 8


async def test_documents_of_who_sends_bad_ones_are_read_one_at_a_time_after_what_others_wait_for(engine: AsyncEngine):
    app = endpoint(engine, budgets=Budgets())
    hostile, neighbour = Shared(app, "hostile"), Shared(app, "neighbour")
    await neighbour.query("{ viewer { id } }")
    await hostile.codes("{ nonsense }")

    sent = [asyncio.create_task(hostile.codes(f"{{ nonsense{number} }}")) for number in range(60)]
    await asyncio.sleep(0)
    await neighbour.query("{ viewer { id } }")
    done = sum(task.done() for task in sent)
    answers = await asyncio.gather(*sent)

    assert done < 30
    assert answers == [["GRAPHQL_VALIDATION_FAILED"]] * 60


async def test_a_full_pool_is_told_as_such_with_when_to_ask_again(dsn: str):
    small = create_engine(dsn, application="x", pool_size=1, pool_timeout=0.05)
    async with small.connect():
        response = await Client(small).post(json={"query": "{ pipelines { nodes { id } } }"})

    await small.dispose()
    [error] = response.json()["errors"]
    assert (error["message"], error["extensions"]["code"]) == (BUSY, "UNAVAILABLE")
    assert response.headers["retry-after"] == "1"


# ── slow clients ──


@pytest.fixture
async def port(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Port of a server that waits less long."""
    for name, seconds in {"HEADERS_SECONDS": 0.3, "BODY_SECONDS": 0.3, "IDLE_SECONDS": 0.3}.items():
        monkeypatch.setattr(f"gql_server.http.connections.{name}", seconds)
    options: dict[str, Any] = {"http": PatientProtocol, "limit_concurrency": 3, "timeout_keep_alive": 1}
    config = uvicorn.Config(endpoint(engine), port=0, lifespan="off", log_config=None, **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


def _head(length: int = 100) -> bytes:
    lines = [
        "POST /graphql HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {AUTHORITY.mint('operator')}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


Sends = Callable[[asyncio.StreamWriter], None]


@pytest.mark.parametrize(
    ("sends", "told"),
    [
        (lambda writer: None, b""),
        (lambda writer: writer.write(b"\r\n"), b""),
        (lambda writer: writer.write(_head()[:40]), b""),
        (lambda writer: writer.write(_head()), b"HTTP/1.1 408 "),
        (lambda writer: writer.write(_head() + b'{"query"'), b"HTTP/1.1 408 "),
    ],
)
async def test_who_sends_nothing_or_half_a_request_is_let_go(port: int, sends: Sends, told: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sends(writer)

    async with asyncio.timeout(10):
        answer = await reader.read()

    writer.close()
    assert answer[: len(told) or None] == told


async def test_a_socket_outlives_the_time_that_a_head_may_take(port: int):
    url, headers = f"ws://127.0.0.1:{port}/graphql", {"Authorization": f"Bearer {AUTHORITY.mint('operator')}"}
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers) as connection:
        await connection.send('{"type": "connection_init"}')
        acknowledged = await connection.recv()
        await asyncio.sleep(0.6)
        await connection.send('{"type": "ping"}')

        assert (acknowledged, await connection.recv()) == ('{"type":"connection_ack"}', '{"type":"pong"}')


def _is_let_go(reader: asyncio.StreamReader) -> bool:
    """True if the server has closed the connection: a drop that it did not read makes of that a reset."""
    return reader.at_eof() or isinstance(reader.exception(), ConnectionResetError)


async def test_a_head_that_comes_in_drops_is_let_go_after_the_first_request_too(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"query": "{ __typename }"}'
    writer.write(_head(len(body)) + body)
    first = await reader.readuntil(b"}}")
    began = asyncio.get_running_loop().time()
    for byte in _head()[:200]:
        if _is_let_go(reader):
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)

    assert first.startswith(b"HTTP/1.1 200 ")
    assert _is_let_go(reader)
    assert asyncio.get_running_loop().time() - began < 5
    writer.close()


async def test_probes_are_answered_when_there_are_too_many_connections(port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gql_server.http.connections.HEADERS_SECONDS", 60)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        probe, other = await client.get("/livez"), await client.get("/graphql")

    for _, writer in idle:
        writer.close()
    assert (probe.status_code, other.status_code) == (401, 503)
