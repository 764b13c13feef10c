"""PgQueuer's queue verbs, answered by the ledger: claim, beat and count. Finishing is each job's own transaction."""

import asyncio
from collections.abc import Collection, MutableMapping
from datetime import timedelta

import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.domain.models import Context, Job, TracebackRecord
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import JOB_STATUS, Channel, JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.runner import ledger, reconcile
from gql_server.runner.registry import Job as LedgerJob

BEAT_DEADLINE_SECONDS = 2.0
FAILED_BEATS_MAX = 4

log = structlog.get_logger(__name__)


class LedgerQueue(Queries):
    """What PgQueuer's loop asks of its queue. `held` are the jobs this worker has claimed and not yet let go."""

    def __init__(
        self, driver: AsyncpgPoolDriver, channel: Channel, engine: AsyncEngine, worker: str, concurrency: int, *, drain: bool
    ) -> None:
        super().__init__(driver, qbq=QueryQueueBuilder(settings=DBSettings(channel=channel)))
        self.engine = engine
        self.worker = worker
        self.concurrency = concurrency
        self.drain = drain
        self.held: dict[int, LedgerJob] = {}
        self.contexts: MutableMapping[JobId, Context] = {}
        self._failed_beats = 0

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        room = min(batch_size, self.concurrency - len(self.held))
        if room <= 0:
            return []
        async with self.engine.begin() as connection:
            claimed = await ledger.claim(connection, self.worker, list(entrypoints), room)
        if claimed:
            self.held |= {job.id: job for job in claimed}
            async with self.engine.begin() as connection:
                await reconcile.recompute(connection, {job.pipeline_id for job in claimed if job.pipeline_id})
        return [_as_pgqueuer_job(job, queue_manager_id) for job in claimed]

    async def update_heartbeat(self, job_ids: list[JobId]) -> None:
        held = {int(job_id): self.held[job_id].attempt for job_id in set(job_ids) if job_id in self.held}
        try:
            async with asyncio.timeout(BEAT_DEADLINE_SECONDS), self.engine.begin() as connection:
                kept = await ledger.beat(connection, self.worker, held)
        except (SQLAlchemyError, OSError) as error:
            self._failed_beats += 1
            log.warning("job.beat_failed", worker=self.worker, times=self._failed_beats, error=str(error))
            if self._failed_beats >= FAILED_BEATS_MAX:
                self._stop_working_on(set(held))
            raise
        self._failed_beats = 0
        self._stop_working_on(held.keys() - kept)

    def _stop_working_on(self, job_ids: Collection[int]) -> None:
        for job_id in job_ids:
            if context := self.contexts.get(JobId(job_id)):
                log.warning("job.lease_lost", worker=self.worker, job_id=job_id)
                context.cancellation.cancel()

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """The ledger has its own record."""

    async def aggregate_logs(self) -> None:
        """The ledger has its own record."""

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        return 0 if self.full else (await self._backlog(entrypoints)).due

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        backlog = await self._backlog(entrypoints)
        return backlog.waiting if self.drain else 0 if self.full else backlog.due

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        return None if self.full else (await self._backlog(entrypoints)).next_due_in

    @property
    def full(self) -> bool:
        return len(self.held) >= self.concurrency

    async def _backlog(self, entrypoints: list[QueueEntrypoint]) -> ledger.Backlog:
        async with self.engine.connect() as connection:
            return await ledger.backlog(connection, list(entrypoints))

    async def has_table(self, table: str) -> bool:
        """Alembic owns the schema: PgQueuer's own tables are neither there nor needed."""
        return True

    async def table_has_column(self, table: str, column: str) -> bool:
        return True

    async def table_has_index(self, table: str, index: str) -> bool:
        return True

    async def has_user_defined_enum(self, key: str, enum: str) -> bool:
        return True


def _as_pgqueuer_job(job: LedgerJob, queue_manager_id: QueueManagerId) -> Job:
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
