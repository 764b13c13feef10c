"""The command line. What a command runs is imported when it runs, so that help and tokens come at once."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import tomllib
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from gql_server import logs
from gql_server.db import embedded
from gql_server.errors import Stop
from gql_server.settings import Settings

PACKAGE = Path(__file__).parent
EXAMPLES = next((folder for folder in (PACKAGE / "examples", PACKAGE.parent / "examples") if folder.is_dir()), Path("examples"))
"""Example files: inside the package in a wheel, beside it in a checkout."""
SCHEMA_FILE = Path("schema.graphql")
RELEASED_FILE, ACCEPTED_FILE = Path("releases/schema.graphql"), Path("releases/accepted.toml")
"""The schema of the last release, and the changes since then that are meant."""
PROVIDERS = Literal["ACCRED", "DEFAULT", "TEST"]
DEMO_METRICS_PORT = 9090
UNREAD_MILLISECONDS = 11_000
"""Time for which a client may leave unacknowledged what it was sent: a little longer than the server waits itself."""
ROLES = Literal["superadmin", "operator", "principal", "standard"]

app = typer.Typer(
    help="A ledger of data-ingestion pipelines, the workers that run them, and one live graph over both.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
service_tokens = typer.Typer(help="Tokens of services, such as scrapers and CI.", no_args_is_help=True)
app.add_typer(service_tokens, name="service-token")
out = Console(soft_wrap=True)

Port = Annotated[int | None, typer.Option(help="Port to listen on (default: GQL_PORT, 8000).")]
Host = Annotated[str | None, typer.Option(help="Address to listen on (default: GQL_HOST, 127.0.0.1).")]


def is_loopback(host: str) -> bool:
    """True if only this machine reaches that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    """The entry point: every expected failure is one line on standard error."""
    # until the servers handle it, SIGTERM unwinds like Ctrl-C, so that a database that was started is stopped again
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    logs.configure("INFO", json=os.environ.get("GQL_LOG_JSON", "").lower() in ("1", "true", "yes", "on"))
    try:
        app()
    except (Stop, embedded.EmbeddedError) as error:
        _fail(str(error))
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        example = ": seconds, or ISO 8601 such as P30D or PT10S" if first["type"].startswith("time_delta") else ""
        _fail(f"GQL_{name}: {first['msg'].removeprefix('Value error, ')}{example}")
    except Exception as error:
        logs.crashed(error)
        sys.exit(1)


def _fail(message: str) -> NoReturn:
    logs.failed(message)
    sys.exit(1)


@app.command()
def demo(
    port: Port = None,
    host: Host = None,
    replay: Annotated[bool, typer.Option(help="Keep uploading at a human pace: something for subscriptions to show.")] = False,
    examples: Annotated[Path, typer.Option(help="Folder of the example files.")] = EXAMPLES,
) -> None:
    """Run everything here: database, API, worker, and a real operating day on the first start."""
    settings = _settings(host, port, otherwise={"log_level": "ERROR"})
    if not examples.is_dir():
        raise Stop(f"the example files are not in {examples}: name their folder with --examples")
    with _listening(settings) as listener, _watched(settings, DEMO_METRICS_PORT) as watched, _database(settings) as dsn:
        from gql_server import processes

        processes.run(processes.demo(settings, dsn, listener, examples, replay=replay, watched=watched))


@app.command()
def serve(port: Port = None, host: Host = None) -> None:
    """Serve the API only; workers run beside it."""
    settings = _settings(host, port)
    _refuse_development_secret(settings)
    with _listening(settings) as listener, _watched(settings) as watched, _database(settings) as dsn:
        from gql_server import processes

        processes.run(processes.serve(settings, dsn, listener, watched))


@app.command()
def worker(
    drain: Annotated[bool, typer.Option(help="Stop when nothing is left to claim.")] = False,
) -> None:
    """Claim and run jobs, on any number of machines that reach the database."""
    settings = _settings()
    with _watched(settings) as watched, _database(settings) as dsn:
        from gql_server import processes

        processes.run(processes.work(settings, dsn, drain=drain, watched=watched))


@app.command(name="migrate")
def migrate_database(
    check: Annotated[bool, typer.Option("--check", help="Migrate a scratch database and compare it with the models.")] = False,
) -> None:
    """Bring the database to this version."""
    settings = _settings()
    if check:
        _check_migrations()
        return
    from gql_server.db import migrate
    from gql_server.processes.database import bring_up_to_date

    with _database(settings) as dsn:
        revision = asyncio.run(bring_up_to_date(dsn))
    own = migrate.head_revision()
    newer = "" if revision == own else f", of a newer version, with which this one ({own}) still works: nothing to migrate"
    logs.announce(f"at migration {revision}{newer}", "database.migrated", revision=revision)


@app.command()
def dump(file: Annotated[Path, typer.Argument(help="File to write, which must not exist yet.")]) -> None:
    """Write the whole database to a file: a backup, or the way to a server or to another PostgreSQL."""
    from gql_server.db import transfer

    settings = _settings()
    with _database(settings, of_any_version=True) as dsn:
        transfer.dump(dsn, file)
    out.print(f"{file} holds the database", markup=False, highlight=False)


@app.command()
def load(file: Annotated[Path, typer.Argument(help="File that `gql-server dump` has written.")]) -> None:
    """Read such a file into a database that is empty, and bring it to this version."""
    from gql_server.db import transfer
    from gql_server.processes.database import bring_up_to_date

    settings = _settings()
    with _database(settings) as dsn:
        transfer.load(dsn, file)
        revision = asyncio.run(bring_up_to_date(dsn))
    out.print(f"the database is that of {file}, at migration {revision}", markup=False, highlight=False)


@app.command()
def year(
    year: Annotated[int, typer.Argument(help="Reporting year to create, for instance 2026.")],
    provider: Annotated[PROVIDERS, typer.Option(help="Directory whose units the year is for.")] = "ACCRED",
) -> None:
    """Create a reporting year; a worker then synchronises its units, and the year takes uploads."""
    from gql_server import processes

    settings = _settings()
    with _database(settings) as dsn:
        pipeline_id = asyncio.run(processes.create_year(settings, dsn, year, provider))
    out.print(f"year {year} of {provider} is created; its unit sync is pipeline {pipeline_id}", highlight=False)


@app.command()
def generate(
    pipelines: Annotated[int, typer.Option(min=1, help="How many pipelines, of five jobs each on average.")] = 200_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same ledger.")] = 1,
    provider: Annotated[PROVIDERS, typer.Option(help="Directory the ledger is of.")] = "ACCRED",
    append: Annotated[bool, typer.Option("--append", help="Add to the pipelines that are there.")] = False,
) -> None:
    """Fill the database with a made-up ledger: something to measure and to look at."""
    from gql_server import processes

    settings = _settings()
    with _database(settings) as dsn:
        asyncio.run(processes.generate(settings, dsn, pipelines=pipelines, seed=seed, provider=provider, append=append))


@app.command()
def token(
    role: Annotated[ROLES, typer.Option(help="Whom the token is for.")] = "operator",
    unit: Annotated[str | None, typer.Option(help="Institutional id of a principal's unit, for instance 10208.")] = None,
    provider: Annotated[PROVIDERS, typer.Option(help="Directory the person belongs to.")] = "ACCRED",
) -> None:
    """Mint a development token and print nothing else."""
    from gql_server.http.authentication import TokenAuthority

    settings = _settings()
    if settings.known_signing_key() is None:
        raise Stop(
            f"no server has made a signing key in {settings.data_dir.expanduser().absolute()}: start one there first, "
            "name its directory with GQL_DATA_DIR, or its key with GQL_JWT_SECRET"
        )
    authority = TokenAuthority.of(settings)
    try:
        minted = authority.mint(role, unit=unit, provider=provider)
    except ValueError as error:
        raise Stop(str(error)) from None
    sys.stdout.write(minted + "\n")


@service_tokens.command(name="create")
def create_service_token(
    name: Annotated[str, typer.Argument(help="Name of the service, which its actions are shown under.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; give one or more.")] = None,
    role: Annotated[ROLES, typer.Option(help="Whose permissions the scopes narrow.")] = "superadmin",
    unit: Annotated[str | None, typer.Option(help="Institutional id of a principal's unit, for instance 10208.")] = None,
    provider: Annotated[PROVIDERS, typer.Option(help="Directory whose ledger it works on.")] = "ACCRED",
    days: Annotated[int, typer.Option(min=1, max=366, help="Days until it expires.")] = 90,
) -> None:
    """Make a token and print nothing else: only its hash is kept."""
    from gql_server.processes import service_tokens

    settings = _settings()
    service_tokens.check(name, scope or [], role, unit)
    with _database(settings) as dsn:
        making = service_tokens.create(
            settings, dsn, name, scopes=scope or [], role=role, unit=unit, provider=provider, days=days
        )
        sys.stdout.write(asyncio.run(making) + "\n")


@service_tokens.command(name="list")
def list_service_tokens() -> None:
    """Print every token that was made, but for its secret: what it may do, until when, and when it was used last."""
    from gql_server.processes import service_tokens

    settings = _settings()
    with _database(settings) as dsn:
        for each in asyncio.run(service_tokens.listed(settings, dsn)):
            state = "revoked" if each.revoked_at else "expired" if each.has_expired else f"until {each.expires_at:%Y-%m-%d}"
            used = f"used {each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "never used"
            whose = f"{each.provider}{f' unit {each.unit}' if each.unit else ''}"
            out.print(
                f"{each.id:>4}  {each.name}  {whose}  {' '.join(each.scopes)}  {state}  {used}", markup=False, highlight=False
            )


@service_tokens.command(name="revoke")
def revoke_service_token(id: Annotated[int, typer.Argument(help="Number of the token, as `list` shows it.")]) -> None:
    """Take a token back: it is refused at once, and what it has open is closed."""
    from gql_server.processes import service_tokens

    settings = _settings()
    with _database(settings) as dsn:
        name = asyncio.run(service_tokens.revoke(settings, dsn, id))
    out.print(f"token {id} of {name} is revoked", markup=False, highlight=False)


@app.command()
def schema(
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with schema.graphql and the last release, and lint it; exit code 1 if bad."),
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write schema.graphql.")] = False,
) -> None:
    """Print the schema definition."""
    from gql_server.graph.schema import sdl

    if write:
        SCHEMA_FILE.write_text(sdl(), encoding="utf-8")
    elif not check:
        sys.stdout.write(sdl())
    else:
        _check_schema(sdl())


def _check_schema(sdl: str) -> None:
    """Raises Stop with everything that is wrong."""
    from gql_server.graph.lint import lint

    complaints = lint(sdl)
    if not SCHEMA_FILE.exists() or SCHEMA_FILE.read_text(encoding="utf-8") != sdl:
        complaints.append("schema.graphql is not what the code says: run `gql-server schema --write`")
    complaints += _changes_since_release(sdl)
    if complaints:
        raise Stop("\n".join(complaints))
    out.print("schema.graphql is up to date, breaks no client of the last release unsaid, and lint has nothing to say")


def _changes_since_release(sdl: str) -> list[str]:
    """Complaints about changes that break clients of the last release, or may, and were not accepted."""
    from gql_server.graph.lint import changes, unaccepted

    if not RELEASED_FILE.exists():
        return []
    found = changes(RELEASED_FILE.read_text("utf-8"), sdl, datetime.now(UTC).date())
    try:
        return unaccepted(found, tomllib.loads(ACCEPTED_FILE.read_text("utf-8")) if ACCEPTED_FILE.exists() else {})
    except tomllib.TOMLDecodeError as error:
        return [f"{ACCEPTED_FILE} cannot be read: {error}"]


@app.command(name="settings")
def show_settings(
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are not at their default.")] = False,
) -> None:
    """Print every setting: its name in the environment, its value (secrets are hidden), where that comes from, what it does."""
    for knob in _settings().knobs():
        if not changed or knob.source != "default":
            out.print(f"[bold]{knob.name}[/bold]={escape(knob.value)}  [dim]({knob.source})[/dim]", highlight=False)
            out.print(f"    {knob.description}", markup=False, highlight=False)


@app.command()
def documents(
    files: Annotated[list[Path] | None, typer.Argument(help="Files of one document each; none: those of GraphiQL.")] = None,
) -> None:
    """Print a manifest of trusted documents, by their SHA-256, for GQL_TRUSTED_DOCUMENTS."""
    from gql_server.http.documents import manifest
    from gql_server.http.tabs import operation_texts

    try:
        texts = [path.read_text("utf-8").rstrip() for path in files] if files else operation_texts()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(str(error)) from None
    sys.stdout.write(json.dumps(manifest(texts), indent=2, ensure_ascii=False) + "\n")


@app.command()
def doctor() -> None:
    """Check the database: what `serve` and `worker` will do with it, tried; and say what to do."""
    from gql_server.db.doctor import examine

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

    if settings.database_url is None:
        place = settings.data_dir.expanduser().absolute()
        if not embedded.exists(place):
            raise Stop(
                f"there is no embedded database in {place}: `gql-server demo`, `serve` or `migrate` make one; "
                "GQL_DATA_DIR names another directory, and GQL_DATABASE_URL a server"
            )
        out.print(f"ok   embedded   in {place}", highlight=False)
    with _database(settings) as dsn:
        if not asyncio.run(report(dsn)):
            sys.exit(1)


# ── what the commands share ──


def _settings(host: str | None = None, port: int | None = None, *, otherwise: Mapping[str, object] = {}) -> Settings:
    """The settings of the environment, and of the command line before them; `otherwise` stands for what neither says."""
    for name, nearest in Settings.unknown_names():
        raise Stop(f"{name} is not a setting{f': is {nearest} meant?' if nearest else ''}")
    given = {"host": host, "port": port}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    unsaid = {name: value for name, value in otherwise.items() if name not in settings.model_fields_set}
    settings = settings.model_copy(update=unsaid)
    logs.configure(settings.log_level, json=settings.log_json)
    return settings


def _refuse_development_secret(settings: Settings) -> None:
    """Raises Stop where others could reach a server whose tokens anybody may mint."""
    if settings.has_development_secret and not is_loopback(settings.host):
        raise Stop(
            f"GQL_JWT_SECRET is one that others know, and {settings.host} is not this machine alone: give a secret of its own, "
            "as from `openssl rand -base64 48`, or listen on 127.0.0.1"
        )


@contextlib.contextmanager
def _database(settings: Settings, *, of_any_version: bool = False) -> Generator[str]:
    """The connection string: the given database, or the embedded one for as long as we need it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    else:
        version = embedded.version_of(settings.data_dir.expanduser() / "postgres") if of_any_version else embedded.VERSION
        with embedded.start(settings.data_dir, version=version) as dsn:
            yield dsn


@contextlib.contextmanager
def _listening(settings: Settings) -> Generator[socket.socket]:
    """The listening socket, taken before anything is started, so that a taken port costs nothing."""
    with _bound(settings.host, settings.port, "choose another with --port or GQL_PORT") as listener:
        yield listener


@contextlib.contextmanager
def _watched(settings: Settings, otherwise: int | None = None) -> Generator[socket.socket | None]:
    """The socket for machines that watch, if one is wanted; at the other port, if none is named and that is free."""
    with contextlib.ExitStack() as opened:
        listener = None
        if settings.metrics_port is not None:
            hint = "choose another with GQL_METRICS_PORT"
            listener = opened.enter_context(_bound(settings.metrics_host, settings.metrics_port, hint))
        elif otherwise is not None:
            with contextlib.suppress(Stop, OSError):
                free = opened.enter_context(_bound(settings.metrics_host, otherwise, ""))
                free.listen()  # until somebody listens, others can bind it too
                listener = free
        yield listener


@contextlib.contextmanager
def _bound(host: str, port: int, hint: str) -> Generator[socket.socket]:
    """Raises Stop for an address that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it: whoever takes nothing in is given up
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Stop(f"cannot listen on {host}:{port}, {(error.strerror or 'refused').lower()}; {hint}") from None
    try:
        yield listener
    finally:
        listener.close()


def _check_migrations() -> None:
    from gql_server.db import migrate, read_engine

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
