"""A real PostgreSQL: one server per test process, one migrated template, one database at a time for each test."""

import asyncio
import gc
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import embedded, migrate
from gql_server.db.embedded.programs import VERSION
from tests.databases import Database, Databases, execute, on_database
from tests.policy import worlds

# how long an example takes is the machine's affair
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# structlog's own printer shows the local variables of each frame, which takes seconds for an exception of ours
PRINTER = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PRINTER])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, which wait a lot: in the end they would be waited for."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Keep what was imported and collected from the garbage collector: to walk it takes a second each time."""
    gc.collect()
    gc.freeze()


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
async def databases(postgres: str, template: str) -> AsyncIterator[Databases]:
    """Databases to borrow from."""
    databases = Databases(postgres, template)
    yield databases
    await databases.close()


@pytest.fixture(scope="session")
async def whole(postgres: str, template: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the world that has everything, for tests that only read it."""
    async with worlds.database(postgres, template, worlds.everything()) as engine:
        yield engine


@pytest.fixture(autouse=True)
async def _tasks() -> AsyncIterator[set[asyncio.Task[Any]]]:
    """Tasks that are not the test's. What it leaves running ends with it, though all tests share an event loop, as the
    connections of databases need one."""
    others = asyncio.all_tasks()
    yield others
    await end_all_but(others)


async def end_all_but(others: set[asyncio.Task[Any]]) -> None:
    """Cancel what else runs, but for us."""
    left = asyncio.all_tasks() - others - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="module")
def collected() -> Iterator[None]:
    """Collects at their end what tests leave to the garbage collector, which would complain of it in another test."""
    yield
    gc.collect()


@pytest.fixture
async def database(databases: Databases, _tasks: set[asyncio.Task[Any]]) -> AsyncIterator[Database]:
    """A migrated, empty database, for the time of the test its own."""
    database = await databases.borrow()
    yield database
    await end_all_but(_tasks)
    await databases.give_back(database)


@pytest.fixture
def dsn(database: Database) -> str:
    """Connection string of the test's own database."""
    return database.dsn


@pytest.fixture
def engine(database: Database) -> AsyncEngine:
    """An engine on the test's own database."""
    return database.engine()
