"""The register of workers: one row a pod, kept alive by its heartbeat."""

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import NOW, Pod, Revision


async def beat(
    engine: AsyncEngine, pod_id: str, *, git_sha: str | None, version: str | None, interval: timedelta, lease: timedelta
) -> None:
    """Register the worker, or renew its heartbeat; its start time is kept, and that of its revision.

    `interval` is the time to the next beat, `lease` how long the worker may be silent on a job that it holds: readers judge
    each worker by its own.
    """
    now = {"git_sha": git_sha, "app_version": version, "heartbeat_interval": interval, "lease": lease}
    statement = insert(Pod).values(pod_id=pod_id, **now)
    statement = statement.on_conflict_do_update(index_elements=["pod_id"], set_={"last_heartbeat_at": NOW, **now})
    async with engine.begin() as connection:
        await connection.execute(statement)
        if revision := git_sha or version:
            await connection.execute(insert(Revision).values(revision=revision).on_conflict_do_nothing())


async def leave(engine: AsyncEngine, pod_id: str) -> None:
    """Take the worker off the register, on graceful shutdown."""
    async with engine.begin() as connection:
        await connection.execute(delete(Pod).where(Pod.pod_id == pod_id))
