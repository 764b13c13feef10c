"""The HTTP server of `serve` and of the demo: uvicorn, with the signals left to us."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gql_server.app import create_app
from gql_server.http.graphiql import PageConfig
from gql_server.processes import heap
from gql_server.settings import Settings

DRAIN_SECONDS = 7


class Server(uvicorn.Server):
    """Uvicorn, with the signals left to us: it is not the only thing to stop. Streams end so that they can be resumed."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]], metrics: ASGIApp | None = None) -> None:
        super().__init__(config)
        self._drain = drain
        self.metrics = metrics

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        await super().shutdown(sockets)


def create_server(settings: Settings, dsn: str, page: PageConfig, **served: Any) -> Server:
    app = create_app(settings, dsn, page, **served)
    return Server(web(app), app.state.drain, app.state.metrics)


def web(app: ASGIApp) -> uvicorn.Config:
    """Configuration of the HTTP server. Frames are small and sent to many: to compress each for each costs more than to send
    it."""
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


@contextlib.asynccontextmanager
async def exposing(app: ASGIApp | None, listener: socket.socket | None) -> AsyncGenerator[None]:
    """Serve what machines watch meanwhile, if somebody listens."""
    if listener is None or app is None:
        yield
        return
    server = Server(web(app), _at_once)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def _at_once() -> None:
    """Drain nothing."""


async def start(server: Server, listener: socket.socket) -> asyncio.Task[None]:
    """Start the server; returns its task once it answers."""
    task = asyncio.create_task(server.serve([listener]))
    while not server.started and not task.done():
        await asyncio.sleep(0.02)
    heap.settle()
    return task


def origin_of(settings: Settings) -> str:
    """Address at which this machine reaches the server, also when it listens on every address."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    host = everywhere.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    return f"http://{host}:{settings.port}"
