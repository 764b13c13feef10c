"""Requests have an id and a trace, which they are answered with, and which their lines name."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gql_server.http.request_log import RequestLog
from gql_server.logs import NAMES, with_names

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
bound: list[Mapping[str, str]] = []


async def answer(request: Request) -> Response:
    bound.append(NAMES.get())
    return PlainTextResponse("four")


async def greet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(4401)


ROUTES = [Route("/graphql", answer), Route("/readyz", answer), WebSocketRoute("/graphql", greet)]
APP = RequestLog(Starlette(routes=[*ROUTES, Mount("/console", routes=[Route("/readyz", answer)])]))


async def get(path: str = "/graphql", **headers: str) -> httpx.Response:
    bound.clear()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://here") as client:
        return await client.get(path, headers=headers)


async def test_the_clients_own_id_and_trace_are_returned_and_named_in_every_line() -> None:
    with structlog.testing.capture_logs(processors=[with_names]) as logs:
        response = await get(**{"X-Request-ID": "ticket-7", "traceparent": TRACE})

    assert (response.headers["x-request-id"], response.headers["traceparent"]) == ("ticket-7", TRACE)
    named = {"request_id": "ticket-7", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert bound == [named]
    [line] = logs
    assert line.pop("duration_ms") < 10_000
    assert line == {
        **named,
        "event": "request.ended",
        "log_level": "info",
        "method": "GET",
        "path": "/graphql",
        "client": "127.0.0.1",
        "status": 200,
        "response_bytes": 4,
    }


@pytest.mark.parametrize("given", ["", "two words", "a" * 129, "line\tbreak"])
async def test_an_id_that_is_none_is_replaced(given: str) -> None:
    response = await get(**{"X-Request-ID": given})

    assert len(response.headers["x-request-id"]) == 32
    assert bound == [{"request_id": response.headers["x-request-id"]}]


@pytest.mark.parametrize("given", ["", "00-0-0-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", TRACE.upper(), f"ff{TRACE[2:]}"])
async def test_a_trace_that_is_none_is_neither_named_nor_returned(given: str) -> None:
    response = await get(traceparent=given)

    assert "traceparent" not in response.headers
    assert [*bound[0]] == ["request_id"]


async def test_probes_are_told_of_to_those_who_debug_alone() -> None:
    with structlog.testing.capture_logs() as logs:
        await get("/readyz")

    assert [(line["log_level"], line["path"]) for line in logs] == [("debug", "/readyz")]


async def test_a_page_that_is_called_like_a_probe_is_told_of_to_all() -> None:
    with structlog.testing.capture_logs() as logs:
        await get("/console/readyz")

    assert [(line["log_level"], line["path"]) for line in logs] == [("info", "/console/readyz")]


async def test_a_socket_is_answered_with_its_id_and_told_of_when_it_closes() -> None:
    scope = {"type": "websocket", "path": "/graphql", "headers": [(b"x-request-id", b"socket-1")], "client": ("127.0.0.1", 7)}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    with structlog.testing.capture_logs() as logs:
        await APP(scope, receive, send)

    assert [(message["type"], message.get("headers")) for message in sent] == [
        ("websocket.accept", [(b"x-request-id", b"socket-1")]),
        ("websocket.close", None),
    ]
    assert [(line["event"], line["code"]) for line in logs] == [("socket.closed", 4401)]
