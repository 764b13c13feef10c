"""Engines."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import db


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


@pytest.mark.parametrize("concurrency", [2, 4])
def test_a_worker_keeps_a_connection_for_each_job_and_three_for_itself(concurrency: int) -> None:
    pool = db.work_engine("postgresql://nowhere/nothing", concurrency=concurrency).pool

    assert pool.size() == concurrency + 3  # type: ignore[attr-defined]
