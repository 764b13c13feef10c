"""The command line."""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import asyncpg
import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console

from gql_server import embedded, logs, migrate
from gql_server.app import create_app, create_worker, token_authority
from gql_server.db import address, connect_arguments, read_engine
from gql_server.demo import Demo, UploadRefused, summary
from gql_server.doctor import examine
from gql_server.edge.graphiql import PageConfig, Persona
from gql_server.edge.tabs import operator_tabs
from gql_server.models import Provider
from gql_server.runner import registry
from gql_server.schema import sdl
from gql_server.settings import Settings

ROOT = Path(__file__).parent.parent
SCHEMA_FILE = Path("schema.graphql")
PROVIDERS = Literal["ACCRED", "DEFAULT", "TEST"]
ROLES = Literal["superadmin", "operator", "principal", "standard"]
DEMO_UNIT = "10208"
DRAIN_SECONDS = 10
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

app = typer.Typer(
    help="A ledger of data-ingestion pipelines, the workers that run them, and one live graph over both.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True, soft_wrap=True)

Port = Annotated[int | None, typer.Option(help="Port to listen on (default: GQL_PORT, 8000).")]
Host = Annotated[str | None, typer.Option(help="Address to listen on (default: GQL_HOST, 127.0.0.1).")]


class Stop(Exception):
    """One line for the person at the terminal, and exit code 1."""


def main() -> None:
    """The entry point: every expected failure is one line on standard error."""
    try:
        app()
    except (Stop, embedded.EmbeddedError, UploadRefused) as error:
        _fail(str(error))
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        _fail(f"GQL_{name}: {first['msg'].removeprefix('Value error, ')}")


def _fail(message: str) -> NoReturn:
    err.print(f"gql-server: {message}", style="red", markup=False, highlight=False)
    sys.exit(1)


@app.command()
def demo(
    port: Port = None,
    host: Host = None,
    replay: Annotated[bool, typer.Option(help="Keep uploading at a human pace: something for subscriptions to show.")] = False,
    examples: Annotated[Path, typer.Option(help="Folder of the example files.")] = ROOT / "examples",
) -> None:
    """Run everything here: database, API, worker, and a real operating day on the first start."""
    settings = _settings(host, port, log_level="ERROR")
    if not examples.is_dir():
        raise Stop(f"the example files are not in {examples}: name their folder with --examples")
    with _listening(settings) as listener, _database(settings) as dsn:
        asyncio.run(_demo(settings, dsn, listener, examples, replay=replay))


@app.command()
def serve(port: Port = None, host: Host = None) -> None:
    """Serve the API only; workers run beside it."""
    settings = _settings(host, port)
    with _listening(settings) as listener, _database(settings) as dsn:
        asyncio.run(_serve(settings, dsn, listener))


@app.command()
def worker(
    drain: Annotated[bool, typer.Option(help="Stop when nothing is left to claim.")] = False,
) -> None:
    """Claim and run jobs, on any number of machines that reach the database."""
    settings = _settings()
    with _database(settings) as dsn:
        asyncio.run(_work(settings, dsn, drain=drain))


@app.command(name="migrate")
def migrate_database(
    check: Annotated[bool, typer.Option("--check", help="Migrate a scratch database and compare it with the models.")] = False,
) -> None:
    """Bring the database to this version."""
    settings = _settings()
    if check:
        _check_migrations()
        return
    with _database(settings) as dsn:
        asyncio.run(_migrate(dsn))
    out.print(f"at migration {migrate.head_revision()}")


@app.command()
def token(
    role: Annotated[ROLES, typer.Option(help="Whom the token is for.")] = "operator",
    unit: Annotated[str | None, typer.Option(help="Institutional id of a principal's unit, for instance 10208.")] = None,
    provider: Annotated[PROVIDERS, typer.Option(help="Directory the person belongs to.")] = "ACCRED",
) -> None:
    """Mint a development token and print nothing else."""
    authority = token_authority(_settings())
    try:
        minted = authority.mint(role, unit=unit, provider=Provider(provider))
    except ValueError as error:
        raise Stop(str(error)) from None
    sys.stdout.write(minted + "\n")


@app.command()
def schema(
    check: Annotated[bool, typer.Option("--check", help="Compare with schema.graphql; exit code 1 when it differs.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write schema.graphql.")] = False,
) -> None:
    """Print the schema definition."""
    if write:
        SCHEMA_FILE.write_text(sdl(), encoding="utf-8")
    elif not check:
        sys.stdout.write(sdl())
    elif not SCHEMA_FILE.exists() or SCHEMA_FILE.read_text(encoding="utf-8") != sdl():
        raise Stop("schema.graphql is not what the code says: run `gql-server schema --write`")
    else:
        out.print("schema.graphql is up to date")


@app.command()
def doctor() -> None:
    """Check the database: reachable, version, migration, clock, LISTEN; and say what to do."""
    settings = _settings()

    async def report(dsn: str) -> bool:
        healthy = True
        async for finding in examine(dsn):
            mark = "[green]ok[/green]  " if finding.ok else "[red]bad[/red] "
            out.print(f"{mark} {finding.check:<10} {finding.detail}", highlight=False)
            if not finding.ok and finding.advice:
                out.print(f"     {'':<10} → {finding.advice}", highlight=False)
            healthy = healthy and finding.ok
        return healthy

    with _database(settings) as dsn:
        if not asyncio.run(report(dsn)):
            sys.exit(1)


# ── what the commands share ──


def _settings(host: str | None = None, port: int | None = None, **overrides: str) -> Settings:
    given = {"host": host, "port": port, **overrides}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    logs.configure(settings.log_level, json=settings.log_json)
    return settings


@contextlib.contextmanager
def _database(settings: Settings) -> Generator[str]:
    """The connection string: the given database, or the embedded one for as long as we need it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    else:
        with embedded.start(settings.data_dir) as dsn:
            yield dsn


@contextlib.contextmanager
def _listening(settings: Settings) -> Generator[socket.socket]:
    """The listening socket, taken before anything is started, so that a taken port costs nothing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        hint = "choose another with --port or GQL_PORT"
        raise Stop(
            f"cannot listen on {settings.host}:{settings.port}, {(error.strerror or 'refused').lower()}; {hint}"
        ) from None
    try:
        yield listener
    finally:
        listener.close()


async def _reachable(dsn: str) -> None:
    """Raises Stop with the address tried when the database does not answer."""
    try:
        connection = await asyncpg.connect(**connect_arguments(dsn, "gql-server"))
        await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Stop(f"the database at {address(dsn)} cannot be reached: {error}") from None


async def _migrated(dsn: str) -> None:
    """Raises Stop when the database is not at this version's migration."""
    await _reachable(dsn)
    engine = read_engine(dsn, pool_size=1, statement_timeout=Settings().statement_timeout)
    try:
        async with engine.connect() as connection:
            revision = await connection.run_sync(migrate.current_revision)
    finally:
        await engine.dispose()
    if revision != migrate.head_revision():
        raise Stop(
            f"the database is at migration {revision}, this version needs {migrate.head_revision()}: run gql-server migrate"
        )


async def _migrate(dsn: str) -> None:
    await _reachable(dsn)
    await migrate.upgrade(dsn)


async def _prepare(settings: Settings, dsn: str) -> None:
    """The embedded database is migrated without asking; a given one is its owner's business."""
    if settings.database_url is None:
        await _migrate(dsn)
    else:
        await _migrated(dsn)


class _Server(uvicorn.Server):
    """Uvicorn, with the signals left to us: it is not the only thing to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _server(settings: Settings, dsn: str, page: PageConfig, *, allowed_hosts: Sequence[str] = ("*",)) -> _Server:
    config = uvicorn.Config(
        create_app(settings, dsn, page, allowed_hosts=allowed_hosts),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=65_536,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return _Server(config)


@contextlib.asynccontextmanager
async def _stopped_by_signal() -> AsyncGenerator[asyncio.Event]:
    """An event that SIGINT or SIGTERM sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
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
    return task


async def _serve(settings: Settings, dsn: str, listener: socket.socket) -> None:
    await _prepare(settings, dsn)
    server = _server(settings, dsn, PageConfig(tabs=operator_tabs()))
    async with _stopped_by_signal() as stop:
        serving = await _serving(server, listener)
        err.print(f"serving on http://{settings.host}:{settings.port}", highlight=False)
        await _until(stop, serving)
        server.should_exit = True
        await serving


async def _work(settings: Settings, dsn: str, *, drain: bool) -> None:
    await _prepare(settings, dsn)
    worker, engine = create_worker(settings, dsn)
    async with _stopped_by_signal() as stop:
        working = asyncio.create_task(worker.run(drain=drain))
        err.print(f"worker {worker.config.name} is working", highlight=False)
        await _until(stop, working)
        await worker.stop()
        await working
    await engine.dispose()


async def _demo(settings: Settings, dsn: str, listener: socket.socket, examples: Path, *, replay: bool) -> None:
    await _prepare(settings, dsn)
    origin = f"http://{settings.host}:{settings.port}"
    authority = token_authority(settings)
    tokens = {
        role: authority.mint(role, unit=DEMO_UNIT if role == "principal" else None, provider=Provider.ACCRED)
        for role in ("operator", "superadmin", "principal", "standard")
    }
    viewers = [
        Persona(f"{role} of unit {DEMO_UNIT}" if role == "principal" else role, {"Authorization": f"Bearer {minted}"})
        for role, minted in tokens.items()
    ]
    page = PageConfig(headers=viewers[0].headers, tabs=operator_tabs(), viewers=viewers)
    server = _server(settings, dsn, page, allowed_hosts=[settings.host, *LOOPBACK])
    worker, engine = create_worker(settings, dsn)
    viewer = authority.authenticate(f"Bearer {tokens['operator']}")
    day = Demo(engine, registry, viewer, tokens["operator"], origin=origin, examples=examples, console=out)

    async def live() -> None:
        await day.play()
        _explain(settings, origin, tokens["operator"])
        if replay:
            await day.replay()
        else:
            await asyncio.Event().wait()

    async with _stopped_by_signal() as stop:
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


def _explain(settings: Settings, origin: str, minted: str) -> None:
    database = "the embedded PostgreSQL" if settings.database_url is None else address(settings.database_url.get_secret_value())
    out.print()
    out.print(
        summary(
            {
                "GraphiQL": f"{origin}/graphiql  (signed in as operator)",
                "GraphQL": f"{origin}/graphql",
                "Database": f"{database}" + (f", in {settings.data_dir}" if settings.database_url is None else ""),
                "Stop": "Ctrl-C (or SIGTERM); the data stays",
                "Reset": "make reset",
            }
        )
    )
    out.print("\n[bold]Token[/bold] (operator, 8 hours; another: gql-server token --role superadmin)")
    out.print(minted, soft_wrap=True, highlight=False)
    out.print("\nready", style="green bold")


def _check_migrations() -> None:
    async def compare(dsn: str) -> list[object]:
        await migrate.upgrade(dsn)
        engine = read_engine(dsn, pool_size=1, statement_timeout=Settings().statement_timeout)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(migrate.differences)
        finally:
            await engine.dispose()

    with tempfile.TemporaryDirectory(prefix="gql-check-") as folder, embedded.start(Path(folder), for_tests=True) as dsn:
        differences = asyncio.run(compare(dsn))
    if differences:
        raise Stop("the migrations do not end at the models:\n" + "\n".join(str(difference) for difference in differences))
    out.print("the migrations end at the models")
