"""Mends by itself: jobs of silent workers, owed aggregations that nobody chained, and statuses that drifted."""

from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import ledger
from gql_server.db.models import EVENT_RETENTION
from gql_server.ledger import debts, reconcile
from gql_server.metrics import JOBS_GIVEN_UP, JOBS_REQUEUED, SWEEP_CORRECTED
from gql_server.worker.registry import Registry

log = structlog.get_logger(__name__)

EVENTS_PRUNED_AT_ONCE = 50_000
KEYS_PRUNED_AT_ONCE = 10_000

_OLD_EVENTS = text("""
DELETE FROM events WHERE seq IN (
  SELECT seq FROM events
  WHERE at < clock_timestamp() - CAST(:retention AS interval) AND seq < (SELECT max(seq) FROM events)
  ORDER BY seq LIMIT :most
)""")

_OLD = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM {table} WHERE created_at < clock_timestamp() - interval '1 day'
  LIMIT :most FOR UPDATE SKIP LOCKED
))"""
_OLD_KEYS, _OLD_BULK_ABORTS = (text(_OLD.format(table=table)) for table in ("idempotency_keys", "bulk_aborts"))

# One sweep at a time is enough; the others go on with their jobs.
_TURN = text("SELECT pg_try_advisory_xact_lock(1242, 0)")


async def recover_lost(engine: AsyncEngine, registry: Registry) -> list[ledger.Recovered]:
    """Requeue, or give up, the jobs whose lease has run out, and bring their pipelines up to date."""
    async with engine.begin() as connection:
        recovered = await ledger.recover(connection)
        pipeline_ids = {id for job in recovered for id in (job.pipeline_id, *job.serves) if id}
        if pipeline_ids:
            await debts.settle(connection, registry, pipeline_ids)
            await reconcile.recompute(connection, pipeline_ids)
    for job in recovered:
        (JOBS_GIVEN_UP if job.given_up else JOBS_REQUEUED).inc()
        log.warning("job.recovered", job_id=job.job_id, lost_worker=job.lost_worker, given_up=job.given_up)
    return recovered


async def prune_events(engine: AsyncEngine) -> int:
    """Forget events that no reader can still ask for, but the newest, whose number is the feed's position."""
    async with engine.begin() as connection:
        return (await connection.execute(_OLD_EVENTS, {"most": EVENTS_PRUNED_AT_ONCE, "retention": EVENT_RETENTION})).rowcount


async def prune_keys(engine: AsyncEngine) -> int:
    """Forget the idempotency keys of commands, and the bulk aborts, that are older than a day. Returns how many of the keys."""
    async with engine.begin() as connection:
        await connection.execute(_OLD_BULK_ABORTS, {"most": KEYS_PRUNED_AT_ONCE})
        return (await connection.execute(_OLD_KEYS, {"most": KEYS_PRUNED_AT_ONCE})).rowcount


async def sweep(engine: AsyncEngine, registry: Registry) -> int:
    """Settle what is owed and correct what drifted, in a constant number of statements. Returns the pipelines changed.

    A pipeline that makes the statements fail is left out, and the others are corrected one by one.
    """
    async with engine.begin() as connection:
        if not await connection.scalar(_TURN):
            return 0
        suspects = await reconcile.suspects(connection)
        try:
            corrected = await _heal(connection, registry, suspects)
        except SQLAlchemyError:
            log.exception("sweep.failed", pipelines=len(suspects))
            corrected = [healed for suspect in suspects for healed in await _heal_or_skip(connection, registry, suspect)]
    if corrected:
        SWEEP_CORRECTED.inc(len(corrected))
        log.info("sweep.corrected", pipelines=len(corrected))
    return len(corrected)


async def _heal(connection: AsyncConnection, registry: Registry, pipeline_ids: list[UUID]) -> list[UUID]:
    if not pipeline_ids:
        return []
    async with connection.begin_nested():
        await debts.settle(connection, registry, pipeline_ids)
        return await reconcile.correct(connection, pipeline_ids)


async def _heal_or_skip(connection: AsyncConnection, registry: Registry, pipeline_id: UUID) -> list[UUID]:
    try:
        return await _heal(connection, registry, [pipeline_id])
    except SQLAlchemyError:
        log.exception("pipeline.recompute_failed", pipeline_id=str(pipeline_id))
        return []
