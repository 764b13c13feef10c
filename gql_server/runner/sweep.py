"""What heals by itself: jobs of silent workers, owed aggregations that nobody chained, and statuses that drifted."""

from datetime import timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.runner import chain, ledger, reconcile
from gql_server.runner.registry import Registry

log = structlog.get_logger(__name__)

# One sweep at a time is enough; the others go on with their jobs.
_TURN = text("SELECT pg_try_advisory_xact_lock(1242, 0)")


async def recover_lost(engine: AsyncEngine, registry: Registry, lease: timedelta) -> list[ledger.Recovered]:
    """Requeue, or give up, the jobs whose lease has run out, and bring their pipelines up to date."""
    async with engine.begin() as connection:
        recovered = await ledger.recover(connection, lease)
        pipeline_ids = {job.pipeline_id for job in recovered if job.pipeline_id}
        if pipeline_ids:
            await chain.settle(connection, registry, pipeline_ids)
            await reconcile.recompute(connection, pipeline_ids)
    for job in recovered:
        log.warning("job.recovered", job_id=job.job_id, lost_worker=job.lost_worker, given_up=job.given_up)
    return recovered


async def sweep(engine: AsyncEngine, registry: Registry) -> int:
    """Settle what is owed and correct what drifted, in a constant number of statements. Returns the pipelines changed."""
    async with engine.begin() as connection:
        if not await connection.scalar(_TURN):
            return 0
        suspects = await reconcile.suspects(connection)
        if not suspects:
            return 0
        chained = await chain.settle(connection, registry, suspects)
        corrected = await reconcile.correct(connection, suspects)
    if corrected or chained:
        log.info("sweep.corrected", pipelines=len(corrected), aggregations=len(chained))
    return len(corrected)
