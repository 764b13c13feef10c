"""Workers and the jobs they hold, as operators see them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, JobState, Pod, Provider
from gql_server.graph.nodes import encode
from gql_server.worker import fleet
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

WORKERS = """query ($liveOnly: Boolean!) {
  workers(liveOnly: $liveOnly) { podId gitSha isLive claimedJobs(first: 2) { nodes { jobId } pageInfo { hasNextPage } } }
}"""
RUNNING = {"state": JobState.RUNNING}


def held_by(pod_id: str, **values: Any) -> dict[str, Any]:
    return {**RUNNING, "locked_by": pod_id, "locked_at": datetime.now(UTC), **values}


async def test_r16_a_worker_is_live_within_twice_the_interval_it_beats_at(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "fresh", silent=timedelta(seconds=59))
        await build.worker(connection, "late", silent=timedelta(seconds=61))
        await build.worker(connection, "quick", silent=timedelta(seconds=11), heartbeat_interval=timedelta(seconds=5))
    client = Client(engine, "operator")

    every = (await client.query(WORKERS, liveOnly=False))["workers"]
    live = (await client.query(WORKERS, liveOnly=True))["workers"]

    assert {worker["podId"]: worker["isLive"] for worker in every} == {"fresh": True, "late": False, "quick": False}
    assert [worker["podId"] for worker in live] == ["fresh"]


async def test_r16_workers_show_their_revisions_and_the_running_jobs_they_hold(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "busy", git_sha="aaa")
        await build.worker(connection, "idle", git_sha="bbb")
        pipeline_id = await build.pipeline(connection)
        held = [await build.job(connection, pipeline_id, **held_by("busy")) for _ in range(3)]
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS, locked_by="idle")
        await build.job(connection, provider=Provider.TEST, **held_by("idle"))

    with statements(engine) as executed:
        busy, idle = (await Client(engine, "operator").query(WORKERS, liveOnly=True))["workers"]

    assert busy == {
        "podId": "busy",
        "gitSha": "aaa",
        "isLive": True,
        "claimedJobs": {"nodes": [{"jobId": held[0]}, {"jobId": held[1]}], "pageInfo": {"hasNextPage": True}},
    }
    assert (idle["gitSha"], idle["claimedJobs"]["nodes"]) == ("bbb", [])
    assert len(executed) == 2


async def test_the_revision_of_a_worker_that_names_none_is_its_version(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "named", git_sha="aaa", app_version="1")
        await build.worker(connection, "nameless", git_sha=None, app_version="1")

    found = await Client(engine, "superadmin").query("{ workers { gitSha } health { revisions diagnosis { code } } }")

    assert found["workers"] == [{"gitSha": "aaa"}, {"gitSha": "1"}]
    assert found["health"]["revisions"] == ["1", "aaa"]
    assert {"code": "MIXED_WORKER_REVISIONS"} in found["health"]["diagnosis"]


@pytest.mark.parametrize(("role", "unit"), [("principal", "10208"), ("standard", None)])
async def test_who_is_no_operator_gets_an_error_at_the_path_and_finds_no_worker(
    engine: AsyncEngine, role: str, unit: str | None
):
    async with engine.begin() as connection:
        await build.worker(connection, "pod")
    client = Client(engine, role, unit=unit)

    answer = await client.execute("{ workers { podId } viewer { id } }")

    assert answer["data"] == {"workers": None, "viewer": {"id": answer["data"]["viewer"]["id"]}}
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["workers"], "FORBIDDEN")
    assert error["extensions"]["permission"] == "backoffice.pipeline_operations:view"
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await client.query(node, id=encode("Worker", "pod")))["node"] is None
    assert (await Client(engine, "operator").query(node, id=encode("Worker", "pod")))["node"] is not None


async def test_the_worker_of_a_job_is_for_operators(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.worker(connection, "pod")
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A"}
        pipeline_id = await build.pipeline(connection, **specific)
        job_id = await build.job(connection, pipeline_id, **held_by("pod"))
        waiting = await build.job(connection, pipeline_id)
        left = await build.job(connection, pipeline_id, **held_by("gone"))
        requeued = await build.job(connection, pipeline_id, claimed_by="pod")
    query = "query ($id: Int!) { job(by: { jobId: $id }) { worker { podId } isStuck } }"

    operator, principal = Client(engine, "operator"), Client(engine, "principal", unit="A")

    assert await operator.query(query, id=job_id) == {"job": {"worker": {"podId": "pod"}, "isStuck": False}}
    assert await operator.execute(query, id=waiting) == {"data": {"job": {"worker": None, "isStuck": False}}}
    assert await operator.query(query, id=requeued) == {"job": {"worker": {"podId": "pod"}, "isStuck": False}}
    assert await operator.query(query, id=left) == {"job": {"worker": None, "isStuck": False}}
    redacted = await principal.execute(query, id=job_id)
    assert redacted["data"] == {"job": {"worker": None, "isStuck": False}}
    assert redacted["extensions"]["redactions"] == [
        {"coordinate": "Job.worker", "permission": "backoffice.pipeline_operations:view", "count": 1}
    ]


async def test_a_job_is_stuck_when_its_lock_is_too_old_or_its_worker_is_lost(engine: AsyncEngine):
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await build.worker(connection, "patient", lease=timedelta(seconds=600))
        await build.worker(connection, "lost", silent=timedelta(seconds=90), lease=timedelta(seconds=600))
        pipeline_id = await build.pipeline(connection)
        minute_ago = now - timedelta(seconds=60)
        expected = {
            await build.job(connection, pipeline_id, **held_by("patient", locked_at=minute_ago)): False,
            await build.job(connection, pipeline_id, **held_by("patient", locked_at=now - timedelta(seconds=601))): True,
            await build.job(connection, pipeline_id, **held_by("patient", locked_at=None)): True,
            await build.job(connection, pipeline_id, **held_by("lost")): True,
            await build.job(connection, pipeline_id, **held_by("unregistered", locked_at=minute_ago)): True,
            await build.job(connection, pipeline_id, **held_by("unregistered")): False,
            await build.job(connection, pipeline_id, result=JobResult.ERROR, locked_by="lost"): False,
            await build.job(connection, pipeline_id): False,
            await build.job(connection, pipeline_id, state=None): False,
        }

    jobs = (await Client(engine, "operator").query("{ pipelines { nodes { jobs { nodes { jobId isStuck } } } } }"))["pipelines"]

    [pipeline] = jobs["nodes"]
    assert {job["jobId"]: job["isStuck"] for job in pipeline["jobs"]["nodes"]} == expected


async def test_a_beat_keeps_the_start_and_renews_the_rest(engine: AsyncEngine):
    async with engine.begin() as connection:
        booted = datetime(2025, 1, 1, tzinfo=UTC)
        await build.worker(connection, "pod", started_at=booted, silent=timedelta(hours=1))

    interval, lease = timedelta(seconds=7), timedelta(seconds=21)
    await fleet.beat(engine, "pod", git_sha="new", version="2", interval=interval, lease=lease)

    async with engine.connect() as connection:
        row = (await connection.execute(select(Pod.__table__))).one()
    assert (row.git_sha, row.app_version, row.started_at) == ("new", "2", booted)
    assert (row.heartbeat_interval, row.lease) == (interval, lease)
    assert datetime.now(UTC) - row.last_heartbeat_at < timedelta(minutes=1)
