"""The stored status: what the jobs say, recomputed in one statement."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import models
from gql_server.ledger import reconcile
from gql_server.ledger.progress import pipeline_status
from gql_server.worker.sweep import prune_events, recover_lost, sweep
from tests.ledger.conftest import Ledger


async def pipeline_of(work: Ledger, *jobs: dict[str, Any], **pipeline: Any) -> UUID:
    async with work.engine.begin() as connection:
        values = {"provider": "ACCRED", "kind": "csv_ingest", **pipeline}
        pipeline_id = await connection.scalar(insert(models.Pipeline).values(values).returning(models.Pipeline.id))
        for job in jobs:
            row = {"pipeline_id": pipeline_id, "job_type": "noop", "entity_type": "MODULE_PER_YEAR", "state": "FINISHED", **job}
            await connection.execute(insert(models.Job).values(row))
    assert pipeline_id is not None
    return pipeline_id


async def recomputed(work: Ledger, pipeline_id: UUID) -> Any:
    async with work.engine.begin() as connection:
        await reconcile.recompute(connection, [pipeline_id])
    return await work.pipeline(pipeline_id)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [(["Success ", "deadlock"], "deadlock"), (["SUCCESS", "success"], "SUCCESS"), (["deadlock", "timeout"], "deadlock")],
)
async def test_s1_s2_the_last_error_is_the_first_that_does_not_claim_success(
    work: Ledger, messages: list[str], expected: str
) -> None:
    jobs = [{"result": "ERROR", "status_message": message} for message in messages]

    row = await recomputed(work, await pipeline_of(work, {"result": "SUCCESS"}, *jobs))

    assert (row.last_error, row.error_count, row.status) == (expected, 2, "PARTIAL")


async def test_s3_an_unfinished_pipeline_learns_how_many_recalculations_it_has(work: Ledger) -> None:
    recalcs = [{"job_type": "emission_recalc", "state": "NOT_STARTED"}] * 2

    row = await recomputed(work, await pipeline_of(work, {"result": "SUCCESS"}, *recalcs))

    assert (row.expected_recalc, row.status, row.finished_at) == (2, "RUNNING", None)


async def test_an_errored_sibling_does_not_end_a_pipeline_that_still_runs(work: Ledger) -> None:
    row = await recomputed(
        work, await pipeline_of(work, {"result": "SUCCESS"}, {"result": "ERROR"}, {"state": "RUNNING", "locked_by": "w1"})
    )

    assert row.status == "RUNNING"


async def test_every_recomputation_stamps_the_pipeline_anew(work: Ledger) -> None:
    pipeline_id = await pipeline_of(work, {"result": "SUCCESS"})

    first, second, third = [(await recomputed(work, pipeline_id)).updated_at for _ in range(3)]

    assert first < second < third


jobs_of_a_pipeline = st.lists(
    st.tuples(
        st.sampled_from(["csv_ingest", "emission_recalc", "aggregation"]),
        st.sampled_from(["NOT_STARTED", "QUEUED", "RUNNING", "FINISHED"]),
        st.sampled_from(["SUCCESS", "WARNING", "ERROR"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=jobs_of_a_pipeline, owes=st.booleans())
async def test_sql_and_python_give_the_same_verdict(work: Ledger, shape: list[tuple[str, str, str]], owes: bool) -> None:
    jobs = [
        {"job_type": job_type, "state": state, "result": result if state == "FINISHED" else None}
        for job_type, state, result in shape
    ]
    pipeline_id = await pipeline_of(work, *jobs, owes_aggregation=owes)

    row = await recomputed(work, pipeline_id)

    stored = await work.jobs(models.Job.pipeline_id == pipeline_id)
    assert row.status == pipeline_status(stored, owes_aggregation=owes)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=jobs_of_a_pipeline, others=jobs_of_a_pipeline, owes=st.booleans(), others_are_older=st.booleans())
async def test_sql_and_python_count_shared_work_alike(
    work: Ledger,
    own: list[tuple[str, str, str]],
    others: list[tuple[str, str, str]],
    owes: bool,
    others_are_older: bool,
) -> None:
    def rows(shape: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
        finished = [(job_type, state, result if state == "FINISHED" else None) for job_type, state, result in shape]
        return [{"job_type": job_type, "state": state, "result": result} for job_type, state, result in finished]

    mine, theirs = (partial(pipeline_of, work, *rows(own), owes_aggregation=owes), partial(pipeline_of, work, *rows(others)))
    if others_are_older:
        other_id, pipeline_id = await theirs(), await mine()
    else:
        pipeline_id, other_id = await mine(), await theirs()
    serve = "UPDATE data_ingestion_jobs SET serves = ARRAY[CAST(:served AS uuid)] WHERE pipeline_id = :id"
    await work.execute(serve, served=pipeline_id, id=other_id)

    row = await recomputed(work, pipeline_id)

    mine, shared = [await work.jobs(models.Job.pipeline_id == id) for id in (pipeline_id, other_id)]
    assert row.status == pipeline_status(mine, owes_aggregation=owes, shared=shared)
    assert row.job_count == len(own) + len(others)
    async with work.engine.begin() as connection:
        await reconcile.recompute(connection, [pipeline_id, *[UUID(int=number) for number in range(reconcile.FEW)]])
    again = await work.pipeline(pipeline_id)
    assert (again.status, again.job_count, again.error_count) == (row.status, row.job_count, row.error_count)


async def test_s7_the_first_sweep_corrects_a_drifted_status_and_the_second_finds_nothing(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.drain()
    await work.execute("UPDATE pipelines SET status = 'FAILED'")

    assert [await sweep(work.engine, work.registry), await sweep(work.engine, work.registry)] == [1, 0]
    assert (await work.pipeline(submitted.pipeline_id)).status == "SUCCESS"


def count_statements(engine: AsyncEngine) -> list[str]:
    statements: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    return statements


async def test_s12_a_sweep_over_eight_thousand_finished_pipelines_touches_none_of_them(work: Ledger) -> None:
    await work.execute("""
        INSERT INTO pipelines (provider, kind, status, job_count, updated_at)
        SELECT 'ACCRED', 'noop', 'SUCCESS', 1, clock_timestamp() - interval '1 day' FROM generate_series(1, 8000)""")
    await work.execute("""
        INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, state, result)
        SELECT id, 'noop', 'MODULE_PER_YEAR', 'FINISHED', 'SUCCESS' FROM pipelines""")
    statements = count_statements(work.engine)

    assert await sweep(work.engine, work.registry) == 0

    assert len(statements) <= 5
    async with work.engine.connect() as connection:
        touched = text("SELECT count(*) FROM pipelines WHERE updated_at > clock_timestamp() - interval '1 hour'")
        assert await connection.scalar(touched) == 0


async def test_an_owed_aggregation_that_nobody_chained_is_chained_by_the_sweep(work: Ledger) -> None:
    recalcs = [
        {"job_type": "emission_recalc", "result": "SUCCESS", "module_type_id": 4, "year": 2025, "provider": "ACCRED"}
    ] * 2
    pipeline_id = await pipeline_of(work, {"result": "SUCCESS"}, *recalcs, status="RUNNING", owes_aggregation=True)

    await sweep(work.engine, work.registry)

    jobs = await work.jobs(models.Job.pipeline_id == pipeline_id)
    assert [(job.job_type, job.state) for job in jobs][-1] == ("aggregation", "NOT_STARTED")
    assert (await work.pipeline(pipeline_id)).status == "RUNNING"
    await sweep(work.engine, work.registry)
    assert len(await work.jobs(models.Job.pipeline_id == pipeline_id)) == 4


async def test_w14_giving_up_a_job_brings_its_pipeline_up_to_date(work: Ledger) -> None:
    submitted = await work.submit("noop", max_attempts=1)
    await work.claim("gone")
    await work.execute("UPDATE data_ingestion_jobs SET locked_at = clock_timestamp() - interval '1 hour'")

    await recover_lost(work.engine, work.registry)

    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.error_count) == ("FAILED", 1)
    assert pipeline.last_error == "Given up by auto-recovery: worker gone fell silent in attempt 1 of 1"


async def test_s8_one_pipeline_that_cannot_be_corrected_does_not_keep_the_others_from_it(work: Ledger) -> None:
    broken, drifted = await work.submit("noop"), await work.submit("noop")
    await work.drain()
    await work.execute("UPDATE pipelines SET status = 'FAILED'")
    await work.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$""")
    await work.execute(f"""
        CREATE TRIGGER refuse BEFORE UPDATE ON pipelines FOR EACH ROW WHEN (old.id = '{broken.pipeline_id}')
        EXECUTE FUNCTION refuse()""")

    assert await sweep(work.engine, work.registry) == 1

    assert (await work.pipeline(drifted.pipeline_id)).status == "SUCCESS"
    assert (await work.pipeline(broken.pipeline_id)).status == "FAILED"


async def test_old_events_are_forgotten_but_the_newest_keeps_the_feeds_position(work: Ledger) -> None:
    await work.submit("noop")
    await work.drain()
    await work.execute("UPDATE events SET at = at - interval '2 days'")

    await prune_events(work.engine)

    async with work.engine.connect() as connection:
        assert (await connection.scalars(text("SELECT seq = (SELECT last_value FROM events_seq) FROM events"))).all() == [True]
