"""The database before anything works on it: waited for, tried, and at this version's migration."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg

from gql_server.db import address, connect_arguments, migrate
from gql_server.db.compatibility import Standing
from gql_server.db.doctor import Finding, migration, said, schema, session_settings, statements, version, writing
from gql_server.db.outages import is_outage
from gql_server.errors import Stop
from gql_server.logs import announce
from gql_server.settings import Settings

AT_ONCE = timedelta(0)
RETRY_SECONDS = 0.5


Tell = Callable[[str], Awaitable[None]]
"""Told of what is waited for."""


async def nobody(reason: str) -> None:
    """Tells nobody."""


async def prepare(settings: Settings, dsn: str, *, wait: timedelta = AT_ONCE, tell: Tell = nobody) -> None:
    """The embedded database is migrated without asking; a given one is its owner's business, and waited for."""
    if settings.database_url is None:
        await bring_up_to_date(dsn)
    else:
        await migrated(dsn, wait=wait, tell=tell)


async def bring_up_to_date(dsn: str) -> str:
    """Migrate the database; returns the migration that it is at, which is a later one than ours where that goes with it.

    Raises Stop when this program is older than the database.
    """
    connection = await reachable(dsn)
    try:
        found = await schema(connection)
        if found.standing is Standing.TOO_NEW:
            stop_unless(await migration(connection, found), dsn)
        if found.standing is Standing.AHEAD:
            return str(found.revision)
    finally:
        await connection.close()
    await migrate.upgrade(dsn)
    return migrate.head_revision()


async def migrated(dsn: str, *, wait: timedelta = AT_ONCE, tell: Tell = nobody) -> None:
    """Raises Stop when the database cannot be worked with as doctor tries it, or is not at this version's migration in time."""
    until = time.monotonic() + wait.total_seconds()
    connection = await reachable(dsn, wait=wait, tell=tell)
    try:
        stop_unless(await session_settings(dsn), dsn)
        stop_unless(await statements(dsn), dsn)
        finding = await _awaited_migration(connection, dsn, until, tell)
        if (await schema(connection)).standing is Standing.AHEAD:
            announce(f"the database is {finding.detail}", "database.ahead", reason=finding.detail)
    finally:
        await connection.close()


async def _awaited_migration(connection: asyncpg.Connection, dsn: str, until: float, tell: Tell) -> Finding:
    """The migration that the database is at, once this program works with it: the new version may start before it migrates."""
    has_waited = False
    while True:
        found = await schema(connection)
        finding = await migration(connection, found)
        if finding.ok or found.standing is Standing.TOO_NEW or time.monotonic() >= until:
            stop_unless(finding, dsn)
            return finding
        if not has_waited:
            await _say_waiting(dsn, f"{finding.detail}; {finding.advice}", tell)
            has_waited = True
        await asyncio.sleep(RETRY_SECONDS)


async def _say_waiting(dsn: str, reason: str, tell: Tell) -> None:
    announce(f"waiting for the database at {address(dsn)}: {reason}", "database.awaited", address=address(dsn), reason=reason)
    await tell(reason)


async def writable(dsn: str) -> None:
    """Raises Stop when the role lacks what a worker needs."""
    connection = await reachable(dsn)
    try:
        stop_unless(await writing(connection), dsn)
    finally:
        await connection.close()


async def reachable(dsn: str, *, wait: timedelta = AT_ONCE, tell: Tell = nobody) -> asyncpg.Connection:
    """A connection, which a database that is starting gets some time for. Raises Stop with the address tried."""
    until, has_waited = time.monotonic() + wait.total_seconds(), False
    while True:
        try:
            connection = await asyncpg.connect(**connect_arguments(dsn, "gql-server"))
            break
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if not _may_pass(error) or time.monotonic() >= until:
                raise Stop(f"the database at {address(dsn)} cannot be reached: {said(error)}") from None
            if not has_waited:
                await _say_waiting(dsn, said(error), tell)
                has_waited = True
        await asyncio.sleep(RETRY_SECONDS)
    stop_unless(await version(connection), dsn)
    return connection


def _may_pass(error: Exception) -> bool:
    return is_outage(error) and not isinstance(error, asyncpg.ClientConfigurationError)


def stop_unless(finding: Finding, dsn: str) -> None:
    """Raises Stop with what doctor would say."""
    if not finding.ok:
        raise Stop(f"the database at {address(dsn)} cannot be used ({finding.check}): {finding.detail}; {finding.advice}")
