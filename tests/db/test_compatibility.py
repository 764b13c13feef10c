"""A program and a database that is ahead of it: it goes on where the migrations only added, and says so where they did not."""

import ast
import re
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.app import readiness
from gql_server.db import migrate
from gql_server.db.compatibility import programs_of
from gql_server.db.doctor import Finding, examine
from gql_server.errors import Stop
from gql_server.processes.database import bring_up_to_date, migrated
from tests.command_line import run
from tests.test_cli import free_port

CONTRACTS = (
    *("drop_column", "drop_table", "drop_constraint", "rename_table", "drop_view"),
    *("new_column_name", "type_", "SET NOT NULL", "DROP COLUMN", "DROP TABLE", "RENAME", "ALTER TYPE", "DROP TYPE"),
)
"""Words of migrations that take something away from the programs before them."""
FUTURE = """
from alembic import op
revision, down_revision = "{revision}", "{before}"
{mark}
def upgrade():
    op.execute("ALTER TABLE pods ADD COLUMN added_{revision} int")
    op.execute("CREATE INDEX ix_added_{revision} ON pods (added_{revision})")
def downgrade():
    op.execute("ALTER TABLE pods DROP COLUMN added_{revision}")
"""


def newer_scripts(folder: Path, *marks: str) -> Path:
    """The migrations of a version after this one, which has one more for each mark."""
    scripts = folder / "migrations"
    shutil.copytree(migrate.scripts_path(), scripts, ignore=shutil.ignore_patterns("__pycache__"))
    before = migrate.head_revision()
    for number, mark in enumerate(marks, 9001):
        file = scripts / "versions" / f"{number}_future.py"
        file.write_text(FUTURE.format(revision=number, before=before, mark=mark))
        before = str(number)
    return scripts


@asynccontextmanager
async def migrated_by_newer(dsn: str, folder: Path, *marks: str) -> AsyncGenerator[None]:
    """The database, as a version after this one leaves it."""
    scripts = newer_scripts(folder, *marks)
    with pytest.MonkeyPatch.context() as newer:
        newer.setattr(migrate, "scripts_path", lambda: scripts)
        await migrate.upgrade(dsn)
    yield


async def migration_of(dsn: str) -> Finding:
    return next(finding for finding in [finding async for finding in examine(dsn)] if finding.check == "migration")


async def test_a_program_goes_on_with_a_database_to_which_newer_migrations_only_added(
    dsn: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    own = migrate.head_revision()
    async with migrated_by_newer(dsn, tmp_path, "EXPANDS = True", "EXPANDS = True"):
        assert (await readiness(engine)).status_code == 200
        finding = await migration_of(dsn)
        assert (finding.ok, finding.detail) == (True, f"at 9002, of a newer version, with which this one ({own}) still works")
        await migrated(dsn)
        assert await bring_up_to_date(dsn) == "9002"
        async with engine.connect() as connection:
            assert await connection.run_sync(migrate.current_revision) == "9002"
    told = run(tmp_path, "migrate", GQL_DATABASE_URL=dsn)
    assert (told.returncode, told.stderr) == (
        0,
        f"at migration 9002, of a newer version, with which this one ({own}) still works: nothing to migrate\n",
    )


@pytest.mark.parametrize("marks", [("",), ("EXPANDS = False",), ("EXPANDS = True", ""), ("", "EXPANDS = True")])
async def test_a_program_that_is_older_than_the_database_says_so_whatever_it_is_to_do(
    dsn: str, engine: AsyncEngine, tmp_path: Path, marks: tuple[str, ...]
) -> None:
    own, theirs = migrate.head_revision(), 9000 + len(marks)
    sentence = f"this program is older than the database: that is at {theirs}, this version knows {own}"
    advice = "install the version that migrated it, or a newer one"
    async with migrated_by_newer(dsn, tmp_path, *marks):
        response = await readiness(engine)
        assert response.status_code == 503
        assert f"{sentence}; {advice}" in bytes(response.body).decode()
        finding = await migration_of(dsn)
        assert (finding.ok, finding.detail, finding.advice) == (False, sentence, advice)
        for work in (migrated, bring_up_to_date):
            with pytest.raises(Stop, match=re.escape(sentence)):
                await work(dsn)


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "doctor"])
async def test_a_command_of_an_older_program_ends_with_one_sentence(dsn: str, tmp_path: Path, command: str) -> None:
    async with migrated_by_newer(dsn, tmp_path, ""):
        told = run(tmp_path, command, GQL_DATABASE_URL=dsn, GQL_PORT=str(free_port()))

    said = told.stdout + told.stderr
    assert told.returncode == 1
    assert said.count("this program is older than the database: that is at 9001") == 1
    assert "Traceback" not in said


async def test_programs_that_will_go_with_the_new_schema_know_so_before_the_first_of_its_migrations(
    dsn: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    scripts = newer_scripts(tmp_path, "EXPANDS = True", "EXPANDS = True")
    second, begin = scripts / "versions" / "9002_future.py", "def upgrade():"
    second.write_text(second.read_text().replace(begin, f"{begin}\n    raise RuntimeError('the second fails')"))
    with pytest.MonkeyPatch.context() as newer:
        newer.setattr(migrate, "scripts_path", lambda: scripts)
        with pytest.raises(RuntimeError, match="the second fails"):
            await migrate.upgrade(dsn)

    async with engine.connect() as connection:
        assert await connection.run_sync(migrate.current_revision) == "9001"
    assert (await readiness(engine)).status_code == 200


async def test_a_database_that_was_taken_down_again_is_that_of_the_older_program(
    dsn: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    own = migrate.head_revision()
    async with migrated_by_newer(dsn, tmp_path, ""):
        with pytest.MonkeyPatch.context() as newer:
            newer.setattr(migrate, "scripts_path", lambda: tmp_path / "migrations")
            await migrate.downgrade(dsn, own)

    assert (await readiness(engine)).status_code == 200
    async with engine.connect() as connection:
        noted = await connection.scalar(text("SELECT col_description('alembic_version'::regclass, 1)"))
    assert noted == " ".join(programs_of(migrate.scripts(), own))


def test_programs_go_with_a_database_back_to_the_migration_that_takes_away(tmp_path: Path) -> None:
    scripts = ScriptDirectory(str(newer_scripts(tmp_path, "", "EXPANDS = True", "EXPANDS = True")))

    assert programs_of(scripts, "9003") == ["9003", "9002", "9001"]
    assert programs_of(scripts, "9001") == ["9001"]


def upgrades() -> Iterator[tuple[str, str]]:
    """The source of what each migration that says that it only adds does."""
    for script in migrate.scripts().walk_revisions():
        if getattr(script.module, "EXPANDS", False):
            tree = ast.parse(Path(script.path).read_text())
            [upgrade] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
            yield script.revision, ast.unparse(upgrade)


def test_a_migration_that_says_that_it_only_adds_takes_nothing_away() -> None:
    taken = [(revision, word) for revision, source in upgrades() for word in CONTRACTS if word in source]

    assert taken == []


def test_every_mark_is_true_or_false() -> None:
    marks = {script.revision: getattr(script.module, "EXPANDS", False) for script in migrate.scripts().walk_revisions()}

    assert set(map(type, marks.values())) <= {bool}
