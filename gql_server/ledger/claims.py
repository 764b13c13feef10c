"""Takes jobs for a worker: claim, the verb, and the backlog of what is left to claim."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import DirectConnection, DirectStatement, models
from gql_server.db.expressions import words
from gql_server.db.models import HistoryKind
from gql_server.ledger.history import LATEST
from gql_server.ledger.job import ClaimedJob
from gql_server.ledger.leases import claimable

LOOKAHEAD = 50
"""Pending jobs that one look at the queue considers, oldest first."""

_CLAIMABLE = f"{words(claimable(aliased(models.Job, name='j')))} AND j.job_type = ANY(:job_types)"
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
  '{LATEST}'))
"""

_NAMES = tuple(ClaimedJob.__dataclass_fields__)
_FIELDS = ", ".join("j.attempts AS attempt" if name == "attempt" else f"j.{name}" for name in _NAMES)
_COLUMNS = ", ".join(f"c.{name}" for name in _NAMES)

# The update waits for `demoted` by counting it, because the index of current jobs admits one of a combination at any time.
_CLAIM = f"""
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
), claimed AS (
  UPDATE data_ingestion_jobs j
  SET state = 'RUNNING', locked_by = :worker, claimed_by = :worker, locked_at = clock_timestamp(), attempts = j.attempts + 1,
    started_at = coalesce(j.started_at, clock_timestamp()),
    meta = j.meta - 'progress' || CASE WHEN j.started_at IS NULL THEN '{{}}' ELSE {_CLAIMED_AGAIN} END,
    is_current = j.entity_type <> 'MODULE_UNIT_SPECIFIC'
  FROM mine, (SELECT count(*) FROM demoted) AS first
  WHERE j.id = mine.id
  RETURNING j.started_at, {_FIELDS}
)
"""

# Of a pipeline that has just been claimed from only these facts are new. Those that somebody holds are passed over, and told.
_SHOW = """
unstarted AS (
  SELECT p.id FROM pipelines p WHERE p.id IN (SELECT pipeline_id FROM claimed) AND p.status <> 'RUNNING'
), free AS (
  SELECT id FROM pipelines WHERE id IN (SELECT id FROM unstarted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
), shown AS (
  UPDATE pipelines p SET status = 'RUNNING', finished_at = NULL, updated_at = clock_timestamp(),
    started_at = coalesce(p.started_at, (SELECT min(c.started_at) FROM claimed c WHERE c.pipeline_id = p.id))
  FROM free WHERE p.id = free.id
)
"""
_CLAIM_ALONE = text(f"{_CLAIM} SELECT {_COLUMNS} FROM claimed c")
_CLAIM_AND_SHOW = DirectStatement(
    text(f"""
{_CLAIM}, {_SHOW}
SELECT c.pipeline_id IN (SELECT id FROM unstarted EXCEPT SELECT id FROM free) AS is_busy, {_COLUMNS} FROM claimed c
""")
)


async def claim(
    connection: AsyncConnection, worker: str, job_types: Sequence[str], most: int, *, held: Collection[int] = ()
) -> list[ClaimedJob]:
    """Take up to `most` due jobs: RUNNING, leased, one attempt more. Of jobs that share a lock, the oldest goes first.

    A worker passes over the jobs it has `held` and not let go of: after a stall it may find its own lost ones. Raises
    IntegrityError when another worker takes a job of the same combination at the same moment.
    """
    parameters = {"worker": worker, "job_types": list(job_types), "most": most, "held": list(held)}
    taken = await connection.execute(_CLAIM_ALONE, parameters)
    return sorted((ClaimedJob(*row) for row in taken), key=lambda job: job.id)


async def claim_and_show(
    connection: DirectConnection, worker: str, job_types: Sequence[str], most: int, *, held: Collection[int] = ()
) -> tuple[list[ClaimedJob], set[UUID]]:
    """Claim, and show the pipelines of what is claimed as running, in one statement.

    Waits for nobody, because a claim holds rows that others wait for. Returns also the pipelines that somebody else holds, and
    that are still to be shown.
    """
    parameters = {"worker": worker, "job_types": list(job_types), "most": most, "held": list(held)}
    taken = await connection.fetch(_CLAIM_AND_SHOW, parameters)
    claimed = [(is_busy, ClaimedJob(*job)) for is_busy, *job in taken]
    busy = {job.pipeline_id for is_busy, job in claimed if is_busy and job.pipeline_id}
    return sorted((job for _, job in claimed), key=lambda job: job.id), busy


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
    """Backlog: what is left to claim among the oldest pending jobs."""
    row = (await connection.execute(_BACKLOG, {"job_types": list(job_types)})).one()
    return Backlog(row.due, row.waiting, row.next_due_in)
