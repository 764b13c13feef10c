"""Databases that tests borrow: cloned from a migrated template, emptied between tests, given up when more than rows changed.

A clone costs PostgreSQL some 60 ms of CPU, and its removal 10; emptying one costs 5. A connection costs 20, until it knows the
tables that it is asked about, so that those of the engine stay open from test to test.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import LRUCache

from gql_server import db
from gql_server.db.models import Base

PAGES_KEPT = 10
"""The planner takes a table that nobody analyzed for this large: up to it, deleted rows change no plan."""

# children first, so that no foreign key is in the way
TABLES = [table.name for table in reversed(Base.metadata.sorted_tables)]

STRUCTURE = """
WITH mine AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace)
SELECT jsonb_build_array(
  (SELECT md5(string_agg(concat_ws(' ', oid, relname, relacl, reloptions, CASE relkind WHEN 'r' THEN relpages + reltuples END),
     ',' ORDER BY oid)) FROM mine),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_attribute WHERE attrelid IN (SELECT oid FROM mine)),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_attrdef),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_constraint),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_index WHERE indrelid IN (SELECT oid FROM mine)),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_trigger),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_type WHERE typnamespace = 'public'::regnamespace),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_enum),
  (SELECT jsonb_build_array(count(*), sum(xmin::text::int8)) FROM pg_namespace WHERE nspname = 'public' OR nspname !~ '^pg_'),
  (SELECT datacl::text FROM pg_database WHERE datname = current_database()),
  (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database())
)::text"""
"""All of a database but its rows; equal in a template and its clones."""

HANG_UP = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND pid <> ALL($1::int[])"""

FILLED = """SELECT relname::text, pg_relation_size(oid) / 8192 AS pages FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0"""

SEQUENCES = "SELECT sequencename::text FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"


@dataclass
class Database:
    """A database of the server, our own connection to it, and the engine of its tests with the connections that it has open."""

    name: str
    dsn: str
    connection: asyncpg.Connection
    pool: AsyncEngine
    open: set[asyncpg.Connection] = field(default_factory=set[asyncpg.Connection])

    def engine(self) -> AsyncEngine:
        """The engine for one test: who listens to it does not listen to the next one."""
        return self.pool.execution_options()

    async def rest(self) -> list[int]:
        """Process ids of the connections that stay open, without anything that a test has set or locked in them."""
        if self.pool.sync_engine.pool.checkedout():  # type: ignore[attr-defined]
            await self.pool.dispose()
        self.open = {connection for connection in self.open if not connection.is_closed()}
        for connection in self.open:
            await connection.reset()
        return [connection.get_server_pid() for connection in self.open]

    async def close(self) -> None:
        await self.pool.dispose()
        await self.connection.close()


class Databases:
    """The clones of one template, lent one by one."""

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._idle: list[Database] = []
        self._structure = ""

    async def borrow(self) -> Database:
        """A migrated, empty database."""
        return self._idle.pop() if self._idle else await self._clone()

    async def give_back(self, database: Database) -> None:
        """Empty it for the next test, or drop it."""
        if await self._is_as_new(database):
            self._idle.append(database)
        else:
            await self._drop(database)

    async def close(self) -> None:
        while self._idle:
            await self._drop(self._idle.pop())

    async def _clone(self) -> Database:
        name = f"test_{uuid4().hex}"
        await execute(self._server, clone_of(self._template, name))
        dsn = on_database(self._server, name)
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "databases of tests"})
        self._structure = self._structure or await connection.fetchval(STRUCTURE)
        pool = db.create_engine(dsn, application="gql-server tests", pool_size=5, max_overflow=15, pool_timeout=60)
        database = Database(name, dsn, connection, pool)
        event.listen(pool.sync_engine, "connect", lambda opened, _: database.open.add(opened.driver_connection))
        await share_statements(pool)
        return database

    async def _drop(self, database: Database) -> None:
        await database.close()
        await execute(self._server, f'DROP DATABASE "{database.name}" WITH (FORCE)')

    async def _is_as_new(self, database: Database) -> bool:
        """Empty it again; False where the test changed more than rows, or closed our connection."""
        try:
            async with asyncio.timeout(30):
                return await self._emptied(database)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def _emptied(self, database: Database) -> bool:
        kept = await database.rest()
        while await database.connection.fetch(HANG_UP, kept):
            await asyncio.sleep(0.002)
        await empty(database.connection)
        return await database.connection.fetchval(STRUCTURE) == self._structure


async def empty(connection: asyncpg.Connection) -> None:
    """Delete every row but those of the template, and let every sequence begin again."""
    pages = {row["relname"]: row["pages"] for row in await connection.fetch(FILLED)}
    pages.pop("alembic_version")
    if large := [f'"{table}"' for table in TABLES if pages.get(table, 0) > PAGES_KEPT]:
        await connection.execute(f"TRUNCATE {', '.join(large)} CASCADE")
    deletes = [f'DELETE FROM "{table}"' for table in TABLES if 0 < pages.get(table, 0) <= PAGES_KEPT]
    restarts = [f"SELECT setval('{row['sequencename']}', 1, false)" for row in await connection.fetch(SEQUENCES)]
    first_event = "INSERT INTO events (seq, pipeline_key) VALUES (gql_event_number(), '00000000-0000-0000-0000-000000000000')"
    await connection.execute(";".join([*deletes, *restarts, first_event]))


COMPILED: LRUCache[Any, Any] = LRUCache(1000)
DIALECTS: list[Dialect] = []


async def share_statements(engine: AsyncEngine) -> None:
    """Let an engine use what the engines before it compiled: a third of what Python does in a test would be done again."""
    if not DIALECTS:
        async with engine.connect():
            DIALECTS.append(engine.sync_engine.dialect)
    engine.sync_engine.dialect = DIALECTS[0]
    engine.sync_engine.update_execution_options(compiled_cache=COMPILED)


def clone_of(template: str, name: str) -> str:
    """The statement that makes it. Copying files costs half of what writing each page to the log does."""
    return f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'


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
