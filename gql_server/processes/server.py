"""The HTTP server of `serve` and of the demo: uvicorn, with the signals left to us."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from gql_server.app import create_app
from gql_server.http.connections import PatientProtocol, SocketProtocol
from gql_server.http.graphiql import PageConfig
from gql_server.processes import heap
from gql_server.settings import Settings

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None

DRAIN_SECONDS = 7
FILES_MAX, FILES_BESIDE = 65_536, 256

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """Uvicorn, with the signals left to us: it is not the only thing to stop. Streams end so that they can be resumed."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]], metrics: Starlette | None = None) -> None:
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
    allow_files(settings)
    app = create_app(settings, dsn, page, **served)
    config = web(app, forwarded_allow_ips=[*settings.forwarded_allow_ips], limit_concurrency=settings.connections_max)
    return Server(config, app.state.drain, app.state.metrics)


def allow_files(settings: Settings) -> None:
    """Let this process open as many files as the system lets it, and say if these are less than its clients may take."""
    if resource is None:
        return
    wanted = settings.connections_max + settings.sockets_max + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if max(soft, most) < wanted:
        advice = f"this process may open {most} files: ulimit -n {wanted} lets it serve all that the settings allow"
        log.warning("files.limited", files=most, advice=advice)


def web(app: ASGIApp, **options: Any) -> uvicorn.Config:
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
        http=PatientProtocol,
        ws=SocketProtocol,
        **options,
    )


@contextlib.asynccontextmanager
async def exposing(app: ASGIApp | None, listener: socket.socket | None) -> AsyncGenerator[None]:
    """Serve what machines watch meanwhile, if somebody listens."""
    if listener is None or app is None:
        yield
        return
    server = Server(web(app), at_once)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def at_once() -> None:
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
    return f"http://{host}:{settings.port}{settings.base_path}"
