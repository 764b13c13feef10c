"""Live clients while sockets drop, listeners die, servers restart and transactions commit late."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from websockets.exceptions import ConnectionClosed

from gql_server.graph.nodes import encode
from tests.faults.live import LIST, ONE, Api, Watcher, bearer, subscribe
from tests.faults.proxy import FaultProxy
from tests.faults.site import Site

SECONDS = float(os.environ.get("GQL_FEED_SECONDS", "20"))
SEED = int(os.environ.get("GQL_FEED_SEED", "2025"))
LIVE = {"status": {"in": ["NOT_STARTED", "RUNNING"]}}
ENDED = {"status": {"in": ["SUCCESS", "PARTIAL", "FAILED"]}}
KILL_LISTENER = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'gql-server feed'"""
LEDGER = """SELECT p.id, p.status,
  (SELECT json_agg(json_build_object('jobId', j.id, 'state', j.state, 'result', j.result) ORDER BY j.id)
   FROM data_ingestion_jobs j WHERE j.pipeline_id = p.id) AS jobs
FROM pipelines p"""
HEALTH = "{ health { diagnosis { code message } } }"


async def test_nothing_is_lost_and_nothing_told_twice_while_everything_breaks(site: Site) -> None:
    """Pipelines run, some of whose transactions commit late and out of order; meanwhile sockets drop, the backend that
    listens is terminated, and the API is killed. Lost is nothing, which means, for every client:

    - whenever the ledger rests, while nothing but sockets breaks, the last state that it was told of each pipeline in its
      list, with all of its jobs, becomes the ledger's, and it holds exactly the pipelines that match its filter, without
      having to ask again;
    - each pipeline that ended has entered the list of those that ended, and each that entered the list of those that live
      has left it;
    - who follows one pipeline has been told its last state before its completion;
    - the feed was never reset, since all of its history is there.

    What changes twice within a throttle may be told once. A message, that is an event of a pipeline at its position, is told a
    list once, and enters, changes or leaves what the client holds; who follows one pipeline is told it again at most once for
    each time that they came again.
    """
    chance = random.Random(SEED)
    api = await Api(site).start()
    await site.worker("w1")
    lists = [watcher(api, chance, transport, LIST, filter=only) for transport in ("ws", "sse") for only in (LIVE, ENDED)]
    following: list[Watcher] = []
    tasks = [asyncio.create_task(each.run()) for each in lists]
    calm = asyncio.Lock()
    breaking = asyncio.create_task(break_things(site, api, chance, calm))
    accepted: list[int] = []
    seconds = 0.0
    began = time.monotonic()
    try:
        while time.monotonic() - began < SECONDS:
            rest = time.monotonic() + SECONDS / 4
            while time.monotonic() < rest:
                submitted = await site.submit(**a_job(chance))
                accepted.append(submitted.job_id)
                follower = watcher(api, chance, chance.choice(("ws", "sse")), ONE, id=str(submitted.pipeline_id))
                following.append(follower)
                tasks.append(asyncio.create_task(follower.run()))
                await asyncio.sleep(chance.uniform(0.1, 0.6))
            await site.all_finished(60)
            async with calm:
                seconds = max(seconds, await agree(site, lists))
        breaking.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks[len(lists) :])
    finally:
        for task in (breaking, *tasks):
            task.cancel()
        await asyncio.gather(breaking, *tasks, return_exceptions=True)

    states = await ledger(site)
    assert [each.held for each in following] == [{id: states[id]} for each in following for id in [node_id(each)]]
    assert [each.entered for each in lists[1::2]] == [states.keys()] * 2
    assert [each.resets for each in (*lists, *following)] == [0] * (len(lists) + len(following))
    assert [each.errors for each in (*lists, *following) if each.errors] == []
    assert [each.duplicates for each in lists] == [0] * len(lists)
    assert [each.mistaken for each in lists] == [[]] * len(lists)
    assert [each for each in following if each.duplicates > each.reconnects] == []
    reconnects = sum(each.reconnects for each in (*lists, *following))
    assert reconnects > 10, "hardly anybody lost a connection"
    told = sum(each.frames.total() for each in (*lists, *following))
    twice = sum(each.duplicates for each in (*lists, *following))
    what = f"{reconnects} reconnects, {told} messages of {len(accepted)} pipelines, {twice} told twice (seed {SEED})"
    await site.survived(what, seconds, accepted)


def watcher(api: Api, chance: random.Random, transport: str, query: str, **variables: Any) -> Watcher:
    return Watcher(api, transport, query, variables, random.Random(chance.random()))


def node_id(watcher: Watcher) -> str:
    return encode("Pipeline", watcher.variables["id"])


def a_job(chance: random.Random) -> dict[str, Any]:
    """Commits at once or late, alone or with children, and sometimes fails."""
    late = [f"SELECT pg_sleep({chance.uniform(0, 1.5):.2f})"] if chance.random() < 0.5 else []
    return {
        "sql": late,
        "children": chance.choice((0, 0, 1, 3)),
        **({"error": "it was to fail"} if chance.random() < 0.2 else {}),
    }


async def break_things(site: Site, api: Api, chance: random.Random, calm: asyncio.Lock) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.5, 2.5))
        async with calm:
            if chance.random() < 0.7:
                await site.value(KILL_LISTENER)
            else:
                api.process.kill()
                await api.start()


async def ledger(site: Site) -> dict[str, Any]:
    """Every pipeline as a client is told of it."""
    return {
        encode("Pipeline", row.id): {
            "id": encode("Pipeline", row.id),
            "status": row.status,
            "jobCount": len(row.jobs),
            "jobs": {"nodes": row.jobs},
        }
        for row in await site.query(LEDGER)
    }


async def agree(site: Site, lists: list[Watcher]) -> float:
    """Seconds until every list shows what the ledger, at rest, says."""
    states, began = await ledger(site), time.monotonic()
    wanted = [{}, states, {}, states]
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            while [each.held for each in lists] != wanted:
                await asyncio.sleep(0.05)
    assert [each.held for each in lists] == wanted
    return time.monotonic() - began


# faults of the listener


@pytest.fixture
async def proxy(site: Site) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(site.cluster.port) as proxy:
        yield proxy


class Following:
    """A list of the live pipelines over one socket, and how long a change takes to arrive."""

    def __init__(self, site: Site, connection: Any) -> None:
        self.site, self.connection = site, connection
        self.accepted: list[int] = []

    async def begin(self) -> "Following":
        await subscribe(self.connection, LIST, filter=LIVE, throttle=0)
        await self.next("FeedSnapshot")
        return self

    async def next(self, type: str, within: float = 10) -> Any:
        """The next event of that type."""
        async with asyncio.timeout(within):
            while True:
                message = json.loads(await self.connection.recv())
                assert message["type"] == "next", message
                if (event := message["payload"]["data"]["pipelines"])["__typename"] == type:
                    return event

    async def delay(self) -> float:
        """Seconds from a submission's commit to its arrival here."""
        submitted = await self.site.submit()
        self.accepted.append(submitted.job_id)
        began = time.monotonic()
        while (await self.next("PipelineEntered"))["pipeline"]["id"] != encode("Pipeline", submitted.pipeline_id):
            pass
        return time.monotonic() - began

    async def survived(self, what: str, seconds: float) -> None:
        await self.site.survived(what, seconds, self.accepted)


async def test_a_terminated_listener_comes_again(site: Site) -> None:
    api = await Api(site).start()
    async with api.socket() as connection:
        following = await Following(site, connection).begin()

        assert await site.value(KILL_LISTENER) == 1
        seconds = await following.delay()

        await api.process.says("feed.lost")
        assert seconds < 2
        await following.survived("LISTEN backend terminated", seconds)


async def test_a_listener_in_a_black_hole_is_given_up(site: Site, proxy: FaultProxy) -> None:
    api = await Api(site, proxy.port).start()
    async with api.socket() as connection:
        following = await Following(site, connection).begin()
        await following.delay()

        proxy.silence(b'LISTEN "gql_events"')
        began = time.monotonic()
        seconds = await following.delay()

        await api.process.says("feed.lost")
        assert time.monotonic() - began < 3  # 2 s to find out, and a connection
        await following.survived("LISTEN connection black-holed", seconds)


async def test_a_listener_behind_a_pooler_polls_and_says_so(site: Site, proxy: FaultProxy) -> None:
    proxy.misquote(b'LISTEN "gql_events"', b'LISTEN "gql_eventz"')
    api = await Api(site, proxy.port).start()
    await api.process.says("feed.deaf")
    async with api.socket() as connection:
        following = await Following(site, connection).begin()

        seconds = max([await following.delay() for _ in range(3)])

        messages = [reason["message"] for reason in (await api.ask(HEALTH))["health"]["diagnosis"]]
        assert "This server is not notified of changes, so it looks for them several times a second." in messages
        assert seconds < 1.2
        await following.survived("notifications swallowed by a pooler", seconds)


async def test_a_full_queue_of_notifications_stops_neither_ledger_nor_feed(site: Site) -> None:
    api = await Api(site).start()
    sleeper = await asyncpg.connect(site.cluster.dsn(site.database))
    await sleeper.execute("LISTEN elsewhere")
    await sleeper.execute("BEGIN; SELECT txid_current()")
    try:
        await fill_the_queue(site)
        async with api.socket() as connection:
            following = await Following(site, connection).begin()

            seconds = max([await following.delay() for _ in range(3)])
    finally:
        await sleeper.close()
        await site.value("SELECT pg_notification_queue_usage()")  # which also empties it

    assert seconds < 2
    await following.survived("NOTIFY queue full", seconds)


async def fill_the_queue(site: Site) -> None:
    talker = await asyncpg.connect(site.cluster.dsn(site.database))
    try:
        for number in range(2000):
            await talker.execute("SELECT pg_notify('elsewhere', $1)", f"{number}".rjust(7900))
    except asyncpg.ProgramLimitExceededError:
        return
    finally:
        await talker.close()
    raise AssertionError("the queue never fills")


# faults of the clients


async def test_a_thousand_reconnects_at_once_are_caught_up_with_few_statements(site: Site) -> None:
    await site.execute(
        """CREATE VIEW transactions AS SELECT xact_commit + xact_rollback AS count
        FROM pg_stat_database WHERE datname = current_database()"""
    )
    api = await Api(site).start()
    async with api.socket() as connection:
        following = await Following(site, connection).begin()
        token = (await api.ask("{ pipelines(first: 1) { feedToken } }"))["pipelines"]["feedToken"]
        await following.delay()
    await asyncio.sleep(1)
    before = await site.value("SELECT count FROM transactions")
    began = time.monotonic()

    async with AsyncExitStack() as stack:
        gate = asyncio.Semaphore(100)

        async def come_again(number: int) -> str:
            async with gate:
                opened = api.socket(bearer(subject=f"user-{number % 50}"), ping_interval=None, compression=None)
                connection = await stack.enter_async_context(opened)
                await subscribe(connection, LIST, filter=LIVE, after=token)
                message = json.loads(await connection.recv())
                return message["payload"]["data"]["pipelines"]["__typename"]

        told = await asyncio.gather(*[come_again(number) for number in range(1000)])
        seconds = time.monotonic() - began
        await asyncio.sleep(1)
        transactions = await site.value("SELECT count FROM transactions") - before

    assert set(told) == {"PipelineEntered"}
    assert transactions < 600, transactions
    await site.survived(f"1,000 reconnects at once, {transactions} transactions", seconds, following.accepted)


async def test_a_client_that_stops_reading_is_let_go_and_its_memory_freed(site: Site) -> None:
    api = await Api(site).start()
    submitted = await site.submit()
    fat = " ".join(f"a{number}: message" for number in range(20))
    shown = f"... on PipelineChanged {{ pipeline {{ {fat} }} }}"
    query = f"subscription ($id: UUID!) {{ pipeline(by: {{ pipelineId: $id }}, throttleMs: 0) {{ {shown} }} }}"
    pid = api.process.popen.pid
    async with api.socket(ping_interval=None, max_queue=1, compression=None) as connection:
        await subscribe(connection, query, id=str(submitted.pipeline_id))
        await connection.recv()
        before, sockets = resident(pid), open_sockets(pid)
        connection.transport.pause_reading()
        for number in range(80):
            await site.execute(
                "UPDATE data_ingestion_jobs SET status_message = :m WHERE id = :id",
                m=f"{number}".rjust(10_000, "x"),
                id=submitted.job_id,
            )
            await site.execute("SELECT pg_notify('gql_events', '')")
            await asyncio.sleep(0.02)
        began = time.monotonic()
        async with asyncio.timeout(40):
            while open_sockets(pid) >= sockets:
                await asyncio.sleep(0.1)
        seconds = time.monotonic() - began
        grown = resident(pid) - before

    assert seconds < 24  # 10 s to send, 11 s for the kernel to give up
    assert grown < 24 * 1024 * 1024, grown
    await site.survived("a client stops reading", seconds, [submitted.job_id])


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_sockets(pid: int) -> int:
    return sum(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket") for fd in os.listdir(f"/proc/{pid}/fd"))


async def test_access_that_ends_during_a_stream_ends_it(site: Site) -> None:
    api = await Api(site).start()
    submitted = await site.submit()
    place = """UPDATE pipelines SET entity_type = 'MODULE_UNIT_SPECIFIC', module_type_id = 8, unit_institutional_id = :unit
    WHERE id = :id"""
    change = "UPDATE data_ingestion_jobs SET status_message = :m WHERE id = :id"
    await site.execute(place, unit="10208", id=submitted.pipeline_id)
    short = bearer("principal", unit="10208", lifetime=timedelta(seconds=8))
    expires = time.monotonic() + 8
    async with api.socket(short) as connection:
        following = await Following(site, connection).begin()
        began = time.monotonic()

        await site.execute(place, unit="10174", id=submitted.pipeline_id)
        await site.execute(change, m="moved", id=submitted.job_id)
        left = await following.next("PipelineLeft")
        seconds = time.monotonic() - began
        await site.execute(change, m="hidden", id=submitted.job_id)
        with pytest.raises(ConnectionClosed) as closed:  # nothing but the end comes
            await connection.recv()
        late = time.monotonic() - expires

    assert left["pipelineNodeId"] == encode("Pipeline", submitted.pipeline_id)
    assert left["leaveReason"] == "ACCESS_REVOKED"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4440
    assert late < 1
    await site.survived("access revoked, then the token expired", seconds, [submitted.job_id])


async def test_a_server_that_is_told_to_stop_lets_every_stream_go_so_that_it_can_be_resumed(site: Site) -> None:
    api = await Api(site).start()
    submitted = await site.submit()

    async def over_socket(opened: asyncio.Event) -> int:
        async with api.socket(bearer(subject=f"user-{id(opened)}"), ping_interval=None) as connection:
            await subscribe(connection, ONE, id=str(submitted.pipeline_id))
            await connection.recv()
            opened.set()
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
            return closed.value.rcvd.code if closed.value.rcvd else 0

    async def over_sse(opened: asyncio.Event) -> list[str]:
        said: list[str] = []
        async with api.events(ONE, None, id=str(submitted.pipeline_id)) as events:
            async for event in events:
                said.append(event["event"])
                opened.set()
        return said

    gates = [asyncio.Event() for _ in range(250)]
    sockets = [asyncio.create_task(over_socket(gate)) for gate in gates[:200]]
    streams = [asyncio.create_task(over_sse(gate)) for gate in gates[200:]]
    async with asyncio.timeout(60):
        await asyncio.gather(*[gate.wait() for gate in gates])

    began = time.monotonic()
    api.process.send(signal.SIGTERM)
    status = await asyncio.to_thread(api.process.popen.wait, 30)
    seconds = time.monotonic() - began

    assert (status, seconds < 10) == (0, True), (status, seconds)
    assert await asyncio.gather(*sockets) == [1012] * 200
    assert await asyncio.gather(*streams) == [["next"]] * 50
    await site.survived("SIGTERM with 200 sockets and 50 event streams", seconds, [submitted.job_id])
