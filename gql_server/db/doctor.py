"""`gql-server doctor`: is the database fit for `serve` and `worker`, and what to do when it is not. They try the same first."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from gql_server.db import OLDEST_POSTGRESQL, SESSION_SETTINGS, address, connect_arguments, routines
from gql_server.db.compatibility import NOTED, Schema, Standing
from gql_server.db.models.carbon import Base

CLOCK_SKEW_SECONDS = 2.0
PROBE_CHANNEL = "gql_doctor"
DEADLINE_SECONDS = 5
OTHERS_MAX = 10
PAST_THE_POOLER = "connect past the pooler, or to a pool of sessions (PgBouncer: pool_mode = session)"
APPEND_ONLY = "audit_log"
SHOWN = 5
MISSING = """
SELECT privilege || ' on ' || relname FROM pg_class
CROSS JOIN unnest(CASE WHEN relkind = 'S' THEN '{UPDATE}' WHEN relname = $2 THEN '{SELECT,INSERT}'
                  ELSE '{SELECT,INSERT,UPDATE,DELETE}'::text[] END) AS privilege
WHERE relnamespace = current_schema()::regnamespace AND (relname = ANY($1) OR relkind = 'S') AND NOT CASE
  WHEN relkind = 'S' THEN has_sequence_privilege(oid, privilege) ELSE has_table_privilege(oid, privilege) END
ORDER BY relname, privilege"""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `advice` says what to do when it is not ok."""

    check: str
    ok: bool
    detail: str
    advice: str | None = None


def said(error: Exception) -> str:
    """The first line of what an error says; asyncpg adds paragraphs of advice."""
    return str(error).partition("\n")[0] or "no answer"


async def examine(dsn: str) -> AsyncIterator[Finding]:
    """Findings in order; without a connection there is only the first."""
    try:
        connection = await asyncpg.connect(**connect_arguments(dsn, "gql-server doctor"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        advice = "start the database, or correct GQL_DATABASE_URL"
        yield Finding("database", False, f"{address(dsn)} cannot be reached: {said(error)}", advice)
        return
    try:
        yield Finding("database", True, f"{address(dsn)} answers")
        yield await version(connection)
        yield await session_settings(dsn)
        yield await statements(dsn)
        yield await migration(connection, await schema(connection))
        yield await writing(connection)
        yield await _clock(connection)
        yield await _listen(dsn, connection)
    finally:
        await connection.close()


async def version(connection: asyncpg.Connection) -> Finding:
    """PostgreSQL is new enough."""
    number = int(str(await connection.fetchval("SHOW server_version_num")))
    name = await connection.fetchval("SHOW server_version")
    return Finding("version", number >= OLDEST_POSTGRESQL, f"PostgreSQL {name}", "use PostgreSQL 16 or newer")


async def session_settings(dsn: str) -> Finding:
    """Connections of the API and of workers are taken with the settings that they ask for."""
    try:
        connection = await asyncpg.connect(**connect_arguments(dsn, "gql-server doctor", SESSION_SETTINGS))
        await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Finding("settings", False, f"connections with our settings are refused: {said(error)}", PAST_THE_POOLER)
    return Finding("settings", True, "sessions take our settings")


async def statements(dsn: str) -> Finding:
    """A prepared statement is still there when other sessions have been at work in between."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), AsyncExitStack() as sessions:
            await _use_a_statement_among_others(dsn, sessions)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Finding("statements", False, f"prepared statements get lost: {said(error)}", PAST_THE_POOLER)
    return Finding("statements", True, "prepared statements last")


async def _use_a_statement_among_others(dsn: str, sessions: AsyncExitStack) -> None:
    one = await _session(dsn, sessions)
    statement = await one.prepare("SELECT pg_backend_pid()")
    backend = await statement.fetchval()
    if backend == one.get_server_pid():
        return  # nothing stands between
    for _ in range(OTHERS_MAX):
        other = await _session(dsn, sessions)
        await sessions.enter_async_context(other.transaction())
        if await other.fetchval("SELECT pg_backend_pid()") == backend:
            break
    await statement.fetchval()


async def _session(dsn: str, sessions: AsyncExitStack) -> asyncpg.Connection:
    session = await asyncpg.connect(**connect_arguments(dsn, "gql-server doctor"))
    sessions.callback(session.terminate)
    return session


async def writing(connection: asyncpg.Connection) -> Finding:
    """The role may do what a worker does."""
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        return Finding("writing", False, "it is read-only", "connect to the primary")
    tables = [table.name for table in Base.metadata.sorted_tables]
    missing = [row[0] for row in await connection.fetch(MISSING, tables, APPEND_ONLY)]
    if missing:
        role = await connection.fetchval("SELECT current_user")
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        advice = f"GRANT them to {role}, or use the role that migrates"
        return Finding("writing", False, f"the role {role} lacks {', '.join(missing[:SHOWN])}{more}", advice)
    return Finding("writing", True, "the role may write")


async def migration(connection: asyncpg.Connection, found: Schema) -> Finding:
    """The database is at this version's migration, with its functions and triggers, or at a later one that goes with it."""
    if found.standing is Standing.CURRENT and await connection.fetchval(routines.INSTALLED.text) != routines.digest():
        return Finding("migration", False, "its functions and triggers are of another version", "run: gql-server migrate")
    return Finding("migration", found.is_usable, *found.explained())


async def schema(connection: asyncpg.Connection) -> Schema:
    """The schema that the database has."""
    exists = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
    revision = await connection.fetchval("SELECT version_num FROM alembic_version") if exists else None
    return Schema(revision, await connection.fetchval(NOTED))


async def _clock(connection: asyncpg.Connection) -> Finding:
    before = time.time()
    theirs = float(str(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")))
    skew = theirs - (before + time.time()) / 2
    advice = "synchronise the clocks (NTP): leases use the database's, but people compare times"
    return Finding("clock", abs(skew) < CLOCK_SKEW_SECONDS, f"{skew:+.3f} s against this machine", advice)


async def _listen(dsn: str, connection: asyncpg.Connection) -> Finding:
    heard = asyncio.Event()

    def notified(*_: object) -> None:
        heard.set()

    await connection.add_listener(PROBE_CHANNEL, notified)
    try:
        async with asyncio.timeout(2), AsyncExitStack() as sessions:
            await (await _session(dsn, sessions)).execute(f"NOTIFY {PROBE_CHANNEL}")
            await heard.wait()
    except TimeoutError:
        advice = "connect past the pooler (PgBouncer in transaction mode swallows LISTEN); until then changes are polled"
        return Finding("listen", False, "LISTEN answers, but nothing arrives", advice)
    return Finding("listen", True, "notifications arrive")
