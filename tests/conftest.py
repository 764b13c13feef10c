"""A real PostgreSQL: one server per test process, one migrated template, one database per test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import db
from gql_server.db import embedded, migrate


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Connection string of a server on which we may create databases: GQL_TEST_DSN, or an embedded one of our own."""
    if given := os.environ.get("GQL_TEST_DSN"):
        yield given
        return
    # not pytest's directory: its path is long, and its parents are closed to the account that root runs PostgreSQL under
    with tempfile.TemporaryDirectory(prefix="gql-test-") as directory, embedded.start(Path(directory), for_tests=True) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """Name of a migrated database that nobody is connected to."""
    name = f"template_{uuid4().hex}"
    asyncio.run(execute(postgres, f'CREATE DATABASE "{name}"'))
    try:
        asyncio.run(migrate.upgrade(on_database(postgres, name)))
        yield name
    finally:
        asyncio.run(execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def dsn(postgres: str, template: str) -> AsyncIterator[str]:
    """Connection string of a migrated, empty database of the test's own."""
    name = f"test_{uuid4().hex}"
    await execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield on_database(postgres, name)
    await execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the test's own database."""
    engine = db.create_engine(dsn, application="gql-server tests", pool_size=5, max_overflow=15)
    yield engine
    await engine.dispose()


def on_database(dsn: str, name: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def execute(dsn: str, statement: str) -> None:
    """One statement outside any transaction."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
