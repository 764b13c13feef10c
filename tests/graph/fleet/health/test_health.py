"""The one-look state of an installation, over real ledgers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import JobResult, JobState, JobType, Provider
from gql_server.feed.hub import Hub
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import SCHEMA, Client, context, viewer

HEALTH = """{ health {
  tone liveWorkers revisions oldestQueuedSeconds feedLagSeconds
  diagnosis { code severity message remedy job { jobId } worker { podId } }
  stuckJobs(first: 1) { nodes { jobId } pageInfo { hasNextPage } }
} }"""


async def health(engine: AsyncEngine, hub: Hub, role: str = "operator") -> dict[str, Any]:
    result = await SCHEMA.execute(HEALTH, context_value=context(engine, viewer(role), hub))
    assert result.errors is None
    assert result.data is not None
    return result.data["health"]


@pytest.fixture
async def hub(dsn: str):
    """A hub that follows the test's database."""
    hub = Hub(connect_arguments(dsn, "gql-server tests"), poll_seconds=0.05)
    following = asyncio.create_task(hub.run())
    await hub.connected.wait()
    yield hub
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_all_is_well(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        await build.worker(connection, "a")
        await build.worker(connection, "b")
        await build.worker(connection, "past", git_sha="old", silent=timedelta(hours=1))

    assert await health(engine, hub) == {
        "tone": "SUCCESS",
        "liveWorkers": 2,
        "revisions": ["abc123"],
        "oldestQueuedSeconds": None,
        "feedLagSeconds": 0.0,
        "diagnosis": [],
        "stuckJobs": {"nodes": [], "pageInfo": {"hasNextPage": False}},
    }


async def test_what_is_wrong_comes_worst_first(engine: AsyncEngine, hub: Hub):
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await build.worker(connection, "a", git_sha="aaa")
        await build.worker(connection, "b", git_sha="bbb")
        await build.worker(connection, "lost", silent=timedelta(hours=1))
        pipeline_id = await build.pipeline(connection)
        stuck = [
            await build.job(connection, pipeline_id, state=JobState.RUNNING, locked_by="lost", locked_at=now) for _ in range(2)
        ]
        queued = await build.job(connection, pipeline_id, created_at=now - timedelta(minutes=5))
        await build.job(connection, pipeline_id, created_at=now - timedelta(hours=1), run_after=now + timedelta(hours=1))
        await build.job(connection, pipeline_id, created_at=now - timedelta(hours=1), attempts=3)
        foreign = {"provider": Provider.TEST, "created_at": now - timedelta(days=1)}
        await build.job(connection, **foreign)
        await build.job(connection, **foreign, state=JobState.RUNNING, locked_by="lost")

    found = await health(engine, hub)

    assert [(reason["code"], reason["severity"]) for reason in found["diagnosis"]] == [
        ("STALE_LOCK", "DANGER"),
        ("MIXED_WORKER_REVISIONS", "WARNING"),
        ("WAITING_FOR_WORKER", "WARNING"),
    ]
    stale, mixed, waiting = found["diagnosis"]
    assert stale["message"] == "2 jobs are held by workers that have fallen silent."
    assert (stale["job"], stale["worker"]) == ({"jobId": stuck[0]}, {"podId": "lost"})
    assert mixed["message"] == "Workers of 2 different revisions are running."
    assert (waiting["message"], waiting["job"]) == ("A job has waited 5 min to start.", {"jobId": queued})
    assert (found["tone"], found["liveWorkers"], found["revisions"]) == ("DANGER", 2, ["aaa", "bbb"])
    assert 300 <= found["oldestQueuedSeconds"] < 330
    assert found["stuckJobs"] == {"nodes": [{"jobId": stuck[0]}], "pageInfo": {"hasNextPage": True}}


async def test_without_a_worker_nothing_starts(engine: AsyncEngine, hub: Hub):
    found = await health(engine, hub)

    assert (found["tone"], [reason["code"] for reason in found["diagnosis"]]) == ("DANGER", ["NO_LIVE_WORKER"])


async def test_the_lag_of_the_feed_is_the_age_of_the_oldest_event_it_has_not_read(engine: AsyncEngine, dsn: str):
    late = Hub(connect_arguments(dsn, "gql-server tests"))
    async with engine.begin() as connection:
        await build.worker(connection, "a")
        await build.run(connection, JobResult.SUCCESS)
    assert (await health(engine, late))["feedLagSeconds"] is None
    following = asyncio.create_task(late.run())
    await late.connected.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert (await health(engine, late))["feedLagSeconds"] == 0.0

    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE events SET at = at - interval '30 seconds' WHERE seq > :read"), {"read": late.sequence}
        )
    found = await health(engine, late)

    assert 30 <= found["feedLagSeconds"] < 40
    assert (found["tone"], [reason["code"] for reason in found["diagnosis"]]) == ("WARNING", ["OTHER"])


@pytest.mark.parametrize(("role", "unit"), [("principal", "A"), ("standard", None)])
async def test_health_is_for_operators(engine: AsyncEngine, role: str, unit: str | None):
    answer = await Client(engine, role, unit=unit).execute("{ health { tone } }")

    assert answer["data"] == {"health": None}
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [(["health"], "FORBIDDEN")]


async def test_r12_the_four_stale_situations_are_shown_as_modules_of_years(engine: AsyncEngine):
    now = datetime.now(UTC)
    aggregation = {"job_type": JobType.AGGREGATION, "year": 2025, "target_type": None}
    long_ago = {"created_at": now - timedelta(hours=3), "started_at": now - timedelta(hours=3)}
    async with engine.begin() as connection:
        await build.reports(connection, 1, 2, 3, 4, 5)
        await build.job(connection, module_type_id=1, result=JobResult.SUCCESS)
        await build.job(connection, module_type_id=2, **aggregation, created_at=now - timedelta(hours=3))
        await build.job(connection, module_type_id=3, **aggregation, result=JobResult.ERROR)
        old = {**long_ago, "finished_at": now - timedelta(hours=2)}
        await build.job(connection, module_type_id=4, **aggregation, result=JobResult.SUCCESS, **old)
        changed = {"finished_at": now - timedelta(minutes=90), "result": JobResult.SUCCESS}
        await build.job(connection, module_type_id=4, **changed)
        await build.job(connection, module_type_id=5, **aggregation, result=JobResult.WARNING)
    query = "query ($age: Int) { health { staleScopes(olderThanMinutes: $age) { year module { typeId } freshness } } }"

    with statements(engine) as executed:
        stale = (await Client(engine, "operator").query(query, age=60))["health"]["staleScopes"]

    assert [(scope["year"], scope["module"]["typeId"], scope["freshness"]) for scope in stale] == [
        (2025, 1, "NO_AGGREGATION_EVER"),
        (2025, 2, "PENDING_AGGREGATION_STUCK"),
        (2025, 3, "LAST_AGGREGATION_FAILED"),
        (2025, 4, "LAST_AGGREGATION_TOO_OLD"),
    ]
    assert len(executed) == 3
    assert await Client(engine, "operator").codes(query, age=0) == ["BAD_USER_INPUT"]
    assert (await Client(engine, "operator", provider="TEST").query(query, age=60))["health"]["staleScopes"] == []


async def test_r14_the_newest_aggregation_decides(engine: AsyncEngine):
    aggregation = {"job_type": JobType.AGGREGATION, "year": 2025, "target_type": None}
    async with engine.begin() as connection:
        await build.reports(connection, 1, 2)
        for module, results in {1: (JobResult.ERROR, JobResult.SUCCESS), 2: (JobResult.SUCCESS, JobResult.ERROR)}.items():
            for result in results:
                await build.job(connection, module_type_id=module, result=result, **aggregation)

    answer = await Client(engine, "operator").query("{ health { staleScopes { module { typeId } freshness } } }")

    assert answer["health"]["staleScopes"] == [{"module": {"typeId": 2}, "freshness": "LAST_AGGREGATION_FAILED"}]


async def test_a_server_that_is_not_notified_says_so(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        await build.worker(connection, "a")
    hub.is_deaf = True

    shown = await health(engine, hub)

    assert shown["tone"] == "WARNING"
    assert [(reason["code"], reason["message"]) for reason in shown["diagnosis"]] == [
        ("OTHER", "This server is not notified of changes, so it looks for them several times a second.")
    ]
