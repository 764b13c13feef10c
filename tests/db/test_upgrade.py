"""An upgrade under load, in either order: programs of before go on while a newer version migrates, and after it; those of
the newer version that are started before it migrates wait, and say so."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import compatibility, create_engine, migrate
from tests.databases import execute, on_database
from tests.db.test_compatibility import migrated_by_newer, newer_scripts
from tests.site import Site, opened

PREVIOUS = os.environ.get("GQL_TEST_PREVIOUS")
"""Folder of the program of before."""
QUERY = {"query": "{ pipelines(first: 5) { nodes { status jobs { nodes { kind state } } } } workers { podId } }"}


@pytest.mark.slow
async def test_no_request_fails_and_no_job_is_lost_while_a_newer_version_adds_to_the_schema(
    dsn: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with opened(dsn, engine, tmp_path) as site:
        api = await site.serve("api")
        site.start("worker", "worker")
        await site.run_pipeline(2026)
        over = asyncio.Event()
        asking = [asyncio.create_task(ask(site, over)) for _ in range(3)]

        async with migrated_by_newer(dsn, tmp_path, "EXPANDS = True", "EXPANDS = True"):
            await site.run_pipeline(2027)
        await site.stop(api)
        over.set()
        answers = [answer for answered in await asyncio.gather(*asking) for answer in answered]
        again = await site.serve("api of before, started again")
        site.start("worker of before, started again", "worker")
        await site.run_pipeline(2028)

        assert {*answers} == {200}
        assert len(answers) > 20
        assert again.popen.poll() is None


@pytest.mark.slow
async def test_programs_that_are_started_before_the_database_is_migrated_wait_not_ready_and_no_request_fails(
    dsn: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    own, scripts = migrate.head_revision(), newer_scripts(tmp_path, "EXPANDS = True")
    async with sites(dsn, engine, tmp_path) as (before, after):
        after.environment["GQL_TEST_MIGRATIONS"] = str(scripts)

        await upgrade(before, after, scripts, f"at {own}, this version needs 9001; run: gql-server migrate")


@pytest.mark.slow
@pytest.mark.skipif(PREVIOUS is None, reason="no program of before: make previous has one")
async def test_no_request_fails_while_the_program_of_before_gives_way_to_this_one(postgres: str, tmp_path: Path) -> None:
    assert PREVIOUS
    dsn = on_database(postgres, name := f"previous_{uuid4().hex}")
    await execute(postgres, f'CREATE DATABASE "{name}"')
    given = {**os.environ, "GQL_DATABASE_URL": dsn}
    old = [sys.executable, "-c", "from gql_server.cli import main; main()", "migrate"]
    await asyncio.to_thread(subprocess.run, old, cwd=PREVIOUS, env=given, check=True)
    engine = create_engine(dsn, application="upgrade", pool_size=2)
    async with engine.connect() as connection:
        found = await connection.run_sync(compatibility.read)
    async with sites(dsn, engine, tmp_path) as (before, after):
        before.environment["GQL_TEST_PROGRAM"] = PREVIOUS

        await upgrade(
            before, after, migrate.scripts_path(), None if found.is_usable else "; ".join(map(str, found.explained()))
        )
    await engine.dispose()
    await execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def sites(dsn: str, engine: AsyncEngine, folder: Path) -> AsyncGenerator[tuple[Site, Site]]:
    """The programs of before, and those after them, which wait for the migration."""
    for name in ("before", "after"):
        (folder / name).mkdir()
    async with opened(dsn, engine, folder / "before") as before, opened(dsn, engine, folder / "after") as after:
        after.environment["GQL_DATABASE_WAIT"] = "120"
        yield before, after


async def upgrade(before: Site, after: Site, scripts: Path, reason: str | None) -> None:
    """Start the newer programs, which wait for that reason, migrate, and stop the older ones: clients notice nothing."""
    api = await before.serve("api")
    before.start("worker", "worker")
    over = asyncio.Event()
    asking = [asyncio.create_task(ask(before, over)) for _ in range(2)]

    newer, worker = after.start("newer api", "serve", "--port", after.port), after.start("newer worker", "worker")
    if reason is not None:
        await newer.says("waiting for the database", 60)
        await worker.says("waiting for the database", 60)
        waiting = (503, f'{{"ready":false,"reason":"{reason}"}}')
        assert [await asked(after, path) for path in ("livez", "readyz", "graphql")] == [(200, "ok\n"), waiting, waiting]
    await before.run_pipeline(2026)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "scripts_path", lambda: scripts)
        await migrate.upgrade(before.environment["GQL_DATABASE_URL"])
    await newer.says("serving on", 60)
    await worker.says("is working", 60)
    asking += [asyncio.create_task(ask(after, over)) for _ in range(2)]
    await before.run_pipeline(2027)
    await before.stop(api)
    await before.run_pipeline(2028)
    over.set()
    answers = [answer for answered in await asyncio.gather(*asking) for answer in answered]

    assert {*answers} == {200}
    assert len(answers) > 20


async def asked(site: Site, path: str) -> tuple[int, str]:
    """Status and body of an address of the API."""
    async with httpx.AsyncClient(timeout=30) as client:
        response = await client.get(site.url.replace("graphql", path))
        return response.status_code, response.text


async def ask(site: Site, over: asyncio.Event) -> list[int]:
    """Statuses of operations and of the probe, until the API is to end."""
    statuses: list[int] = []
    headers = {"Authorization": f"Bearer {site.environment['GQL_TOKEN']}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        while not over.is_set():
            try:
                response = await client.post(site.url, json=QUERY)
                statuses.append(500 if "errors" in response.json() else response.status_code)
                statuses.append((await client.get(site.url.replace("graphql", "readyz"))).status_code)
            except httpx.TransportError:
                return statuses
    return statuses
