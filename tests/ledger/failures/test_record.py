"""Failures as the ledger keeps them. Its rules are tested with tests/failures."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import Row

from gql_server import ledger
from gql_server.commands.pipelines import OPERATIONS_EDIT, abort_pipeline
from gql_server.db import models
from gql_server.db.models import JobResult, Provider
from gql_server.ledger.failures import record as failure_records
from gql_server.policy import OPERATIONS_VIEW, Viewer
from gql_server.worker import ClaimedJob, JobError, Outcome, RejectedRow, fleet
from tests import build
from tests.graph.test_queries import statements
from tests.ledger.conftest import Ledger


async def groups(work: Ledger) -> list[Row[Any]]:
    async with work.engine.connect() as connection:
        return list((await connection.execute(select(models.FailureGroup.__table__))).all())


async def run_with(work: Ledger, handler: Any) -> Row[Any]:
    work.behaviours["noop"] = handler
    submitted = await work.submit("noop")
    await work.drain()
    return await work.job(submitted.job_id)


async def test_an_unexpected_error_is_classified_as_the_job_ends(work: Ledger):
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        await work.execute("INSERT INTO pods (pod_id) VALUES ('taken')")
        await connection.execute(insert(models.Pod).values(pod_id="taken"))
        return Outcome()

    row = await run_with(work, handler)

    assert (row.failure_class, row.meta["sqlstate"]) == ("CONSTRAINT", "23505")
    [group] = await groups(work)
    assert (group.provider, group.fingerprint, group.failure_class, group.job_type) == (
        "ACCRED",
        row.failure_fingerprint,
        "CONSTRAINT",
        "noop",
    )
    assert (group.title, group.cause) == (
        "A constraint was violated",
        'duplicate key value violates unique constraint "pk_pods"',
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(result=JobResult.ERROR, message="0 of 1", row_errors=[RejectedRow(1, "bad")]), "ALL_ROWS_REJECTED"),
        (Outcome(result=JobResult.WARNING, message="1 of 2", row_errors=[RejectedRow(1, "bad")]), "SOME_ROWS_REJECTED"),
        (JobError("missing column name"), "VALIDATION"),
        (TimeoutError("the provider did not answer"), "UPSTREAM_API"),
        (RuntimeError("what is this?"), "UNCLASSIFIED"),
    ],
    ids=str,
)
async def test_every_way_to_fail_is_classified(work: Ledger, outcome: Any, expected: str):
    async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    row = await run_with(work, handler)

    assert row.failure_class == expected
    assert [group.fingerprint for group in await groups(work)] == [row.failure_fingerprint]


async def test_a_job_that_succeeds_writes_nothing_of_failures_and_one_that_fails_a_statement(work: Ledger):
    async def taken(outcome: Outcome) -> list[str]:
        submitted = await work.submit("noop")
        [job] = await work.claim()
        async with work.engine.begin() as connection:
            with statements(work.engine) as executed:
                assert await ledger.finish(connection, "w1", job, outcome)
        assert (await work.job(submitted.job_id)).result == outcome.result
        return executed

    assert len(await taken(Outcome())) == 1
    assert await groups(work) == []
    assert len(await taken(Outcome(result=JobResult.ERROR, message="no"))) == 2


async def test_a_worker_that_lost_the_job_names_no_group(work: Ledger):
    await work.submit("noop")
    [job] = await work.claim()
    await work.execute("UPDATE data_ingestion_jobs SET locked_by = 'thief'")

    async with work.engine.begin() as connection:
        assert not await ledger.finish(connection, "w1", job, Outcome(result=JobResult.ERROR, message="no"))

    assert await groups(work) == []


async def test_f10_a_job_given_up_has_lost_its_workers(work: Ledger):
    submitted = await work.submit("noop", max_attempts=1)
    requeued = await work.submit("noop", module_type_id=5)
    await work.claim(most=2)
    await work.execute("UPDATE data_ingestion_jobs SET locked_at = now() - interval '1 hour'")

    async with work.engine.begin() as connection:
        await ledger.recover(connection)

    given_up, again = await work.job(submitted.job_id), await work.job(requeued.job_id)
    assert (given_up.failure_class, given_up.meta["given_up"]) == ("WORKER_LOST", True)
    assert (again.failure_class, "given_up" in again.meta) == (None, False)


async def test_f12_an_abort_classifies_the_jobs_it_ends_and_no_other(work: Ledger):
    submitted = await work.submit()
    [root] = await work.claim()
    await work.run(root)
    operator = Viewer("ada", Provider.ACCRED.value, frozenset({OPERATIONS_VIEW, OPERATIONS_EDIT}))

    async with work.engine.begin() as connection:
        await abort_pipeline(connection, work.registry, operator, submitted.pipeline_id)

    assert [row.failure_class for row in await work.jobs()] == [None, "ABORTED", "ABORTED", "ABORTED"]
    assert len(await groups(work)) == 1


async def test_the_sweep_classifies_what_others_ended(work: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(failure_records, "BATCH_JOBS", 4)
    rows = [{"row": 1, "reason": "unknown unit"}]
    async with work.engine.begin() as connection:
        for index in range(6):
            await build.job(connection, result=JobResult.ERROR, status_message=f"deadlock detected\nDETAIL:  Process {index}")
        await build.job(connection, result=JobResult.ERROR, status_message="Success", meta={"stats": {"row_errors": rows}})
        await build.job(connection, result=JobResult.WARNING, meta={"row_errors_count": 1, "row_errors": rows})
        await build.job(connection, result=JobResult.ERROR, status_message=None, meta={"row_errors": "?", "stats": [1]})
        await build.job(connection, result=JobResult.SUCCESS)
        await build.job(connection)

    assert await failure_records.record_left_over(work.engine) == 9
    assert await failure_records.record_left_over(work.engine) == 0
    assert [row.failure_class for row in await work.jobs()] == [
        *["DEADLOCK"] * 6,
        "ALL_ROWS_REJECTED",
        "SOME_ROWS_REJECTED",
        "UNCLASSIFIED",
        None,
        None,
    ]
    assert sorted(group.cause for group in await groups(work)) == ["", "", "unknown unit", "unknown unit"]


async def test_a_revision_is_remembered_from_its_first_worker_on(work: Ledger):
    pace = {"interval": timedelta(seconds=5), "lease": timedelta(seconds=10)}
    await fleet.beat(work.engine, "w1", git_sha=None, version=None, **pace)
    await fleet.beat(work.engine, "w1", git_sha="abc", version="1", **pace)
    async with work.engine.connect() as connection:
        [first] = (await connection.execute(select(models.Revision.__table__))).all()
    await fleet.beat(work.engine, "w2", git_sha="abc", version="1", **pace)
    await fleet.leave(work.engine, "w2")

    async with work.engine.connect() as connection:
        assert (await connection.execute(select(models.Revision.__table__))).all() == [first]
    assert first.revision == "abc"
