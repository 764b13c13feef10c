"""Statements by the driver itself: the same rows as by way of SQLAlchemy, on the same pool, and heard of by who listens."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import ARRAY, Integer, Text, any_, bindparam, cast, event, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Uuid

from bench.plans import recorded
from gql_server.db import DirectStatement, direct
from gql_server.db.models import Job, JobState
from gql_server.reads.shapes import Built

ID = UUID("018f0000-0000-7000-8000-000000000001")
NUMBERS = select(func.unnest(bindparam("numbers", type_=ARRAY(Integer))).label("number"))


async def test_rows_are_those_of_sqlalchemy(engine: AsyncEngine) -> None:
    statement = select(
        literal(ID, Uuid()).label("id"),
        cast(literal({"a": [1, None]}, JSONB), JSONB).label("bag"),
        literal(JobState.RUNNING, Job.state.type).label("state"),
        func.array_agg(literal(1)).label("numbers"),
        bindparam("given", type_=Text).label("given"),
    )
    async with direct(engine).connect() as connection:
        [found] = await connection.fetch(DirectStatement(statement), {"given": "it's"})
        [expected] = (await connection.execute(statement, {"given": "it's"})).all()

    assert tuple(found) == tuple(expected)


async def test_values_that_are_written_into_a_statement_are_quoted(engine: AsyncEngine) -> None:
    written = DirectStatement(select(bindparam("name", type_=Text, literal_execute=True)))
    names = [r"a'b", r"\'; DROP TABLE x; --", r"\\", "%s %(a)s :name $1", "line\nbreak"]
    async with direct(engine).connect() as connection:
        assert [(await connection.fetch(written, {"name": name}))[0][0] for name in names] == names


async def test_a_statement_is_compiled_once_and_given_other_values_each_time(engine: AsyncEngine) -> None:
    statement = DirectStatement(NUMBERS)
    async with direct(engine).connect() as connection:
        assert [row[0] for row in await connection.fetch(statement, {"numbers": [3, 1]})] == [3, 1]
        compiled = statement.compiled(engine.sync_engine.dialect)
        assert [row[0] for row in await connection.fetch(statement, {"numbers": []})] == []
    assert statement.compiled(engine.sync_engine.dialect) is compiled


async def test_constants_are_written_into_a_statement_as_what_they_are(engine: AsyncEngine) -> None:
    state = Job.state.type
    constants = (
        literal(ID, Uuid()),
        literal(JobState.RUNNING, state),
        literal("it's"),
        literal(7),
    )
    types = [func.pg_typeof(each).cast(Text) for each in constants]
    among = literal(JobState.QUEUED, state).in_([JobState.QUEUED, JobState.RUNNING])
    statement = DirectStatement(
        select(*constants, *types, among, literal([1, None], ARRAY(Integer)), bindparam("given", type_=Text))
    )
    sent, parameters = statement.compiled(engine.sync_engine.dialect).given({"given": "x"})

    async with direct(engine).connect() as connection:
        [found] = await connection.fetch(statement, {"given": "x"})

    assert ("'it''s'" in sent, sent.count("$"), parameters) == (True, 2, [[1, None], "x"])
    assert tuple(found[:4]) == (ID, JobState.RUNNING, "it's", 7)
    assert tuple(found[4:]) == ("uuid", "ingestion_state_enum", "character varying", "integer", True, [1, None], "x")


async def test_who_listens_to_an_engine_hears_of_it(engine: AsyncEngine) -> None:
    ended: list[str] = []

    def end(connection: Any, cursor: object, statement: str, *_: object) -> None:
        ended.append(statement)

    event.listen(engine.sync_engine, "after_cursor_execute", end)
    with recorded(engine) as executed:
        async with direct(engine).connect() as connection:
            await connection.fetch(DirectStatement(NUMBERS), {"numbers": [3]})
    event.remove(engine.sync_engine, "after_cursor_execute", end)

    assert [(each.statement, [*each.parameters]) for each in executed] == [("SELECT unnest($1::INTEGER[]) AS number", [[3]])]
    assert ended == [executed[0].statement]


async def test_sqlalchemy_and_the_driver_share_the_connection(engine: AsyncEngine) -> None:
    pid = text("SELECT pg_backend_pid()")
    async with direct(engine).connect() as connection:
        [[driver]] = await connection.fetch(DirectStatement(pid), {})
        assert await connection.scalar(pid) == driver
    assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_connection_comes_back_to_the_pool_also_when_its_statement_is_cancelled(engine: AsyncEngine) -> None:
    sleep = DirectStatement(text("SELECT pg_sleep(60)"))

    async def sleeping() -> None:
        async with direct(engine).connect() as connection:
            await connection.fetch(sleep, {})

    task = asyncio.create_task(sleeping())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    async with direct(engine).connect() as connection:
        assert [list(row) for row in await connection.fetch(DirectStatement(text("SELECT 1")), {})] == [[1]]


async def test_a_connection_that_was_lost_is_not_borrowed_again(engine: AsyncEngine) -> None:
    pid = DirectStatement(text("SELECT pg_backend_pid()"))
    async with direct(engine).connect() as connection:
        [[lost]] = await connection.fetch(pid, {})
    async with engine.connect() as other:
        if await other.scalar(text("SELECT pg_backend_pid()")) != lost:
            await other.execute(text(f"SELECT pg_terminate_backend({lost})"))
    async with direct(engine).connect() as connection:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.fetch(DirectStatement(text("SELECT pg_terminate_backend(pg_backend_pid())")), {})
    async with direct(engine).connect() as connection:
        [[found]] = await connection.fetch(pid, {})
    assert found != lost


async def test_an_error_is_told_in_the_drivers_words(engine: AsyncEngine) -> None:
    async with direct(engine).connect() as connection:
        with pytest.raises(asyncpg.DivisionByZeroError, match="division by zero"):
            await connection.fetch(DirectStatement(text("SELECT 1 / 0")), {})
        assert (await connection.fetch(DirectStatement(select(literal(1) == any_(literal([1], ARRAY(Integer))))), {}))[0][0]


async def test_in_a_transaction_everything_goes_by_way_of_sqlalchemy(engine: AsyncEngine) -> None:
    async with direct(engine).connect() as connection:
        assert connection.is_direct
        await connection.execution_options(isolation_level="REPEATABLE READ")
        first = await connection.scalar(text("SELECT txid_current()"))
        assert not connection.is_direct
        assert await Built(select(func.txid_current())).rows(connection, {}) == [(first,)]
    async with direct(engine).connect() as connection:
        found = [await Built(select(func.txid_current())).rows(connection, {}) for _ in range(2)]
    assert [*map(list, found[0])] != [*map(list, found[1])]
