"""Functions and triggers are what their scripts say, and migrations build indexes without stopping the ledger."""

import asyncio
import re
import sys
from itertools import product
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.catalog import MODULES
from gql_server.db import migrate, routines

LEDGER = ("data_ingestion_jobs", "pipelines", "events", "row_errors")
MIGRATE = "import asyncio, sys; from gql_server.db import migrate; asyncio.run(migrate.upgrade(sys.argv[1]))"
VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"


def defined(pattern: str) -> list[str]:
    scripts = [*routines.sources("functions"), *routines.sources("triggers")]
    return sorted(name for script in scripts for name in re.findall(pattern, script))


async def test_the_database_has_the_functions_and_triggers_of_the_scripts_and_no_others(engine: AsyncEngine):
    async with engine.connect() as connection:
        functions = await connection.scalars(
            text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname COLLATE \"C\"")
        )
        triggers = await connection.scalars(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"))

    assert list(functions) == defined(r"CREATE OR REPLACE FUNCTION (\w+)")
    assert sorted(triggers) == defined(r"CREATE (?:OR REPLACE |CONSTRAINT )TRIGGER (\w+)")


async def test_a_migration_of_a_database_that_is_up_to_date_makes_no_trigger_anew(dsn: str, engine: AsyncEngine):
    async def oids() -> list[int]:
        async with engine.connect() as connection:
            return list(await connection.scalars(text("SELECT oid FROM pg_trigger WHERE NOT tgisinternal ORDER BY oid")))

    before = await oids()

    await migrate.upgrade(dsn)
    assert await oids() == before

    async with engine.begin() as connection:
        await connection.execute(text("COMMENT ON TABLE alembic_version IS 'of another version'"))
    await migrate.upgrade(dsn)
    assert await oids() != before


async def test_migrators_at_once_follow_each_other(dsn: str, engine: AsyncEngine):
    await migrate.downgrade(dsn, "base")

    migrators = [await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, dsn) for _ in range(3)]
    assert [await migrator.wait() for migrator in migrators] == [0, 0, 0]

    async with engine.connect() as connection:
        assert await connection.run_sync(migrate.differences) == []


def test_after_the_baseline_indexes_of_the_ledger_are_built_concurrently():
    """Another way stops every writer while it builds: `with op.get_context().autocommit_block():` and
    `postgresql_concurrently=True`."""
    for path in VERSIONS.glob("*.py"):
        if path.name.endswith("_baseline.py"):
            continue
        for statement in re.findall(r"op\.create_index\((.*?)\)\n", path.read_text(), re.DOTALL):
            of_ledger = any(f'"{table}"' in statement for table in LEDGER)
            assert not of_ledger or "postgresql_concurrently=True" in statement, f"{path.name}: {statement}"


async def test_the_wider_scope_is_that_of_all_entry_types_or_of_the_only_one(engine: AsyncEngine):
    only = {module.id: module.data_entry_types[0].id for module in MODULES.values() if len(module.data_entry_types) == 1}
    scope = "gql_scope_key('DEFAULT', {kind}, {level}, {module}, {entry_type}, 2025, {unit})"
    async with engine.connect() as connection:
        for kind in ("csv_ingest", "api_ingest", "factor_ingest", "emission_recalc", "reference_ingest", None):
            for level, unit in product(("MODULE_PER_YEAR", "MODULE_UNIT_SPECIFIC", None), ("A", None)):
                for module, entry_type in product((1, 4, 8, None), (10, None)):
                    of = {"kind": kind, "level": level, "module": module, "entry_type": entry_type, "unit": unit}
                    wider = of | {"entry_type": None if entry_type else only.get(module or 0)}
                    literals = [
                        {name: "NULL" if value is None else repr(value) for name, value in each.items()} for each in (of, wider)
                    ]
                    own, expected = (scope.format(**each) for each in literals)
                    found = await connection.execute(text(f"SELECT {own.replace('scope', 'wider_scope')}, {expected}"))
                    has_wider = kind in ("csv_ingest", "api_ingest", "factor_ingest") and (entry_type or module in only)
                    [(key, of_wider)] = found.all()
                    assert key == (of_wider if has_wider else None), of


def test_no_function_calls_another_by_a_name_that_a_restored_dump_would_not_find():
    names = defined(r"CREATE OR REPLACE FUNCTION (\w+)")
    for script in routines.sources("functions"):
        body = script.partition("AS $$")[2]
        assert [name for name in names if re.search(rf"\b{name}\b", body)] == []
