"""Answers of a process that waits for its database: alive, not ready, and why."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gql_server.http.answers import SOON
from gql_server.http.metrics import live
from gql_server.processes.server import Server, at_once, web


class Waiting:
    """Serves nothing until there is something to wait for. The sockets stay open afterwards."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        self._listeners, self._reason = listeners, ""
        self._servers: list[tuple[Server, asyncio.Task[None]]] = []

    async def tell(self, reason: str) -> None:
        """Answer with this reason from now on."""
        self._reason = reason
        if not self._servers:
            self._servers = [self._serve(listener.dup()) for listener in self._listeners]

    async def end(self) -> None:
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._servers))

    def _serve(self, listener: socket.socket) -> tuple[Server, asyncio.Task[None]]:
        routes = [Route("/livez", live), Route("/{path:path}", self._not_ready, methods=["GET", "POST"])]
        server = Server(web(Starlette(routes=routes), lifespan="off"), at_once)
        return server, asyncio.create_task(server.serve([listener]))

    async def _not_ready(self, request: Request) -> Response:
        return JSONResponse({"ready": False, "reason": self._reason}, 503, SOON)


@asynccontextmanager
async def answering(*listeners: socket.socket | None) -> AsyncGenerator[Waiting]:
    """The answers on these sockets, until what is waited for has come."""
    waiting = Waiting([listener for listener in listeners if listener is not None])
    try:
        yield waiting
    finally:
        await waiting.end()
