"""Reads of locks: those that running jobs name in the ledger, who waits for them, and what PostgreSQL itself has granted."""

from collections.abc import Sequence

from sqlalchemy import Boolean, Float, Integer, Text, case, cast, false, func, literal, null, or_, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, seconds
from gql_server.ledger.leases import CLAIMABLE, IS_RUNNING
from gql_server.ledger.locks import MODULE_OF_YEAR, REPORTS_OF_YEAR, UNITS
from gql_server.policy import Viewer, job_clause
from gql_server.reads.fleet.lock_graph import HeldLock, LockObservation, lock_graph
from gql_server.reads.jobs.queries import JOBS

J = models.Job
WAITERS_SHOWN = 500

# PostgreSQL shows the two-integer form as (classid, objid) with objsubid 2, the one-integer form as objid with objsubid 1.
_TAKEN = text(f"""
SELECT CASE l.objsubid WHEN 2 THEN l.classid || ':' || l.objid ELSE l.objid::text END AS key,
  CAST(NULL AS int) AS holder_id, CAST(NULL AS int) AS waiter_id, true AS is_taken,
  CAST(extract(epoch FROM now() - a.xact_start) AS float) AS seconds
FROM pg_locks l
JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted
  AND (l.objsubid = 2 AND l.classid IN ({MODULE_OF_YEAR}, {REPORTS_OF_YEAR})
    OR l.objsubid = 1 AND l.classid = 0 AND l.objid = {UNITS})
""").columns(key=Text, holder_id=Integer, waiter_id=Integer, is_taken=Boolean, seconds=Float)


async def held_locks(connection: AsyncConnection, viewer: Viewer) -> Sequence[HeldLock]:
    """The locks that are held and concern the viewer's provider; of those who wait, the oldest 500."""
    rows = await connection.execute(union_all(_holding(viewer), _waiting(viewer), select(_TAKEN.subquery())))
    return lock_graph([LockObservation(*row) for row in rows], viewer.provider)


def _holding(viewer: Viewer) -> AnySelect:
    seen = job_clause(viewer)
    return select(
        func.unnest(J.lock_keys).label("key"),
        case((seen, J.id)).label("holder_id"),
        cast(null(), Integer).label("waiter_id"),
        false().label("is_taken"),
        case((seen, seconds(J.started_at, func.now()))).label("seconds"),
    ).select_from(JOBS).where(IS_RUNNING, J.lock_keys != [])  # fmt: skip


def _waiting(viewer: Viewer) -> AnySelect:
    """Due jobs that a running one keeps out. The keys of those that run are few, and read once."""
    running = (
        select(func.unnest(J.lock_keys).label("key"))
        .where(IS_RUNNING)
        .correlate(None)
        .cte("running")
        .prefix_with("MATERIALIZED")
    )
    key = func.unnest(J.lock_keys).table_valued("key").render_derived(name="wanted").lateral()
    due = or_(J.run_after.is_(None), J.run_after <= func.now())
    return (
        select(
            key.c.key,
            cast(null(), Integer).label("holder_id"),
            J.id.label("waiter_id"),
            literal(False).label("is_taken"),
            cast(null(), Float).label("seconds"),
        )
        .select_from(JOBS.join(key, key.c.key.in_(select(running.c.key))))
        .where(CLAIMABLE, due, job_clause(viewer))
        .order_by(J.id)
        .limit(WAITERS_SHOWN)
    )
