"""The verbs of the ledger: submit, beat, finish, recover; claim has a module of its own.

Every write of a running job is compare-and-set on (worker, attempt, RUNNING), so that a worker that lost its lease can
write nothing. All leases are on the database's clock. Rows are locked in one order everywhere: jobs by id, then pipelines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    SQLColumnExpression,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import (
    NOW,
    RECALCULATIONS,
    EntityType,
    HistoryKind,
    IngestionMethod,
    JobResult,
    JobState,
    JobType,
    TargetType,
)
from gql_server.ledger.failures import record as failures
from gql_server.ledger.history import history
from gql_server.ledger.job import ClaimedJob, Outcome
from gql_server.ledger.leases import LEASE_IS_OVER
from gql_server.ledger.locks import Lock

Bound = BindParameter[Any]

jobs = models.Job


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A root job to submit; its pipeline is minted with it."""

    job_type: str
    provider: str
    entity_type: EntityType = EntityType.MODULE_PER_YEAR
    ingestion_method: IngestionMethod
    target_type: TargetType
    module_type_id: int | None = None
    data_entry_type_id: int | None = None
    year: int | None = None
    entity_id: int | None = None
    unit_institutional_id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    upload_id: UUID | None = None
    scope_module_ids: Sequence[int] | None = None
    created_by: Mapping[str, Any] | None = None
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submit put into the ledger."""

    job_id: int
    pipeline_id: UUID


def held_by(worker: str | Bound, job_id: int | Bound, attempt: int | Bound) -> ColumnElement[bool]:
    """The fence of every write of a running job."""
    return and_(jobs.id == job_id, jobs.locked_by == worker, jobs.attempts == attempt, jobs.state == JobState.RUNNING)


async def submit(connection: AsyncConnection, new: NewJob, locks: Sequence[Lock]) -> Submitted:
    """Mint a pipeline and insert its root job, ready to be claimed when the caller commits."""
    pipeline = {
        "kind": new.job_type,
        "provider": new.provider,
        "entity_type": new.entity_type,
        "ingestion_method": new.ingestion_method,
        "module_type_id": new.module_type_id,
        "data_entry_type_id": new.data_entry_type_id,
        "year": new.year,
        "unit_institutional_id": new.unit_institutional_id,
        "created_by": new.created_by,
        "expected_recalc": int(new.job_type == JobType.EMISSION_RECALC),
        "owes_aggregation": new.job_type in RECALCULATIONS,
        "job_count": 1,
    }
    pipeline_id = await connection.scalar(insert(models.Pipeline).values(pipeline).returning(models.Pipeline.id))
    job = {
        "job_type": new.job_type,
        "pipeline_id": pipeline_id,
        "provider": new.provider,
        "entity_type": new.entity_type,
        "entity_id": new.entity_id,
        "ingestion_method": new.ingestion_method,
        "target_type": new.target_type,
        "module_type_id": new.module_type_id,
        "data_entry_type_id": new.data_entry_type_id,
        "year": new.year,
        "config": dict(new.config),
        "meta": {**new.meta, "created_by": new.created_by},
        "upload_id": new.upload_id,
        "scope_module_ids": new.scope_module_ids,
        "lock_keys": [str(lock) for lock in locks],
        "status_message": "Job created",
        "max_attempts": new.max_attempts,
    }
    job_id = await connection.scalar(insert(jobs).values(job).returning(jobs.id))
    assert pipeline_id is not None
    assert job_id is not None
    return Submitted(job_id, pipeline_id)


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
    """Write the progress of a running job. False when the job is no longer this worker's."""
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


async def finish(connection: AsyncConnection, worker: str, job: ClaimedJob, outcome: Outcome) -> bool:
    """Write the terminal state of this attempt. False when the job is no longer this worker's: then write nothing else."""
    failure = failures.of_outcome(job, outcome)
    result = await connection.execute(
        _FINISH,
        {
            "worker": worker,
            "job_id": job.id,
            "attempt": job.attempt,
            "outcome": outcome.result,
            "message": outcome.message,
            "more": dict(outcome.meta),
            "affected": None if outcome.affected_module_ids is None else list(outcome.affected_module_ids),
            "class_": failure and failure.failure_class,
            "fingerprint": failure and failure.fingerprint,
        },
    )
    if result.rowcount != 1:
        return False
    if failure:
        await failures.name_groups(connection, [(job.provider, job.job_type, failure)])
    if outcome.row_errors:
        rows = [
            {"job_id": job.id, "row": error.row, "column": error.column, "reason": error.reason, "value": error.value}
            for error in outcome.row_errors
        ]
        await connection.execute(insert(models.RowError), rows)
    return True


async def release(connection: AsyncConnection, worker: str, job: ClaimedJob) -> bool:
    """Give back a job that was not worked on, or whose work was rolled back. The attempt does not count, unless a
    follow-up already waits: then this one is the requeued one of the two, and keeps its attempt."""
    back = (
        update(jobs)
        .where(held_by(worker, job.id, job.attempt))
        .values(state=JobState.NOT_STARTED, locked_by=None, locked_at=None, is_current=False)
    )
    try:
        async with connection.begin_nested():
            result = await connection.execute(back.values(attempts=jobs.attempts - 1))
    except IntegrityError:
        result = await connection.execute(back)
    return result.rowcount == 1


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
    await failures.record(connection, [job.job_id for job in ended if job.given_up])
    return ended
