"""Every reason that can be given, with the situation behind it in a real ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db import models
from gql_server.db.models import EntityType, JobResult, JobState, JobType, Provider
from gql_server.graph.diagnosis import DiagnosisAction, DiagnosisCode
from gql_server.reads.diagnosis.queries import Served, reasons_by_pipeline
from gql_server.reads.diagnosis.reasons import Action, Code
from tests import build
from tests.graph.test_queries import fetched, statements
from tests.graphql import Client, viewer
from tests.ledger.conftest import Ledger, work

__all__ = ["work"]
QUERY = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  diagnosis { code severity message remedy action since job { jobId } worker { podId } blockedBy { pipelineId } }
} }"""
OF_JOB = "query ($id: Int!) { job(by: { jobId: $id }) { diagnosis { code severity job { jobId } } } }"
RECALC = {"job_type": JobType.EMISSION_RECALC}


def ago(**duration: Any) -> datetime:
    return datetime.now(UTC) - timedelta(**duration)


async def reasons(engine: AsyncEngine, pipeline_id: UUID, role: str = "operator", **claims: Any) -> list[dict[str, Any]]:
    answer = await Client(engine, role, **claims).query(QUERY, id=str(pipeline_id))
    return answer["pipeline"]["diagnosis"]


async def codes(engine: AsyncEngine, pipeline_id: UUID, role: str = "operator", **claims: Any) -> list[tuple[str, str]]:
    return [(reason["code"], reason["severity"]) for reason in await reasons(engine, pipeline_id, role, **claims)]


async def live_worker_and_year(connection: AsyncConnection) -> None:
    await build.worker(connection, "pod")
    await build.year(connection, 2025)


async def waiting(connection: AsyncConnection, **values: Any) -> tuple[UUID, int]:
    pipeline_id = await build.pipeline(connection)
    job_id = await build.job(connection, pipeline_id, **values)
    await build.settle(connection, pipeline_id)
    return pipeline_id, job_id


async def test_nothing_unusual_gives_no_reason(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        finished = await build.run(connection, JobResult.SUCCESS, JobResult.WARNING, JobResult.SUCCESS)
        running, _ = await waiting(connection, state=JobState.RUNNING, locked_by="pod", locked_at=datetime.now(UTC))

    assert await codes(engine, finished) == []
    assert await codes(engine, running) == []


async def test_waiting_for_a_worker_is_worse_after_a_minute(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        new, job_id = await waiting(connection)
        old, _ = await waiting(connection, created_at=ago(minutes=2))

    [reason] = await reasons(engine, new)
    assert (reason["code"], reason["severity"]) == ("WAITING_FOR_WORKER", "NEUTRAL")
    assert (reason["message"], reason["remedy"]) == ("It waits for a free worker.", None)
    assert (reason["job"], reason["worker"], reason["blockedBy"]) == ({"jobId": job_id}, None, None)
    assert await codes(engine, old) == [("WAITING_FOR_WORKER", "WARNING")]


async def test_without_a_live_worker_nothing_starts(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await build.worker(connection, "silent", silent=timedelta(hours=1))
        pipeline_id, _ = await waiting(connection)

    assert await codes(engine, pipeline_id) == [("NO_LIVE_WORKER", "DANGER")]


async def test_a_job_can_be_meant_for_later(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id, _ = await waiting(connection, run_after=datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC))

    [reason] = await reasons(engine, pipeline_id)
    assert (reason["code"], reason["severity"]) == ("SCHEDULED_LATER", "NEUTRAL")
    assert reason["message"] == "It will not start before 2999-01-02 03:04:05 UTC."


async def test_a_recalculation_waits_for_a_sibling_and_the_totals_for_all_of_them(engine: AsyncEngine, work: Ledger):
    submitted = await work.submit()
    for _ in range(2):
        [job] = await work.claim()
        await work.run(job)
    [running] = await work.claim()
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        await connection.execute(update(models.YearConfiguration).values(provider=Provider.ACCRED))

    found = await reasons(engine, submitted.pipeline_id, provider="ACCRED")

    assert [(reason["code"], reason["severity"]) for reason in found] == [("WAITING_FOR_SIBLINGS", "NEUTRAL")] * 2
    blocked, totals = found
    assert blocked["message"] == "It waits for another job of this pipeline that works on the same data."
    assert blocked["job"]["jobId"] > running.id
    assert blocked["blockedBy"] is None
    assert totals["message"] == "The totals are computed once 2 of 3 recalculations have ended as well."


async def test_a_job_waits_for_the_lock_that_another_pipeline_holds(engine: AsyncEngine, work: Ledger):
    first, second = await work.submit(), await work.submit()
    [running] = await work.claim("pod")
    assert (running.id, await work.claim("pod")) == (first.job_id, [])
    async with engine.begin() as connection:
        await build.worker(connection, "pod")
        await build.year(connection, 2025, provider=Provider.ACCRED)

    [reason] = await reasons(engine, second.pipeline_id, provider="ACCRED")

    assert (reason["code"], reason["severity"]) == ("WAITING_FOR_LOCK", "NEUTRAL")
    assert reason["blockedBy"] == {"pipelineId": str(first.pipeline_id)}
    await work.execute("UPDATE data_ingestion_jobs SET created_at = created_at - interval '1 hour'")
    assert await codes(engine, second.pipeline_id, provider="ACCRED") == [("WAITING_FOR_LOCK", "WARNING")]


async def test_the_same_combination_blocks_without_a_lock(engine: AsyncEngine, work: Ledger):
    first, second = [await work.submit("noop", data_entry_type_id=10) for _ in range(2)]
    assert [job.id for job in await work.claim("pod", most=2)] == [first.job_id]
    async with engine.begin() as connection:
        await build.worker(connection, "pod")
        await build.year(connection, 2025, provider=Provider.ACCRED)

    [reason] = await reasons(engine, second.pipeline_id, provider="ACCRED")

    assert reason["code"] == "WAITING_FOR_LOCK"
    assert reason["blockedBy"] == {"pipelineId": str(first.pipeline_id)}


async def test_what_blocks_is_not_named_to_those_who_may_not_see_it(engine: AsyncEngine, work: Ledger):
    specific: dict[str, Any] = {
        "entity_type": EntityType.MODULE_UNIT_SPECIFIC,
        "unit_institutional_id": "A",
        "module_type_id": 4,
    }
    hidden, own = await work.submit(), await work.submit(**specific)
    foreign = await work.submit("unit_sync", provider="TEST", module_type_id=None)
    sync = await work.submit("unit_sync", module_type_id=None)
    claimed = {job.id for job in await work.claim("pod", most=5)}
    assert claimed == {hidden.job_id, foreign.job_id}
    async with engine.begin() as connection:
        await build.worker(connection, "pod")

    operator, principal = (
        await reasons(engine, own.pipeline_id, provider="ACCRED"),
        await reasons(engine, own.pipeline_id, "principal", unit="A", provider="ACCRED"),
    )
    [of_sync] = await reasons(engine, sync.pipeline_id, provider="ACCRED")

    assert (operator[-1]["code"], operator[-1]["blockedBy"]) == (
        "WAITING_FOR_LOCK",
        {"pipelineId": str(hidden.pipeline_id)},
    )
    assert [(reason["code"], reason["blockedBy"]) for reason in principal] == [("WAITING_FOR_WORKER", None)]
    assert (of_sync["code"], of_sync["blockedBy"]) == ("WAITING_FOR_LOCK", None)


async def test_who_is_no_operator_learns_nothing_of_the_workers(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "silent", silent=timedelta(hours=1))
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A"}
        pipeline_id = await build.pipeline(connection, **specific)
        await build.job(connection, pipeline_id)
        await build.job(connection, pipeline_id, state=JobState.RUNNING, locked_by="silent", locked_at=None)
        await build.settle(connection, pipeline_id)
    query = "query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { diagnosis { code worker { podId } } } }"

    answer = await Client(engine, "principal", unit="A").execute(query, id=str(pipeline_id))

    assert answer["data"]["pipeline"]["diagnosis"] == [
        {"code": "HEARTBEAT_LOST", "worker": None},
        {"code": "WAITING_FOR_WORKER", "worker": None},
    ]
    assert answer["extensions"]["redactions"] == [
        {"coordinate": "Diagnosis.worker", "permission": "backoffice.pipeline_operations:view", "count": 1}
    ]


async def test_a_lock_grows_stale_and_a_heartbeat_is_lost(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        await build.worker(connection, "lost", silent=timedelta(hours=1))
        stale, _ = await waiting(connection, state=JobState.RUNNING, locked_by="pod", locked_at=ago(minutes=5))
        lost, job_id = await waiting(connection, state=JobState.RUNNING, locked_by="lost", locked_at=ago(minutes=5))
        unregistered, _ = await waiting(connection, state=JobState.RUNNING, locked_by="gone", locked_at=None)

    assert await codes(engine, stale) == [("STALE_LOCK", "DANGER")]
    assert await codes(engine, unregistered) == [("STALE_LOCK", "DANGER")]
    [reason] = await reasons(engine, lost)
    assert (reason["code"], reason["severity"]) == ("HEARTBEAT_LOST", "DANGER")
    assert (reason["worker"], reason["job"]) == ({"podId": "lost"}, {"jobId": job_id})
    assert reason["since"] is not None


async def test_attempts_run_out(engine: AsyncEngine, work: Ledger):
    submitted = await work.submit("noop", max_attempts=1)
    await work.claim()
    await work.execute("UPDATE data_ingestion_jobs SET locked_at = NULL")
    worker = work.worker()
    await worker._recover()
    async with engine.begin() as connection:
        await build.year(connection, 2025, provider=Provider.ACCRED)
        waits = await build.pipeline(connection, provider=Provider.ACCRED)
        await build.job(connection, waits, provider=Provider.ACCRED, attempts=3)
        await build.settle(connection, waits)

    [given_up] = await reasons(engine, submitted.pipeline_id, provider="ACCRED")

    assert (given_up["code"], given_up["severity"]) == ("RETRIES_EXHAUSTED", "DANGER")
    assert given_up["message"] == "Its worker fell silent in attempt 1 of 1, so it was given up."
    assert await codes(engine, waits, provider="ACCRED") == [("RETRIES_EXHAUSTED", "DANGER")]


async def test_work_that_another_pipeline_took_over_is_found_there(engine: AsyncEngine, work: Ledger):
    first, second = await work.submit(), await work.submit()
    for _ in range(2):
        [parent] = await work.claim()
        await work.run(parent)
    async with engine.begin() as connection:
        await build.year(connection, 2025, provider=Provider.ACCRED)

    *waiting, reason = await reasons(engine, second.pipeline_id, provider="ACCRED")

    assert [(each["code"], each["severity"]) for each in waiting] == [("NO_LIVE_WORKER", "DANGER")]
    assert (reason["code"], reason["severity"]) == ("DEDUPLICATED", "NEUTRAL")
    assert reason["blockedBy"] == {"pipelineId": str(first.pipeline_id)}


@pytest.mark.parametrize(("state", "expected"), [("RUNNING", [("MIXED_WORKER_REVISIONS", "WARNING")]), ("FINISHED", [])])
async def test_mixed_revisions_concern_what_is_not_finished(engine: AsyncEngine, state: str, expected: list[Any]):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        await build.worker(connection, "stray", git_sha="other")
        held = {"state": state, "locked_by": "pod", "locked_at": datetime.now(UTC)}
        pipeline_id, _ = await waiting(connection, result=JobResult.SUCCESS if state == "FINISHED" else None, **held)

    assert await codes(engine, pipeline_id) == expected


async def test_a_year_without_its_unit_sync_explains_failures(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "pod")
        await build.year(connection, 2025, configuration_completed=None)
        failed = await build.run(connection, JobResult.ERROR)
        landed = await build.run(connection, JobResult.SUCCESS)
        sync = await build.pipeline(connection, kind=JobType.UNIT_SYNC)
        job = {"job_type": JobType.UNIT_SYNC, "state": JobState.RUNNING, "locked_by": "pod", "locked_at": datetime.now(UTC)}
        await build.job(connection, sync, **job)
        await build.settle(connection, sync)

    [year, other] = await reasons(engine, failed)
    assert (other["code"], other["message"]) == ("OTHER", "It failed: Job created")
    assert (year["remedy"], year["action"]) == (
        "Its unit sync is under way: wait until it has succeeded.",
        None,
    )
    assert (year["code"], year["severity"]) == ("YEAR_NOT_PROVISIONED", "WARNING")
    assert year["message"] == "The year 2025 is not ready: its unit sync has not succeeded."
    assert await codes(engine, landed) == await codes(engine, sync) == []


async def test_a_stored_status_that_its_jobs_contradict_is_out_of_date(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id = await build.run(connection, JobResult.SUCCESS)
        await connection.execute(update(models.Pipeline).values(status="RUNNING"))

    [reason] = await reasons(engine, pipeline_id)
    assert (reason["code"], reason["severity"]) == ("STATUS_OUT_OF_DATE", "WARNING")
    assert reason["message"] == "It is shown as RUNNING, but its jobs say SUCCESS."


async def test_an_orphan_has_no_pipeline(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        job_id = await build.job(connection, result=JobResult.SUCCESS)

    orphan = {"code": "ORPHAN_NO_PIPELINE", "severity": "NEUTRAL", "job": {"jobId": job_id}}
    assert await Client(engine, "operator").query(OF_JOB, id=job_id) == {"job": {"diagnosis": [orphan]}}
    query = "query ($id: Int!) { pipeline(by: { jobId: $id }) { diagnosis { code severity job { jobId } } } }"
    assert await Client(engine, "operator").query(query, id=job_id) == {"pipeline": {"diagnosis": [orphan]}}


@pytest.mark.parametrize(
    ("values", "lies"),
    [
        ({"result": JobResult.ERROR, "status_message": "Success", "meta": {"row_errors_count": 50072}}, True),
        ({"result": JobResult.SUCCESS, "meta": {"row_errors_count": 3, "inserted": 0}}, True),
        ({"result": JobResult.WARNING, "meta": {"row_errors_count": 3, "inserted": 2}}, False),
        ({"result": JobResult.SUCCESS, "meta": {"row_errors_count": 0, "inserted": 0}}, False),
    ],
)
async def test_f1_a_success_of_which_every_row_failed_is_none(engine: AsyncEngine, values: dict[str, Any], lies: bool):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id, _ = await waiting(connection, **values)

    assert await codes(engine, pipeline_id) == ([("SUCCESS_WITH_ALL_ROWS_FAILED", "DANGER")] if lies else [])


async def test_an_honest_failure_says_what_it_said(engine: AsyncEngine):
    message = "ERROR: 0 inserted, 50072 skipped — first error: no factor"
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        meta = {"row_errors_count": 50072, "inserted": 0}
        pipeline_id, _ = await waiting(connection, result=JobResult.ERROR, status_message=message, meta=meta)
        long, _ = await waiting(connection, result=JobResult.ERROR, status_message="x" * 400)

    [reason] = await reasons(engine, pipeline_id)
    assert (reason["code"], reason["severity"], reason["message"]) == (
        "ALL_ROWS_REJECTED",
        "DANGER",
        f"Every row was rejected: {message.removeprefix('ERROR: ')}",
    )
    assert (await reasons(engine, long))[0]["message"] == f"It failed: {'x' * 199}…"


async def test_totals_that_nobody_started_are_owed(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id = await build.pipeline(connection)
        for kind in (JobType.CSV_INGEST, JobType.EMISSION_RECALC):
            await build.job(connection, pipeline_id, job_type=kind, result=JobResult.SUCCESS)
        await build.settle(connection, pipeline_id, owes_aggregation=True)

    [reason] = await reasons(engine, pipeline_id)
    assert (reason["code"], reason["severity"]) == ("AGGREGATION_OWED", "WARNING")
    assert reason["message"] == "Everything has been recalculated, but nothing has started to compute the totals."


async def test_an_operator_stopped_it(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id, _ = await waiting(connection, result=JobResult.ERROR, meta={"aborted": True}, attempts=3)

    [reason] = await reasons(engine, pipeline_id)
    assert (reason["code"], reason["severity"], reason["message"]) == ("ABORTED", "WARNING", "An operator stopped it.")


async def test_the_worst_comes_first_and_the_same_is_said_once(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS)
        await build.job(connection, pipeline_id, run_after=datetime(2999, 1, 1, tzinfo=UTC), **RECALC, data_entry_type_id=10)
        for entry_type in (11, 12):
            failed = {"result": JobResult.ERROR, "status_message": "no factor", "data_entry_type_id": entry_type}
            await build.job(connection, pipeline_id, **failed, **RECALC)
        await build.settle(connection, pipeline_id)
        await connection.execute(update(models.Pipeline).values(status="SUCCESS"))

    assert await codes(engine, pipeline_id) == [
        *[("MISSING_FACTOR", "DANGER")] * 2,  # of two entry types, so there are two files to upload
        ("STATUS_OUT_OF_DATE", "WARNING"),
        ("SCHEDULED_LATER", "NEUTRAL"),
    ]


async def test_a_diagnosis_takes_one_statement_for_all_pipelines_and_one_for_all_jobs(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "pod")
        for _ in range(20):
            await waiting(connection)
        await connection.execute(insert(models.Job).values(entity_type="MODULE_PER_YEAR", job_type="csv_ingest"))
    query = """query ($first: Int) { pipelines(first: $first) { nodes {
      diagnosis { code } jobs { nodes { diagnosis { code job { jobId } worker { podId } blockedBy { id } } } }
    } } }"""

    counts: dict[int, int] = {}
    for first in (1, 5, 21):
        with statements(engine) as executed:
            await Client(engine, "operator").query(query, first=first)
        counts[first] = len(executed)

    assert counts == {1: 5, 5: 5, 21: 5}


async def test_the_facts_of_a_page_are_read_through_indexes(engine: AsyncEngine):
    async with engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO pipelines (provider, kind, status)
                    SELECT 'DEFAULT', 'csv_ingest', 'SUCCESS' FROM generate_series(1, 5000)""")
        )
        await connection.execute(
            text("""INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, state, result, year)
                    SELECT id, 'csv_ingest', 'MODULE_PER_YEAR', 'FINISHED', 'SUCCESS', 2025 FROM pipelines""")
        )
        pipeline_id, _ = await waiting(connection)
    executed: list[tuple[str, Any]] = []

    def record(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        executed.append((statement, parameters))

    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE pipelines, data_ingestion_jobs"))
        event.listen(engine.sync_engine, "before_cursor_execute", record)
        try:
            await reasons_by_pipeline(autocommit, viewer("operator"), [pipeline_id], served=Served())
        finally:
            event.remove(engine.sync_engine, "before_cursor_execute", record)
        [(statement, parameters)] = executed
        plan = "\n".join((await autocommit.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars())

    assert "Seq Scan on data_ingestion_jobs" not in plan
    assert "ix_data_ingestion_jobs_running" in plan
    assert "ix_data_ingestion_jobs_serves" in plan


async def test_of_thousands_of_jobs_the_worst_are_read_one_of_each_sort_first(engine: AsyncEngine):
    async with engine.begin() as connection:
        await live_worker_and_year(connection)
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS)
        await connection.execute(
            text("""INSERT INTO data_ingestion_jobs
                      (pipeline_id, provider, job_type, entity_type, state, result, year, failure_class, failure_fingerprint)
                    SELECT :id, 'DEFAULT', 'emission_recalc', 'MODULE_PER_YEAR', 'FINISHED', 'ERROR', 2025,
                      CASE WHEN n = 1000 THEN 'TIMEOUT' ELSE 'DEADLOCK' END, CASE WHEN n = 1000 THEN 'b' ELSE 'a' END
                    FROM generate_series(1, 1000) n"""),
            {"id": pipeline_id},
        )
        await build.settle(connection, pipeline_id)
        with fetched(engine) as rows:
            found = await reasons_by_pipeline(connection, viewer("operator"), [pipeline_id], served=Served())

    assert [(reason.code, reason.severity) for reason in found[pipeline_id]] == [("DEADLOCK", "DANGER"), ("TIMEOUT", "DANGER")]
    assert max(rows) == 50


def test_the_graph_has_every_code_and_every_action():
    assert {member.name for member in DiagnosisCode} == {code.name for code in Code}
    assert {member.name for member in DiagnosisAction} == {action.name for action in Action}
