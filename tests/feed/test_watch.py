"""Values that are pushed when they change: the alert strip, health, the progress of a job."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import JobResult, JobState
from gql_server.feed.hub import Hub
from gql_server.graph.feed import subscriptions
from gql_server.http.live import LiveOperations, Operation, OperationRefused
from gql_server.ledger.leases import UNREGISTERED_LEASE
from tests import build
from tests.graphql import endpoint, viewer

STRIP = "subscription { facets(keys: [STATUS], throttleMs: 0) { key values { value count { value precision } } } }"
ALERTS = "subscription { facets(keys: [ALERT], throttleMs: 0) { key values { value count { value precision } } } }"
HEALTH = "subscription { health(throttleMs: 0) { liveWorkers } }"
JOB = """subscription ($id: Int!) { jobProgress(by: { jobId: $id }, throttleMs: 0) {
  job { state rowProgress { processed total } } } }"""


@pytest.fixture
async def operations(engine: AsyncEngine, dsn: str) -> AsyncIterator[LiveOperations]:
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    task = asyncio.create_task(hub.run())
    async with asyncio.timeout(60):
        await hub.connected.wait()
    yield endpoint(engine, hub).live
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Frames:
    """Frames that a client is sent."""

    def __init__(self, operations: LiveOperations, query: str, role: str = "operator", **variables: Any) -> None:
        self.frames = operations.frames(Operation(query, variables, None), viewer(role))

    async def next(self) -> Any:
        async with asyncio.timeout(60):
            return json.loads((await anext(self.frames)).payload)

    async def ended(self) -> bool:
        async with asyncio.timeout(60):
            return await anext(self.frames, None) is None


def _strip(answer: Any) -> dict[str, int]:
    [facet] = answer["data"]["facets"]
    return {value["value"]: count for value in facet["values"] if (count := value["count"]["value"])}


async def test_the_alert_strip_is_pushed_when_a_count_changes_and_only_then(engine: AsyncEngine, operations: LiveOperations):
    async with engine.begin() as connection:
        key = await build.run(connection, JobResult.SUCCESS, JobState.RUNNING)
    strip = Frames(operations, STRIP)
    async with aclosing(strip.frames):
        first = _strip(await strip.next())
        async with engine.begin() as connection:
            await build.job(connection, key, state=JobState.RUNNING)
            await build.notify(connection)
        await asyncio.sleep(0.3)
        async with engine.begin() as connection:
            await build.run(connection, JobResult.ERROR)
            await build.notify(connection)
        second = _strip(await strip.next())

    assert (first, second) == ({"RUNNING": 1}, {"RUNNING": 1, "FAILED": 1})


async def test_the_alert_strip_counts_a_job_as_stuck_though_nothing_happens(
    engine: AsyncEngine, operations: LiveOperations, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subscriptions, "STUCK_SECONDS", 0.2)
    async with engine.begin() as connection:
        key, now = await build.pipeline(connection), datetime.now(UTC)
        job_id = await build.job(
            connection, key, state=JobState.RUNNING, locked_by="nobody", locked_at=now + timedelta(hours=1)
        )
        await build.settle(connection, key)
    strip = Frames(operations, ALERTS)
    async with aclosing(strip.frames):
        first = _strip(await strip.next())
        async with engine.begin() as connection:
            await build.change(connection, job_id, locked_at=now - UNREGISTERED_LEASE)
        second = _strip(await strip.next())

    assert (first, second) == ({"RUNNING": 1}, {"RUNNING": 1, "STUCK": 1})


async def test_a_job_is_followed_row_by_row_to_its_end(engine: AsyncEngine, operations: LiveOperations):
    async with engine.begin() as connection:
        key = await build.pipeline(connection)
        job_id = await build.job(connection, key, state=JobState.RUNNING)
    job = Frames(operations, JOB, id=job_id)
    async with aclosing(job.frames):
        begun = await job.next()
        async with engine.begin() as connection:
            await build.change(connection, job_id, meta={"progress": {"phase": "parsing", "processed": 7, "total": 9}})
            await build.notify(connection)
        counted = await job.next()
        async with engine.begin() as connection:
            await build.finish(connection, job_id)
            await build.notify(connection)
        end = await job.next()
        ended = await job.ended()

    shown = [each["data"]["jobProgress"]["job"] for each in (begun, counted, end)]
    assert shown[0] == {"state": "RUNNING", "rowProgress": None}
    assert shown[1] == {"state": "RUNNING", "rowProgress": {"processed": 7, "total": 9}}
    assert shown[2]["state"] == "FINISHED"
    assert ended


async def test_a_job_that_goes_out_of_sight_ends_the_stream(engine: AsyncEngine, operations: LiveOperations):
    async with engine.begin() as connection:
        key = await build.pipeline(connection)
        job_id = await build.job(connection, key, state=JobState.RUNNING)
    job = Frames(operations, JOB, id=job_id)
    async with aclosing(job.frames):
        begun = await job.next()
        async with engine.begin() as connection:
            # a provider never changes, so nobody is told of that alone
            await build.change(connection, job_id, provider="TEST", status_message="moved")
            await build.notify(connection)
        ended = await job.ended()

    assert (begun["data"]["jobProgress"]["job"]["state"], ended) == ("RUNNING", True)


async def test_an_unknown_job_completes_at_once(operations: LiveOperations):
    assert await Frames(operations, JOB, id=4711).ended()


async def test_health_is_shown_to_operators_and_refused_to_others(operations: LiveOperations):
    shown, refused = Frames(operations, HEALTH), Frames(operations, HEALTH, "standard")
    async with aclosing(shown.frames):
        health = await shown.next()
    with pytest.raises(OperationRefused) as refusal:
        await refused.next()

    assert health == {"data": {"health": {"liveWorkers": 0}}}
    assert [(error.extensions or {})["code"] for error in refusal.value.errors] == ["FORBIDDEN"]


async def test_the_alert_strip_counts_what_is_older_than_thousands_of_successes(
    engine: AsyncEngine, operations: LiveOperations
):
    async with engine.begin() as connection:
        await build.run(connection, JobState.RUNNING)
        await connection.execute(
            text("""INSERT INTO pipelines (provider, kind, status)
                    SELECT 'DEFAULT', 'csv_ingest', 'SUCCESS' FROM generate_series(1, 2500)""")
        )
    strip = Frames(operations, STRIP)
    async with aclosing(strip.frames):
        first = await strip.next()
        async with engine.begin() as connection:
            await build.run(connection, JobResult.ERROR)
            await build.notify(connection)
        second = _strip(await strip.next())

    [facet] = first["data"]["facets"]
    assert [(value["value"], *value["count"].values()) for value in facet["values"]] == [
        ("SUCCESS", 2_500, "EXACT"),
        ("RUNNING", 1, "EXACT"),
    ]
    assert second == {"SUCCESS": 2_500, "RUNNING": 1, "FAILED": 1}
