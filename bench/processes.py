"""Worker processes of a benchmark."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

import psutil
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import Pod

READY_WITHIN_SECONDS = 60
SAMPLE_SECONDS = 0.02


@asynccontextmanager
async def running(engine: AsyncEngine, dsn: str, *commands: Sequence[str]) -> AsyncGenerator[list[psutil.Process]]:
    """Start `python …` for each command, wait until as many workers are registered, and stop them at the end."""
    environment = {**os.environ, "GQL_DATABASE_URL": dsn, "GQL_LOG_LEVEL": "ERROR"}
    started = [await asyncio.create_subprocess_exec(sys.executable, *command, env=environment) for command in commands]
    try:
        await _registered(engine, len(started))
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            await process.wait()


async def peak_memory(process: psutil.Process) -> AsyncGenerator[int]:
    """The process's largest resident set so far, in bytes, looked at again and again."""
    peak = 0
    while True:
        peak = max(peak, process.memory_info().rss)
        yield peak
        await asyncio.sleep(SAMPLE_SECONDS)


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Processor time that these processes have used; one that has just ended counts nothing."""
    used = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def cpu_seconds_of_family(parent: psutil.Process) -> float:
    """Processor time of the children of this process, those that have ended included."""
    ended = parent.cpu_times()
    return ended.children_user + ended.children_system + cpu_seconds(parent.children())


async def postmaster(engine: AsyncEngine) -> psutil.Process:
    """The process above the database's sessions."""
    async with engine.connect() as connection:
        session = psutil.Process(await connection.scalar(text("SELECT pg_backend_pid()")))
    parent = session.parent()
    assert parent is not None
    return parent


async def _registered(engine: AsyncEngine, count: int) -> None:
    async with asyncio.timeout(READY_WITHIN_SECONDS):
        while True:
            async with engine.connect() as connection:
                if await connection.scalar(select(func.count()).select_from(Pod)) == count:
                    return
            await asyncio.sleep(0.05)
