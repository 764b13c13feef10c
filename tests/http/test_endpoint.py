import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import structlog
from graphql import get_introspection_query
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import create_engine
from gql_server.db.models import JobResult
from gql_server.graph.context import Context
from gql_server.graph.nodes import encode
from gql_server.http.masking import INTERNAL, UNAVAILABLE
from tests import build
from tests.graphql import AUTHORITY, Client, endpoint

WHO = "{ viewer { id displayName permissions } }"


def _error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    [error] = response.json()["errors"]
    return error


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_the_viewer_is_who_the_token_says(engine: AsyncEngine):
    found = await Client(engine, "principal", unit="10208", subject="ada", name="Ada").query(WHO)

    assert (found["viewer"]["id"], found["viewer"]["displayName"]) == ("ada", "Ada")
    assert found["viewer"]["permissions"] == sorted(found["viewer"]["permissions"])
    assert "modules.purchase:sync@10208" in found["viewer"]["permissions"]


async def test_without_a_token_the_answer_is_401_with_a_graphql_body(engine: AsyncEngine):
    response = await Client(engine, role=None).post(json={"query": "{ __typename }"})

    assert _error(response, 401)["extensions"] == {"code": "UNAUTHENTICATED"}
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ viewer { id }", "GRAPHQL_PARSE_FAILED"),
        ("{ viewer { id } nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) { pipelines(first: $n) { nodes { id } } }", "BAD_USER_INPUT"),
        ('{ pipeline(by: { pipelineId: "x" }) { id } }', "BAD_USER_INPUT"),
        ("{ pipeline(by: {}) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { viewer { id } } query B { viewer { id } }", "BAD_USER_INPUT"),
        ("{ " + "a: viewer { id } " * 21 + "}", "BAD_USER_INPUT"),
        ("{ viewer { " + "id " * 2000 + "} }", "GRAPHQL_PARSE_FAILED"),
    ],
)
async def test_what_is_wrong_with_a_request_has_a_code_and_logs_nothing(
    engine: AsyncEngine, logged: list[Any], query: str, code: str
):
    codes = set(await Client(engine).codes(query))

    assert codes == {code}
    assert logged == []


async def test_the_named_operation_of_several_is_executed(engine: AsyncEngine):
    request = {"query": "query A { viewer { id } } query B { __typename }", "operationName": "B"}

    assert (await Client(engine).post(json=request)).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"7", 400),
        (b'"query"', 400),
        (b"[]", 400),
        (b'[{"query": "{ __typename }"}]', 400),
        (b"{}", 400),
        (b'{"query": null}', 400),
        (b'{"query": 7}', 400),
        (b'{"query": "{ __typename }", "variables": []}', 400),
        (b'{"query": "{ __typename }", "variables": "x"}', 400),
        (b'{"query": "\xff"}', 400),
        (b"[" * 100_000, 400),
        ("{}".encode("utf-16"), 400),
        (b'{"query": "{ __typename }", "operationName": "Missing"}', 400),
        (b'{"query": "query A { __typename } query B { __typename }"}', 400),
        (b'{"query": "fragment F on Query { __typename }"}', 400),
        (b'{"query": "subscription { pipeline(by: { jobId: 1 }) { token } }"}', 400),
    ],
)
async def test_a_body_that_is_no_request_is_refused(engine: AsyncEngine, logged: list[Any], body: bytes, status: int):
    response = await Client(engine).post(content=body, headers={"content-type": "application/json"})

    assert _error(response, status)["extensions"]["code"] == "BAD_USER_INPUT"
    assert logged == []


@pytest.mark.parametrize("media", ["", "text/plain", "xapplication/jsonx", "multipart/form-data", "application/graphql"])
async def test_other_media_types_are_refused(engine: AsyncEngine, media: str):
    response = await Client(engine).post(content=b'{"query": "{ __typename }"}', headers={"content-type": media})

    assert _error(response, 415)["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_media_type_may_have_parameters(engine: AsyncEngine):
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    response = await Client(engine).post(content=b'{"query": "{ __typename }"}', headers=headers)

    assert response.json() == {"data": {"__typename": "Query"}}


async def test_a_body_above_the_limit_is_refused_whether_or_not_it_says_its_length(engine: AsyncEngine):
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    headers = {"Authorization": f"Bearer {AUTHORITY.mint('operator')}", "content-type": "application/json"}
    transport = httpx.ASGITransport(endpoint(engine, request_max_bytes=1024))
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http:
        responses = [await http.post("/", content=content) for content in (b" " * 2000, chunks())]

    for response in responses:
        error = _error(response, 413)
        assert error == {"message": "The request body is larger than 1024 bytes.", "extensions": {"code": "BAD_USER_INPUT"}}


async def test_a_database_that_is_away_is_unavailable(logged: list[Any], tmp_path: Path):
    engine = create_engine(f"postgresql://nobody@/nothing?host={tmp_path}", application="x", pool_size=1)

    answer = await Client(engine).execute("{ pipelines { nodes { id } } }")

    await engine.dispose()
    [error] = answer["errors"]
    assert (error["message"], error["extensions"]) == (UNAVAILABLE, {"code": "UNAVAILABLE"})
    assert answer["data"] == {"pipelines": None}
    assert [entry["event"] for entry in logged] == ["request.unavailable"]


async def test_a_statement_over_its_time_is_unavailable(dsn: str, engine: AsyncEngine):
    slow = create_engine(dsn, application="x", pool_size=1, settings={"statement_timeout": "50"})
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
        await connection.exec_driver_sql("LOCK TABLE data_ingestion_jobs IN ACCESS EXCLUSIVE MODE")

        codes = await Client(slow).codes("{ pipelines { nodes { id } } }")

    await slow.dispose()
    assert codes == ["UNAVAILABLE"]


async def test_a_pool_without_a_free_connection_is_unavailable(dsn: str):
    small = create_engine(dsn, application="x", pool_size=1, pool_timeout=0.05)
    async with small.connect():
        codes = await Client(small).codes("{ pipelines { nodes { id } } }")

    await small.dispose()
    assert codes == ["UNAVAILABLE"]


async def test_anything_else_is_masked_and_logged_under_its_request_id(
    engine: AsyncEngine, logged: list[Any], monkeypatch: pytest.MonkeyPatch
):
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=hunter2 SELECT * FROM pipelines")

    monkeypatch.setattr(Context, "alone", broken)

    answer = await Client(engine).execute("{ viewer { id } pipelines { nodes { id } } }")

    [error] = answer["errors"]
    request_id = error["extensions"]["requestId"]
    assert error == {
        "message": INTERNAL,
        "locations": [{"line": 1, "column": 17}],
        "path": ["pipelines"],
        "extensions": {"code": "INTERNAL", "requestId": request_id},
    }
    assert answer["data"] == {"viewer": {"id": "superadmin"}, "pipelines": None}
    [entry] = logged
    assert (entry["event"], entry["request_id"]) == ("request.failed", request_id)
    assert "hunter2" in str(entry["exc_info"])


async def test_a_mistake_in_our_sql_is_masked(engine: AsyncEngine, logged: list[Any]):
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE pipelines RENAME COLUMN last_error TO renamed")

    answer = await Client(engine).execute("{ pipelines { nodes { id lastError } } }")

    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "last_error" not in str(answer)
    assert [entry["event"] for entry in logged] == ["request.failed"]


async def test_one_failed_field_leaves_its_siblings_alone(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)

    answer = await Client(engine).execute(
        "{ pipelines { nodes { a: jobs(first: 0) { nodes { kind } } b: jobs { nodes { kind } } progress { phase } } } }"
    )

    node = {"a": None, "b": {"nodes": [{"kind": "CSV_INGEST"}]}, "progress": {"phase": "AGGREGATION"}}
    assert answer["data"] == {"pipelines": {"nodes": [node]}}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_the_introspection_of_tools_passes_the_limits(engine: AsyncEngine):
    data = await Client(engine).query(get_introspection_query(specified_by_url=True, input_value_deprecation=True))

    assert data["__schema"]["queryType"]["name"] == "Query"


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query ($id: ID!) { node(id: $id) { id } }", {"id": encode("Unit", "\0")}),
        ("query ($id: ID!) { node(id: $id) { id } }", {"id": "\0"}),
        ("query ($id: ID!) { job(by: { id: $id }) { id } }", {"id": "\0"}),
        ("query ($by: PipelineBy!) { pipeline(by: $by) { id } }", {"by": {"id": encode("Pipeline", "\0")}}),
        ("query ($after: String) { pipelines(after: $after) { nodes { id } } }", {"after": "\0"}),
        (r'{ pipelines(after: "\u0000") { nodes { id } } }', {}),
        (
            "query ($keys: [String!]) { job(by: { jobId: 1 }) { meta { entries(keys: $keys) { key } } } }",
            {"keys": ["phases", "\0"]},
        ),
    ],
)
async def test_text_that_the_database_cannot_hold_is_bad_input(engine: AsyncEngine, query: str, variables: dict[str, Any]):
    assert await Client(engine).codes(query, **variables) == ["BAD_USER_INPUT"]


SLOW = "{ viewer { id } pipelines { nodes { id } } }"


@pytest.fixture
async def slow(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """A database that lets readers of pipelines wait."""
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE pipelines IN ACCESS EXCLUSIVE MODE"))
        yield engine


async def _waiting(engine: AsyncEngine) -> int:
    """Statements that wait for a lock."""
    async with engine.connect() as connection:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return (await connection.execute(waiting)).scalar_one()


async def _none_waits(engine: AsyncEngine) -> None:
    """Returns when no statement waits any more: the driver asks the server to cancel one on a connection of its own."""
    async with asyncio.timeout(5):
        while await _waiting(engine):
            await asyncio.sleep(0.01)


async def test_an_operation_that_takes_too_long_is_given_up_with_its_statement(
    slow: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.http.wanted.REQUEST_SECONDS", 0.3)

    response = await Client(slow).post(json={"query": SLOW})

    assert response.status_code == 504
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["DEADLINE_EXCEEDED"]
    await _none_waits(slow)


async def test_a_client_that_goes_away_takes_its_statement_with_it(slow: AsyncEngine):
    messages = [{"type": "http.request", "body": orjson.dumps({"query": SLOW})}]
    left = asyncio.Event()

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        pass

    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {AUTHORITY.mint('operator')}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    asking = asyncio.create_task(endpoint(slow)(scope, receive, send))
    while not await _waiting(slow):
        await asyncio.sleep(0.01)
    left.set()
    async with asyncio.timeout(5):
        await asking
    await _none_waits(slow)
