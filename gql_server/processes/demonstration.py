"""The demo: server, worker and an operating day in one process, with a page that is signed in."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from rich.console import Console

from gql_server.app import create_worker, worker_gauges
from gql_server.db import address
from gql_server.db.models import Provider
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig, Persona, Tab
from gql_server.http.tabs import operator_tabs
from gql_server.processes.database import prepare
from gql_server.processes.guard import guarding
from gql_server.processes.operating_day import YEAR, Demo, summary
from gql_server.processes.server import create_server, exposing, origin_of, start
from gql_server.processes.stopping import stopped_by_signal, until
from gql_server.processes.traces import record_traces
from gql_server.settings import Settings
from gql_server.worker import registry

DEMO_UNIT = "10208"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

out = Console(soft_wrap=True)


async def demo(
    settings: Settings,
    dsn: str,
    listener: socket.socket,
    examples: Path,
    *,
    replay: bool,
    watched: socket.socket | None = None,
) -> None:
    record_traces(settings)
    await prepare(settings, dsn)
    origin = origin_of(settings)
    authority = TokenAuthority.of(settings)
    as_operator = demo_headers(authority, "operator")
    hosts = [settings.host, *LOOPBACK]
    pages = {"/live": folder} if (folder := examples / "live").is_dir() else {}
    server = create_server(settings, dsn, demo_page(authority), allowed_hosts=hosts, pages=pages)
    worker, engine = create_worker(settings, dsn)
    if server.metrics is not None:
        server.metrics.state.register(worker_gauges(worker))
    viewer = authority.authenticate(as_operator()["Authorization"])
    day = Demo(engine, registry, viewer, as_operator, origin=origin, examples=examples, console=out)

    async def live() -> None:
        await day.play()
        _explain(settings, origin, watched, as_operator()["Authorization"].removeprefix("Bearer "))
        if replay:
            await day.replay()
        else:
            await asyncio.Event().wait()

    async with stopped_by_signal() as stop, guarding(settings), exposing(server.metrics, watched):
        serving = await start(server, listener)
        working = asyncio.create_task(worker.run())
        living = asyncio.create_task(live())
        try:
            await until(stop, serving, working, living)
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


def _data_dir_of(settings: Settings) -> str:
    """The assignment in front of a command by which it finds the same data directory; empty for that of this folder."""
    default = Settings.model_fields["data_dir"].default
    return "" if settings.data_dir == default else f"GQL_DATA_DIR={quote(str(settings.data_dir.expanduser().absolute()))} "


def _token_command(settings: Settings) -> str:
    """Command that mints another token for this server: its key is in the data directory, unless it was given."""
    secret = "GQL_JWT_SECRET=… " if settings.jwt_secret else _data_dir_of(settings)
    return f"{secret}gql-server token --role superadmin"


def _reset_command(settings: Settings) -> str:
    """Command that removes the data, while nothing runs: make's in a checkout."""
    is_checkout = (Path(__file__).parents[2] / "Makefile").is_file()
    return f"{_data_dir_of(settings)}make reset" if is_checkout else f"rm -r {quote(str(settings.data_dir))}"


def _explain(settings: Settings, origin: str, watched: socket.socket | None, minted: str) -> None:
    database = "the embedded PostgreSQL" if settings.database_url is None else address(settings.database_url.get_secret_value())
    out.print()
    reset = {"Reset": _reset_command(settings)} if settings.database_url is None else {}
    metrics = {"Metrics": f"http://{settings.metrics_host}:{watched.getsockname()[1]}/metrics"} if watched else {}
    out.print(
        summary(
            {
                "Console": f"{origin}/  (signed in as operator)",
                "GraphiQL": f"{origin}/graphiql  (signed in as operator)",
                "Live list": f"{origin}/live/  (asks for the token below)",
                "GraphQL": f"{origin}/graphql",
                "Database": f"{database}" + (f", in {settings.data_dir}" if settings.database_url is None else ""),
                **metrics,
                "Stop": "Ctrl-C (or SIGTERM); the data stays",
                **reset,
            }
        )
    )
    out.print(f"\n[bold]Token[/bold] (operator, 8 hours; another: {_token_command(settings)})")
    out.print(minted, soft_wrap=True, highlight=False)
    out.print("\nready", style="green bold")
