"""Alembic's environment. `gql-server migrate` hands over a connection; the alembic command line uses GQL_DATABASE_URL."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from gql_server.db import create_engine
from gql_server.db.models import carbon as tables
from gql_server.settings import Settings

MIGRATION_LOCK = 1241


def migrate(connection: Connection) -> None:
    """Run the migrations in one transaction; a second migrator waits for the first."""
    context.configure(
        connection=connection,
        target_metadata=tables.Base.metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        context.run_migrations()


async def migrate_by_url() -> None:
    url = Settings().database_url
    if url is None:
        raise SystemExit("GQL_DATABASE_URL is not set; `gql-server migrate` knows the embedded database.")
    engine = create_engine(url.get_secret_value(), application="alembic", pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_url())
