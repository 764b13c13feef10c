"""Engines."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import db
from gql_server.db.outages import retry_on_outage

OPEN_ELSEWHERE = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'""")


async def test_a_connection_that_the_server_closed_is_replaced_at_checkout(dsn: str, engine: AsyncEngine) -> None:
    pooled = db.create_engine(dsn, application="gql-server pooled", pool_size=2)
    async with pooled.connect() as one, pooled.connect() as two:
        before = {await one.scalar(text("SELECT pg_backend_pid()")), await two.scalar(text("SELECT pg_backend_pid()"))}
    async with engine.begin() as connection:
        ended = text("""
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'gql-server pooled'""")
        assert (await connection.scalars(ended)).all() == [True, True]

    async with pooled.connect() as one, pooled.connect() as two:
        after = {await one.scalar(text("SELECT pg_backend_pid()")), await two.scalar(text("SELECT pg_backend_pid()"))}

    assert before.isdisjoint(after)
    await pooled.dispose()


async def test_connections_that_know_a_type_by_its_old_number_are_replaced(dsn: str, engine: AsyncEngine) -> None:
    pooled = db.create_engine(dsn, application="gql-server pooled", pool_size=2)
    recreate = ("DROP TYPE IF EXISTS mood CASCADE", "CREATE TYPE mood AS ENUM ('good')")
    question = text("SELECT CAST(CAST(:mood AS mood) AS text)").bindparams(mood="good")

    async def ask() -> str:
        async with pooled.connect() as connection:
            return str(await connection.scalar(question))

    async def made_anew() -> None:
        async with engine.begin() as connection:
            for statement in recreate:
                await connection.execute(text(statement))

    await made_anew()
    async with pooled.connect() as one, pooled.connect() as two:
        assert [await one.scalar(question), await two.scalar(question)] == ["good", "good"]
    await made_anew()

    assert await retry_on_outage(ask) == "good"
    assert [await ask() for _ in range(4)] == ["good"] * 4
    await pooled.dispose()


@pytest.mark.parametrize("concurrency", [2, 4])
def test_a_worker_keeps_a_connection_for_each_job_and_three_for_itself(concurrency: int) -> None:
    pool = db.work_engine("postgresql://nowhere/nothing", concurrency=concurrency).pool

    assert pool.size() == concurrency + 3  # type: ignore[attr-defined]


async def fail_to_begin(driver: Any) -> None:
    """Leaves what a failed BEGIN leaves: a transaction in asyncpg's books, and none on the server."""
    await driver.transaction().start()
    await driver.execute("ROLLBACK")


async def fail_to_roll_back(driver: Any) -> None:
    """Leaves what a failed ROLLBACK leaves: a transaction on the server, and none in asyncpg's books."""
    await driver.execute("BEGIN")


@pytest.mark.parametrize("spoil", [fail_to_begin, fail_to_roll_back])
@pytest.mark.parametrize("process", ["api", "worker"])
async def test_a_connection_that_is_left_in_a_transaction_is_not_used_again(
    dsn: str, engine: AsyncEngine, process: str, spoil: Any
) -> None:
    pooled = (
        db.work_engine(dsn, concurrency=1)
        if process == "worker"
        else db.read_engine(dsn, pool_size=4, statement_timeout=timedelta(seconds=5))
    )
    for _ in range(4):
        async with pooled.connect() as connection, db.driver_connection(connection) as driver:
            await spoil(driver)

    async with engine.connect() as connection:
        left_open = await connection.scalar(OPEN_ELSEWHERE)
    answers: list[int] = []
    for _ in range(8):
        async with pooled.begin() as connection:
            answers.append(await connection.scalar(text("SELECT 1")))
    await pooled.dispose()

    assert (left_open, answers) == (0, [1] * 8)
