"""Commands for a database: migrate it, take it elsewhere, fill it, examine it."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gql_server import logs
from gql_server.cli import opening
from gql_server.cli.program import PROVIDERS, app, out
from gql_server.db import embedded
from gql_server.errors import Stop
from gql_server.settings import Settings


@app.command(name="migrate")
def migrate_database(
    check: Annotated[bool, typer.Option("--check", help="Migrate a scratch database and compare it with the models.")] = False,
) -> None:
    """Bring the database to this version."""
    settings = opening.settings()
    if check:
        _check_migrations()
        return
    from gql_server.db import migrate
    from gql_server.processes.database import bring_up_to_date

    with opening.database(settings) as dsn:
        revision = asyncio.run(bring_up_to_date(dsn))
    own = migrate.head_revision()
    newer = "" if revision == own else f", of a newer version, with which this one ({own}) still works: nothing to migrate"
    logs.announce(f"at migration {revision}{newer}", "database.migrated", revision=revision)


@app.command()
def dump(file: Annotated[Path, typer.Argument(help="File to write, which must not exist yet.")]) -> None:
    """Write the whole database to a file: a backup, or the way to a server or to another PostgreSQL."""
    from gql_server.db import transfer

    settings = opening.settings()
    with opening.database(settings, of_any_version=True) as dsn:
        transfer.dump(dsn, file)
    out.print(f"{file} holds the database", markup=False, highlight=False)


@app.command()
def load(file: Annotated[Path, typer.Argument(help="File that `gql-server dump` has written.")]) -> None:
    """Read such a file into a database that is empty, and bring it to this version."""
    from gql_server.db import transfer
    from gql_server.processes.database import bring_up_to_date

    settings = opening.settings()
    with opening.database(settings) as dsn:
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

    settings = opening.settings()
    with opening.database(settings) as dsn:
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

    settings = opening.settings()
    with opening.database(settings) as dsn:
        asyncio.run(processes.generate(settings, dsn, pipelines=pipelines, seed=seed, provider=provider, append=append))


@app.command()
def doctor() -> None:
    """Check the database: what `serve` and `worker` will do with it, tried; and say what to do."""
    from gql_server.db.doctor import examine

    settings = opening.settings()

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
    with opening.database(settings) as dsn:
        if not asyncio.run(report(dsn)):
            sys.exit(1)


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
