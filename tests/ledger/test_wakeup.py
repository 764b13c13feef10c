"""Wake-ups of one worker, heard over a connection of their own."""

import asyncio
from functools import partial
from pathlib import Path

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from structlog.testing import capture_logs

from gql_server.ledger.wakeup import JOBS_CHANNEL, Waker, cancel_jobs, wake_all, wake_feed
from tests.ledger.conftest import Ledger


async def heard(listener: asyncpg.Connection, waking: Waker, times: int) -> int:
    """Number of notifications that arrive when so many ask to wake at once."""
    channels: list[str] = []
    await listener.add_listener(JOBS_CHANNEL, lambda connection, pid, channel, payload: channels.append(channel))
    await asyncio.gather(*(waking.wake_all() for _ in range(times)))
    await listener.execute("SELECT 1")
    return len(channels)


async def test_those_who_wake_while_a_wake_up_is_on_its_way_share_the_next(work: Ledger) -> None:
    listener = await asyncpg.connect(work.dsn)

    assert await heard(listener, Waker(work.engine), 20) == 2
    await listener.close()


async def test_a_wake_up_cut_off_is_sent_for_those_who_wait(work: Ledger) -> None:
    """Each connects anew, so that the second is cut off before it has sent anything."""
    engine = create_async_engine("postgresql+asyncpg://", async_creator=partial(asyncpg.connect, work.dsn), poolclass=NullPool)
    listener, waker = await asyncpg.connect(work.dsn), Waker(engine)
    channels: list[str] = []
    await listener.add_listener(JOBS_CHANNEL, lambda connection, pid, channel, payload: channels.append(channel))
    first, second, third = (asyncio.create_task(waker.wake_all()) for _ in range(3))
    await first
    second.cancel()

    await third

    await listener.execute("SELECT 1")
    assert (second.cancelled(), len(channels)) == (True, 2)
    await listener.close()


async def test_a_wake_up_that_cannot_be_sent_is_logged_and_fails_nobody(tmp_path: Path) -> None:
    nowhere = partial(asyncpg.connect, host=str(tmp_path), user="nobody")
    engine = create_async_engine("postgresql+asyncpg://", async_creator=nowhere)

    with capture_logs() as logs:
        await wake_all(engine)
        await wake_feed(engine)
        await cancel_jobs(engine, [1])

    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("wakeup.failed", "warning")] * 3
    assert all("No such file or directory" in entry["error"] for entry in logs)
