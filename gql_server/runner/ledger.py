"""The five verbs of the ledger: submit, claim, beat, finish, recover.

Every write of a running job is compare-and-set on (worker, attempt, RUNNING), so that a worker that lost its lease can
write nothing. All leases are on the database's clock. Rows are locked in one order everywhere: jobs by id, then pipelines.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
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
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import models
from gql_server.models import NOW, EntityType, HistoryKind, IngestionMethod, JobResult, JobState, JobType, TargetType
from gql_server.runner import failures
from gql_server.runner.locks import Lock
from gql_server.runner.registry import Job, Outcome

HISTORY_LIMIT = 50
_LATEST = f"$[last - {HISTORY_LIMIT - 1} to last]"
LOOKAHEAD = 50
"""Pending jobs that one look at the queue considers, oldest first."""
OWING_AGGREGATION = (JobType.EMISSION_RECALC, JobType.MODULE_EMISSION_RECALC)

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


def history(
    message: str | ColumnElement[str], meta: SQLColumnExpression[Any], kind: HistoryKind | None = None
) -> ColumnElement[Any]:
    """`meta` with one more entry in its status history, of which the latest 50 are kept; without a kind, it is progress."""
    entries = func.coalesce(meta["status_history"], cast(literal("[]"), JSONB))
    told = () if kind is None else ("kind", kind.value)
    entry = func.jsonb_build_array(func.jsonb_build_object("message", message, "ts", NOW, *told))
    latest = func.jsonb_path_query_array(entries.op("||")(entry), cast(_LATEST, JSONPATH))
    return meta.op("||")(func.jsonb_build_object("status_history", latest))


def held_by(worker: str | Bound, job_id: int | Bound, attempt: int | Bound) -> ColumnElement[bool]:
    """The fence of every write of a running job."""
    return and_(jobs.id == job_id, jobs.locked_by == worker, jobs.attempts == attempt, jobs.state == JobState.RUNNING)


def _is_silent(lease: timedelta) -> ColumnElement[bool]:
    """The lease of the job has run out: that of the worker that holds it, or this one if the register does not know it."""
    pod = models.Pod
    of_holder = select(pod.lease).where(pod.pod_id == jobs.locked_by).scalar_subquery()
    return or_(jobs.locked_at.is_(None), jobs.locked_at < NOW - func.coalesce(of_holder, literal(lease)))


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
        "owes_aggregation": new.job_type in OWING_AGGREGATION,
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


# What a worker of these job types may claim, now or once it is due. The words are those of the partial index of pending jobs.
_CLAIMABLE = """
j.state IN ('NOT_STARTED', 'QUEUED') AND j.locked_by IS NULL AND j.job_type IS NOT NULL
AND j.job_type = ANY(:job_types) AND j.attempts < j.max_attempts
"""
_DUE = "(j.run_after IS NULL OR j.run_after <= clock_timestamp())"
_COMBINATION = "{0}.provider, {0}.module_type_id, {0}.data_entry_type_id, {0}.target_type, {0}.ingestion_method, {0}.year"

# A running job keeps its locks, and stays the current one of its combination: of those at most one may be RUNNING.
# Read once, not once for each pending job: between two vacuums the index leads through all that ran since.
_RUNNING = f"""
running AS MATERIALIZED (
  SELECT r.lock_keys, r.is_current, {_COMBINATION.format("r")} FROM data_ingestion_jobs r WHERE r.state = 'RUNNING'
)
"""
_BLOCKED = f"""
EXISTS (
  SELECT FROM running r
  WHERE r.lock_keys && j.lock_keys OR r.is_current AND j.entity_type <> 'MODULE_UNIT_SPECIFIC'
    AND ({_COMBINATION.format("r")}) = ({_COMBINATION.format("j")})
)
"""

# `started_at` tells of the first claim; what came after it is told by the history.
_CLAIMED_AGAIN = f"""
jsonb_build_object('status_history', jsonb_path_query_array(
  coalesce(j.meta->'status_history', '[]') || jsonb_build_array(jsonb_build_object(
    'message', format('Attempt %s of %s', j.attempts + 1, j.max_attempts), 'ts', clock_timestamp(),
    'kind', CASE WHEN j.attempts = 0 THEN '{HistoryKind.CLAIMED}' ELSE '{HistoryKind.RETRIED}' END)),
  '{_LATEST}'))
"""

# The update waits for `demoted` by counting it, because the index of current jobs admits one of a combination at any time.
_CLAIM = text(f"""
WITH {_RUNNING}, pending AS (
  SELECT j.id, j.lock_keys, j.entity_type, {_COMBINATION.format("j")}
  FROM data_ingestion_jobs j
  WHERE {_CLAIMABLE} AND j.id <> ALL(:held) AND {_DUE} AND NOT {_BLOCKED}
  ORDER BY j.id
  LIMIT {LOOKAHEAD}
), ranked AS (
  SELECT p.id,
    NOT EXISTS (SELECT FROM pending o WHERE o.id < p.id AND o.lock_keys && p.lock_keys) AS is_first,
    row_number() OVER (PARTITION BY {_COMBINATION.format("p")},
      CASE WHEN p.entity_type = 'MODULE_UNIT_SPECIFIC'
        OR num_nulls(p.module_type_id, p.data_entry_type_id, p.target_type, p.year) > 0 THEN p.id END ORDER BY p.id) AS place
  FROM pending p
), mine AS (
  SELECT j.id, j.entity_type, {_COMBINATION.format("j")}
  FROM data_ingestion_jobs j
  WHERE j.id IN (SELECT id FROM ranked WHERE is_first AND place = 1) AND {_CLAIMABLE}
  ORDER BY j.id
  LIMIT :most
  FOR NO KEY UPDATE SKIP LOCKED
), demoted AS (
  UPDATE data_ingestion_jobs o SET is_current = false
  FROM mine m
  WHERE m.entity_type <> 'MODULE_UNIT_SPECIFIC' AND o.is_current AND o.state <> 'RUNNING' AND o.id <> ALL(SELECT id FROM mine)
    AND o.provider = m.provider AND o.ingestion_method = m.ingestion_method
    AND o.module_type_id IS NOT DISTINCT FROM m.module_type_id
    AND o.data_entry_type_id IS NOT DISTINCT FROM m.data_entry_type_id
    AND o.target_type IS NOT DISTINCT FROM m.target_type
    AND o.year IS NOT DISTINCT FROM m.year
  RETURNING o.id
)
UPDATE data_ingestion_jobs j
SET state = 'RUNNING', locked_by = :worker, claimed_by = :worker, locked_at = clock_timestamp(), attempts = j.attempts + 1,
  started_at = coalesce(j.started_at, clock_timestamp()),
  meta = j.meta - 'progress' || CASE WHEN j.started_at IS NULL THEN '{{}}' ELSE {_CLAIMED_AGAIN} END,
  is_current = j.entity_type <> 'MODULE_UNIT_SPECIFIC'
FROM mine, (SELECT count(*) FROM demoted) AS first
WHERE j.id = mine.id
RETURNING {", ".join("j.attempts AS attempt" if name == "attempt" else f"j.{name}" for name in Job.__dataclass_fields__)}
""")


async def claim(
    connection: AsyncConnection, worker: str, job_types: Sequence[str], most: int, *, held: Collection[int] = ()
) -> list[Job]:
    """Take up to `most` due jobs: RUNNING, leased, one attempt more. Of jobs that share a lock, the oldest goes first.

    A worker passes over the jobs it has `held` and not let go of: after a stall it may find its own lost ones. Raises
    IntegrityError when another worker takes a job of the same combination at the same moment.
    """
    parameters = {"worker": worker, "job_types": list(job_types), "most": most, "held": list(held)}
    taken = await connection.execute(_CLAIM, parameters)
    return sorted((Job(*row) for row in taken), key=lambda job: job.id)


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
    connection: AsyncConnection, worker: str, job: Job, *, message: str | None = None, meta: Mapping[str, Any] | None = None
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


async def finish(connection: AsyncConnection, worker: str, job: Job, outcome: Outcome) -> bool:
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


async def release(connection: AsyncConnection, worker: str, job: Job) -> bool:
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


async def recover(connection: AsyncConnection, lease: timedelta) -> list[Recovered]:
    """Put jobs whose lease has run out back in the queue; give up those without an attempt left.

    Each worker is judged by its own lease; `lease` is that of workers which are not in the register.
    """
    stale = (
        select(jobs.id, jobs.locked_by.label("lost_worker"))
        .where(jobs.state == JobState.RUNNING, _is_silent(lease))
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
        .returning(jobs.id, jobs.pipeline_id, stale.c.lost_worker, jobs.state)
    )
    ended = [Recovered(row.id, row.pipeline_id, row.lost_worker, row.state == JobState.FINISHED) for row in recovered]
    await failures.record(connection, [job.job_id for job in ended if job.given_up])
    return ended


@dataclass(frozen=True, slots=True)
class Aborted:
    """A job that an abort ended, with what is needed to give the work of others it had taken over to somebody else."""

    id: int
    job_type: str | None
    provider: str
    module_type_id: int | None
    data_entry_type_id: int | None
    year: int | None
    entity_type: str
    entity_id: int | None
    ingestion_method: str
    target_type: str | None
    config: Mapping[str, Any]
    max_attempts: int
    scope_module_ids: list[int] | None
    affected_module_ids: list[int] | None
    lock_keys: list[str]
    serves: list[UUID]


async def abort(connection: AsyncConnection, pipeline_id: UUID, by: str, reason: str | None) -> list[Aborted]:
    """End every live job of the pipeline with ERROR, whoever holds it.

    A job that is just committing is waited for, and may leave children that this look did not see: look until none is left.
    """
    aborted: list[Aborted] = []
    while ended := await _abort_live(connection, pipeline_id, by, reason):
        aborted += ended
    await failures.record(connection, [job.id for job in aborted])
    return aborted


async def _abort_live(connection: AsyncConnection, pipeline_id: UUID, by: str, reason: str | None) -> list[Aborted]:
    live = (
        select(jobs.id)
        .where(jobs.pipeline_id == pipeline_id, jobs.state.in_(models.LIVE_STATES))
        .order_by(jobs.id)
        .with_for_update(key_share=True)
        .cte("live")
    )
    message = f"Aborted by {by}"
    marks = func.jsonb_build_object("aborted", True, "aborted_by", by, "aborted_at", NOW, "abort_reason", reason)
    ended = await connection.execute(
        update(jobs)
        .where(jobs.id.in_(select(live.c.id)))
        .values(
            state=JobState.FINISHED,
            result=JobResult.ERROR,
            status_message=message,
            meta=history(message, jobs.meta.op("||")(marks), HistoryKind.ABORTED),
            finished_at=func.coalesce(jobs.finished_at, NOW),
            locked_by=None,
            locked_at=None,
            is_current=False,
        )
        .returning(*(getattr(jobs, name) for name in Aborted.__dataclass_fields__))
    )
    return sorted((Aborted(*row) for row in ended), key=lambda job: job.id)


async def requeue(connection: AsyncConnection, job_id: int, lease: timedelta) -> bool:
    """Put one job whose lease has run out back in the queue, with all its attempts. False when its lease still holds."""
    message = "Recovered by an operator"
    result = await connection.execute(
        update(jobs)
        .where(jobs.id == job_id, jobs.state == JobState.RUNNING, _is_silent(lease))
        .values(
            state=JobState.NOT_STARTED,
            status_message=message,
            meta=history(message, jobs.meta, HistoryKind.RECOVERED),
            locked_by=None,
            locked_at=None,
            is_current=False,
            run_after=None,
            attempts=0,
        )
    )
    return result.rowcount == 1


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs a worker could claim now, and when the next one will be."""

    due: int
    waiting: int
    next_due_in: timedelta | None


NO_BACKLOG = Backlog(0, 0, None)

_BACKLOG = text(f"""
WITH {_RUNNING}
SELECT count(*) FILTER (WHERE due AND NOT blocked) AS due, count(*) AS waiting,
  min(run_after - clock_timestamp()) FILTER (WHERE NOT due) AS next_due_in
FROM (
  SELECT j.run_after, {_DUE} AS due, {_BLOCKED} AS blocked
  FROM data_ingestion_jobs j
  WHERE {_CLAIMABLE}
  ORDER BY j.id LIMIT {LOOKAHEAD}
) AS pending
""")


async def backlog(connection: AsyncConnection, job_types: Sequence[str]) -> Backlog:
    """What is left to claim among the oldest pending jobs."""
    row = (await connection.execute(_BACKLOG, {"job_types": list(job_types)})).one()
    return Backlog(row.due, row.waiting, row.next_due_in)
