"""Aborting by filter, in two steps."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from gql_server.commands import bulk as bulk_commands
from gql_server.db.models import JobResult, JobState, Provider
from gql_server.graph.mutations import bulk
from gql_server.graph.nodes import encode
from tests import build
from tests.graph.mutations.conftest import PROBLEM, rows
from tests.graphql import Client, context, subscribed, viewer

OPERATION = f"""mutation ($input: AbortPipelinesInput!) {{ abortPipelines(input: $input) {{
  __typename
  ... on BulkPreview {{ bulkId count sample {{ pipelineId }} previewToken expiresAt }}
  ... on BulkOutcome {{
    succeeded {{ pipelineId status isAborted }}
    refused {{ pipeline {{ pipelineId status }} problem {{ code message ... on ConflictProblem {{ reason }} }} }}
    progress {{ count done succeeded refused }}
  }}
  {PROBLEM}
}} }}"""


async def send(client: Client, **input: Any) -> dict[str, Any]:
    given = {"filter": {"years": [2025]}, "reason": "bad factors", **input}
    return (await client.query(OPERATION, input=given))["abortPipelines"]


async def confirm(client: Client, preview: dict[str, Any], **input: Any) -> dict[str, Any]:
    return (await client.query(OPERATION, input=confirmation(preview, **input)))["abortPipelines"]


def confirmation(preview: dict[str, Any], **input: Any) -> dict[str, Any]:
    return {
        "filter": {"years": [2025]},
        "reason": "bad factors",
        "dryRun": False,
        "previewToken": preview["previewToken"],
        **input,
    }


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
        "progress": {"count": 3, "done": 3, "succeeded": 3, "refused": 0},
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


async def test_more_than_max_are_refused_with_a_max_that_is_not(engine: AsyncEngine) -> None:
    for _ in range(3):
        await running(engine)
    client = Client(engine, "operator")

    refused = [await send(client, max=number) for number in (2, 0, 10_001)]

    assert [result["coordinate"] for result in refused] == ["AbortPipelinesInput.max"] * 3
    assert refused[0]["message"] == "3 unfinished pipelines match: narrow the filter, or set max to 3"
    assert (await send(client, max=3))["count"] == 3


@pytest.mark.parametrize("filter", [{"isActive": False}, {"isOrphan": True}, {"years": []}])
async def test_what_is_not_an_unfinished_pipeline_is_never_meant(engine: AsyncEngine, filter: dict[str, Any]) -> None:
    await running(engine)
    client = Client(engine, "operator")

    preview = await send(client, filter=filter)

    assert preview["count"] == 0
    assert await confirm(client, preview, filter=filter) == {
        "__typename": "BulkOutcome",
        "succeeded": [],
        "refused": [],
        "progress": {"count": 0, "done": 0, "succeeded": 0, "refused": 0},
    }


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
    begin = bulk.begin_abort

    async def after_the_look(*arguments: Any) -> Any:
        await finish(engine, live[1])
        return await begin(*arguments)

    monkeypatch.setattr(bulk, "begin_abort", after_the_look)
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


PROGRESS = "bulkId count done succeeded refused startedAt finishedAt"


async def many(engine: AsyncEngine, number: int) -> None:
    """Waiting uploads."""
    async with engine.begin() as connection:
        await connection.execute(
            text("""
              WITH p AS (
                INSERT INTO pipelines (provider, kind, entity_type, ingestion_method, module_type_id, year, job_count)
                SELECT 'DEFAULT', 'csv_ingest', 'MODULE_PER_YEAR', 'csv', 4, 2025, 1 FROM generate_series(1, :number)
                RETURNING id
              )
              INSERT INTO data_ingestion_jobs
                (pipeline_id, job_type, provider, entity_type, ingestion_method, target_type, module_type_id, year)
              SELECT id, 'csv_ingest', 'DEFAULT', 'MODULE_PER_YEAR', 'csv', 'DATA_ENTRIES', 4, 2025 FROM p"""),
            {"number": number},
        )


async def progress(client: Client, preview: dict[str, Any]) -> dict[str, Any]:
    query = f"query ($id: UUID!) {{ abortProgress(bulkId: $id) {{ {PROGRESS} }} }}"
    return (await client.query(query, id=preview["bulkId"]))["abortProgress"]


async def test_thousands_are_aborted_by_one_preview_and_one_call(engine: AsyncEngine) -> None:
    await many(engine, 2_345)
    client = Client(engine, "operator")

    too_many = await send(client)
    preview = await send(client, max=2_345)
    outcome = await confirm(client, preview, max=2_345)

    assert too_many["message"] == "2345 unfinished pipelines match: narrow the filter, or set max to 2345"
    assert (preview["count"], len(preview["sample"])) == (2_345, 10)
    assert (len(outcome["succeeded"]), outcome["refused"]) == (200, [])
    counts = {"count": 2_345, "done": 2_345, "succeeded": 2_345, "refused": 0}
    assert {name: outcome["progress"][name] for name in counts} == counts
    assert await rows(engine, "SELECT status, aborted_at IS NULL, count(*) FROM pipelines GROUP BY 1, 2") == [
        ("FAILED", False, 2_345)
    ]
    assert await rows(engine, "SELECT count(DISTINCT target ->> 'pipeline_id') FROM audit_log") == [(2_345,)]


async def test_more_than_may_be_aborted_at_once_are_not_told_to_raise_max(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "ABORTED_MAX", 5)
    await many(engine, 6)
    client = Client(engine, "operator")

    refused = [await send(client, max=number) for number in (2, 5)]

    assert {result["message"] for result in refused} == {"more than 5 unfinished pipelines match: narrow the filter"}


async def test_an_abort_that_was_interrupted_goes_on_where_it_was(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    await many(engine, 250)
    client = Client(engine, "operator")
    preview = await send(client, max=250)
    assert (await progress(client, preview))["startedAt"] is None
    step = bulk_commands._step
    steps = 0

    async def interrupted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise RuntimeError("the process ends")
        return await step(*arguments)

    monkeypatch.setattr(bulk_commands, "_step", interrupted)
    assert "errors" in await client.execute(OPERATION, input=confirmation(preview, max=250))
    monkeypatch.setattr(bulk, "PREVIEW_HOLDS", timedelta(seconds=-1))
    half = await progress(client, preview)
    late = str((await rows(engine, "SELECT max(id::text) FROM pipelines"))[0][0])
    await running(engine)

    outcome = await confirm(client, preview, max=250)

    assert (half["done"], half["succeeded"], half["finishedAt"]) == (100, 100, None)
    assert (outcome["progress"]["succeeded"], outcome["refused"]) == (250, [])
    assert late in {row["pipelineId"] for row in outcome["succeeded"]}
    assert await rows(engine, "SELECT count(*) FROM pipelines WHERE aborted_at IS NULL") == [(1,)]
    assert await rows(engine, "SELECT count(*) FROM audit_log") == [(250,)]


async def test_operators_follow_an_abort_to_its_end_and_nobody_else_does(engine: AsyncEngine) -> None:
    await many(engine, 250)
    preview = await send(Client(engine, "operator"), max=250)
    subscription = f"subscription ($id: UUID!) {{ abortProgress(bulkId: $id, throttleMs: 0) {{ {PROGRESS} }} }}"
    seen: list[dict[str, Any]] = []

    async def follow() -> None:
        async with subscribed(context(engine, viewer("superadmin")), subscription, id=preview["bulkId"]) as results:
            async for result in results:
                seen.append(result.data["abortProgress"])

    async with asyncio.timeout(60):
        following = asyncio.create_task(follow())
        while not seen:
            await asyncio.sleep(0)
        await confirm(Client(engine, "operator"), preview, max=250)
        await following

    assert (seen[0]["done"], seen[-1]["done"], seen[-1]["finishedAt"] is None) == (0, 250, False)
    assert [each["done"] for each in seen] == sorted(each["done"] for each in seen)
    assert await progress(Client(engine, "principal", unit="10208"), preview) is None
    assert await progress(Client(engine, "operator", provider="TEST"), preview) is None


async def test_two_who_confirm_the_same_preview_share_its_steps(engine: AsyncEngine) -> None:
    await many(engine, 450)
    client = Client(engine, "operator")
    preview = await send(client, max=450)

    results = await asyncio.gather(*(confirm(client, preview, max=450) for _ in range(2)))

    assert results[0] == results[1]
    assert results[0]["progress"]["succeeded"] == 450
    assert await rows(engine, "SELECT count(*) FROM audit_log") == [(450,)]


async def test_an_abort_that_takes_long_goes_on_behind_its_answer(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_commands, "WAITS_SECONDS", 0)
    await many(engine, 250)
    client = Client(engine, "operator")
    preview = await send(client, max=250)

    outcome = await confirm(client, preview, max=250)
    async with asyncio.timeout(60):
        while (await progress(client, preview))["finishedAt"] is None:
            await asyncio.sleep(0.01)

    assert outcome["progress"]["done"] < 250
    assert (await progress(client, preview))["succeeded"] == 250
    assert await rows(engine, "SELECT count(*) FROM pipelines WHERE aborted_at IS NULL") == [(0,)]


async def test_slow_aborts_hold_up_no_other_and_no_connection(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [await running(engine, year=2025) for _ in range(3)]
    quick = await running(engine, year=2026)
    client, step, may_go_on = Client(engine, "operator"), bulk_commands._step, asyncio.Event()
    previews = [await send(client, filter={"ids": [encode("Pipeline", each)]}) for each in slow]
    of_quick = await send(client, filter={"years": [2026]})
    slow_ids = {preview["bulkId"] for preview in previews}

    async def waiting(*arguments: Any) -> Any:
        if str(arguments[3]) in slow_ids and not may_go_on.is_set():
            await asyncio.sleep(0.05)
            return {"is_left": True, "aborted_job_ids": []}
        return await step(*arguments)

    monkeypatch.setattr(bulk_commands, "_step", waiting)
    confirmations = [
        asyncio.create_task(confirm(client, preview, filter={"ids": [encode("Pipeline", each)]}))
        for preview, each in zip(previews, slow, strict=True)
    ]
    async with asyncio.timeout(60):
        while await rows(engine, "SELECT count(*) FROM bulk_aborts WHERE started_at IS NOT NULL") != [(3,)]:
            await asyncio.sleep(0.01)
        outcome = await confirm(client, of_quick, filter={"years": [2026]})
        may_go_on.set()
        outcomes = await asyncio.gather(*confirmations)

    assert [row["pipelineId"] for row in outcome["succeeded"]] == [quick]
    assert [row["pipelineId"] for each in outcomes for row in each["succeeded"]] == slow


async def test_an_abort_that_fails_behind_its_answer_is_logged_and_can_be_sent_again(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many(engine, 3)
    client = Client(engine, "operator")
    preview = await send(client, max=250)
    step, may_go_on = bulk_commands._step, asyncio.Event()

    async def failing(*arguments: Any) -> Any:
        await may_go_on.wait()
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(bulk_commands, "_step", failing)
    monkeypatch.setattr(bulk_commands, "WAITS_SECONDS", 0)
    with capture_logs() as logs:
        await confirm(client, preview, max=250)
        may_go_on.set()
        async with asyncio.timeout(20):
            while not logs:
                await asyncio.sleep(0.01)
    monkeypatch.undo()
    assert step is bulk_commands._step
    outcome = await confirm(client, preview, max=250)

    [told] = [entry for entry in logs if entry["event"] == "bulk_abort.failed"]
    assert (told["log_level"], told["error"]) == ("error", "the disk is full")
    assert outcome["progress"]["succeeded"] == 3
