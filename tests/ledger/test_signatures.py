"""Pipelines whose jobs are alike share a signature, and lose it as soon as their jobs change."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import models
from gql_server.db.models import JobResult, JobState
from gql_server.ledger.signatures import sign
from tests import build

OK, FAILED = JobResult.SUCCESS, JobResult.ERROR
NOW = timedelta(0)
P, S = models.Pipeline, models.JobSignature


async def signatures(engine: AsyncEngine) -> dict[UUID, UUID | None]:
    async with engine.connect() as connection:
        return {row.id: row.signature for row in await connection.execute(select(P.id, P.signature))}


async def sorts(engine: AsyncEngine, signature: UUID | None) -> set[tuple[Any, ...]]:
    statement = select(S.job_type, S.module_type_id, S.year, S.failure_class).where(S.signature == signature)
    async with engine.connect() as connection:
        return {tuple(row) for row in await connection.execute(statement)}


async def test_terminal_pipelines_with_jobs_of_the_same_sorts_are_signed_alike(engine: AsyncEngine):
    async with engine.begin() as connection:
        one, two = [await build.run(connection, OK, OK) for _ in range(2)]
        await build.job(connection, two, result=OK)
        other = await build.run(connection, OK, OK, year=2024)
        live = await build.run(connection, OK, JobState.RUNNING)

    assert await sign(engine, quiet=NOW) == 3
    assert await sign(engine, quiet=NOW) == 0
    signed = await signatures(engine)

    assert (signed[one] == signed[two], signed[one] == signed[other], signed[live]) == (True, False, None)
    assert await sorts(engine, signed[one]) == {("csv_ingest", 4, 2025, None), ("aggregation", 4, 2025, None)}


async def test_what_has_changed_in_the_last_minute_is_left_to_its_writer(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.run(connection, OK)

    assert await sign(engine) == 0
    async with engine.begin() as connection:
        await connection.execute(update(P).where(P.id == key).values(updated_at=text("now() - interval '61 seconds'")))
    assert await sign(engine) == 1


async def test_pipelines_without_jobs_are_signed_once_and_for_all(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.pipeline(connection, status="SUCCESS")

    assert (await sign(engine, quiet=NOW), await sign(engine, quiet=NOW)) == (1, 0)
    assert await sorts(engine, (await signatures(engine))[key]) == set()


async def test_a_job_that_is_added_or_becomes_another_makes_its_pipeline_unsigned(engine: AsyncEngine):
    async with engine.begin() as connection:
        added, differs, retold, retried = [await build.run(connection, FAILED) for _ in range(4)]
    await sign(engine, quiet=NOW)
    before = await signatures(engine)
    async with engine.begin() as connection:
        await build.job(connection, added)
        job = update(models.Job)
        await connection.execute(job.where(models.Job.pipeline_id == differs).values(failure_class="DEADLOCK"))
        await connection.execute(job.where(models.Job.pipeline_id == retold).values(status_message="Oh", failure_class=None))
        await connection.execute(update(P).where(P.id == retried).values(status="RUNNING"))
    after = await signatures(engine)

    assert [after[key] for key in (added, differs, retried)] == [None] * 3
    assert after[retold] == before[retold] is not None
