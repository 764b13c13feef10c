"""Processes of the command line: the API, a worker, the demo, each until a signal or its end."""

import asyncio
import socket
import sys
import time
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from rich.console import Console
from uvicorn.loops.auto import auto_loop_factory

from gql_server import logs
from gql_server.app import create_worker, worker_metrics
from gql_server.commands import years
from gql_server.db import work_engine
from gql_server.errors import PublicError, Stop
from gql_server.generate import load
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.http.tabs import operator_tabs
from gql_server.ledger.wakeup import wake_all
from gql_server.processes import heap
from gql_server.processes.database import prepare, writable
from gql_server.processes.demonstration import demo
from gql_server.processes.guard import guarding
from gql_server.processes.server import create_server, exposing, origin_of, start, web
from gql_server.processes.stopping import stopped_by_signal, until
from gql_server.processes.traces import record_traces
from gql_server.processes.waiting import answering
from gql_server.settings import Settings
from gql_server.worker import registry

out = Console(soft_wrap=True)

__all__ = ["create_year", "demo", "generate", "run", "serve", "web", "work"]


SWITCH_SECONDS = 0.0005
"""Time that a thread may hold the interpreter while others wait for it."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run what serves, on the fastest event loop there is; threads that compute give way to it within half a millisecond."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(main)


async def serve(settings: Settings, dsn: str, listener: socket.socket, watched: socket.socket | None = None) -> None:
    record_traces(settings)
    async with answering(listener, watched) as waiting:
        await prepare(settings, dsn, wait=settings.database_wait, tell=waiting.tell)
    server = create_server(settings, dsn, PageConfig(tabs=operator_tabs()))
    async with stopped_by_signal() as stop, guarding(settings), exposing(server.metrics, watched):
        serving = await start(server, listener)
        logs.announce(f"serving on {origin_of(settings)}", "server.started", address=origin_of(settings))
        await until(stop, serving)
        server.should_exit = True
        await serving


async def work(settings: Settings, dsn: str, *, drain: bool, watched: socket.socket | None = None) -> None:
    record_traces(settings)
    async with answering(watched) as waiting:
        await prepare(settings, dsn, wait=settings.database_wait, tell=waiting.tell)
    await writable(dsn)
    worker, engine = create_worker(settings, dsn)
    try:
        async with stopped_by_signal() as stop, guarding(settings), exposing(worker_metrics(worker, engine), watched):
            working = asyncio.create_task(worker.run(drain=drain))
            heap.settle()
            logs.announce(f"worker {worker.config.name} is working", "worker.started", worker=worker.config.name)
            await until(stop, working)
            await worker.stop()
            await working
    finally:
        await engine.dispose()


async def create_year(settings: Settings, dsn: str, year: int, provider: str) -> UUID:
    """Create a year as its superadmin would; returns the pipeline of its unit sync."""
    await prepare(settings, dsn)
    authority = TokenAuthority.of(settings)
    viewer = authority.authenticate(f"Bearer {authority.mint('superadmin', provider=provider)}")
    engine = work_engine(dsn, concurrency=1)
    try:
        async with engine.begin() as connection:
            submitted = await years.create_year(connection, registry, viewer, year)
        await wake_all(engine)
    except PublicError as error:
        raise Stop(error.message) from None
    finally:
        await engine.dispose()
    return submitted.pipeline_id


async def generate(settings: Settings, dsn: str, *, pipelines: int, seed: int, provider: str, append: bool) -> None:
    """Fill the database with a made-up ledger, and show how far it is."""
    await prepare(settings, dsn)
    engine = work_engine(dsn, concurrency=1)
    started = time.monotonic()
    try:
        with out.status("") as status:
            jobs = await load.generate(
                engine,
                pipelines=pipelines,
                seed=seed,
                provider=provider,
                append=append,
                report=lambda stage, done: status.update(f"{stage}{f': {done:,}' if done else ''}"),
            )
    finally:
        await engine.dispose()
    out.print(f"{pipelines:,} pipelines with {jobs:,} jobs in {time.monotonic() - started:.0f} s", highlight=False)
