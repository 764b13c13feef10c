"""A durable PostgreSQL for one benchmark, and the engine it measures with."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import db
from gql_server.db import embedded, migrate


@contextmanager
def fresh() -> Generator[str]:
    """The connection string of a new, migrated database with the settings of production: every commit is on disk."""
    with tempfile.TemporaryDirectory(prefix="gql-bench-") as folder, embedded.start(Path(folder)) as dsn:
        asyncio.run(migrate.upgrade(dsn))
        yield dsn


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[AsyncEngine]:
    """An engine of the benchmark's own, disposed at the end."""
    engine = db.create_engine(dsn, application="gql-server bench", pool_size=4)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def another() -> AsyncGenerator[str]:
    """The same as `fresh`, for a benchmark that has a database already."""
    made = fresh()
    try:
        yield await asyncio.to_thread(made.__enter__)
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)
