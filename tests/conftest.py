"""A real PostgreSQL: one server per test process, one migrated template, one database at a time for each test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import db
from gql_server.db import embedded, migrate
from gql_server.db.embedded.programs import VERSION
from tests.databases import Databases, execute, on_database, share_statements

# how long an example takes is the machine's affair
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# structlog's own printer shows the local variables of each frame, which takes seconds for an exception of ours
PRINTER = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PRINTER])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Connection string of a server on which we may create databases: GQL_TEST_DSN, or an embedded one of our own.

    GQL_TEST_POSTGRES=16 makes it the oldest that we support.
    """
    if given := os.environ.get("GQL_TEST_DSN"):
        yield given
        return
    version = int(os.environ.get("GQL_TEST_POSTGRES", VERSION))
    # not pytest's directory: its path is long, and its parents are closed to the account that root runs PostgreSQL under
    with (
        tempfile.TemporaryDirectory(prefix="gql-test-") as directory,
        embedded.start(Path(directory), for_tests=True, version=version) as dsn,
    ):
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


@pytest.fixture(scope="session")
def databases(postgres: str, template: str) -> Iterator[Databases]:
    """Databases to borrow from."""
    with asyncio.Runner() as runner:
        databases = Databases(postgres, template, runner)
        yield databases
        databases.close()


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    """Connection string of a migrated, empty database, for the time of the test its own."""
    database = databases.borrow()
    yield database.dsn
    databases.give_back(database)


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the test's own database."""
    engine = db.create_engine(dsn, application="gql-server tests", pool_size=5, max_overflow=15, pool_timeout=60)
    await share_statements(engine)
    yield engine
    await engine.dispose()
