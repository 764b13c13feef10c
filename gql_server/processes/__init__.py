"""Processes of the command line: the API, a worker, the demo, each until a signal or its end."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from shlex import quote
from typing import Any
from uuid import UUID

import uvicorn
from rich.console import Console
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory

from gql_server.app import create_app, create_worker
from gql_server.commands import years
from gql_server.db import address, embedded, work_engine
from gql_server.db.models import Provider
from gql_server.errors import PublicError, Stop
from gql_server.generate import load
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig, Persona, Tab
from gql_server.http.tabs import operator_tabs
from gql_server.ledger.wakeup import wake_all
from gql_server.processes import heap
from gql_server.processes.database import prepare, writable
from gql_server.processes.operating_day import YEAR, Demo, summary
from gql_server.settings import Settings
from gql_server.worker import registry

DEMO_UNIT = "10208"
DRAIN_SECONDS = 7
GUARD_SECONDS = 2
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run what serves, on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(main)


class _Server(uvicorn.Server):
    """Uvicorn, with the signals left to us: it is not the only thing to stop. Streams end so that they can be resumed."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        await super().shutdown(sockets)


def _server(settings: Settings, dsn: str, page: PageConfig, **served: Any) -> _Server:
    app = create_app(settings, dsn, page, **served)
    return _Server(web(app), app.state.drain)


def web(app: ASGIApp) -> uvicorn.Config:
    """Configuration of the HTTP server. Frames are small and sent to many: to compress each for each costs more than to send
    it."""
    return uvicorn.Config(
        app,
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
async def _stopped_by_signal() -> AsyncGenerator[asyncio.Event]:
    """An event that SIGINT, SIGTERM or the end of the terminal sets; the last unless it is ignored, as under nohup."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        if number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:
            continue
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    yield stop


async def _until(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for the signal, or for a task to end; a task that failed raises here."""
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in done - {stopping}:
        task.result()


async def _serving(server: _Server, listener: socket.socket) -> asyncio.Task[None]:
    """Start the server; returns its task once it answers."""
    task = asyncio.create_task(server.serve([listener]))
    while not server.started and not task.done():
        await asyncio.sleep(0.02)
    heap.settle()
    return task


@contextlib.asynccontextmanager
async def _guarding(settings: Settings) -> AsyncGenerator[None]:
    """Keeps the embedded database up while we use it; a given one is its owner's business."""
    if settings.database_url is not None:
        yield
        return
    guard = asyncio.create_task(_guard(settings.data_dir))
    try:
        yield
    finally:
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)


async def _guard(data_dir: Path) -> None:
    while True:
        await asyncio.sleep(GUARD_SECONDS)
        try:
            if await asyncio.to_thread(embedded.revive, data_dir):
                err.print("the embedded PostgreSQL had stopped; it was started again", style="yellow")
        except embedded.EmbeddedError as error:
            err.print(f"the embedded PostgreSQL has stopped: {error}", style="red", markup=False)


async def serve(settings: Settings, dsn: str, listener: socket.socket) -> None:
    await prepare(settings, dsn, wait=settings.database_wait)
    server = _server(settings, dsn, PageConfig(tabs=operator_tabs()))
    async with _stopped_by_signal() as stop, _guarding(settings):
        serving = await _serving(server, listener)
        err.print(f"serving on {_origin(settings)}", highlight=False)
        await _until(stop, serving)
        server.should_exit = True
        await serving


async def work(settings: Settings, dsn: str, *, drain: bool) -> None:
    await prepare(settings, dsn, wait=settings.database_wait)
    await writable(dsn)
    worker, engine = create_worker(settings, dsn)
    try:
        async with _stopped_by_signal() as stop, _guarding(settings):
            working = asyncio.create_task(worker.run(drain=drain))
            heap.settle()
            err.print(f"worker {worker.config.name} is working", highlight=False)
            await _until(stop, working)
            await worker.stop()
            await working
    finally:
        await engine.dispose()


async def create_year(settings: Settings, dsn: str, year: int, provider: str) -> UUID:
    """Create a year as its superadmin would; returns the pipeline of its unit sync."""
    await prepare(settings, dsn)
    authority = TokenAuthority.of(settings)
    viewer = authority.authenticate(f"Bearer {authority.mint('superadmin', provider=provider)}")
    engine = work_engine(dsn, concurrency=1)
    try:
        async with engine.begin() as connection:
            submitted = await years.create_year(connection, registry, viewer, year)
        await wake_all(engine)
    except PublicError as error:
        raise Stop(error.message) from None
    finally:
        await engine.dispose()
    return submitted.pipeline_id


async def generate(settings: Settings, dsn: str, *, pipelines: int, seed: int, provider: str, append: bool) -> None:
    """Fill the database with a made-up ledger, and show how far it is."""
    await prepare(settings, dsn)
    engine = work_engine(dsn, concurrency=1)
    started = time.monotonic()
    try:
        with out.status("") as status:
            jobs = await load.generate(
                engine,
                pipelines=pipelines,
                seed=seed,
                provider=provider,
                append=append,
                report=lambda stage, done: status.update(f"{stage}{f': {done:,}' if done else ''}"),
            )
    finally:
        await engine.dispose()
    out.print(f"{pipelines:,} pipelines with {jobs:,} jobs in {time.monotonic() - started:.0f} s", highlight=False)


async def demo(settings: Settings, dsn: str, listener: socket.socket, examples: Path, *, replay: bool) -> None:
    await prepare(settings, dsn)
    origin = _origin(settings)
    authority = TokenAuthority.of(settings)
    as_operator = demo_headers(authority, "operator")
    hosts = [settings.host, *LOOPBACK]
    pages = {"/live": folder} if (folder := examples / "live").is_dir() else {}
    server = _server(settings, dsn, demo_page(authority), allowed_hosts=hosts, pages=pages)
    worker, engine = create_worker(settings, dsn)
    viewer = authority.authenticate(as_operator()["Authorization"])
    day = Demo(engine, registry, viewer, as_operator, origin=origin, examples=examples, console=out)

    async def live() -> None:
        await day.play()
        _explain(settings, origin, as_operator()["Authorization"].removeprefix("Bearer "))
        if replay:
            await day.replay()
        else:
            await asyncio.Event().wait()

    async with _stopped_by_signal() as stop, _guarding(settings):
        serving = await _serving(server, listener)
        working = asyncio.create_task(worker.run())
        living = asyncio.create_task(live())
        try:
            await _until(stop, serving, working, living)
        finally:
            out.print("Stopping …", style="dim")
            living.cancel()
            server.should_exit = True
            await worker.stop()
            await asyncio.gather(serving, working, living, return_exceptions=True)
            await day.close()
            await engine.dispose()


def demo_headers(authority: TokenAuthority, role: str) -> Callable[[], dict[str, str]]:
    """Headers that make a request that of somebody with this role, for the next 8 hours."""
    unit = DEMO_UNIT if role == "principal" else None
    return lambda: {"Authorization": f"Bearer {authority.mint(role, unit=unit, provider=Provider.ACCRED)}"}


def demo_page(authority: TokenAuthority) -> PageConfig:
    """A page that is signed in as an operator, and lets its reader be somebody else."""
    viewers = [
        Persona(f"{role} of unit {DEMO_UNIT}" if role == "principal" else role, demo_headers(authority, role))
        for role in ("operator", "superadmin", "principal", "standard")
    ]
    return PageConfig(headers=viewers[0].headers, tabs=demo_tabs(), viewers=viewers)


def demo_tabs() -> tuple[Tab, ...]:
    """The tabs on the demo's day: a file that was refused, and one of which rows were left out."""
    return operator_tabs(job_id=2, ingest_id=25, year=YEAR)


def _origin(settings: Settings) -> str:
    """Address at which this machine reaches the server, also when it listens on every address."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    host = everywhere.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    return f"http://{host}:{settings.port}"


def _data_dir_of(settings: Settings) -> str:
    """The assignment in front of a command by which it finds the same data directory; empty for that of this folder."""
    default = Settings.model_fields["data_dir"].default
    return "" if settings.data_dir == default else f"GQL_DATA_DIR={quote(str(settings.data_dir.expanduser().absolute()))} "


def _token_command(settings: Settings) -> str:
    """How another token is minted that this server takes: its key is in the data directory, unless it was given."""
    secret = "GQL_JWT_SECRET=… " if settings.jwt_secret else _data_dir_of(settings)
    return f"{secret}gql-server token --role superadmin"


def _explain(settings: Settings, origin: str, minted: str) -> None:
    database = "the embedded PostgreSQL" if settings.database_url is None else address(settings.database_url.get_secret_value())
    out.print()
    place = _data_dir_of(settings)
    reset = {"Reset": f"{place}make reset"} if settings.database_url is None else {}
    out.print(
        summary(
            {
                "GraphiQL": f"{origin}/graphiql  (signed in as operator)",
                "Live list": f"{origin}/live/  (asks for the token below)",
                "GraphQL": f"{origin}/graphql",
                "Database": f"{database}" + (f", in {settings.data_dir}" if settings.database_url is None else ""),
                "Stop": "Ctrl-C (or SIGTERM); the data stays",
                **reset,
            }
        )
    )
    out.print(f"\n[bold]Token[/bold] (operator, 8 hours; another: {_token_command(settings)})")
    out.print(minted, soft_wrap=True, highlight=False)
    out.print("\nready", style="green bold")
