"""Aborting by filter, in two steps."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState, Provider
from gql_server.graph.mutations import bulk
from tests import build
from tests.graph.mutations.conftest import PROBLEM, rows
from tests.graphql import Client

OPERATION = f"""mutation ($input: AbortPipelinesInput!) {{ abortPipelines(input: $input) {{
  __typename
  ... on BulkPreview {{ count sample {{ pipelineId }} previewToken expiresAt }}
  ... on BulkOutcome {{
    succeeded {{ pipelineId status isAborted }}
    refused {{ pipeline {{ pipelineId status }} problem {{ code message ... on ConflictProblem {{ reason }} }} }}
  }}
  {PROBLEM}
}} }}"""


async def send(client: Client, **input: Any) -> dict[str, Any]:
    given = {"filter": {"years": [2025]}, "reason": "bad factors", **input}
    return (await client.query(OPERATION, input=given))["abortPipelines"]


async def confirm(client: Client, preview: dict[str, Any], **input: Any) -> dict[str, Any]:
    return await send(client, dryRun=False, previewToken=preview["previewToken"], **input)


async def running(engine: AsyncEngine, **values: Any) -> str:
    async with engine.begin() as connection:
        return str(await build.run(connection, JobState.RUNNING, **values))


async def finish(engine: AsyncEngine, pipeline_id: str) -> None:
    async with engine.begin() as connection:
        [(job_id,)] = await rows(
            engine, "SELECT id FROM data_ingestion_jobs WHERE pipeline_id = CAST(:id AS uuid)", id=pipeline_id
        )
        await build.finish(connection, job_id)
        await build.settle(connection, UUID(pipeline_id))


async def test_a_preview_touches_nothing_and_its_token_aborts_what_it_showed(engine: AsyncEngine) -> None:
    live = [await running(engine) for _ in range(3)]
    await running(engine, year=2024)
    await running(engine, provider=Provider.TEST)
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
        await build.job(connection, state=JobState.RUNNING)
    client = Client(engine, "operator")

    preview = await send(client)
    assert (preview["count"], [row["pipelineId"] for row in preview["sample"]]) == (3, live[::-1])
    left = datetime.fromisoformat(preview["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    assert await rows(engine, "SELECT DISTINCT status FROM pipelines WHERE aborted_at IS NOT NULL") == []

    outcome = await confirm(client, preview)
    assert outcome == {
        "__typename": "BulkOutcome",
        "succeeded": [{"pipelineId": id, "status": "FAILED", "isAborted": True} for id in live[::-1]],
        "refused": [],
    }
    assert await rows(engine, "SELECT count(*) FROM pipelines WHERE status = 'RUNNING'") == [(2,)]
    assert await rows(engine, "SELECT count(*) FROM data_ingestion_jobs WHERE meta ->> 'abort_reason' = 'bad factors'") == [
        (3,)
    ]


async def test_a_set_that_grew_is_a_conflict_and_one_that_shrank_is_not(engine: AsyncEngine) -> None:
    first, second = await running(engine), await running(engine)
    client = Client(engine, "operator")
    preview = await send(client)

    third = await running(engine)
    grown = await confirm(client, preview)
    assert (grown["reason"], grown["current"]) == ("SET_GREW", {"pipelineId": third, "status": "RUNNING"})
    assert await rows(engine, "SELECT count(*) FROM pipelines WHERE aborted_at IS NOT NULL") == [(0,)]

    await finish(engine, third)
    await finish(engine, second)
    shrunk = await confirm(client, preview)
    assert [row["pipelineId"] for row in shrunk["succeeded"]] == [first]


async def test_a_token_is_bound_to_its_viewer_and_filter_and_ends(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    await running(engine)
    client = Client(engine, "operator")
    preview = await send(client)
    token = preview["previewToken"]

    refused = [
        await send(client, dryRun=False),
        await send(client, dryRun=False, previewToken="nonsense"),
        await send(client, dryRun=False, previewToken=token[:-2] + ("AA" if token[-2:] != "AA" else "BB")),
        await confirm(Client(engine, "superadmin"), preview),
        await confirm(client, preview, filter={"years": [2025], "hasErrors": False}),
    ]
    monkeypatch.setattr(bulk, "PREVIEW_HOLDS", timedelta(seconds=-1))
    refused.append(await confirm(client, await send(client)))

    assert [result["__typename"] for result in refused] == ["InputProblem"] * 6
    assert {result["coordinate"] for result in refused} == {"AbortPipelinesInput.previewToken"}
    assert await rows(engine, "SELECT status FROM pipelines") == [("RUNNING",)]


async def test_more_than_max_are_refused_and_so_is_a_max_above_a_page(engine: AsyncEngine) -> None:
    for _ in range(3):
        await running(engine)
    client = Client(engine, "operator")

    refused = [await send(client, max=number) for number in (2, 0, 201)]

    assert [result["coordinate"] for result in refused] == ["AbortPipelinesInput.max"] * 3
    assert refused[0]["message"] == "more than 2 unfinished pipelines match: narrow the filter, or raise max"
    assert (await send(client, max=3))["count"] == 3


@pytest.mark.parametrize("filter", [{"isActive": False}, {"isOrphan": True}, {"years": []}])
async def test_what_is_not_an_unfinished_pipeline_is_never_meant(engine: AsyncEngine, filter: dict[str, Any]) -> None:
    await running(engine)
    client = Client(engine, "operator")

    preview = await send(client, filter=filter)

    assert preview["count"] == 0
    assert await confirm(client, preview, filter=filter) == {"__typename": "BulkOutcome", "succeeded": [], "refused": []}


async def test_only_who_operates_previews_and_aborts(engine: AsyncEngine) -> None:
    await running(engine)
    client = Client(engine, "principal", unit="10208")

    refused = [await send(client), await send(client, dryRun=False, previewToken="x")]

    assert [result["permission"] for result in refused] == ["backoffice.pipeline_operations:edit"] * 2


async def test_what_ends_in_between_is_refused_and_the_others_are_aborted(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = [await running(engine) for _ in range(3)]
    client = Client(engine, "operator")
    preview = await send(client)
    abort = bulk.abort_pipelines

    async def after_the_look(*arguments: Any) -> Any:
        await finish(engine, live[1])
        return await abort(*arguments)

    monkeypatch.setattr(bulk, "abort_pipelines", after_the_look)
    outcome = await confirm(client, preview)

    assert [row["pipelineId"] for row in outcome["succeeded"]] == [live[2], live[0]]
    assert outcome["refused"] == [
        {
            "pipeline": {"pipelineId": live[1], "status": "SUCCESS"},
            "problem": {"code": "CONFLICT", "message": "nothing of this pipeline is live", "reason": "NOT_LIVE"},
        }
    ]


async def test_one_key_aborts_once_and_answers_the_same_also_when_sent_at_once(engine: AsyncEngine) -> None:
    live = [await running(engine) for _ in range(2)]
    client = Client(engine, "operator")
    preview = await send(client)
    key = str(uuid4())

    results = await asyncio.gather(*(confirm(client, preview, idempotencyKey=key) for _ in range(6)))

    assert results == [results[0]] * 6
    assert [row["pipelineId"] for row in results[0]["succeeded"]] == live[::-1]
    assert await rows(engine, "SELECT count(*) FROM audit_log") == [(2,)]
