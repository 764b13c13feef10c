"""`python -m bench.servers NAME`: the API, its schema under Strawberry's own view, or an echo, each in a process of its own.

A server prints its port, and then answers every line it reads with its figures so far, as JSON.
"""

import asyncio
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
import psutil
import strawberry
import uvicorn
from sqlalchemy import Engine, event
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from bench.graph import UNLIMITED
from bench.processes import cpu_seconds
from bench.rivals.bare import bare
from bench.rivals.stock import stock
from gql_server import db, logs, processes
from gql_server.commands.execution import Commands
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Tokens
from gql_server.graph.context import Context
from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.schema import CONFIG, TYPES, Mutation, Query, Subscription
from gql_server.handlers.api import entry_sources
from gql_server.http.authentication import TokenAuthority
from gql_server.reads.pagination.cursors import CursorCodec
from gql_server.reads.pagination.paging import Paging
from gql_server.settings import Settings
from gql_server.worker import registry

STARTED_WITHIN_SECONDS = 60


class Figures(NamedTuple):
    """Of a server since it started: statements of its engines, seconds of processor time; and resident bytes now."""

    statements: int
    cpu_seconds: float
    resident: int


class Server:
    """A server process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self.url = f"ws://127.0.0.1:{port}/graphql"
        self._process = process

    async def figures(self) -> Figures:
        """Taken after a collection of garbage, which costs nothing here."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        return Figures(*orjson.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def server(name: str, dsn: str, secret: str) -> AsyncGenerator[Server]:
    """The server of that name while it runs; it checks tokens with the secret."""
    environment = {**os.environ, "GQL_DATABASE_URL": dsn, "GQL_JWT_SECRET": secret, "GQL_LOG_LEVEL": "ERROR"}
    environment |= {"GQL_COST_BUDGET": str(UNLIMITED)}
    environment |= {f"GQL_SOCKETS_{whose}MAX": str(UNLIMITED) for whose in ("", "PER_ADDRESS_", "PER_VIEWER_")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.servers", name, env=environment, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout
        async with asyncio.timeout(STARTED_WITHIN_SECONDS):
            port = int(await process.stdout.readline())
        yield Server(process, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class StockView(GraphQL[Any, None]):
    """Strawberry's own schema and view over our types and loaders, with caches of parsed and validated documents.

    Every subscriber executes for every event, woken by the one LISTEN of the process.
    """

    def __init__(self, settings: Settings, dsn: str) -> None:
        stock_schema = strawberry.Schema(
            query=Query,
            mutation=Mutation,
            subscription=Subscription,
            types=TYPES,
            config=CONFIG,
            extensions=[ParserCache, ValidationCache],
        )
        super().__init__(stock_schema)
        engine = db.create_engine(dsn, application="stock", pool_size=settings.database_pool_size, pool_timeout=300)
        self.hub = Hub(db.connect_arguments(dsn, "stock feed"))
        self._authenticate = TokenAuthority.of(settings).authenticate
        self._shared: dict[str, Any] = {
            "engine": engine,
            "hub": self.hub,
            "paging": Paging(CursorCodec(b"stock"), settings.page_size_max),
            "tokens": Tokens(b"stock"),
            "commands": Commands(engine, registry, entry_sources),
            "budgets": Budgets(UNLIMITED, UNLIMITED),
        }

    async def get_context(self, request: Request | WebSocket, response: object) -> Context:
        return Context(viewer=self._authenticate(request.headers.get("authorization")), **self._shared)


async def stock_view(settings: Settings, dsn: str, listener: socket.socket) -> None:
    view = StockView(settings, dsn)
    following = asyncio.create_task(view.hub.run())
    await uvicorn.Server(processes.web(view)).serve([listener])
    following.cancel()


async def echo(settings: Settings, dsn: str, listener: socket.socket) -> None:
    await uvicorn.Server(processes.web(_echo)).serve([listener])


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        return
    await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


SERVERS: dict[str, Callable[[Settings, str, socket.socket], Any]] = {
    "ours": processes.serve,
    "stock view": stock_view,
    "stock": stock,
    "bare": bare,
    "echo": echo,
}


def main(name: str) -> None:
    logs.configure("ERROR", json=False)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        settings = Settings(port=port)
        assert settings.database_url
        dsn = settings.database_url.get_secret_value()
        threading.Thread(target=_answer, args=(port, count_statements()), daemon=True).start()
        processes.run(SERVERS[name](settings, dsn, listener))


def count_statements() -> Callable[[], int]:
    """Number of statements that all engines of this process have executed from now on."""
    count = 0

    def executed(*_: object) -> None:
        nonlocal count
        count += 1

    event.listen(Engine, "before_cursor_execute", executed)
    return lambda: count


def _answer(port: int, statements: Callable[[], int]) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    process, collecting = psutil.Process(), 0.0
    for _ in sys.stdin:
        before = cpu_seconds([process])
        gc.collect()
        used = cpu_seconds([process])
        collecting += used - before
        sys.stdout.write(orjson.dumps((statements(), used - collecting, process.memory_info().rss)).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
