import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from gql_server.db import connect_arguments
from gql_server.db.models import JobResult, JobState
from gql_server.feed.hub import Hub
from gql_server.http.connections import SocketProtocol
from gql_server.http.documents import Documents
from gql_server.http.endpoint import GraphQLEndpoint
from gql_server.http.origins import Origins
from gql_server.http.sockets import SocketLimits, Sockets
from tests import build
from tests.following import FOLLOW, statuses
from tests.graphql import AUTHORITY, endpoint, subscriber_count

PROTOCOL = Subprotocol("graphql-transport-ws")


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    hub = Hub(connect_arguments(dsn, "hub"))
    task = asyncio.create_task(hub.run())
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def graphql(engine: AsyncEngine, hub: Hub) -> GraphQLEndpoint:
    return endpoint(engine, hub)


@pytest.fixture
async def url(graphql: GraphQLEndpoint) -> AsyncIterator[str]:
    """Address of a server of its own."""
    server = uvicorn.Server(uvicorn.Config(graphql, port=0, lifespan="off", log_config=None, ws=SocketProtocol))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/graphql"
    server.should_exit = True
    await task


def _bearer(role: str = "operator", **claims: Any) -> str:
    return f"Bearer {AUTHORITY.mint(role, **claims)}"


@asynccontextmanager
async def socket(url: str, *, init: Any = None, **headers: str) -> AsyncGenerator[ClientConnection, None]:
    """An acknowledged connection."""
    async with connect(url, subprotocols=[PROTOCOL], additional_headers=headers) as connection:
        await _send(connection, {"type": "connection_init", **({} if init is None else {"payload": init})})
        assert await _receive(connection) == {"type": "connection_ack"}
        yield connection


async def _send(connection: ClientConnection, message: Any) -> None:
    await connection.send(json.dumps(message))


async def _subscribe(connection: ClientConnection, id: str, query: str, /, **variables: Any) -> None:
    await _send(connection, {"id": id, "type": "subscribe", "payload": {"query": query, "variables": variables}})


async def _receive(connection: ClientConnection) -> Any:
    async with asyncio.timeout(60):
        frame = await connection.recv()
    assert isinstance(frame, str)
    return json.loads(frame)


async def _viewer(connection: ClientConnection) -> str:
    await _subscribe(connection, "who", "{ viewer { id } }")
    answer = await _receive(connection)
    assert await _receive(connection) == {"id": "who", "type": "complete"}
    return answer["payload"]["data"]["viewer"]["id"]


@pytest.mark.parametrize("name", ["authorization", "Authorization"])
async def test_the_token_may_come_with_the_connection(url: str, name: str):
    async with socket(url, init={name: _bearer("superadmin")}, Authorization=_bearer()) as connection:
        assert await _viewer(connection) == "superadmin"


async def test_the_token_may_come_with_the_handshake(url: str):
    async with socket(url, Authorization=_bearer()) as connection:
        assert await _viewer(connection) == "operator"


async def test_an_empty_payload_is_allowed(url: str):
    async with connect(url, subprotocols=[PROTOCOL], additional_headers={"Authorization": _bearer()}) as connection:
        await _send(connection, {"type": "connection_init", "payload": None})

        assert await _receive(connection) == {"type": "connection_ack"}
        assert await _viewer(connection) == "operator"


async def _closed(connection: ClientConnection) -> int:
    """The code with which the server closes the socket."""
    async with asyncio.timeout(60):
        with suppress(ConnectionClosed):
            async for _ in connection:
                pass
    assert connection.close_code is not None
    return connection.close_code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, 4401),
        (None, 4401),
        ({"authorization": 7}, 4401),
        ({"authorization": "Bearer nonsense"}, 4403),
        ({"authorization": ""}, 4401),
    ],
)
async def test_a_socket_without_a_good_token_is_closed_before_it_is_acknowledged(url: str, payload: Any, code: int):
    async with connect(url, subprotocols=[PROTOCOL]) as connection:
        await _send(connection, {"type": "connection_init", "payload": payload})

        assert await _closed(connection) == code


async def test_a_socket_that_does_not_begin_is_closed(url: str, monkeypatch: pytest.MonkeyPatch, graphql: GraphQLEndpoint):
    assert graphql.connection_init_wait_timeout == timedelta(seconds=5)
    monkeypatch.setattr(graphql, "connection_init_wait_timeout", timedelta(seconds=0.1))

    async with connect(url, subprotocols=[PROTOCOL]) as connection:
        assert await _closed(connection) == 4408


async def test_a_quiet_socket_lives_as_long_as_its_token(url: str):
    async with socket(url, init={"authorization": _bearer(lifetime=timedelta(seconds=2))}) as connection:
        assert await _closed(connection) == 4440


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_sockets_are_bounded_by_viewer(url: str, graphql: GraphQLEndpoint, logged: list[Any]):
    graphql.sockets = Sockets(SocketLimits(per_viewer=1))
    async with socket(url, Authorization=_bearer("operator")):
        async with connect(url, subprotocols=[PROTOCOL], additional_headers={"Authorization": _bearer("operator")}) as second:
            await _send(second, {"type": "connection_init"})
            assert await _closed(second) == 1013
        async with socket(url, Authorization=_bearer("superadmin")) as other:
            assert await _viewer(other) == "superadmin"
    async with socket(url, Authorization=_bearer("operator")) as again:
        assert await _viewer(again) == "operator"

    assert [entry["advice"] for entry in logged if entry["event"] == "socket.refused"] == [
        "a socket was turned away, as 1 are open: GQL_SOCKETS_PER_VIEWER_MAX allows more"
    ]


@pytest.mark.parametrize(
    ("limits", "setting"),
    [(SocketLimits(per_process=1), "GQL_SOCKETS_MAX"), (SocketLimits(per_address=1), "GQL_SOCKETS_PER_ADDRESS_MAX")],
)
async def test_sockets_are_bounded_by_process_and_address_before_they_open(
    url: str, graphql: GraphQLEndpoint, logged: list[Any], limits: SocketLimits, setting: str
):
    graphql.sockets = Sockets(limits)
    async with socket(url, Authorization=_bearer()):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(url, subprotocols=[PROTOCOL])
        assert (refusal.value.response.status_code, refusal.value.response.headers["retry-after"]) == (503, "1")
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                url.replace("ws:", "http:"), json={"query": "{ __typename }"}, headers={"Authorization": _bearer()}
            )
            assert answer.status_code == 200

    assert [entry["advice"] for entry in logged if entry["event"] == "socket.refused"] == [
        f"a socket was turned away, as 1 are open: {setting} allows more"
    ]


async def test_operations_of_a_socket_are_bounded_and_the_others_go_on(
    url: str, engine: AsyncEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.http.websocket.SUBSCRIPTIONS_PER_SOCKET", 2)
    pipeline_id, job_id = await _running(engine)
    async with socket(url, init={"authorization": _bearer()}) as connection:
        for id in ("1", "2"):
            await _subscribe(connection, id, FOLLOW, id=str(pipeline_id))
            await _receive(connection)
        await _subscribe(connection, "3", FOLLOW, id=str(pipeline_id))
        refused = await _receive(connection)
        await _end(engine, pipeline_id, job_id)
        told = [await _receive(connection) for _ in range(4)]

    [error] = refused["payload"]
    assert (refused["type"], refused["id"], error["extensions"]) == ("error", "3", {"code": "RATE_LIMITED", "limit": 2})
    assert error["message"] == "2 operations of this connection are under way: end one first, or open another."
    ended = {(type_, id) for type_ in ("next", "complete") for id in ("1", "2")}
    assert {(message["type"], message["id"]) for message in told} == ended


async def test_a_page_of_an_allowed_origin_may_subscribe(url: str, graphql: GraphQLEndpoint):
    graphql.origins = Origins(["https://app.example.org"])
    headers = {"Authorization": _bearer()}
    async with connect(
        url, subprotocols=[PROTOCOL], origin=Origin("https://app.example.org"), additional_headers=headers
    ) as page:
        await _send(page, {"type": "connection_init"})
        assert await _receive(page) == {"type": "connection_ack"}


async def _running(engine: AsyncEngine) -> tuple[UUID, int]:
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
    return pipeline_id, job_id


async def _end(engine: AsyncEngine, pipeline_id: UUID, job_id: int) -> None:
    async with engine.begin() as connection:
        await build.finish(connection, job_id)
        await build.settle(connection, pipeline_id)
        await build.notify(connection)


async def _rest(connection: ClientConnection) -> list[str]:
    """Statuses until the operation completes."""
    answers = []
    while (message := await _receive(connection))["type"] == "next":
        answers.append(message["payload"])
    assert message == {"id": "live", "type": "complete"}
    return statuses(answers)


async def test_a_socket_is_closed_when_its_token_expires_and_others_go_on(url: str, engine: AsyncEngine, hub: Hub):
    pipeline_id, job_id = await _running(engine)
    short = _bearer(lifetime=timedelta(seconds=5))
    expires_at = AUTHORITY.authenticate(short).expires_at
    assert expires_at is not None

    async with socket(url, init={"authorization": short}) as expiring, socket(url, Authorization=_bearer()) as lasting:
        for client in (expiring, lasting):
            await _subscribe(client, "live", FOLLOW, id=str(pipeline_id))
            assert (await _receive(client))["type"] == "next"
        code = await _closed(expiring)
        ended_at = datetime.now(UTC)
        await _end(engine, pipeline_id, job_id)

        assert await _rest(lasting) == ["SUCCESS"]
    assert code == 4440
    assert ended_at >= expires_at
    assert subscriber_count(hub) == 0


async def test_a_ping_with_a_new_token_lets_the_socket_live_on(url: str, engine: AsyncEngine):
    pipeline_id, job_id = await _running(engine)

    short = _bearer(lifetime=timedelta(seconds=5))
    expires_at = AUTHORITY.authenticate(short).expires_at
    assert expires_at is not None

    async with socket(url, init={"authorization": short}) as connection:
        await _subscribe(connection, "live", FOLLOW, id=str(pipeline_id))
        assert (await _receive(connection))["type"] == "next"
        await _send(connection, {"type": "ping", "payload": {"authorization": _bearer()}})
        assert await _receive(connection) == {"type": "pong"}
        while datetime.now(UTC) < expires_at + timedelta(seconds=0.2):
            await asyncio.sleep(0.1)
        await _end(engine, pipeline_id, job_id)

        assert await _rest(connection) == ["SUCCESS"]


@pytest.mark.parametrize(("renewal", "code"), [("Bearer nonsense", 4403), ("superadmin", 4403)])
async def test_a_ping_with_a_token_that_is_none_or_anothers_closes_the_socket_and_is_no_error(
    url: str, engine: AsyncEngine, caplog: pytest.LogCaptureFixture, renewal: str, code: int
):
    pipeline_id, _ = await _running(engine)
    async with socket(url, Authorization=_bearer("operator")) as connection:
        await _subscribe(connection, "live", FOLLOW, id=str(pipeline_id))
        assert (await _receive(connection))["type"] == "next"
        authorization = renewal if renewal.startswith("Bearer") else _bearer(renewal)
        await _send(connection, {"type": "ping", "payload": {"authorization": authorization}})

        assert await _closed(connection) == code
    await asyncio.sleep(0.1)
    assert not caplog.records


async def test_a_server_that_stops_lets_every_socket_go(graphql: GraphQLEndpoint, url: str, engine: AsyncEngine, hub: Hub):
    pipeline_id, _ = await _running(engine)
    async with socket(url, Authorization=_bearer()) as following, socket(url, Authorization=_bearer()) as idle:
        await _subscribe(following, "live", FOLLOW, id=str(pipeline_id))
        assert (await _receive(following))["type"] == "next"
        await graphql.drain()

        assert (await _closed(following), await _closed(idle)) == (1012, 1012)
    assert subscriber_count(hub) == 0


async def test_a_client_from_whom_something_would_be_withheld_is_told_to_come_again(
    url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.reads.loaders.RETRY_FOR_SECONDS", 0)
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
    async with socket(url, init={"authorization": _bearer()}) as client:
        await _subscribe(client, "live", FOLLOW.replace("status", "status rootJob { worker { podId } }"), id=str(pipeline_id))
        await _receive(client)
        async with engine.begin() as connection:
            await build.worker(connection, "w1")
            await build.finish(connection, job_id, locked_by="w1")
            await build.settle(connection, pipeline_id)
        async with build.unreadable(engine, "pods"):
            async with engine.begin() as connection:
                await build.notify(connection)

            assert await _closed(client) == 1013


async def test_a_pipeline_is_followed_to_its_end(url: str, engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    async with socket(url, init={"authorization": _bearer()}) as client:
        await _subscribe(client, "live", FOLLOW, id=str(pipeline_id))
        first = statuses([(await _receive(client))["payload"]])
        async with engine.begin() as connection:
            await build.finish(connection, job_id, JobResult.ERROR)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        rest = await _rest(client)

    assert (first, rest[-1]) == (["RUNNING"], "FAILED")


@pytest.mark.parametrize(
    ("query", "operation_name", "code"),
    [
        ("{ nonsense", None, "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("", None, "BAD_USER_INPUT"),
        ("query A { viewer { id } }", "B", "BAD_USER_INPUT"),
        ('subscription { pipeline(by: { pipelineId: "x" }) { token } }', None, "BAD_USER_INPUT"),
    ],
)
async def test_a_broken_operation_is_answered_and_its_siblings_go_on(
    url: str, engine: AsyncEngine, query: str, operation_name: str | None, code: str
):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id)

    async with socket(url, init={"authorization": _bearer()}) as client:
        await _subscribe(client, "live", FOLLOW, id=str(pipeline_id))
        assert (await _receive(client))["id"] == "live"
        payload = {"query": query, "operationName": operation_name}
        await _send(client, {"id": "broken", "type": "subscribe", "payload": payload})
        while (answer := await _receive(client))["id"] != "broken":
            pass
        await _end(engine, pipeline_id, job_id)
        rest = await _rest(client)

    assert answer["type"] == "error"
    assert [error["extensions"]["code"] for error in answer["payload"]] == [code]
    assert rest[-1] == "SUCCESS"


async def test_loaders_are_fresh_for_each_operation(url: str, engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await build.job(connection)
    query = "query ($id: Int!) { job(by: { jobId: $id }) { message } }"

    async with socket(url, init={"authorization": _bearer()}) as client:
        messages = []
        for message in ("first", "second"):
            async with engine.begin() as connection:
                await build.change(connection, job_id, status_message=message)
            await _subscribe(client, message, query, id=job_id)
            messages.append((await _receive(client))["payload"]["data"]["job"]["message"])
            await _receive(client)

    assert messages == ["first", "second"]


@pytest.mark.parametrize(
    "frame",
    [
        "7",
        "null",
        "[]",
        '"x"',
        "{}",
        '{"type": 7}',
        '{"type": "nonsense"}',
        '{"type": "subscribe", "id": ["1"], "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1", "payload": "{ __typename }"}',
        '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": 7}}',
        '{"type": "complete", "id": {}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
        "[" * 50_000,
        "{",
    ],
)
async def test_a_message_of_another_shape_closes_the_socket_with_4400(url: str, frame: str):
    async with socket(url, init={"authorization": _bearer()}) as client:
        await client.send(frame)
        with pytest.raises(ConnectionClosed):
            await _receive(client)

    assert client.close_code == 4400


async def test_only_the_one_protocol_is_spoken(url: str):
    async with connect(url, additional_headers={"Authorization": _bearer()}) as client:
        with pytest.raises(ConnectionClosed):
            await _receive(client)

    assert client.close_code == 4406


async def test_a_document_is_asked_for_by_id_and_others_need_a_permission(url: str, graphql: GraphQLEndpoint):
    who, other = "query Who { viewer { id } }", "query Other { viewer { displayName } }"
    graphql.documents = Documents({"known": who}, only_trusted=True)
    asked = {"1": {"documentId": "known"}, "2": {"query": other}, "3": {"documentId": "unknown"}, "4": {"query": who}}
    answers: dict[str, Any] = {}
    async with socket(url, Authorization=_bearer("principal", unit="10208")) as client:
        for id, payload in asked.items():
            await _send(client, {"type": "subscribe", "id": id, "payload": payload})
            while (message := await _receive(client))["type"] == "next":
                answers[id] = message["payload"]["data"]
            if message["type"] == "error":
                answers[id] = [error["extensions"]["code"] for error in message["payload"]]
        await _send(client, {"type": "subscribe", "id": "5", "payload": {}})
        assert await _closed(client) == 4400

    shown = {"viewer": {"id": "principal-10208"}}
    assert answers == {"1": shown, "2": ["FORBIDDEN"], "3": ["PERSISTED_QUERY_NOT_FOUND"], "4": shown}


async def test_a_page_of_another_origin_is_turned_away_with_one_line_in_the_log(
    url: str, logged: list[Any], caplog: pytest.LogCaptureFixture
):
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(url, subprotocols=[PROTOCOL], origin=Origin("https://evil.example")):
            pass
    await asyncio.sleep(0.1)

    assert refusal.value.response.status_code == 403
    assert [line["event"] for line in logged] == ["origin.refused"]
    assert not caplog.records


async def test_a_client_that_vanishes_leaves_no_subscriber(url: str, engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id)

    async with socket(url, init={"authorization": _bearer()}) as client:
        await _subscribe(client, "live", FOLLOW, id=str(pipeline_id))
        await _receive(client)
        assert subscriber_count(hub) == 1
        client.transport.abort()

    async with asyncio.timeout(5):
        while subscriber_count(hub):
            await asyncio.sleep(0.01)


async def test_the_socket_of_a_client_that_takes_nothing_in_ends(
    graphql: GraphQLEndpoint, engine: AsyncEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.http.websocket.SEND_SECONDS", 0.1)
    pipeline_id, _ = await _running(engine)
    asked: list[Any] = [
        {"type": "connection_init", "payload": {"authorization": _bearer()}},
        {"id": "1", "type": "subscribe", "payload": {"query": FOLLOW, "variables": {"id": str(pipeline_id)}}},
    ]
    received: asyncio.Queue[Any] = asyncio.Queue()
    for message in (
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": json.dumps(each)} for each in asked),
    ):
        received.put_nowait(message)
    stuck = asyncio.Event()

    async def send(message: Any) -> None:
        if '"next"' in message.get("text", ""):
            stuck.set()
            await asyncio.Event().wait()

    scope = {"type": "websocket", "path": "/graphql", "headers": [], "subprotocols": [PROTOCOL], "client": ("c", 1)}
    async with asyncio.timeout(30):
        await graphql({**scope, "query_string": b"", "root_path": "", "scheme": "ws"}, received.get, send)

    assert stuck.is_set()
    assert (graphql.live.subscribers, graphql.sockets.count, subscriber_count(hub)) == (0, 0, 0)
