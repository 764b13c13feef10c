"""One transaction a job: all of it, or nothing."""

import asyncio
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from gql_server.db import models
from gql_server.db.models import JobResult
from gql_server.ledger import reconcile
from gql_server.worker import ClaimedJob, JobError, LeaseLost, Outcome, RejectedRow
from gql_server.worker.attempt import LOCK_RETRY
from gql_server.worker.sweep import sweep
from tests.ledger.conftest import Ledger, blocked

WRITE = text("INSERT INTO pods (pod_id) VALUES ('written by the handler')")


async def written(work: Ledger) -> int:
    async with work.engine.connect() as connection:
        return len((await connection.execute(models.Pod.__table__.select())).all())


async def run_with(work: Ledger, behaviour: Any) -> Any:
    work.behaviours["noop"] = behaviour
    submitted = await work.submit("noop")
    [job] = await work.claim()
    await work.run(job)
    return await work.job(submitted.job_id)


async def test_a_handlers_writes_commit_with_its_finish(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(WRITE)
        return Outcome(message="written")

    row = await run_with(work, handler)

    assert (row.state, row.result, row.status_message) == ("FINISHED", "SUCCESS", "written")
    assert await written(work) == 1


async def test_w7_a_handler_that_raises_leaves_nothing_but_its_error(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(WRITE)
        raise RuntimeError("the disk is on fire")

    row = await run_with(work, handler)

    assert (row.state, row.result, row.status_message) == ("FINISHED", "ERROR", "the disk is on fire")
    assert await written(work) == 0


async def test_w7_a_handler_that_poisons_its_transaction_still_ends_with_the_original_error(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(text("SELECT 1 / 0"))
        return Outcome()

    row = await run_with(work, handler)

    assert (row.state, row.result) == ("FINISHED", "ERROR")
    assert "division by zero" in row.status_message


async def test_a_returned_error_rolls_back_and_keeps_its_row_errors(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(WRITE)
        return Outcome(
            result=JobResult.ERROR, message="0 inserted", meta={"row_errors_count": 2}, row_errors=[RejectedRow(1, "bad")]
        )

    row = await run_with(work, handler)

    assert (row.result, row.status_message, row.meta["row_errors_count"]) == ("ERROR", "0 inserted", 2)
    assert await written(work) == 0
    async with work.engine.connect() as connection:
        assert len((await connection.execute(models.RowError.__table__.select())).all()) == 1


async def test_a_job_error_is_the_message_alone(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        raise JobError("there are no factors", hint="upload them")

    row = await run_with(work, handler)

    assert (row.result, row.status_message, row.meta["hint"]) == ("ERROR", "there are no factors", "upload them")


async def test_w9_a_worker_whose_lease_was_stolen_writes_nothing(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(WRITE)
        await work.execute("UPDATE data_ingestion_jobs SET locked_by = 'thief'")
        return Outcome()

    row = await run_with(work, handler)

    assert (row.state, row.locked_by, row.result) == ("RUNNING", "thief", None)
    assert await written(work) == 0


async def test_progress_of_an_aborted_job_does_not_resurrect_it(work: Ledger) -> None:
    lost: list[bool] = []

    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await work.execute(
            "UPDATE data_ingestion_jobs SET state = 'FINISHED', result = 'ERROR', status_message = 'Aborted by me'"
        )
        try:
            await run.progress("still going")
        except LeaseLost:
            lost.append(True)
            raise
        return Outcome()

    row = await run_with(work, handler)

    assert lost == [True]
    assert (row.state, row.result, row.status_message) == ("FINISHED", "ERROR", "Aborted by me")


async def test_progress_is_seen_while_the_handler_still_runs(work: Ledger) -> None:
    seen: list[Any] = []

    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await run.progress("halfway")
        await run.count("inserting", 5, 10)
        seen.append(await work.job(job.id))
        return Outcome()

    await run_with(work, handler)

    assert seen[0].status_message == "halfway"
    assert seen[0].meta["progress"] == {"phase": "inserting", "processed": 5, "total": 10}


async def test_y10_the_phases_of_a_failed_job_show_where_it_stopped(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await run.phase("fetch_units")
        await run.phase("create_carbon_reports")
        raise RuntimeError("no reports today")

    row = await run_with(work, handler)

    assert [(phase["name"], phase["state"]) for phase in row.meta["phases"]] == [
        ("fetch_units", "finished"),
        ("create_carbon_reports", "failed"),
    ]


async def test_a_held_lock_gives_the_job_back_instead_of_waiting(work: Ledger) -> None:
    submitted = await work.submit("unit_sync")
    [job] = await work.claim()
    async with work.engine.begin() as other:
        await other.execute(text("SELECT pg_advisory_xact_lock(1239)"))

        await work.run(job)

    row = await work.job(submitted.job_id)
    assert (row.state, row.attempts, row.locked_by) == ("NOT_STARTED", 0, None)
    assert work.ran == []


async def test_a_job_whose_lock_is_held_outside_the_ledger_is_not_claimed_again_at_once(work: Ledger) -> None:
    submitted = await work.submit("unit_sync")
    [job] = await work.claim()
    async with work.engine.begin() as other:
        await other.execute(text("SELECT pg_advisory_xact_lock(1239)"))
        await work.run(job)

    assert await work.claim() == []
    await work.execute("UPDATE data_ingestion_jobs SET run_after = run_after - CAST(:passed AS interval)", passed=LOCK_RETRY)
    [again] = await work.claim()
    assert (again.id, again.attempt) == (submitted.job_id, 1)


async def test_two_jobs_that_deadlock_are_both_applied_once(work: Ledger) -> None:
    await work.execute("INSERT INTO pods (pod_id, git_sha) VALUES ('a', '0'), ('b', '0')")
    met = asyncio.Barrier(2)
    tries: list[int] = []

    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        first, second = ("a", "b") if job.id % 2 else ("b", "a")
        add = text("UPDATE pods SET git_sha = (git_sha::int + 1)::text WHERE pod_id = :pod")
        await connection.execute(add, {"pod": first})
        if job.id not in tries:
            tries.append(job.id)
            await met.wait()
        await connection.execute(add, {"pod": second})
        return Outcome()

    work.behaviours["noop"] = handler
    await work.submit("noop", module_type_id=1)
    await work.submit("noop", module_type_id=2)
    jobs = await work.claim(most=2)
    await asyncio.gather(*(work.run(job) for job in jobs))

    assert [row.result for row in await work.jobs()] == ["SUCCESS", "SUCCESS"]
    async with work.engine.connect() as connection:
        assert (await connection.scalars(text("SELECT git_sha FROM pods ORDER BY pod_id"))).all() == ["2", "2"]


@pytest.mark.parametrize("sqlstate", ["P0001", "57014"], ids=["refused", "cancelled"])
@pytest.mark.parametrize("job_type", ["noop", "emission_recalc"])
async def test_s6_a_failing_status_write_does_not_fail_the_job_and_the_sweep_heals(
    work: Ledger, job_type: str, sqlstate: str
) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(WRITE)
        return Outcome()

    work.behaviours[job_type] = handler
    submitted = await work.submit(job_type, year=None)
    [job] = await work.claim()
    raising = f"BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '{sqlstate}'; END"
    await work.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {raising} $$")
    await work.execute("CREATE TRIGGER refuse BEFORE UPDATE OF status ON pipelines FOR EACH ROW EXECUTE FUNCTION refuse()")
    with structlog.testing.capture_logs() as logs:
        await work.run(job)

    assert (await work.job(submitted.job_id)).result == "SUCCESS"
    assert await written(work) == 1
    assert (await work.pipeline(submitted.pipeline_id)).status == "NOT_STARTED"
    [refused] = [line for line in logs if line["event"] == "pipeline.recompute_failed"]
    assert (refused["error"], refused["pipeline_ids"]) == (f"{sqlstate} not today", [str(submitted.pipeline_id)])

    await work.execute("DROP TRIGGER refuse ON pipelines")
    assert await sweep(work.engine, work.registry) == 1
    assert (await work.pipeline(submitted.pipeline_id)).status == "SUCCESS"


async def test_a_job_that_ends_in_a_pipeline_that_owes_an_aggregation_has_it_chained(work: Ledger) -> None:
    submitted = await work.submit("noop")
    await work.execute(
        """INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, provider, module_type_id, year, state, result)
        VALUES (:id, 'emission_recalc', 'MODULE_PER_YEAR', 'ACCRED', 4, 2025, 'FINISHED', 'SUCCESS')""",
        id=submitted.pipeline_id,
    )
    await work.execute("UPDATE pipelines SET owes_aggregation = true WHERE id = :id", id=submitted.pipeline_id)
    [job] = await work.claim()

    await work.run(job)

    jobs = await work.jobs(models.Job.pipeline_id == submitted.pipeline_id)
    assert [(each.job_type, each.state) for each in jobs] == [
        ("noop", "FINISHED"),
        ("emission_recalc", "FINISHED"),
        ("aggregation", "NOT_STARTED"),
    ]
    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.owes_aggregation, pipeline.job_count) == ("RUNNING", False, 3)


async def test_a_status_shows_what_was_committed_while_the_end_of_a_job_waited_for_its_pipeline(work: Ledger) -> None:
    submitted = await work.submit("noop")
    [job] = await work.claim()
    async with work.engine.begin() as other:
        await reconcile.lock(other, [submitted.pipeline_id])
        ending = asyncio.create_task(work.run(job))
        await blocked(work)
        await other.execute(
            text(
                """INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, provider, state, result)
                VALUES (:id, 'noop', 'MODULE_PER_YEAR', 'ACCRED', 'FINISHED', 'ERROR')"""
            ),
            {"id": submitted.pipeline_id},
        )
    await ending

    pipeline = await work.pipeline(submitted.pipeline_id)
    assert (pipeline.status, pipeline.job_count, pipeline.error_count) == ("PARTIAL", 2, 1)


async def test_a_timeout_of_the_outside_world_is_an_error_of_the_job(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        raise TimeoutError("the provider did not answer")

    row = await run_with(work, handler)

    assert (row.state, row.result, row.status_message) == ("FINISHED", "ERROR", "the provider did not answer")
    assert row.meta["error"] == "TimeoutError: the provider did not answer"


async def test_a_lost_connection_leaves_the_job_to_its_lease(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await connection.execute(WRITE)
        await work.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        await connection.execute(WRITE)
        return Outcome()

    row = await run_with(work, handler)

    assert (row.state, row.result, row.locked_by) == ("RUNNING", None, "w1")
    assert await written(work) == 0


async def test_each_line_about_a_job_names_its_worker_pipeline_and_attempt_and_the_last_how_long_it_took(work: Ledger) -> None:
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        structlog.get_logger().info("noop.looked")
        raise JobError("nothing to do")

    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        row = await run_with(work, handler)

    named = {"worker": "w1", "job_id": row.id, "job_type": "noop", "attempt": 1, "pipeline_id": str(row.pipeline_id)}
    assert [line["event"] for line in logs] == ["noop.looked", "job.finished"]
    assert [{name: line.get(name) for name in named} for line in logs] == [named, named]
    assert (logs[-1]["result"], logs[-1]["message"]) == ("ERROR", "nothing to do")
    assert 0 < logs[-1]["duration_ms"] < 60_000
