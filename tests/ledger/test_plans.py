"""The statements of the runner find what they need by index, however much finished work lies in the ledger."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import empty
from bench.history import grow
from bench.jobs import submit
from bench.scale import chores, scanned

CHORES = chores(empty.registry())


@pytest.fixture
async def grown(engine: AsyncEngine) -> AsyncEngine:
    """Twenty thousand finished jobs, eight waiting."""
    await submit(engine, 8)
    await grow(engine, 20_000)
    return engine


async def test_no_statement_of_the_runner_reads_the_ledger_from_end_to_end(grown: AsyncEngine) -> None:
    assert {name: await scanned(grown, chore) for name, chore in CHORES.items()} == {name: [] for name in CHORES}


async def test_a_claim_without_its_index_is_seen_to_scan(grown: AsyncEngine) -> None:
    async with grown.begin() as connection:
        await connection.execute(text("DROP INDEX ix_data_ingestion_jobs_pending"))
        await connection.execute(text("ANALYZE data_ingestion_jobs"))

    assert "data_ingestion_jobs" in await scanned(grown, CHORES["claim"])
