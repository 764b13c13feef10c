"""Worker processes of a benchmark."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import psutil
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.models import Pod

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


async def _registered(engine: AsyncEngine, count: int) -> None:
    async with asyncio.timeout(READY_WITHIN_SECONDS):
        while True:
            async with engine.connect() as connection:
                if await connection.scalar(select(func.count()).select_from(Pod)) == count:
                    return
            await asyncio.sleep(0.05)
