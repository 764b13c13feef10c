import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from gql_server.db import connect_arguments
from gql_server.feed.hub import Change, Hub, HubSubscription
from gql_server.feed.tokens import Position
from tests import build
from tests.graphql import subscriber_count

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hub'"


@asynccontextmanager
async def running(hub: Hub) -> AsyncGenerator[Hub, None]:
    """The hub, connected."""
    task = asyncio.create_task(hub.run())
    try:
        async with asyncio.timeout(10):
            await hub.connected.wait()
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    """A hub that hears only what it is told: its poll is too slow to help."""
    async with running(Hub(connect_arguments(dsn, "hub"), poll_seconds=60)) as hub:
        yield hub


async def _next(changes: Any, seconds: float = 5) -> Change:
    async with asyncio.timeout(seconds):
        return await anext(changes)


async def _told(changes: Any, newest: int) -> Change:
    """The change that tells of that event. The hub's test of its hearing may have told of those before it alone."""
    while (change := await _next(changes)).sequence < newest:
        pass
    return change


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def _newest(engine: AsyncEngine, key: UUID) -> int:
    """Number of the newest event of that pipeline."""
    async with engine.connect() as connection:
        return (
            await connection.execute(text("SELECT max(seq) FROM events WHERE pipeline_key = :key"), {"key": key})
        ).scalar_one()


async def test_a_change_of_the_pipeline_wakes_its_subscriber(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.notify(connection)
    created = await _newest(engine, pipeline_id)
    await _until(lambda: hub.sequence == created)
    async with hub.subscribe(pipeline_id) as changes:
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
            await build.notify(connection)

        newest = await _newest(engine, pipeline_id)
        assert await _told(changes, newest) == Change(newest)


async def test_changes_that_pile_up_are_one(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        other = await build.pipeline(connection)
    async with hub.subscribe(pipeline_id) as changes, hub.subscribe(other) as others:
        for _ in range(3):
            async with engine.begin() as connection:
                await build.job(connection, pipeline_id)
        async with engine.begin() as connection:
            await build.job(connection, other)
            await build.notify(connection)

        for each, key in ((others, other), (changes, pipeline_id)):
            newest = await _newest(engine, key)
            assert await _told(each, newest) == Change(newest)
        with pytest.raises(TimeoutError):
            await _next(changes, 0.05)


async def test_the_poll_finds_what_nobody_notified(engine: AsyncEngine, dsn: str):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
    async with running(Hub(connect_arguments(dsn, "hub"), poll_seconds=0.05)) as hub, hub.subscribe(pipeline_id) as changes:
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
        newest = await _newest(engine, pipeline_id)

        await _told(changes, newest)


async def test_an_orphan_is_followed_under_its_own_key(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        job_id = await build.job(connection)
        key = await connection.scalar(text("SELECT time_key FROM data_ingestion_jobs"))
    async with hub.subscribe(key) as changes:
        async with engine.begin() as connection:
            await build.finish(connection, job_id)
            await build.notify(connection)

        newest = await _newest(engine, key)
        assert await _told(changes, newest) == Change(newest)


async def test_events_come_in_commit_order_though_their_writers_overlap(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        slow, quick = [await build.pipeline(connection) for _ in range(2)]
    async with hub.subscribe(slow) as of_slow, hub.subscribe(quick) as of_quick:
        async with engine.begin() as long:
            await build.job(long, slow)
            async with engine.begin() as connection:
                await build.job(connection, quick)
                await build.notify(connection)
            first = await _next(of_quick)
            await build.notify(long)
        second = await _next(of_slow)
        while second.sequence < first.sequence:
            second = await _next(of_slow)

    assert second.sequence > first.sequence


async def test_nothing_is_lost_while_the_connection_is_away(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
    async with hub.subscribe(pipeline_id) as changes:
        async with engine.begin() as connection:
            await connection.execute(text(KILL))
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
        newest = await _newest(engine, pipeline_id)

        await _told(changes, newest)


async def test_subscribers_that_came_before_the_connection_are_woken_by_it(engine: AsyncEngine, dsn: str):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    async with hub.subscribe(pipeline_id) as changes:
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
        async with running(hub):
            change = await _next(changes)

    assert change.is_gap


async def test_a_feed_that_begins_anew_is_followed_from_its_beginning(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id)
        await build.notify(connection)
    async with hub.subscribe(pipeline_id) as changes:
        async with engine.begin() as connection:
            await connection.execute(text("TRUNCATE events"))
            await connection.execute(text("ALTER SEQUENCE events_seq RESTART"))
            await connection.execute(text(KILL))
        while not (await _next(changes)).is_gap:
            pass
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
            await build.notify(connection)

        assert (await _next(changes)).is_gap  # in an empty feed it has no place
        assert hub.sequence == await _newest(engine, pipeline_id)


async def test_a_feed_that_goes_on_from_an_earlier_point_is_a_gap(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
    async with hub.subscribe(pipeline_id) as changes:
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
            await build.notify(connection)
        seen = await _told(changes, await _newest(engine, pipeline_id))
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM events WHERE seq = :seq"), {"seq": seen.sequence})
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
            await build.notify(connection)

        assert await _next(changes) == Change(await _newest(engine, pipeline_id), is_gap=True)


async def test_a_heartbeat_says_up_to_where_nothing_happened_to_what_is_followed(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        key, other = [await build.pipeline(connection) for _ in range(2)]
    async with hub.subscribe(key) as followed, hub.subscribe(other) as others:
        async with engine.begin() as connection:
            await build.notify(connection)
        await _next(followed)
        await _next(others)
        seen = hub.position
        assert seen is not None
        async with engine.begin() as connection:
            await build.job(connection, other)
            await build.notify(connection)
        last = (await _next(others)).sequence
        quiet = hub.heartbeat(seen, followed).position
        followed.nudge()

        assert (quiet, hub.position) == (Position(seen.epoch, last), Position(seen.epoch, last))
        assert hub.heartbeat(seen, followed).position == seen


async def test_who_leaves_is_forgotten(hub: Hub, engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)

    async with hub.subscribe(pipeline_id), hub.subscribe(pipeline_id):
        assert subscriber_count(hub) == 2

    assert subscriber_count(hub) == 0


async def test_a_hub_without_a_database_keeps_trying(tmp_path: Any):
    hub = Hub({"dsn": f"postgresql:///nothing?host={tmp_path}", "timeout": 1}, back_off_max_seconds=0.01)
    task = asyncio.create_task(hub.run())

    await asyncio.wait({task}, timeout=0.3)

    assert not task.done()
    assert not hub.connected.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_listener_that_hears_nothing_polls_and_says_so(engine: AsyncEngine, dsn: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gql_server.feed.hub.CHANNEL", "nobody_is_notified_here")
    monkeypatch.setattr("gql_server.feed.hub.DEADLINE_SECONDS", 0.2)
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    monkeypatch.setattr(hub, "_heard", lambda *_: None)
    async with running(hub), hub.subscribe(pipeline_id) as changes:
        await _until(lambda: hub.is_deaf)
        async with engine.begin() as connection:
            await build.job(connection, pipeline_id)
        newest = await _newest(engine, pipeline_id)

        await _told(changes, newest)


NO_ROOM = """CREATE FUNCTION broken.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'too many notifications in the NOTIFY queue' USING ERRCODE = 'program_limit_exceeded'; END $$"""


async def test_a_hub_for_which_the_queue_is_full_polls_until_it_hears_itself_again(
    engine: AsyncEngine, dsn: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.feed.hub.DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr("gql_server.feed.hub.SELF_TEST_EVERY_SECONDS", 0)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA broken"))
        await connection.execute(text(NO_ROOM))
    arguments = connect_arguments(dsn, "hub", {"search_path": "broken, pg_catalog, public"})
    with capture_logs() as logs:
        async with running(Hub(arguments, poll_seconds=60)) as hub:
            await _until(lambda: hub.is_deaf)
            async with engine.begin() as connection:
                await connection.execute(text("DROP SCHEMA broken CASCADE"))
            await _until(lambda: not hub.is_deaf)

    said = [entry["event"] for entry in logs if entry["event"] != "feed.cannot_notify"]
    assert said == ["feed.deaf", "feed.hears_again"]
    assert "too many notifications" in logs[0]["error"]


class Failing:
    """A listener that fails when it is told to look."""

    channel = "gql_credentials"
    asked = 0

    def heard(self, payload: str) -> None: ...

    async def check(self, connection: object) -> None:
        self.asked += 1
        if self.asked == 2:
            raise RuntimeError("a mistake of ours")


async def test_the_feed_goes_on_when_a_listener_fails(engine: AsyncEngine, dsn: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gql_server.feed.hub.CHECK_EVERY_SECONDS", 0.0)
    listener = Failing()
    async with running(Hub(connect_arguments(dsn, "hub"), poll_seconds=0.05, listeners=[listener])) as hub:
        await _until(lambda: listener.asked > 2)
        async with engine.begin() as connection:
            key = await build.pipeline(connection)
        newest = await _newest(engine, key)

        await _until(lambda: (hub.sequence or 0) >= newest)


async def test_a_subscriber_of_all_learns_which_pipelines_changed(engine: AsyncEngine, hub: Hub):
    async with hub.subscribe(None) as changes:
        async with engine.begin() as connection:
            first, second = [await build.pipeline(connection) for _ in range(2)]
            await build.notify(connection)

        change = await _next(changes)

    assert change.keys == {first: await _newest(engine, first), second: await _newest(engine, second)}
    assert change.sequence == max(change.keys.values())


async def test_a_subscriber_that_sleeps_too_long_is_told_that_it_missed_something(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gql_server.feed.hub.KEYS_MAX", 2)
    subscription = HubSubscription()
    for sequence in range(1, 4):
        subscription.wake(sequence, {uuid4(): sequence})

    assert await anext(subscription) == Change(3, is_gap=True)
