"""A database as a file, and back: from the embedded one to a server and to another major version, whole or not at all."""

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import embedded
from gql_server.db.models import JobResult
from tests import build
from tests.command_line import run
from tests.databases import execute, on_database


@pytest.fixture
async def empty(dsn: str) -> AsyncGenerator[str]:
    """The address of a database without tables."""
    name = f"test_{uuid4().hex}"
    await execute(dsn, f'CREATE DATABASE "{name}"')
    yield on_database(dsn, name)
    await execute(dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


async def pipelines(dsn: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [
            (str(row["id"]), row["status"]) for row in await connection.fetch("SELECT id, status FROM pipelines ORDER BY id")
        ]
    finally:
        await connection.close()


async def test_a_ledger_goes_to_another_database_and_is_worked_with_there(
    dsn: str, engine: AsyncEngine, empty: str, tmp_path: Path
) -> None:
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, JobResult.ERROR)
        await build.run(connection, JobResult.ERROR)
    file = tmp_path / "ledger.dump"

    dumped = run(tmp_path, "dump", str(file), GQL_DATABASE_URL=dsn)
    loaded = run(tmp_path, "load", str(file), GQL_DATABASE_URL=empty)

    assert (dumped.returncode, loaded.returncode) == (0, 0), dumped.stderr + loaded.stderr
    assert await pipelines(empty) == await pipelines(dsn)
    assert len(await pipelines(empty)) == 2
    assert run(tmp_path, "doctor", GQL_DATABASE_URL=empty).returncode == 0


async def test_what_is_there_is_neither_overwritten_nor_loaded_into(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "ledger.dump"
    assert run(tmp_path, "dump", str(file), GQL_DATABASE_URL=dsn).returncode == 0

    again = run(tmp_path, "dump", str(file), GQL_DATABASE_URL=dsn)
    into_itself = run(tmp_path, "load", str(file), GQL_DATABASE_URL=dsn)
    nothing = run(tmp_path, "load", str(tmp_path / "other.dump"), GQL_DATABASE_URL=dsn)

    assert again.stderr == f"gql-server: {file} is there already: name another file\n"
    assert into_itself.stderr.endswith("is not empty: load into a new one\n")
    assert nothing.stderr == f"gql-server: there is no file {tmp_path / 'other.dump'}\n"


async def test_a_file_that_is_none_leaves_the_database_empty(empty: str, tmp_path: Path) -> None:
    (tmp_path / "ledger.dump").write_text("nonsense")

    loaded = run(tmp_path, "load", str(tmp_path / "ledger.dump"), GQL_DATABASE_URL=empty)

    assert (loaded.returncode, loaded.stderr.count("\n")) == (1, 1)
    assert "pg_restore" in loaded.stderr


@pytest.mark.slow
def test_the_embedded_database_of_another_major_version_is_taken_over(tmp_path: Path) -> None:
    with embedded.start(tmp_path / "data", version=16):
        pass
    refused = run(tmp_path, "year", "2026")
    assert "`gql-server dump ledger.dump`" in refused.stderr
    file = tmp_path / "ledger.dump"

    assert run(tmp_path, "dump", str(file)).returncode == 0
    (tmp_path / "data" / "postgres").rename(tmp_path / "data" / "postgres.16")
    loaded = run(tmp_path, "load", str(file))

    assert loaded.returncode == 0, loaded.stderr
    assert (tmp_path / "data" / "postgres" / "PG_VERSION").read_text() == "18\n"
    assert run(tmp_path, "doctor").returncode == 0
