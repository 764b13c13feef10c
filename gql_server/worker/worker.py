"""A worker: PgQueuer's loop over the ledger, beside it the pod's heartbeat, the recovery of lost jobs and the sweep."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError
from pgqueuer.domain.models import Context, Job
from pgqueuer.domain.types import Channel, QueueExecutionMode
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import FAILURES, connect_arguments
from gql_server.db.outages import INSUFFICIENT_PRIVILEGE, sqlstate
from gql_server.errors import Stop
from gql_server.files import BUCKET, Files
from gql_server.files.prune import prune
from gql_server.ledger import signatures, wakeup
from gql_server.ledger.failures import record as failure_records
from gql_server.metrics import CHORES, SWEEP_SECONDS
from gql_server.worker import fleet, sweep
from gql_server.worker.attempt import Runner
from gql_server.worker.queue import LedgerQueue, Listener
from gql_server.worker.registry import Registry

RESTART_AFTER_SECONDS = 1.0
ROLLBACK_SECONDS = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Settings of one worker. `grace` is the time its jobs get to end when it is told to stop."""

    name: str
    concurrency: int = 4
    lease: timedelta = timedelta(seconds=10)
    sweep_interval: timedelta = timedelta(seconds=60)
    poll_interval: timedelta = timedelta(seconds=2)
    upload_retention: timedelta = timedelta(days=30)
    pod_interval: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=8)
    git_sha: str | None = None
    version: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Worker:
    """Claims and runs jobs until it is stopped, through database restarts."""

    def __init__(self, dsn: str, engine: AsyncEngine, registry: Registry, config: WorkerConfig) -> None:
        self.dsn = dsn
        self.engine = engine
        self.registry = registry
        self.config = config
        self.runner = Runner(engine, registry, config.name, config.resources)
        self._stopping = asyncio.Event()
        self._trusts_listener = True
        self._manager: QueueManager | None = None
        self._queue: LedgerQueue | None = None
        self._registered_at: float | None = None

    @property
    def held(self) -> int:
        """Number of jobs that it works on."""
        return len(self._queue.held) if self._queue else 0

    @property
    def silent_seconds(self) -> float | None:
        """Time since its heartbeat last reached the database; None before the first."""
        return None if self._registered_at is None else time.monotonic() - self._registered_at

    async def run(self, *, drain: bool = False) -> None:
        """Work until `stop`, or, to drain, until nothing is left to claim and every job has ended."""
        structlog.contextvars.bind_contextvars(worker=self.config.name)
        chores = [
            asyncio.create_task(self._every(self.config.pod_interval, self._register)),
            asyncio.create_task(self._every(self.config.lease / 4, self._recover)),
            asyncio.create_task(self._every(self.config.sweep_interval, self._sweep)),
        ]
        try:
            while not self._stopping.is_set():
                try:
                    await self._work(drain=drain)
                    break
                except FailingListenerError:
                    # a pooler that swallows LISTEN, or a connection that died without a word
                    log.warning("worker.listener_silent", polling_seconds=self.config.poll_interval.total_seconds())
                    self._trusts_listener = False
                except (*FAILURES, TimeoutError) as error:
                    if sqlstate(error) == INSUFFICIENT_PRIVILEGE:
                        raise Stop(f"the worker may not do its work: {getattr(error, 'orig', error)}") from None
                    log.warning("worker.restarting", error=str(error))
                    await self._pause(RESTART_AFTER_SECONDS)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await fleet.leave(self.engine, self.config.name)

    async def stop(self) -> None:
        """Claim nothing more; jobs that do not end within the grace period are given back to the queue."""
        self._stopping.set()
        if self._manager is None or self._queue is None:
            return
        self._manager.shutdown.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.grace.total_seconds()):
                while self._queue.held:
                    await asyncio.sleep(0.05)
        for context in list(self._manager.job_context.values()):
            context.cancellation.cancel()

    async def _work(self, *, drain: bool) -> None:
        arguments = connect_arguments(self.dsn, "gql-server worker listener")
        async with asyncpg.create_pool(**arguments, min_size=1, max_size=2) as pool:
            driver, channel = Listener(pool, self.runner.waker.look), Channel(wakeup.JOBS_CHANNEL)
            queue = LedgerQueue(
                driver,
                channel,
                self.engine,
                self.config.name,
                self.config.concurrency,
                drain=drain,
                ending=self.runner.ending,
            )
            manager = QueueManager(queue, channel=channel)
            queue.contexts = manager.job_context
            for job_type in self.registry.names:
                manager.entrypoint(job_type)(self._execute)
            self._queue, self._manager = queue, manager
            if self._stopping.is_set():
                return
            await manager.run(
                # The queue itself knows how many jobs fit: PgQueuer, which wants twice the batch, is to ask for all of them.
                batch_size=self.config.concurrency,
                max_concurrent_tasks=2 * self.config.concurrency,
                # Beats at 0.3 of the lease leave room for four failed ones before it runs out.
                heartbeat_timeout=self.config.lease * 0.6,
                dequeue_timeout=self.config.poll_interval,
                mode=QueueExecutionMode.drain if drain else QueueExecutionMode.continuous,
                shutdown_on_listener_failure=self._trusts_listener,
                log_aggregation_interval=timedelta(0),
            )

    async def _execute(self, job: Job, context: Context) -> None:
        assert self._queue is not None
        claimed = self._queue.held[job.id]
        try:
            await until_cancelled(self.runner.run(claimed), context.cancellation, name=f"job {job.id}")
            if context.cancellation.cancelled_caught and self._stopping.is_set():
                await self.runner.release(claimed)
        finally:
            self._queue.let_go(job.id)

    async def _register(self) -> None:
        config = self.config
        await fleet.beat(
            self.engine,
            config.name,
            git_sha=config.git_sha,
            version=config.version,
            interval=config.pod_interval,
            lease=config.lease,
        )
        self._registered_at = time.monotonic()

    async def _recover(self) -> None:
        if await sweep.recover_lost(self.engine, self.registry):
            await wakeup.wake_all(self.engine)

    async def _sweep(self) -> None:
        with SWEEP_SECONDS.time():
            await self._sweep_all()

    async def _sweep_all(self) -> None:
        if await sweep.sweep(self.engine, self.registry):
            await wakeup.wake_all(self.engine)
        await failure_records.record_left_over(self.engine)
        await signatures.sign(self.engine)
        await sweep.prune_events(self.engine)
        await sweep.prune_keys(self.engine)
        await prune(Files(self.engine, self.config.resources.get(BUCKET)), self.config.upload_retention)

    async def _every(self, interval: timedelta, chore: Callable[[], Awaitable[None]]) -> None:
        done, failed = (CHORES.labels(chore.__name__.removeprefix("_"), outcome) for outcome in ("ok", "failed"))
        while not self._stopping.is_set():
            try:
                await chore()
                done.inc()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                failed.inc()
                log.warning("worker.chore_failed", chore=chore.__name__, error=str(error))
            await self._pause(interval.total_seconds())

    async def _pause(self, seconds: float) -> None:
        # not wait_for: on Python 3.11 it loses a cancellation that arrives when its future is done
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def until_cancelled(work: Coroutine[Any, Any, None], scope: AbstractContextManager[Any], *, name: str) -> None:
    """Do the work, or end it when the scope is cancelled: once, not at each step as by the scope itself, so that it can tell
    the database to stop a statement, and roll back. If that takes too long, its connection is given up."""
    running = asyncio.create_task(work, name=name)
    try:
        with scope:
            await asyncio.shield(running)
    finally:
        for _ in range(2):
            if not running.done():
                running.cancel()
                await asyncio.wait([running], timeout=ROLLBACK_SECONDS)
        if not running.done():
            log.error("job.task_abandoned", task=running.get_name(), waited_seconds=2 * ROLLBACK_SECONDS)
