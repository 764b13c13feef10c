"""`gql-server doctor`: is the database fit to serve, and what to do when it is not."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from gql_server.db import OLDEST_POSTGRESQL, address, connect_arguments, migrate

CLOCK_SKEW_SECONDS = 2.0
PROBE_CHANNEL = "gql_doctor"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `advice` says what to do when it is not ok."""

    check: str
    ok: bool
    detail: str
    advice: str | None = None


async def examine(dsn: str) -> AsyncIterator[Finding]:
    """Findings in order; without a connection there is only the first."""
    try:
        connection = await asyncpg.connect(**connect_arguments(dsn, "gql-server doctor"))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        advice = "start the database, or correct GQL_DATABASE_URL"
        yield Finding("database", False, f"{address(dsn)} cannot be reached: {error}", advice)
        return
    try:
        yield Finding("database", True, f"{address(dsn)} answers")
        yield await _version(connection)
        yield await _migration(connection)
        yield await _clock(connection)
        yield await _listen(connection)
    finally:
        await connection.close()


async def _version(connection: asyncpg.Connection) -> Finding:
    number = int(str(await connection.fetchval("SHOW server_version_num")))
    name = await connection.fetchval("SHOW server_version")
    return Finding("version", number >= OLDEST_POSTGRESQL, f"PostgreSQL {name}", "use PostgreSQL 16 or newer")


async def _migration(connection: asyncpg.Connection) -> Finding:
    wanted = migrate.head_revision()
    exists = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
    found = await connection.fetchval("SELECT version_num FROM alembic_version") if exists else None
    return Finding(
        "migration", found == wanted, f"at {found or 'none'}, this version needs {wanted}", "run: gql-server migrate"
    )


async def _clock(connection: asyncpg.Connection) -> Finding:
    before = time.time()
    theirs = float(str(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")))
    skew = theirs - (before + time.time()) / 2
    advice = "synchronise the clocks (NTP): leases use the database's, but people compare times"
    return Finding("clock", abs(skew) < CLOCK_SKEW_SECONDS, f"{skew:+.3f} s against this machine", advice)


async def _listen(connection: asyncpg.Connection) -> Finding:
    heard = asyncio.Event()

    def notified(*_: object) -> None:
        heard.set()

    await connection.add_listener(PROBE_CHANNEL, notified)
    await connection.execute(f"NOTIFY {PROBE_CHANNEL}")
    try:
        async with asyncio.timeout(2):
            await heard.wait()
    except TimeoutError:
        advice = "connect past the pooler (PgBouncer in transaction mode swallows LISTEN); until then changes are polled"
        return Finding("listen", False, "LISTEN answers, but nothing arrives", advice)
    return Finding("listen", True, "notifications arrive")
