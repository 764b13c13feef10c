"""Migrations of the ledger, run from code: the same for the command line, the demo and the tests."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gql_server.db import create_engine
from gql_server.db.models import carbon as carbon_tables

PACKAGE = Path(__file__).parent.parent


def scripts_path() -> Path:
    """The migrations: beside the package in a checkout, inside it in a wheel."""
    installed = PACKAGE / "migrations"
    return installed if installed.is_dir() else PACKAGE.parent / "migrations"


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_path()).replace("%", "%%"))
    return config


def scripts() -> ScriptDirectory:
    """The migrations that this version knows."""
    return _scripts_at(scripts_path())


@cache
def _scripts_at(path: Path) -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())


def head_revision() -> str:
    """The newest revision this version knows."""
    head = scripts().get_current_head()
    assert head is not None
    return head


async def upgrade(dsn: str, revision: str = "head") -> None:
    """Bring the database up to `revision`."""

    def run(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    await _with_connection(dsn, run)


async def downgrade(dsn: str, revision: str) -> None:
    """Take the database down to `revision`, or to nothing with `base`."""

    def run(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)

    await _with_connection(dsn, run)


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def differences(connection: Connection) -> list[object]:
    """Changes that autogenerate would still make to the database, so that it is like the models."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, carbon_tables.Base.metadata))


async def _with_connection(dsn: str, run: Callable[[Connection], None]) -> None:
    engine = create_engine(dsn, application="gql-server migrate", pool_size=1)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()
