"""Share of jobs that say a text, told from some of all over the ledger."""

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.reads.jobs.search import is_frequent
from tests import build

LARGEST = 2**31 - 1


@pytest.mark.parametrize(("text", "frequent"), [("rows", True), ("deadlock", False)])
async def test_a_text_is_as_frequent_as_among_the_jobs_that_are_sampled(engine: AsyncEngine, text: str, frequent: bool):
    async with engine.begin() as connection:
        for number in range(30):
            await build.job(connection, status_message="Deadlock" if number == 7 else f"{number} rows")

        assert await connection.scalar(select(is_frequent(text))) is frequent


async def test_it_is_told_also_where_jobs_have_the_largest_numbers_that_there_are(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.job(connection, id=LARGEST, status_message="Deadlock")

        assert await connection.scalar(select(is_frequent("deadlock"))) is True
