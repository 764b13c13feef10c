"""Alembic's environment. `gql-server migrate` hands over a connection; the alembic command line uses GQL_DATABASE_URL."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from alembic import context
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.util import await_only

from gql_server.db import compatibility, create_engine, routines
from gql_server.db.models import carbon as carbon_tables
from gql_server.settings import Settings

MIGRATION_LOCK = 1241
LOOK_AGAIN_SECONDS = 0.2


def migrate(connection: Connection) -> None:
    """Run each migration in a transaction of its own, then put functions and triggers in place; a second migrator waits."""
    with _alone(connection):
        context.configure(
            connection=connection,
            target_metadata=carbon_tables.Base.metadata,
            compare_type=True,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with connection.begin():  # before it begins, so that programs that will go with it stay ready meanwhile
            before = MigrationContext.configure(connection).get_current_revision()
            compatibility.note(connection, _destination())
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        with connection.begin():
            revision = MigrationContext.configure(connection).get_current_revision()
            if revision == context.get_head_revision():
                routines.bring_up_to_date(connection)
            elif revision != before:  # it has not all tables that triggers are on
                routines.forget(connection)
            if revision is not None:
                compatibility.note(connection, revision)


def _destination() -> str | None:
    """The migration that the database is taken to; None for a command that takes it nowhere, or to nothing."""
    try:
        found = context.get_revision_argument()
    except KeyError:
        return None
    return found if isinstance(found, str) and found != "base" else None


@contextmanager
def _alone(connection: Connection) -> Generator[None]:
    """Hold the lock of migrators. Asked for again and again: who waited for it in a statement would keep an index from being
    built concurrently."""
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK}):
        connection.rollback()
        await_only(asyncio.sleep(LOOK_AGAIN_SECONDS))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()


async def migrate_by_url() -> None:
    url = Settings().database_url
    if url is None:
        raise SystemExit("GQL_DATABASE_URL is not set; `gql-server migrate` knows the embedded database.")
    engine = create_engine(url.get_secret_value(), application="alembic", pool_size=1)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_url())
