"""Real errors of PostgreSQL, by really causing them. Each function returns what SQLAlchemy raised."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import asyncpg
from sqlalchemy import Executable, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from gql_server.db.models import Pod
from gql_server.worker.attempt import describe, unexpected

BACKGROUND = "(Background on this error at: https://sqlalche.me/e/20/e3q8)"


async def deadlock(engine: AsyncEngine, first: str = "a", second: str = "b") -> DBAPIError:
    """Two transactions that lock two rows in opposite orders."""
    await execute(engine, "INSERT INTO pods (pod_id) VALUES (:first), (:second)", first=first, second=second)
    async with engine.connect() as one, engine.connect() as other:
        await _touch(one, first)
        await _touch(other, second)
        waits = asyncio.gather(_touch(one, second), _touch(other, first), return_exceptions=True)
        [error] = [result for result in await waits if isinstance(result, DBAPIError)]
    await execute(engine, "DELETE FROM pods")
    return error


async def poisoned_transaction(engine: AsyncEngine) -> DBAPIError:
    """A statement after one that failed."""
    async with engine.connect() as connection:
        await error_of(connection.execute(text("SELECT 1 / 0")))
        return await error_of(connection.execute(text("SELECT id FROM carbon_report_modules WHERE id = 5")))


async def pending_rollback(engine: AsyncEngine) -> PendingRollbackError:
    """A session that goes on after a flush that broke a unique constraint."""
    await execute(engine, "INSERT INTO pods (pod_id) VALUES ('twice')")
    async with AsyncSession(engine) as session:
        session.add(Pod(pod_id="twice"))
        await error_of(session.flush())
        try:
            await session.execute(text("SELECT 1"))
        except PendingRollbackError as error:
            return error
    raise AssertionError("the session went on")


async def foreign_key_violation(engine: AsyncEngine, entry: int = 4711) -> DBAPIError:
    """A job in a pipeline that does not exist."""
    statement = text(
        "INSERT INTO data_ingestion_jobs (pipeline_id, entity_type) "
        "VALUES (CAST(lpad(:entry, 32, '0') AS uuid), 'MODULE_PER_YEAR')"
    )
    return await _failing(engine, statement, entry=str(entry))


async def unique_violation(engine: AsyncEngine, code: str = "F1234") -> DBAPIError:
    """Two units with one code."""
    statement = (
        "INSERT INTO units (provider, institutional_code, institutional_id, name, level, path) "
        "VALUES ('ACCRED', :code, :code, :code, 1, :code)"
    )
    await execute(engine, statement, code=code)
    return await _failing(engine, text(statement), code=code)


async def not_null_violation(engine: AsyncEngine) -> DBAPIError:
    return await _failing(engine, text("INSERT INTO data_ingestion_jobs (entity_type) VALUES (NULL)"))


async def check_violation(engine: AsyncEngine) -> DBAPIError:
    return await _failing(engine, text("INSERT INTO pipelines (id, provider) VALUES (gen_random_uuid(), 'ACCRED')"))


async def statement_timeout(engine: AsyncEngine) -> DBAPIError:
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
        return await error_of(connection.execute(text("SELECT pg_sleep(5)")))


async def lock_timeout(engine: AsyncEngine) -> DBAPIError:
    """A row that another transaction keeps."""
    await execute(engine, "INSERT INTO pods (pod_id) VALUES ('kept')")
    async with engine.connect() as holder, engine.connect() as waiter:
        await _touch(holder, "kept")
        await waiter.execute(text("SET LOCAL lock_timeout = '20ms'"))
        return await error_of(_touch(waiter, "kept"))


async def serialization_failure(engine: AsyncEngine) -> DBAPIError:
    """An update of a row that changed after the transaction's snapshot."""
    await execute(engine, "INSERT INTO pods (pod_id) VALUES ('shared')")
    async with engine.connect() as connection:
        late = await connection.execution_options(isolation_level="REPEATABLE READ")
        await late.execute(text("SELECT count(*) FROM pods"))
        await execute(engine, "UPDATE pods SET git_sha = 'new'")
        return await error_of(_touch(late, "shared"))


async def execute(engine: AsyncEngine, statement: str, **parameters: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement), parameters)


async def error_of(failing: Awaitable[object]) -> DBAPIError:
    try:
        await failing
    except DBAPIError as error:
        return error
    raise AssertionError("it did not fail")


async def _touch(connection: AsyncConnection, pod: str) -> None:
    await connection.execute(text("UPDATE pods SET app_version = 'touched' WHERE pod_id = :pod"), {"pod": pod})


async def _failing(engine: AsyncEngine, statement: Executable, **parameters: object) -> DBAPIError:
    async with engine.connect() as connection:
        return await error_of(connection.execute(statement, parameters))


def as_the_runner_stores_it(error: DBAPIError) -> tuple[str, dict[str, str]]:
    """Message and bag of a job that this error ended."""
    return describe(error), unexpected(error)


def as_psycopg_stored_it(error: DBAPIError) -> str:
    """The message of a legacy job: SQLAlchemy's text around the one that psycopg makes of the same answer of the server."""
    told: Any = error.orig.__cause__ if error.orig else None
    assert isinstance(error.orig and error.orig.__cause__, asyncpg.PostgresError)
    name = type(told).__name__.removesuffix("Error")
    lines = [f"(psycopg.errors.{name}) {told.message}", *([f"DETAIL:  {told.detail}"] if told.detail else [])]
    return "\n".join([*lines, f"[SQL: {error.statement}]", f"[parameters: {error.params!r}]", BACKGROUND])
