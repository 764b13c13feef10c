"""One attempt at a job: its writes, its children, its finish and its pipeline's status commit together, or not at all."""

import asyncio
import random
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import ledger, tracing
from gql_server.db.models import RECALCULATIONS, JobResult, Pipeline
from gql_server.db.outages import is_connection_lost, sqlstate
from gql_server.ledger import chain, debts, locks, reconcile, resume, wakeup
from gql_server.ledger.attempts import AT_ONCE
from gql_server.ledger.job import ClaimedJob, Outcome
from gql_server.ledger.locks import Lock
from gql_server.metrics import JOB_SECONDS, JOBS_FINISHED, LEASES_LOST
from gql_server.worker.registry import JobSpec, Registry
from gql_server.worker.run import JobError, LeaseLost, Run

DEADLOCK_TRIES = 3
LOCK_RETRY = timedelta(seconds=1)
"""Time after which a job is looked at again whose lock somebody holds that the ledger does not know."""
RETRYABLE_SQLSTATES = ("40001", "40P01", "55P03")
"""Serialization failure, deadlock, lock timeout."""

log = structlog.get_logger(__name__)


class LockHeld(Exception):
    """Another worker took the job's lock first."""


class HandlerRefused(Exception):
    """The handler returned ERROR: what it wrote is rolled back, and the outcome written alone."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Runner:
    """Runs claimed jobs for one worker. Those that are `ending` have done their work, and their end is being written."""

    def __init__(self, engine: AsyncEngine, registry: Registry, worker: str, resources: Mapping[str, Any]) -> None:
        self.engine = engine
        self.registry = registry
        self.worker = worker
        self.resources = resources
        self.waker = wakeup.Waker(engine)
        self.ending: set[int] = set()

    async def run(self, job: ClaimedJob) -> None:
        """Run one claimed job to its end. Never raises for a failing handler: the ledger says what happened."""
        run = Run(self.engine, self.worker, job, self.resources)
        named, parent = self._named(job), await self._trace(job) if tracing.is_on() else None
        with (
            tracing.span(f"job {job.job_type}", parent=parent, kind=SpanKind.CONSUMER, **named),
            structlog.contextvars.bound_contextvars(**named, **tracing.trace_id()),
        ):
            await self._run(job, run)

    async def _trace(self, job: ClaimedJob) -> Context | None:
        """The trace that the job's pipeline was begun in, if that is recorded, else the pipeline's own."""
        if job.pipeline_id is None:
            return None
        try:
            async with self.engine.connect() as connection:
                place = await connection.scalar(select(Pipeline.traceparent).where(Pipeline.id == job.pipeline_id))
        except (SQLAlchemyError, OSError):
            place = None
        return tracing.continued(place) if tracing.is_recorded(place) else tracing.of_pipeline(job.pipeline_id)

    def _named(self, job: ClaimedJob) -> dict[str, object]:
        """Fields of every line that is logged about the attempt."""
        pipeline = {"pipeline_id": str(job.pipeline_id)} if job.pipeline_id else {}
        return {"worker": self.worker, "job_id": job.id, "job_type": job.job_type, "attempt": job.attempt, **pipeline}

    async def _run(self, job: ClaimedJob, run: Run) -> None:
        began = time.perf_counter()
        try:
            outcome = await self._attempt(job, run)
        except LockHeld:
            log.info("job.lock_held", retry_seconds=LOCK_RETRY.total_seconds())
            await self.release(job, delay=LOCK_RETRY)
        except LeaseLost:
            LEASES_LOST.inc()
            log.warning("job.lease_lost")
        except HandlerRefused as refused:
            await self._fail(job, run, refused.outcome, began)
        except JobError as error:
            await self._fail(job, run, Outcome(result=JobResult.ERROR, message=str(error), meta=error.meta), began)
        except Exception as error:
            if is_connection_lost(error):
                # Like a crash: whether the commit arrived is for the database to say, and the lease to decide.
                log.warning("job.connection_lost", error=str(error))
                return
            log.exception("job.failed")
            outcome = Outcome(result=JobResult.ERROR, message=describe(error), meta=unexpected(error))
            await self._fail(job, run, outcome, began)
        else:
            log.info("job.finished", **_ended(job, outcome, began))
        finally:
            try:
                await self.waker.wake_all()
            finally:
                self.ending.discard(job.id)

    async def release(self, job: ClaimedJob, *, delay: timedelta = AT_ONCE) -> None:
        """Give the job back without counting the attempt, to be claimed after the delay."""
        async with self.engine.begin() as connection:
            if await ledger.release(connection, self.worker, job, delay=delay) and job.pipeline_ids:
                await reconcile.lock(connection, job.pipeline_ids)
                await self._store_status(connection, job.pipeline_ids)

    async def _attempt(self, job: ClaimedJob, run: Run) -> Outcome:
        for attempt in range(DEADLOCK_TRIES):
            try:
                return await self._transaction(job, run)
            except Exception as error:
                if sqlstate(error) not in RETRYABLE_SQLSTATES or attempt + 1 == DEADLOCK_TRIES:
                    raise
                log.warning("job.retried", error=describe(error))
                await asyncio.sleep(random.uniform(0.05, 0.25) * 2**attempt)
        raise AssertionError("unreachable")

    async def _transaction(self, job: ClaimedJob, run: Run) -> Outcome:
        spec = self.registry[job.job_type]
        run.restart()
        self.ending.discard(job.id)
        async with self.engine.begin() as connection:
            if not await locks.try_acquire(connection, [Lock.parse(key) for key in job.lock_keys]):
                raise LockHeld
            outcome = await self._work(spec, job, connection, run)
            if outcome.result == JobResult.ERROR:
                raise HandlerRefused(outcome)
            await self._complete(connection, job, replace(outcome, meta={**outcome.meta, **run.phases()}))
        return outcome

    async def _work(self, spec: JobSpec, job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
        if (root_id := job.config.get(resume.RESUMED)) is None:
            return await spec.handler(job, connection, run)
        await run.progress(f"The data has landed with job {root_id}: only what failed runs again")
        return await resume.resumed(connection, root_id)

    async def _complete(self, connection: AsyncConnection, job: ClaimedJob, outcome: Outcome) -> None:
        self.ending.add(job.id)
        if not ledger.ends_simply(job, outcome):
            await self._complete_stepwise(connection, job, outcome)
            return
        finished = await ledger.finish_and_store(connection, self.worker, job, outcome)
        if finished is None:
            raise LeaseLost
        if finished.owes:
            await self._settle(connection, job)
        elif finished.refusal:
            _tell_refusal(job.pipeline_ids, finished.refusal)

    async def _complete_stepwise(self, connection: AsyncConnection, job: ClaimedJob, outcome: Outcome) -> None:
        if not await ledger.finish(connection, self.worker, job, outcome):
            raise LeaseLost
        await chain.chain(connection, self.registry, job, outcome.children)
        if job.pipeline_ids:
            await self._settle(connection, job)

    async def _settle(self, connection: AsyncConnection, job: ClaimedJob) -> None:
        recalculated = job.job_type in RECALCULATIONS
        await debts.settle(connection, self.registry, job.pipeline_ids, recalculated=recalculated)
        await self._store_status(connection, job.pipeline_ids)

    async def _fail(self, job: ClaimedJob, run: Run, outcome: Outcome, began: float) -> None:
        """Write ERROR, children none, in a small transaction of its own; what it had to do it is still about."""
        tracing.failed(outcome.message)
        kept = job.affected_module_ids
        outcome = replace(outcome, meta={**outcome.meta, **run.phases("failed")}, children=(), affected_module_ids=kept)
        try:
            async with self.engine.begin() as connection:
                await self._complete(connection, job, outcome)
            log.warning("job.finished", **_ended(job, outcome, began))
        except LeaseLost:
            LEASES_LOST.inc()
            log.warning("job.lease_lost")
        except (SQLAlchemyError, OSError):
            log.exception("job.finish_failed")

    async def _store_status(self, connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> None:
        """The sweep heals what fails here; only a lost connection ends the job's transaction too. They are locked."""
        if refusal := await reconcile.try_to_store(connection, pipeline_ids):
            _tell_refusal(pipeline_ids, refusal)


def _tell_refusal(pipeline_ids: Collection[UUID], error: str) -> None:
    """A line about pipelines whose status could not be stored."""
    log.error("pipeline.recompute_failed", error=error, pipeline_ids=[str(each) for each in pipeline_ids])


def _ended(job: ClaimedJob, outcome: Outcome, began: float) -> dict[str, object]:
    """Fields of the line that tells of a job that has finished, which is counted."""
    seconds = time.perf_counter() - began
    JOBS_FINISHED.labels(job.job_type, outcome.result).inc()
    JOB_SECONDS.labels(job.job_type).observe(seconds)
    return {"result": outcome.result, "message": outcome.message, "duration_ms": round(1000 * seconds, 1)}


def describe(error: BaseException) -> str:
    """The text of an error as an operator wants to read it: the database's own words, without the statement."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return str(error.orig)
    return str(error) or type(error).__name__


def unexpected(error: Exception) -> dict[str, str]:
    """Entries of the job's meta on an error that it did not expect."""
    state = sqlstate(error)
    return {"error": f"{type(error).__name__}: {describe(error)}", **({"sqlstate": state} if state else {})}
