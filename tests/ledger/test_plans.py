"""The statements of the runner find what they need by index, however much finished work lies in the ledger."""

from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import empty
from bench.history import grow
from bench.jobs import submit
from bench.scale import chores, scanned
from gql_server.db import models
from gql_server.db.models import EntityType, JobResult, JobType, PipelineStatus
from gql_server.ledger import reconcile
from tests import build

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


async def test_a_status_is_stored_by_index_also_where_that_was_planned_for_an_empty_ledger(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        for _ in range(7):
            await reconcile.store(connection, [UUID(int=1)])
        await connection.commit()
        await submit(engine, 2_000)
        some = (await connection.scalars(text("SELECT id FROM pipelines ORDER BY id LIMIT 3"))).all()
        await connection.commit()

        await reconcile.store(connection, some)
        assert await reconcile.correct(connection, some) == []
        read = "SELECT pg_stat_get_xact_tuples_returned('{}'::regclass)"
        tables = [await connection.scalar(text(read.format(table))) for table in ("pipelines", "data_ingestion_jobs")]

    assert tables == [0, 0]


TRIGGERS = text("""
SELECT tgrelid::regclass::text || ' ' || tgname FROM pg_trigger
WHERE tgrelid IN ('pipelines'::regclass, 'data_ingestion_jobs'::regclass) AND NOT tgisinternal
  AND tgtype & 16 > 0 AND (tgtype & 2 > 0 OR tgqual IS NOT NULL)
""")
"""Triggers of updates that act before the row is written, or on a condition."""


async def test_no_trigger_makes_every_write_of_a_job_prepare_its_generated_columns_or_read_a_condition(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        assert (await connection.scalars(TRIGGERS)).all() == []


RUNS = {"provider": "DEFAULT", "kind": JobType.CSV_INGEST, "entity_type": EntityType.MODULE_PER_YEAR, "module_type_id": 1}
STATUSES = (PipelineStatus.FAILED, PipelineStatus.SUCCESS, PipelineStatus.PARTIAL)
READ = """SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class
WHERE oid = 'pipelines'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'pipelines'::regclass)"""
"""Entries of indexes and rows from end to end that were read in this transaction."""

RESOLVED = text("SELECT count(*) FROM events WHERE cause_key IS NOT NULL")


async def commit_runs(connection: AsyncConnection, count: int, scopes: int) -> int:
    """Let so many end at once, a third each in failure, success and partial success; return what is read of pipelines."""
    before = await connection.scalar(text(READ))
    runs = [RUNS | {"status": STATUSES[nth % 3], "year": 2000 + nth // 3 % scopes} for nth in range(count)]
    await connection.execute(insert(models.Pipeline), runs)
    await connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    await connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    return await connection.scalar(text(READ)) - before


@pytest.mark.parametrize("scopes", [1, 5])
async def test_a_success_reads_the_failures_since_the_one_before_however_many_are_committed_with_it(
    engine: AsyncEngine, scopes: int
):
    async with engine.begin() as connection:
        few = await commit_runs(connection, 60, scopes)
        many = await commit_runs(connection, 600, scopes)
        assert await connection.scalar(RESOLVED) == 2 * 220 - scopes

    assert many < 15 * few


JOBS_READ = READ.replace("pipelines", "data_ingestion_jobs")


async def test_what_a_retry_repeats_is_looked_up_however_many_are_committed_with_it(engine: AsyncEngine) -> None:
    async def retry_all(jobs: list[int]) -> int:
        """Begin a retry of each of these jobs; return what is read of jobs to tell it."""
        for job_id in jobs:
            await build.job(connection, await build.pipeline(connection), config={"retry_of_job_id": job_id})
        before = await connection.scalar(text(JOBS_READ))
        await connection.execute(text("SET CONSTRAINTS pipeline_created IMMEDIATE"))
        await connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        return await connection.scalar(text(JOBS_READ)) - before

    async with engine.begin() as connection:
        failed = [await build.job(connection, result=JobResult.ERROR) for _ in range(60)]
        few, many = await retry_all(failed[:5]), await retry_all(failed[5:])
        assert await connection.scalar(RESOLVED) == 60

    assert many == 11 * few
