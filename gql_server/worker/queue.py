"""PgQueuer's queue verbs, answered by the ledger: claim, beat and count. Finishing is each job's own transaction."""

import asyncio
from collections.abc import Collection, MutableMapping
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.domain.models import Context, Job, TracebackRecord
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import JOB_STATUS, Channel, JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import ledger
from gql_server.db import direct
from gql_server.db.outages import is_connection_lost
from gql_server.ledger import claims, reconcile, wakeup
from gql_server.ledger.job import ClaimedJob
from gql_server.metrics import BEATS_FAILED, JOBS_CLAIMED, LEASES_LOST

BEAT_DEADLINE_SECONDS = 2.0
FAILED_BEATS_MAX = 4
ENDING_SECONDS = 0.01
"""Time for which a place that is free waits for jobs that are about to end."""

log = structlog.get_logger(__name__)


class Listener(AsyncpgPoolDriver):
    """PgQueuer's driver, which its own worker can also tell to look at the ledger, and which does not hear that worker's `own`
    wake-ups."""

    _heard: NotifyCallback | None = None

    def __init__(self, pool: asyncpg.Pool, own: str = "") -> None:
        super().__init__(pool)
        self._own = own

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        def heard(payload: str | bytes | bytearray) -> None:
            if payload != self._own:
                callback(payload)

        self._heard = callback
        await super().add_listener(channel, heard)

    def look(self) -> None:
        """Look for jobs, as if a wake-up had come."""
        if self._heard:
            self._heard(wakeup.LOOK)


class LedgerQueue(Queries):
    """Queue of PgQueuer's loop, on the ledger. `held` are the jobs this worker has claimed and not yet let go; of those that
    are `ending`, the end is being written."""

    def __init__(
        self,
        listener: Listener,
        channel: Channel,
        engine: AsyncEngine,
        worker: str,
        concurrency: int,
        *,
        drain: bool,
        ending: Collection[int] = (),
    ) -> None:
        super().__init__(listener, qbq=QueryQueueBuilder(settings=DBSettings(channel=channel)))
        self.listener = listener
        self.engine = engine
        self.worker = worker
        self.concurrency = concurrency
        self.drain = drain
        self.ending = ending
        self.held: dict[int, ClaimedJob] = {}
        self.contexts: MutableMapping[JobId, Context] = {}
        self._failed_beats = 0
        self._has_room_again = False
        self._backlog = claims.NO_BACKLOG
        self._next_look: asyncio.TimerHandle | None = None

    def let_go(self, job_id: int) -> None:
        """The worker is done with this job, whatever became of it: there is room for another.

        Where others are about to end, one claim is to fill all their places: the look at the ledger waits for them a moment.
        """
        self.held.pop(job_id, None)
        self._has_room_again = True
        if not self.ending:
            self._look_now()
        elif self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(ENDING_SECONDS, self._look_now)

    def _look_now(self) -> None:
        if self._next_look:
            self._next_look.cancel()
            self._next_look = None
        self.listener.look()

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        self._has_room_again = False
        room = min(batch_size, self.concurrency - len(self.held))
        if room <= 0:
            return []
        claimed = await self._claim(list(entrypoints), room)
        return [_as_pgqueuer_job(job, queue_manager_id) for job in claimed]

    async def _claim(self, job_types: list[str], room: int) -> list[ClaimedJob]:
        """Claim, and show the pipelines as running in the same statement; if that fails, after it.

        A claim fails when another worker takes a job of the same combination at that moment: the next look passes it over.
        """
        try:
            async with direct(self.engine).connect() as connection:
                claimed, unshown = await claims.claim_and_show(connection, self.worker, job_types, room, held=self.held)
        except asyncpg.PostgresError as error:
            if is_connection_lost(error):
                raise
            log.warning("job.claim_repeated", error=str(error))
            async with self.engine.begin() as connection:
                claimed = await claims.claim(connection, self.worker, job_types, room, held=self.held)
            unshown = {job.pipeline_id for job in claimed if job.pipeline_id}
        self.held |= {job.id: job for job in claimed}
        for job in claimed:
            JOBS_CLAIMED.labels(job.job_type).inc()
        await self._show_running(unshown)
        return claimed

    async def _show_running(self, pipeline_ids: Collection[UUID]) -> None:
        """Store RUNNING. The claim does not depend on it: the next change, or the sweep, corrects what fails here."""
        try:
            if pipeline_ids:
                async with self.engine.begin() as connection:
                    await reconcile.recompute(connection, pipeline_ids)
        except (SQLAlchemyError, OSError):
            log.exception("pipeline.recompute_failed")

    async def update_heartbeat(self, job_ids: list[JobId]) -> None:
        held = {int(job_id): self.held[job_id].attempt for job_id in set(job_ids) if job_id in self.held}
        try:
            async with asyncio.timeout(BEAT_DEADLINE_SECONDS), self.engine.begin() as connection:
                kept = await ledger.beat(connection, self.worker, held)
        except (SQLAlchemyError, OSError) as error:
            self._failed_beats += 1
            BEATS_FAILED.inc()
            log.warning("job.beat_failed", times=self._failed_beats, error=str(error))
            if self._failed_beats >= FAILED_BEATS_MAX:
                self._stop_working_on(set(held))
            raise
        self._failed_beats = 0
        self._stop_working_on(held.keys() - kept)

    def _stop_working_on(self, job_ids: Collection[int]) -> None:
        for job_id in job_ids:
            if context := self.contexts.get(JobId(job_id)):
                LEASES_LOST.inc()
                log.warning("job.lease_lost", job_id=job_id)
                context.cancellation.cancel()

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """The ledger has its own record."""

    async def aggregate_logs(self) -> None:
        """The ledger has its own record."""

    # Before it waits, PgQueuer asks these three in this order; one look answers them all.

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        if self._has_room_again or len(self.held) >= self.concurrency:
            self._backlog = claims.NO_BACKLOG
        else:
            self._backlog = await self._look(entrypoints)
        return self._backlog.due

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        return self._backlog.next_due_in

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        return (await self._look(entrypoints)).waiting if self.drain else self._backlog.due

    async def _look(self, entrypoints: list[QueueEntrypoint]) -> claims.Backlog:
        async with self.engine.connect() as connection:
            return await claims.backlog(connection, list(entrypoints))

    async def has_table(self, table: str) -> bool:
        """Alembic owns the schema: PgQueuer's own tables are neither there nor needed."""
        return True

    async def table_has_column(self, table: str, column: str) -> bool:
        return True

    async def table_has_index(self, table: str, index: str) -> bool:
        return True

    async def has_user_defined_enum(self, key: str, enum: str) -> bool:
        return True


def _as_pgqueuer_job(job: ClaimedJob, queue_manager_id: QueueManagerId) -> Job:
    return Job.model_construct(
        id=JobId(job.id),
        entrypoint=QueueEntrypoint(job.job_type),
        attempts=job.attempt,
        priority=0,
        status="picked",
        payload=None,
        headers=None,
        queue_manager_id=queue_manager_id,
    )
