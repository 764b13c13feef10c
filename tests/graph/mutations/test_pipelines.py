"""Aborting a pipeline and recovering a job, as a client asks for it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, JobState, Provider
from gql_server.graph.nodes import encode
from gql_server.worker.sweep import prune_keys
from tests import build
from tests.graphql import Client

PROBLEMS = """
  ... on Problem { code message retryable }
  ... on ForbiddenProblem { permission }
  ... on ConflictProblem { reason current { pipelineId status } currentJob { jobId state } }
  ... on InputProblem { coordinate }
"""
ABORT = f"""mutation ($input: AbortPipelineInput!) {{ abortPipeline(input: $input) {{
  __typename
  ... on AbortPipelinePayload {{ pipeline {{ pipelineId status isAborted }} abortedJobs {{ jobId result message }} }}
  {PROBLEMS}
}} }}"""
RECOVER = f"""mutation ($input: RecoverJobInput!) {{ recoverJob(input: $input) {{
  __typename ... on RecoverJobPayload {{ job {{ jobId state attempt }} }} {PROBLEMS}
}} }}"""


async def abort(client: Client, pipeline_id: UUID, **values: Any) -> dict[str, Any]:
    given = {"id": encode("Pipeline", pipeline_id), "reason": "bad file", **values}
    return (await client.query(ABORT, input=given))["abortPipeline"]


async def recover(client: Client, job_id: int, **values: Any) -> dict[str, Any]:
    return (await client.query(RECOVER, input={"id": encode("Job", job_id), **values}))["recoverJob"]


async def running(engine: AsyncEngine, **values: Any) -> UUID:
    async with engine.begin() as connection:
        return await build.run(connection, JobResult.SUCCESS, JobState.RUNNING, **values)


async def rows(engine: AsyncEngine, statement: str) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_w19_an_abort_ends_what_is_live_and_shows_it(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)

    result = await abort(Client(engine, "operator"), pipeline_id)

    [(job_id,)] = await rows(engine, "SELECT max(id) FROM data_ingestion_jobs")
    assert result == {
        "__typename": "AbortPipelinePayload",
        "pipeline": {"pipelineId": str(pipeline_id), "status": "PARTIAL", "isAborted": True},
        "abortedJobs": [{"jobId": job_id, "result": "ERROR", "message": "Aborted by operator@example.org"}],
    }


async def test_an_abort_is_in_the_audit_log(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)

    await abort(Client(engine, "operator"), pipeline_id)

    [(job_id,)] = await rows(engine, "SELECT max(id) FROM data_ingestion_jobs")
    [(provider, by, command, target, changes)] = await rows(
        engine, "SELECT provider, actor ->> 'email', command, target, changes FROM audit_log"
    )
    assert (provider, by, command, changes) == ("DEFAULT", "operator@example.org", "abort_pipeline", None)
    assert target == {"pipeline_id": str(pipeline_id), "job_ids": [job_id], "reason": "bad file"}


async def test_w19_an_abort_of_a_finished_pipeline_is_a_conflict_that_shows_it(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, JobResult.SUCCESS)

    assert await abort(Client(engine, "operator"), pipeline_id) == {
        "__typename": "ConflictProblem",
        "code": "CONFLICT",
        "message": "nothing of this pipeline is live",
        "retryable": False,
        "reason": "NOT_LIVE",
        "current": {"pipelineId": str(pipeline_id), "status": "SUCCESS"},
        "currentJob": None,
    }
    assert await rows(engine, "SELECT 1 FROM audit_log") == []


async def test_w19_what_does_not_exist_and_what_is_another_provider_s_is_not_found_alike(engine: AsyncEngine) -> None:
    theirs = await running(engine, provider=Provider.TEST)
    client = Client(engine, "operator")

    answers = [await abort(client, pipeline_id) for pipeline_id in (theirs, uuid4())]

    assert (
        answers
        == [{"__typename": "NotFoundProblem", "code": "NOT_FOUND", "message": "no such pipeline", "retryable": False}] * 2
    )
    assert await rows(engine, "SELECT state FROM data_ingestion_jobs ORDER BY id") == [("FINISHED",), ("RUNNING",)]


async def test_a_principal_may_not_abort_what_they_see_and_does_not_find_what_they_do_not(engine: AsyncEngine) -> None:
    specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    own = await running(engine, unit_institutional_id="10208", **specific)
    other = await running(engine, unit_institutional_id="20000", **specific)
    client = Client(engine, "principal", unit="10208")

    assert await abort(client, own) == {
        "__typename": "ForbiddenProblem",
        "code": "FORBIDDEN",
        "message": "you may not operate pipelines",
        "retryable": False,
        "permission": "backoffice.pipeline_operations:edit",
    }
    assert (await abort(client, other))["__typename"] == "NotFoundProblem"


@pytest.mark.parametrize(("values", "coordinate"), [
    ({"id": "nonsense"}, "AbortPipelineInput.id"),
    ({"id": encode("Job", 1)}, "AbortPipelineInput.id"),
    ({"reason": " "}, "AbortPipelineInput.reason"),
    ({"reason": "x" * 501}, "AbortPipelineInput.reason"),
])  # fmt: skip
async def test_a_refused_value_is_named_by_its_coordinate(engine: AsyncEngine, values: dict[str, Any], coordinate: str) -> None:
    result = await abort(Client(engine, "operator"), await running(engine), **values)

    assert (result["__typename"], result["coordinate"]) == ("InputProblem", coordinate)
    assert await rows(engine, "SELECT state FROM data_ingestion_jobs ORDER BY id") == [("FINISHED",), ("RUNNING",)]


async def test_an_abort_of_what_changed_since_it_was_read_is_a_conflict(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)
    client = Client(engine, "operator")
    query = "query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { updatedAt } }"
    read_at = (await client.query(query, id=str(pipeline_id)))["pipeline"]["updatedAt"]
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE pipelines SET updated_at = clock_timestamp()"))

    refused = await abort(client, pipeline_id, expectedUpdatedAt=read_at)
    assert (refused["reason"], refused["current"]) == ("CHANGED", {"pipelineId": str(pipeline_id), "status": "RUNNING"})
    assert await rows(engine, "SELECT state FROM data_ingestion_jobs ORDER BY id") == [("FINISHED",), ("RUNNING",)]

    read_at = (await client.query(query, id=str(pipeline_id)))["pipeline"]["updatedAt"]
    assert (await abort(client, pipeline_id, expectedUpdatedAt=read_at))["__typename"] == "AbortPipelinePayload"


async def test_a_job_without_a_pipeline_is_not_aborted(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        job_id = await build.job(connection)
    [(time_key,)] = await rows(engine, "SELECT time_key FROM data_ingestion_jobs")

    refused = await abort(Client(engine, "operator"), time_key)

    assert (refused["reason"], refused["currentJob"]) == ("NO_PIPELINE", {"jobId": job_id, "state": "NOT_STARTED"})


async def test_of_eight_aborts_at_once_one_aborts_and_the_others_are_conflicts(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)
    client = Client(engine, "operator")

    results = await asyncio.gather(*(abort(client, pipeline_id) for _ in range(8)))

    assert sorted(result.get("reason", "aborted") for result in results) == ["NOT_LIVE"] * 7 + ["aborted"]


async def test_one_key_aborts_once_and_answers_the_same_also_when_sent_at_once(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)
    client = Client(engine, "operator")
    key = str(uuid4())

    results = await asyncio.gather(*(abort(client, pipeline_id, idempotencyKey=key) for _ in range(8)))
    again = await abort(client, pipeline_id, idempotencyKey=key)

    assert again["__typename"] == "AbortPipelinePayload"
    assert len(again["abortedJobs"]) == 1
    assert results == [again] * 8
    assert await rows(engine, "SELECT command FROM audit_log") == [("abort_pipeline",)]


async def test_a_key_used_with_another_input_is_refused(engine: AsyncEngine) -> None:
    first, second = await running(engine), await running(engine)
    client = Client(engine, "operator")
    key = str(uuid4())
    await abort(client, first, idempotencyKey=key)

    refused = await abort(client, second, idempotencyKey=key)

    assert (refused["__typename"], refused["coordinate"]) == ("InputProblem", "AbortPipelineInput.idempotencyKey")
    assert (await rows(engine, f"SELECT status FROM pipelines WHERE id = '{second}'")) == [("RUNNING",)]


async def test_a_key_is_forgotten_after_a_day(engine: AsyncEngine) -> None:
    client = Client(engine, "operator")
    old, new = str(uuid4()), str(uuid4())
    for key in (old, new):
        await abort(client, await running(engine), idempotencyKey=key)
    async with engine.begin() as connection:
        past = "UPDATE idempotency_keys SET created_at = clock_timestamp() - interval '25 hours' WHERE key = :key"
        await connection.execute(text(past), {"key": old})

    assert await prune_keys(engine) == 1

    assert await rows(engine, "SELECT key::text FROM idempotency_keys") == [(new,)]


async def test_a_refusal_keeps_no_key_and_a_key_is_its_viewer_s_own(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, JobResult.SUCCESS)
    key = str(uuid4())
    assert (await abort(Client(engine, "operator"), pipeline_id, idempotencyKey=key))["reason"] == "NOT_LIVE"
    async with engine.begin() as connection:
        await build.job(connection, pipeline_id)

    assert (await abort(Client(engine, "operator"), pipeline_id, idempotencyKey=key))["__typename"] == "AbortPipelinePayload"
    assert (await abort(Client(engine, "superadmin"), pipeline_id, idempotencyKey=key))["reason"] == "NOT_LIVE"


async def test_w12_a_stale_job_is_requeued_and_a_fresh_one_is_a_conflict_that_shows_it(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)
    async with engine.begin() as connection:
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING, locked_by="w", attempts=2)
        await connection.execute(text("UPDATE data_ingestion_jobs SET locked_at = clock_timestamp()"))
    client = Client(engine, "operator")

    refused = await recover(client, job_id)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE data_ingestion_jobs SET locked_at = clock_timestamp() - interval '1 minute'"))
    recovered = await recover(client, job_id)
    async with engine.begin() as connection:
        await build.finish(connection, job_id)
    ended = await recover(client, job_id)

    assert (refused["reason"], refused["retryable"]) == ("NOT_STALE", True)
    assert (ended["reason"], ended["retryable"], ended["message"]) == ("ENDED", False, "the job has ended")
    assert refused["currentJob"] == {"jobId": job_id, "state": "RUNNING"}
    assert recovered == {
        "__typename": "RecoverJobPayload",
        "job": {"jobId": job_id, "state": "NOT_STARTED", "attempt": 0},
    }
    assert await rows(engine, "SELECT command, target ->> 'job_id' FROM audit_log") == [("recover_job", str(job_id))]


async def test_what_two_mutations_of_one_operation_show_is_what_each_left(engine: AsyncEngine) -> None:
    pipeline_id = await running(engine)
    id = encode("Pipeline", pipeline_id)
    operation = """mutation ($id: ID!) {
      first: abortPipeline(input: { id: $id, reason: "one" }) { ... on AbortPipelinePayload { pipeline { errorCount } } }
      second: abortPipeline(input: { id: $id, reason: "two" }) { ... on ConflictProblem { current { errorCount status } } }
    }"""

    answer = await Client(engine, "operator").query(operation, id=id)

    assert answer == {
        "first": {"pipeline": {"errorCount": 1}},
        "second": {"current": {"errorCount": 1, "status": "PARTIAL"}},
    }
