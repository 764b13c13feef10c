"""The fault lane: a durable PostgreSQL of its own, a database and its processes for each fault, and a table at the end."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from gql_server import db, handlers
from gql_server.commands.years import create_year
from gql_server.db import migrate
from gql_server.worker import registry
from tests.databases import execute
from tests.faults.audit import AUDIT
from tests.faults.cluster import Cluster
from tests.faults.site import FAULT, OPERATOR, Report, Site

assert handlers.__all__
YEAR = 2025


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of faults, of all processes that tested."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.getreports(outcome)]
    said = [line for each in reports if each.when == "call" for name, line in each.user_properties if name == FAULT]
    if lines := cast("list[tuple[str, str, str]]", said):
        terminalreporter.section("faults")
        width = max(len(what) for what, *_ in lines)
        terminalreporter.write_line(f"{'done':<{width}}  {'service after':>13}  lost")
        for what, seconds, lost in lines:
            terminalreporter.write_line(f"{what:<{width}}  {seconds:>13}  {lost}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="gql-faults-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        yield cluster
        cluster.stop("immediate")


@pytest.fixture(scope="session")
def audited(cluster: Cluster) -> str:
    """Name of a migrated database with the audit."""
    return asyncio.run(make_template(cluster))


@asynccontextmanager
async def opened(cluster: Cluster, template: str, folder: Path, report: Report) -> AsyncGenerator[Site]:
    """A database of its own, and in the end neither database nor processes; what those said is shown if the test fails."""
    cluster.start()
    name = f"fault_{uuid4().hex}"
    await execute(cluster.dsn(), f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    engine = db.create_engine(cluster.dsn(name), application="fault lane", pool_size=5, max_overflow=60)
    site = Site(cluster, name, engine, folder, report)
    try:
        yield site
    finally:
        await site.close()
        for process in site.processes:
            sys.stdout.write(f"--- {process.name}\n{process.said}\n")
        cluster.start()
        await execute(cluster.dsn(), f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def site(cluster: Cluster, audited: str, tmp_path: Path, record_property: Report) -> AsyncIterator[Site]:
    async with opened(cluster, audited, tmp_path, record_property) as site:
        yield site


@pytest.fixture
async def calm_site(cluster: Cluster, audited: str, tmp_path: Path, record_property: Report) -> AsyncIterator[Site]:
    """One more, to compare with."""
    folder = tmp_path / "calm"
    folder.mkdir()
    async with opened(cluster, audited, folder, record_property) as site:
        yield site


@pytest.fixture
async def year(site: Site) -> int:
    """A year of the site that takes uploads."""
    return await open_year(site)


async def open_year(site: Site) -> int:
    """Create the year and let a worker synchronise its units."""
    async with site.engine.begin() as connection:
        await create_year(connection, registry, OPERATOR, YEAR)
    site.start("sync", "worker", "--drain")
    await site.all_finished(120)
    return YEAR


async def make_template(cluster: Cluster) -> str:
    name = f"audited_{uuid4().hex}"
    await execute(cluster.dsn(), f'CREATE DATABASE "{name}"')
    await migrate.upgrade(cluster.dsn(name))
    await execute(cluster.dsn(name), AUDIT)
    return name
