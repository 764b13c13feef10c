"""Recover, the verb: jobs whose workers fell silent."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    case,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import (
    NOW,
    HistoryKind,
    JobResult,
    JobState,
)
from gql_server.ledger.failures import record as failure_records
from gql_server.ledger.history import history
from gql_server.ledger.leases import LEASE_IS_OVER

jobs = models.Job


@dataclass(frozen=True, slots=True)
class Recovered:
    """A job whose worker fell silent: requeued, or given up after its last attempt."""

    job_id: int
    pipeline_id: UUID | None
    lost_worker: str | None
    given_up: bool
    serves: list[UUID]


async def recover(connection: AsyncConnection) -> list[Recovered]:
    """Put jobs whose lease has run out back in the queue; give up those without an attempt left."""
    stale = (
        select(jobs.id, jobs.locked_by.label("lost_worker"))
        .where(LEASE_IS_OVER)
        .order_by(jobs.id)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("stale")
    )
    given_up = jobs.attempts >= jobs.max_attempts
    marked = jobs.meta.op("||")(func.jsonb_build_object("given_up", True))
    message = case(
        (
            given_up,
            func.format(
                "Given up by auto-recovery: worker %s fell silent in attempt %s of %s",
                func.coalesce(stale.c.lost_worker, "unknown"),
                jobs.attempts,
                jobs.max_attempts,
            ),
        ),
        else_=func.format("Recovered: worker %s fell silent", func.coalesce(stale.c.lost_worker, "unknown")),
    )
    recovered = await connection.execute(
        update(jobs)
        .where(jobs.id == stale.c.id)
        .values(
            state=case((given_up, JobState.FINISHED), else_=JobState.NOT_STARTED).cast(models.job_state_enum),
            result=case((given_up, JobResult.ERROR), else_=None).cast(models.job_result_enum),
            finished_at=case((given_up, NOW), else_=None),
            status_message=message,
            meta=case(
                (given_up, history(message, marked, HistoryKind.FINISHED)),
                else_=history(message, jobs.meta, HistoryKind.RECOVERED),
            ),
            locked_by=None,
            locked_at=None,
            is_current=False,
            run_after=None,
        )
        .returning(jobs.id, jobs.pipeline_id, stale.c.lost_worker, jobs.state, jobs.serves)
    )
    ended = [
        Recovered(row.id, row.pipeline_id, row.lost_worker, row.state == JobState.FINISHED, row.serves) for row in recovered
    ]
    await failure_records.record(connection, [job.job_id for job in ended if job.given_up])
    return ended
