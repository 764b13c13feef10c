import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import connect_arguments
from gql_server.db.models import EntityType, JobResult, JobState, JobType
from gql_server.feed import queries
from gql_server.feed.follow import PipelineSource
from gql_server.feed.hub import Hub
from gql_server.feed.session import Session, run_session
from gql_server.feed.tokens import Position
from gql_server.reads.pipelines.queries import pipelines_by_key
from tests import build
from tests.graphql import context, opened, sealed, subscribed, subscriber_count, viewer

FOLLOW = """subscription ($id: UUID!, $throttle: Int) { pipeline(by: { pipelineId: $id }, throttleMs: $throttle) {
  token at
  ... on PipelineChanged {
    changed changedJobs { jobId state result }
    pipeline { status isTerminal jobCount message jobs { nodes { jobId state } } feedToken }
  }
} }"""

KILL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    task = asyncio.create_task(hub.run())
    async with asyncio.timeout(60):
        await hub.connected.wait()
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _next(results: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(60):
        result = await anext(results)
    assert result.errors is None
    return result.data["pipeline"]


async def _ended(results: AsyncIterator[Any]) -> bool:
    async with asyncio.timeout(60):
        return await anext(results, None) is None


async def test_a_pipeline_is_followed_from_its_present_state_to_its_end(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        root = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id), throttle=0) as results:
        snapshot = await _next(results)
        async with engine.begin() as connection:
            await build.finish(connection, root, status_message="Success")
            child = await build.job(connection, pipeline_id, job_type=JobType.AGGREGATION)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        fanned_out = await _next(results)
        async with engine.begin() as connection:
            await build.finish(connection, child, JobResult.ERROR, status_message="deadlock")
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        end = await _next(results)
        ended = await _ended(results)

    assert (snapshot["changed"], snapshot["changedJobs"]) == ([], [])
    assert snapshot["pipeline"]["status"] == "RUNNING"
    assert snapshot["pipeline"]["jobs"]["nodes"] == [{"jobId": root, "state": "RUNNING"}]
    assert set(fanned_out["changed"]) == {"Pipeline.jobCount", "Pipeline.progress"}
    assert fanned_out["changedJobs"] == [
        {"jobId": root, "state": "FINISHED", "result": "SUCCESS"},
        {"jobId": child, "state": "NOT_STARTED", "result": None},
    ]
    assert fanned_out["pipeline"]["jobs"]["nodes"] == [
        {"jobId": root, "state": "FINISHED"},
        {"jobId": child, "state": "NOT_STARTED"},
    ]
    assert {"Pipeline.status", "Pipeline.errorCount", "Pipeline.isTerminal"} < set(end["changed"])
    assert (end["pipeline"]["status"], end["pipeline"]["message"]) == ("PARTIAL", "deadlock")
    assert end["changedJobs"] == [{"jobId": child, "state": "FINISHED", "result": "ERROR"}]
    assert ended
    tokens = [opened(event["token"]) for event in (snapshot, fanned_out, end)]
    assert tokens == sorted(set(tokens))
    assert [tokens[0], tokens[-1]] == [opened(event["pipeline"]["feedToken"]) for event in (snapshot, end)]
    assert subscriber_count(hub) == 0


async def test_a_pipeline_that_has_ended_is_shown_once(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, JobResult.SUCCESS)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id)) as results:
        snapshot = await _next(results)

        assert snapshot["pipeline"]["isTerminal"] is True
        assert await _ended(results)


async def test_an_unknown_or_invisible_pipeline_completes_without_an_event(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, unit_institutional_id="B", entity_type=EntityType.MODULE_UNIT_SPECIFIC)

    for id, who in (
        (str(pipeline_id), viewer("principal", "A")),
        ("0190a000-0000-7000-8000-000000000000", viewer("superadmin")),
    ):
        async with subscribed(context(engine, who, hub), FOLLOW, id=id) as results:
            assert await _ended(results)
    assert subscriber_count(hub) == 0


async def test_a_pipeline_that_goes_out_of_sight_ends_the_stream(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, unit_institutional_id="A", entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        job_id = await build.job(connection, pipeline_id)

    async with subscribed(context(engine, viewer("principal", "A"), hub), FOLLOW, id=str(pipeline_id), throttle=0) as results:
        await _next(results)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE pipelines SET unit_institutional_id = 'B'"))
            await build.change(connection, job_id, status_message="moved")
            await build.notify(connection)

        assert await _ended(results)


async def test_changes_within_the_throttle_are_one_event_and_the_end_is_not_dropped(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id), throttle=300) as results:
        await _next(results)
        following = asyncio.ensure_future(_next(results))
        for percent in range(10):
            async with engine.begin() as connection:
                await build.change(connection, job_id, status_message=f"{percent} %")
                await build.notify(connection)
        async with engine.begin() as connection:
            await build.finish(connection, job_id, status_message="Success")
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        event = await following

        assert (event["pipeline"]["status"], event["pipeline"]["message"]) == ("SUCCESS", "Success")
        assert await _ended(results)


async def test_every_changed_job_is_named_by_one_message_whenever_it_is_heard_of(engine: AsyncEngine, hub: Hub):
    """Two jobs change before a reading, which hears of one of them, and the last one while that reading waits its turn."""
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        jobs = [await build.job(connection, pipeline_id, state=JobState.RUNNING) for _ in range(3)]
        untouched = await build.job(connection, pipeline_id, result=JobResult.SUCCESS)
        await build.settle(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id), throttle=0) as results:
        await _next(results)
        async with engine.begin() as connection:
            await build.change(connection, jobs[1], status_message="silently")
        async with engine.begin() as connection:
            await build.change(connection, jobs[0], status_message="aloud")
            await build.notify(connection)
        first = await _next(results)
        async with hub.subscribe(pipeline_id) as delivered:
            async with engine.begin() as connection:
                await build.finish(connection, jobs[0])
                await build.finish(connection, jobs[1])
                await build.settle(connection, pipeline_id)
                await build.notify(connection)
            await anext(delivered)
        async with engine.begin() as connection:
            await build.finish(connection, jobs[2])
            await build.settle(connection, pipeline_id)
        end = await _next(results)
        assert await _ended(results)

    assert [job["jobId"] for job in first["changedJobs"]] == jobs[:2]
    assert end["pipeline"]["status"] == "SUCCESS"
    assert [job["jobId"] for job in end["changedJobs"]] == jobs
    assert untouched not in jobs


async def test_what_changed_while_the_feed_was_away_is_named(engine: AsyncEngine, dsn: str):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        before, after = [await build.job(connection, pipeline_id, state=JobState.RUNNING) for _ in range(2)]
        await build.settle(connection, pipeline_id)
    away = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)

    async with subscribed(context(engine, viewer("operator"), away), FOLLOW, id=str(pipeline_id), throttle=0) as results:
        await _next(results)
        async with engine.begin() as connection:
            for job_id in (before, after):
                await build.finish(connection, job_id)
            await build.settle(connection, pipeline_id)
        task = asyncio.create_task(away.run())
        end = await _next(results)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert end["pipeline"]["status"] == "SUCCESS"
    assert [job["jobId"] for job in end["changedJobs"]] == [before, after]


async def test_a_change_while_the_snapshot_is_read_is_not_missed(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
    reader = context(engine, viewer("operator"), hub)

    async def read() -> Any:
        """The row; whoever reads it while it runs is overtaken by its end."""
        reader.renew()
        row = await reader.load(pipelines_by_key, pipeline_id)
        if not row.is_terminal:
            async with engine.begin() as connection:
                await build.finish(connection, job_id)
                await build.settle(connection, pipeline_id)
                await build.notify(connection)
        return row

    async def yes(_: Position) -> bool:
        return True

    source = PipelineSource(hub, pipeline_id, read, is_resumable=yes, has_changed=yes, throttle_seconds=0)
    async with asyncio.timeout(60):
        readings: list[Any] = [reading async for reading in run_session(Session(), source, None, sealed)]

    assert [reading.row.status for reading in readings] == ["RUNNING", "SUCCESS"]


async def test_what_the_snapshot_shows_is_not_sent_again(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id), throttle=0) as results:
        await _next(results)
        async with hub.subscribe(pipeline_id) as delivered, engine.begin() as connection:
            await build.notify(connection)
            await connection.commit()
            await anext(delivered)
        async with engine.begin() as connection:
            await build.finish(connection, job_id)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)

        assert (await _next(results))["pipeline"]["status"] == "SUCCESS"
        assert await _ended(results)


async def test_a_client_that_leaves_leaves_nothing_behind(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id)) as results:
        await _next(results)
        waiting = asyncio.ensure_future(anext(results))
        await asyncio.sleep(0)
        assert subscriber_count(hub) == 1
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

    assert subscriber_count(hub) == 0


async def test_a_subscription_outlives_a_restart_of_the_database_connections(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=str(pipeline_id), throttle=0) as results:
        await _next(results)
        async with engine.begin() as connection:
            await connection.execute(text(KILL))
            await build.finish(connection, job_id)
            await build.settle(connection, pipeline_id)

        assert (await _next(results))["pipeline"]["status"] == "SUCCESS"
        assert await _ended(results)


@pytest.mark.parametrize("throttle", [-1, 60_001])
async def test_a_throttle_out_of_range_is_refused(engine: AsyncEngine, hub: Hub, throttle: int):
    some = "0190a000-0000-7000-8000-000000000000"

    async with subscribed(context(engine, viewer("operator"), hub), FOLLOW, id=some, throttle=throttle) as results:
        result = await anext(results)

    assert result.errors[0].extensions["code"] == "BAD_USER_INPUT"


RESUME = """subscription ($id: UUID!, $after: FeedToken) { pipeline(by: { pipelineId: $id }, after: $after, throttleMs: 0) {
  __typename token
  ... on PipelineChanged { changed changedJobs { jobId } pipeline { status } }
  ... on FeedReset { resetReason }
  ... on FeedHeartbeat { lagSeconds }
} }"""


async def _token(engine: AsyncEngine) -> str:
    """The position of the feed now."""
    async with engine.connect() as connection:
        return sealed(await queries.now(connection))


async def test_a_resumed_stream_tells_what_happened_meanwhile_once(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        first = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        second = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
    after = await _token(engine)
    async with engine.begin() as connection:
        await build.finish(connection, first)
        await build.settle(connection, pipeline_id)

    reader = context(engine, viewer("operator"), hub)
    async with subscribed(reader, RESUME, id=str(pipeline_id), after=after) as results:
        missed = await _next(results)
        async with engine.begin() as connection:
            await build.finish(connection, second)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        end = await _next(results)

    assert (missed["__typename"], missed["pipeline"]["status"]) == ("PipelineChanged", "RUNNING")
    assert [job["jobId"] for job in missed["changedJobs"]] == [first]
    assert {"Pipeline.status", "Pipeline.errorCount", "Pipeline.progress"} < set(missed["changed"])
    assert (end["pipeline"]["status"], [job["jobId"] for job in end["changedJobs"]]) == ("SUCCESS", [second])


async def test_a_stream_resumed_where_nothing_happened_says_nothing_until_something_does(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
        other = await build.pipeline(connection)
    after = await _token(engine)
    async with engine.begin() as connection:
        await build.job(connection, other)

    reader = context(engine, viewer("operator"), hub)
    async with subscribed(reader, RESUME, id=str(pipeline_id), after=after) as results:
        following = asyncio.ensure_future(_next(results))
        await asyncio.sleep(0.2)
        assert not following.done()
        async with engine.begin() as connection:
            await build.finish(connection, job_id)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)

        assert (await following)["pipeline"]["status"] == "SUCCESS"


async def test_a_pipeline_that_ended_before_the_token_completes_without_an_event(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, JobResult.SUCCESS)

    reader = context(engine, viewer("operator"), hub)
    async with subscribed(reader, RESUME, id=str(pipeline_id), after=await _token(engine)) as results:
        assert await _ended(results)


GONE = {"pruned": "DELETE FROM events WHERE seq <= :seq", "earlier": "DELETE FROM events WHERE seq = :seq"}
"""Statements after which the events from a token on are no longer all there."""


@pytest.mark.parametrize("case", ["pruned", "earlier", "restored"])
async def test_a_token_whose_history_is_gone_resets_the_stream(engine: AsyncEngine, hub: Hub, case: str):
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, JobResult.SUCCESS)
    old = opened(await _token(engine))
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)
    if case in GONE:
        async with engine.begin() as connection:
            await connection.execute(text(GONE[case]), {"seq": old.sequence})
    token = sealed(old if case in GONE else Position("elsewhere.1", old.sequence))

    async with subscribed(context(engine, viewer("operator"), hub), RESUME, id=str(pipeline_id), after=token) as results:
        reset, present = await _next(results), await _next(results)

        assert await _ended(results)
    expected = "TOKEN_EXPIRED" if case in GONE else "SERVER_RESTART"
    assert (reset["__typename"], reset["resetReason"]) == ("FeedReset", expected)
    assert (present["__typename"], present["pipeline"]["status"]) == ("PipelineChanged", "SUCCESS")


async def test_a_stream_whose_history_goes_while_it_is_followed_resets_and_shows_what_is(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    async with subscribed(context(engine, viewer("operator"), hub), RESUME, id=str(pipeline_id)) as results:
        await _next(results)
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM events"))
            await build.finish(connection, job_id)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        reset, present = await _next(results), await _next(results)

        assert await _ended(results)
    assert (reset["__typename"], reset["resetReason"]) == ("FeedReset", "TOKEN_EXPIRED")
    assert (present["__typename"], present["pipeline"]["status"]) == ("PipelineChanged", "SUCCESS")


async def test_a_quiet_stream_says_that_it_is_alive_and_goes_on(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)
    reader = context(engine, viewer("operator"), hub)
    reader.session.heartbeat_seconds = 0.05

    async with subscribed(reader, RESUME, id=str(pipeline_id)) as results:
        snapshot, heartbeat = await _next(results), await _next(results)
        async with engine.begin() as connection:
            await build.finish(connection, job_id)
            await build.settle(connection, pipeline_id)
            await build.notify(connection)
        while (end := await _next(results))["__typename"] == "FeedHeartbeat":
            pass

    assert heartbeat["__typename"] == "FeedHeartbeat"
    assert (end["__typename"], end["pipeline"]["status"]) == ("PipelineChanged", "SUCCESS")
    assert opened(heartbeat["token"]) == opened(snapshot["token"])
    assert 0 <= heartbeat["lagSeconds"] < 60
