"""Beat and finish, the verbs of a worker that holds a job; with them the notes of its progress, and giving it back.

Every write of a running job is compare-and-set on (worker, attempt, RUNNING), so that a worker that lost its lease can
write nothing. All leases are on the database's clock. Rows are locked in one order everywhere: jobs by id, then pipelines.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    SQLColumnExpression,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    insert,
    not_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import among, given_keys
from gql_server.db.models import (
    NOW,
    RECALCULATIONS,
    HistoryKind,
    JobState,
)
from gql_server.ledger.failures import record as failure_records
from gql_server.ledger.failures.classify import FAILED_RESULTS, Failure
from gql_server.ledger.history import history
from gql_server.ledger.job import ClaimedJob, Outcome
from gql_server.ledger.reconcile import OWES

Bound = BindParameter[Any]

AT_ONCE = timedelta(0)
jobs, pipelines = models.Job, models.Pipeline


def held_by(worker: str | Bound, job_id: int | Bound, attempt: int | Bound) -> ColumnElement[bool]:
    """The fence of every write of a running job."""
    return and_(jobs.id == job_id, jobs.locked_by == worker, jobs.attempts == attempt, jobs.state == JobState.RUNNING)


async def beat(connection: AsyncConnection, worker: str, held: Mapping[int, int]) -> set[int]:
    """Renew the leases of the jobs held (id → attempt). Returns those still held; the others were lost."""
    if not held:
        return set()
    mine = (
        select(jobs.id)
        .where(tuple_(jobs.id, jobs.attempts).in_(list(held.items())))
        .where(jobs.locked_by == worker, jobs.state == JobState.RUNNING)
        .order_by(jobs.id)
        .with_for_update(key_share=True)
        .cte("mine")
    )
    kept = await connection.scalars(update(jobs).where(jobs.id.in_(select(mine.c.id))).values(locked_at=NOW).returning(jobs.id))
    return set(kept.all())


async def note(
    connection: AsyncConnection,
    worker: str,
    job: ClaimedJob,
    *,
    message: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> bool:
    """Write the progress of a running job: its status message, kept in its history too, and what is merged into its bag. False
    when the job is no longer this worker's."""
    merged: SQLColumnExpression[Any] = jobs.meta
    if meta:
        merged = merged.op("||")(cast(dict(meta), JSONB))
    values: dict[str, Any] = {"meta": merged}
    if message is not None:
        values |= {"status_message": message, "meta": history(message, merged)}
    result = await connection.execute(update(jobs).where(held_by(worker, job.id, job.attempt)).values(values))
    return result.rowcount == 1


_FINISH = (
    update(jobs)
    .where(held_by(bindparam("worker"), bindparam("job_id"), bindparam("attempt")))
    .values(
        state=JobState.FINISHED,
        result=bindparam("outcome"),
        status_message=bindparam("message"),
        finished_at=func.coalesce(jobs.finished_at, NOW),
        meta=history(
            bindparam("message"),
            jobs.meta.op("-")("progress").op("||")(bindparam("more", type_=JSONB)),
            HistoryKind.FINISHED,
        ),
        affected_module_ids=bindparam("affected"),
        failure_class=bindparam("class_"),
        failure_fingerprint=bindparam("fingerprint"),
    )
)


_FINISHED = _FINISH.returning(jobs.id).cte("finished")
_LOCKED = (
    select(OWES.label("owes"))
    .where(among(pipelines.id, given_keys(pipelines.id)), select(_FINISHED.c.id).exists())
    .order_by(pipelines.id)
    .with_for_update(key_share=True)
    .cte("locked")
)
_ANY = select(func.coalesce(func.bool_or(_LOCKED.c.owes), false()).label("owes")).cte("of_any")

# The function is called last, and sees what was written and what was committed before the locks were given: each statement of a
# function that is volatile looks at the ledger anew.
_FINISH_AND_STORE = select(
    _ANY.c.owes,
    case((not_(_ANY.c.owes), func.gql_try_store_status(given_keys(pipelines.id)))),
).where(select(_FINISHED.c.id).exists())


def ends_simply(job: ClaimedJob, outcome: Outcome) -> bool:
    """True if an attempt ends in success, and only its pipelines have to be written with it, unless they owe something."""
    return (
        outcome.result not in FAILED_RESULTS
        and not outcome.row_errors
        and not outcome.children
        and job.job_type not in RECALCULATIONS
        and bool(job.pipeline_ids)
    )


class Finished(NamedTuple):
    """A job that was finished in one statement. If a pipeline of its owes an aggregation, no status is stored yet; nor after an
    error, which is told."""

    owes: bool
    refusal: str | None


async def finish(connection: AsyncConnection, worker: str, job: ClaimedJob, outcome: Outcome) -> bool:
    """Write the terminal state of this attempt. False when the job is no longer this worker's: then write nothing else."""
    failure = failure_records.of_outcome(job, outcome)
    result = await connection.execute(_FINISH, _terminal(worker, job, outcome, failure))
    if result.rowcount != 1:
        return False
    if failure:
        await failure_records.name_groups(connection, [(job.provider, job.job_type, failure)])
    if outcome.row_errors:
        rows = [
            {"job_id": job.id, "row": error.row, "column": error.column, "reason": error.reason, "value": error.value}
            for error in outcome.row_errors
        ]
        await connection.execute(insert(models.RowError), rows)
    return True


async def finish_and_store(connection: AsyncConnection, worker: str, job: ClaimedJob, outcome: Outcome) -> Finished | None:
    """Write the terminal state of a successful attempt, lock its pipelines, and store what their jobs say, in one statement.
    None when the job is no longer this worker's."""
    values = {**_terminal(worker, job, outcome, None), "keys": list(job.pipeline_ids)}
    row = (await connection.execute(_FINISH_AND_STORE, values)).one_or_none()
    return None if row is None else Finished(*row)


def _terminal(worker: str, job: ClaimedJob, outcome: Outcome, failure: Failure | None) -> dict[str, Any]:
    """The terminal state, as the statements take it."""
    return {
        "worker": worker,
        "job_id": job.id,
        "attempt": job.attempt,
        "outcome": outcome.result,
        "message": outcome.message,
        "more": dict(outcome.meta),
        "affected": None if outcome.affected_module_ids is None else list(outcome.affected_module_ids),
        "class_": failure and failure.failure_class,
        "fingerprint": failure and failure.fingerprint,
    }


async def release(connection: AsyncConnection, worker: str, job: ClaimedJob, *, delay: timedelta = AT_ONCE) -> bool:
    """Give back a job that was not worked on, or whose work was rolled back, to be claimed after the delay. The attempt does
    not count, unless a follow-up already waits: then this one is the requeued one of the two, and keeps its attempt."""
    due = {"run_after": func.clock_timestamp() + delay} if delay else {}
    back = (
        update(jobs)
        .where(held_by(worker, job.id, job.attempt))
        .values(state=JobState.NOT_STARTED, locked_by=None, locked_at=None, is_current=False, **due)
    )
    try:
        async with connection.begin_nested():
            result = await connection.execute(back.values(attempts=jobs.attempts - 1))
    except IntegrityError:
        result = await connection.execute(back)
    return result.rowcount == 1
