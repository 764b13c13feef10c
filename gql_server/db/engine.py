"""Engines and connections. One dialect: PostgreSQL 16 or newer over asyncpg."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from gql_server import tracing

SQL = {"db.system.name": "postgresql"}
BEGAN = "began"
TOLD_NANOSECONDS = 2_000_000
"""Time from which a statement is told of in a trace: a span costs as much as a small one."""
UNKNOWN_TYPE = "cache lookup failed for type"
OLDEST_POSTGRESQL = 160_000
"""Of `server_version_num`."""

Engine = AsyncEngine


def dumps(value: object) -> str:
    """JSON text for a JSON column. Raises TypeError for what is no JSON; ids may be UUIDs."""
    return orjson.dumps(value, default=_id).decode()


def _id(value: object) -> str:
    """asyncpg has a UUID of its own, which orjson does not know."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def milliseconds(duration: timedelta) -> str:
    """A duration as PostgreSQL settings want it."""
    return str(round(duration.total_seconds() * 1000))


def connect_arguments(dsn: str, application: str, settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Arguments of `asyncpg.connect` and `asyncpg.create_pool` for this product."""
    return {
        "dsn": dsn,
        "timeout": 10,
        "max_cacheable_statement_size": 0,
        "server_settings": {"application_name": application, "timezone": "UTC", **(settings or {})},
    }


def create_engine(
    dsn: str,
    *,
    application: str,
    pool_size: int,
    max_overflow: int = 0,
    pool_timeout: float = 5,
    settings: Mapping[str, str] | None = None,
) -> AsyncEngine:
    """An engine over the connection string as libpq writes it; `settings` are PostgreSQL's, such as statement_timeout."""
    arguments = connect_arguments(dsn, application, settings)

    async def connect() -> Any:
        return await asyncpg.connect(**arguments)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout,
        json_serializer=dumps,
        json_deserializer=orjson.loads,
    )
    event.listen(engine.sync_engine, "checkin", _discard_if_unfit)
    event.listen(engine.sync_engine, "checkout", _replace_if_unfit)
    event.listen(engine.sync_engine, "handle_error", _replace_all_after_a_restore)
    if tracing.is_on():
        event.listen(engine.sync_engine, "before_cursor_execute", _begin)
        event.listen(engine.sync_engine, "after_cursor_execute", _record)
        event.listen(engine.sync_engine, "handle_error", _record_failure)
    return engine


def _begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    connection.info[BEGAN] = time.time_ns()


def _record(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    """A statement that took long has a span of its own. Its text is not told: values are written into it."""
    began = connection.info[BEGAN]
    if time.time_ns() - began >= TOLD_NANOSECONDS:
        tracing.record(_verb(statement), began, SQL)


def _record_failure(context: ExceptionContext) -> None:
    if context.connection is not None and context.statement and (began := context.connection.info.get(BEGAN)):
        tracing.record(_verb(context.statement), began, SQL, failure=type(context.original_exception).__name__)


def _verb(statement: str) -> str:
    return statement.lstrip().partition(" ")[0].partition("\n")[0].upper()


def _replace_all_after_a_restore(context: ExceptionContext) -> None:
    """Types that were dropped and made again have other numbers than every open connection knows."""
    if UNKNOWN_TYPE in str(context.original_exception):
        context.is_disconnect = True


def _discard_if_unfit(connection: Any, record: ConnectionPoolEntry) -> None:
    """Close a connection that comes back in a transaction, before it holds locks in the pool."""
    if connection is not None and is_unfit(connection.driver_connection):
        record.invalidate()


def _replace_if_unfit(connection: Any, record: object, proxy: object) -> None:
    """asyncpg learns at once that the server hung up. To ask it is free; a ping would cost three round trips."""
    if is_unfit(connection.driver_connection):
        raise DisconnectionError("the connection was closed, or left in a transaction")


def is_unfit(driver: Any) -> bool:
    """Nobody uses it, and yet it is closed or in a transaction: on the server, or in asyncpg's books alone.

    Where BEGIN fails asyncpg notes a transaction and SQLAlchemy none. All that follow would be savepoints in it, and fail.
    """
    return driver.is_closed() or driver.is_in_transaction() or driver._top_xact is not None


API_SETTINGS = {
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
    # so that a frequent text is not looked for again on whole pages of messages
    "work_mem": "32MB",
}
WORKER_SETTINGS = {"lock_timeout": "60000"}
SESSION_SETTINGS = {"statement_timeout": "5000", **WORKER_SETTINGS, **API_SETTINGS}
"""All settings of sessions that some process asks for."""


def read_engine(dsn: str, *, pool_size: int, statement_timeout: timedelta) -> AsyncEngine:
    """The engine of the API: short statements, a short wait for a connection."""
    return create_engine(
        dsn,
        application="gql-server api",
        pool_size=pool_size,
        pool_timeout=1,
        settings={"statement_timeout": milliseconds(statement_timeout), **API_SETTINGS},
    )


def work_engine(dsn: str, *, concurrency: int) -> AsyncEngine:
    """The engine of a worker: one connection a job, three for claims, heartbeats and wake-ups, and a reserve for progress.

    What is needed all the time is kept: a new connection costs more than the job it is opened for.
    """
    return create_engine(
        dsn,
        application="gql-server worker",
        pool_size=concurrency + 3,
        max_overflow=concurrency + 1,
        pool_timeout=30,
        settings=WORKER_SETTINGS,
    )


@asynccontextmanager
async def driver_connection(connection: AsyncConnection) -> AsyncGenerator[asyncpg.Connection]:
    """The asyncpg connection below, inside the same transaction: for COPY."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    yield driver


def address(dsn: str) -> str:
    """Host, port and database of a connection string, without user and password: safe to print."""
    parts = urlsplit(dsn)
    host = parts.hostname or "local socket"
    return f"{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
