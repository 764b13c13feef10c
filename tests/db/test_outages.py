import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.outages import is_connection_lost, is_outage, may_pass


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.AdminShutdownError("going down"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.LockNotAvailableError("locked"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InterfaceError("cannot perform operation: another operation is cancelling"),
        asyncpg.InterfaceError("cannot perform operation: connection is closed"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot call Connection.fetch(): connection has been released back to the pool"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        asyncpg.InternalClientError("got result for unknown protocol state 3"),
        asyncpg.TargetServerAttributeNotMatched("None of the hosts match the target attribute requirement"),
    ],
)
def test_what_may_be_over_in_a_moment_is_an_outage(error: Exception):
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError(),
        asyncpg.UndefinedTableError("events"),
        asyncpg.UniqueViolationError("x"),
        asyncpg.DataError("no integer"),
        asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"),
        asyncpg.InterfaceError("cannot start; the transaction is already started"),
        asyncpg.InterfaceError("unsupported authentication method requested by the server: 'gss'"),
        asyncpg.ClientConfigurationError("could not match 2 port numbers to 1 hosts"),
        asyncpg.InternalClientError("no binary format encoder for type x (OID 1)"),
    ],
)
def test_a_mistake_of_ours_is_none(error: Exception | None):
    assert not is_outage(error)


def test_a_table_that_is_missing_may_be_restored():
    assert may_pass(asyncpg.UndefinedTableError("events"))
    assert not may_pass(asyncpg.UniqueViolationError("x"))


async def _execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statements", "outage"),
    [
        (["SELECT pg_terminate_backend(pg_backend_pid())"], True),
        (["SET LOCAL statement_timeout = 20", "SELECT pg_sleep(1)"], True),
        (["SELECT nonsense"], False),
        (["SELECT 1 / 0"], False),
    ],
)
async def test_errors_of_the_driver_are_told_apart(engine: AsyncEngine, statements: list[str], outage: bool):
    with pytest.raises(DBAPIError) as failure:
        await _execute(engine, *statements)

    assert is_outage(failure.value) is outage


LEAVE_SLOWLY = "DO $$ BEGIN FOR n IN 1..500 LOOP EXECUTE format('CREATE TEMPORARY TABLE t%s (id int)', n); END LOOP; END $$"


async def test_a_connection_whose_server_takes_leave_between_two_statements_is_lost(engine: AsyncEngine):
    """Its farewell is read long before its socket closes: what asyncpg is asked meanwhile fails in words of its own."""
    with pytest.raises(Exception, match="another operation") as failure:
        await _copy_after_the_farewell(engine)

    assert is_connection_lost(failure.value)


async def _copy_after_the_farewell(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text(LEAVE_SLOWLY))
        await connection.commit()
        async with connection.begin():
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            async with engine.begin() as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": driver.get_server_pid()})
            await asyncio.sleep(0.02)
            await driver.copy_records_to_table("t1", records=[(1,)])
