"""Children of a finished job, their deduplication, and the aggregation a pipeline owes after its recalculations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Table, Uuid, any_, func, literal, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import RECALCULATIONS, EntityType, IngestionMethod, JobType, TargetType
from gql_server.ledger import interventions, reconcile
from gql_server.ledger.job import ChildJob, ClaimedJob
from gql_server.ledger.locks import JobTypes, Scope
from gql_server.ledger.serving import SERVING

jobs = models.Job
pipelines = models.Pipeline


@dataclass(frozen=True, slots=True)
class DedupConfig:
    """One waiting job per scope. `index` is the partial unique index that says so; its predicate is that no worker
    has claimed the job yet, so that work which arrives while one is running gets a follow-up of its own."""

    job_type: str
    scope: tuple[str, ...]
    index: str

    def check(self, values: dict[str, Any]) -> None:
        """Raises ValueError when the job is of another type, or a scope value is missing."""
        if values["job_type"] != self.job_type:
            raise ValueError(f"{self.index} deduplicates {self.job_type}, not {values['job_type']}")
        missing = [column for column in self.scope if values[column] is None]
        if missing:
            raise ValueError(f"a {self.job_type} cannot be deduplicated without {', '.join(missing)}")

    @property
    def predicate(self) -> ColumnElement[Any]:
        table = jobs.__table__
        assert isinstance(table, Table)
        index = next(index for index in table.indexes if index.name == self.index)
        return index.dialect_options["postgresql"]["where"]


AGGREGATION = DedupConfig(JobType.AGGREGATION, ("provider", "module_type_id", "year"), "uq_aggregation_active")
EMISSION_RECALC = DedupConfig(
    JobType.EMISSION_RECALC, ("provider", "module_type_id", "data_entry_type_id", "year"), "uq_emission_recalc_active"
)
DEDUPLICATED = {config.job_type: config for config in (AGGREGATION, EMISSION_RECALC)}
HANDED_OVER = (
    "job_type",
    "provider",
    "module_type_id",
    "data_entry_type_id",
    "year",
    "entity_type",
    "entity_id",
    "ingestion_method",
    "target_type",
    "config",
    "max_attempts",
    "scope_module_ids",
    "affected_module_ids",
    "lock_keys",
    "serves",
)


@dataclass(frozen=True, slots=True)
class Chained:
    """The job that will do a child's work. Not `created`: one that already waited, now with the wider scope."""

    job_id: int
    created: bool


# No scope means everything, and stays so.
_WIDENED = {
    "scope_module_ids": text("""
        CASE WHEN data_ingestion_jobs.scope_module_ids IS NOT NULL AND excluded.scope_module_ids IS NOT NULL
        THEN ARRAY(SELECT DISTINCT unnest(data_ingestion_jobs.scope_module_ids || excluded.scope_module_ids) ORDER BY 1)
        END"""),
    "affected_module_ids": text("""
        ARRAY(SELECT DISTINCT unnest(data_ingestion_jobs.affected_module_ids || excluded.affected_module_ids) ORDER BY 1)"""),
    "serves": text("""
        ARRAY(SELECT DISTINCT served
          FROM unnest(data_ingestion_jobs.serves || excluded.serves || excluded.pipeline_id) AS served
          WHERE served <> data_ingestion_jobs.pipeline_id OR data_ingestion_jobs.pipeline_id IS NULL ORDER BY served)"""),
}


async def insert_job(connection: AsyncConnection, values: dict[str, Any], dedup: DedupConfig | None) -> Chained:
    """Insert a job, or widen the one that already waits for the same scope, under its row lock."""
    statement = insert(jobs).values(values)
    if dedup is not None:
        dedup.check(values)
        statement = statement.on_conflict_do_update(
            index_elements=list(dedup.scope), index_where=dedup.predicate, set_=_WIDENED
        )
    row = (await connection.execute(statement.returning(jobs.id, literal_column("xmax = 0").label("created")))).one()
    return Chained(row.id, row.created)


async def chain(
    connection: AsyncConnection, registry: JobTypes, parent: ClaimedJob, children: Sequence[ChildJob]
) -> list[Chained]:
    """Chain the children of a job in its own transaction, and store with them what its pipeline now expects."""
    # Siblings are inserted in one order everywhere, so that two parents cannot wait for each other's rows.
    ordered = sorted(children, key=lambda child: (child.job_type, child.module_type_id or 0, child.data_entry_type_id or 0))
    chained = [
        await insert_job(connection, _values(registry, parent, child), DEDUPLICATED.get(child.job_type)) for child in ordered
    ]
    job_types = [child.job_type for child in ordered]
    if parent.pipeline_id is not None and any(job_type in RECALCULATIONS for job_type in job_types):
        await reconcile.lock(connection, parent.pipeline_ids)
        await connection.execute(
            update(pipelines)
            .where(pipelines.id == parent.pipeline_id)
            .values(
                owes_aggregation=True,
                expected_recalc=func.coalesce(pipelines.expected_recalc, 0) + job_types.count(JobType.EMISSION_RECALC),
            )
        )
    return chained


async def hand_over(connection: AsyncConnection, registry: JobTypes, aborted: Sequence[interventions.AbortedJob]) -> set[UUID]:
    """Give the work that aborted jobs had taken over from other pipelines back to one of those.

    Returns all of those, which the caller recomputes.
    """
    served: set[UUID] = set()
    for job in aborted:
        if not job.serves or (receiver := await _first_open(connection, job.serves)) is None:
            continue
        of_others = [pipeline for pipeline in job.serves if pipeline != receiver]
        values = {column: getattr(job, column) for column in HANDED_OVER} | {"pipeline_id": receiver, "serves": of_others}
        await insert_job(connection, values, DEDUPLICATED.get(str(job.job_type)))
        served |= set(job.serves)
    return served


async def _first_open(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> UUID | None:
    """The oldest of these pipelines that nobody aborted."""
    return await connection.scalar(
        select(pipelines.id)
        .where(pipelines.id == any_(literal(list(pipeline_ids), ARRAY(Uuid()))), pipelines.aborted_at.is_(None))
        .order_by(pipelines.id)
        .limit(1)
    )


# What is owed, by what the jobs say: for whatever was recalculated, an aggregation of the same module and year, by whomever.
# The flag asks for one more, as in a pipeline that is retried. What does not say whom it affected, affected the whole module
# and year; but if it failed, nobody, where others tell who was.
_OWED = reconcile.ForPipelines(f"""
WITH {SERVING}
SELECT p.id AS pipeline_id, r.provider, r.module_type_id, r.year, bool_or(r.is_own) AS is_own,
  coalesce(max(r.id) FILTER (WHERE r.is_own), max(r.id)) AS parent_job_id,
  CASE WHEN NOT bool_or(r.affected_module_ids IS NULL AND r.result IS DISTINCT FROM 'ERROR')
      AND NOT bool_and(r.affected_module_ids IS NULL) THEN
    ARRAY(SELECT DISTINCT unnest(a.affected_module_ids) FROM serving a
      WHERE a.served = p.id AND a.state = 'FINISHED' ORDER BY 1)
  END AS affected
FROM pipelines p JOIN serving r ON r.served = p.id
WHERE p.id {{of}} AND p.aborted_at IS NULL
  AND r.job_type IN ('emission_recalc', 'module_emission_recalc') AND r.module_type_id IS NOT NULL AND r.year IS NOT NULL
GROUP BY p.id, r.provider, r.module_type_id, r.year
HAVING NOT EXISTS (SELECT FROM serving l WHERE l.served = p.id AND l.state IN ('NOT_STARTED', 'QUEUED', 'RUNNING'))
  AND (p.owes_aggregation OR NOT EXISTS (
    SELECT FROM serving a
    WHERE a.served = p.id AND a.job_type = 'aggregation'
      AND (a.provider, a.module_type_id, a.year) = (r.provider, r.module_type_id, r.year)))
""")

_PAID = reconcile.ForPipelines(f"""
WITH {SERVING}
UPDATE pipelines p SET owes_aggregation = false
WHERE p.id {{of}} AND NOT EXISTS (
  SELECT FROM serving l WHERE l.served = p.id AND l.state IN ('NOT_STARTED', 'QUEUED', 'RUNNING'))
RETURNING p.id
""")


async def settle(
    connection: AsyncConnection, registry: JobTypes, pipeline_ids: Collection[UUID], *, recalculated: bool = True
) -> list[Chained]:
    """Chain the aggregations that these pipelines owe, where no job that serves them is live any more. If nothing has been
    `recalculated`, only a flag can say so.

    The pipelines are locked first: of siblings that finish together, exactly one sees that it was the last.
    """
    owing = await reconcile.lock(connection, pipeline_ids)
    suspects = pipeline_ids if recalculated else owing
    if not suspects:
        return []
    owed = await _OWED.execute(connection, suspects)
    if owing:
        await _PAID.execute(connection, owing)
    # Inserted in one order everywhere, so that two who settle cannot wait for each other's rows; work's owner comes first.
    ordered = sorted(owed, key=lambda row: (row.provider, row.module_type_id, row.year, not row.is_own, row.pipeline_id))
    return [await _aggregate(connection, registry, row) for row in ordered]


async def _aggregate(connection: AsyncConnection, registry: JobTypes, owed: Row[Any]) -> Chained:
    """The aggregation of a module and year that a pipeline recalculated, with the union of what was affected."""
    values = {
        "job_type": JobType.AGGREGATION,
        "pipeline_id": owed.pipeline_id,
        "parent_job_id": owed.parent_job_id,
        "provider": owed.provider,
        "module_type_id": owed.module_type_id,
        "year": owed.year,
        "entity_type": EntityType.MODULE_PER_YEAR,
        "ingestion_method": IngestionMethod.COMPUTED,
        "target_type": TargetType.DATA_ENTRIES,
        "scope_module_ids": owed.affected,
        "lock_keys": _lock_keys(registry, JobType.AGGREGATION, Placement(owed.provider, owed.module_type_id, owed.year)),
    }
    return await insert_job(connection, values, AGGREGATION)


def _values(registry: JobTypes, parent: ClaimedJob, child: ChildJob) -> dict[str, Any]:
    placed = Placement(
        parent.provider,
        parent.module_type_id if child.module_type_id is None else child.module_type_id,
        parent.year if child.year is None else child.year,
    )
    return {
        "job_type": child.job_type,
        "pipeline_id": parent.pipeline_id,
        "parent_job_id": parent.id,
        "provider": placed.provider,
        "module_type_id": placed.module_type_id,
        "year": placed.year,
        "data_entry_type_id": child.data_entry_type_id,
        "entity_type": child.entity_type,
        "entity_id": child.entity_id,
        "ingestion_method": child.ingestion_method,
        "target_type": child.target_type,
        "config": dict(child.config),
        "max_attempts": parent.max_attempts,
        "scope_module_ids": None if child.scope_module_ids is None else list(child.scope_module_ids),
        "affected_module_ids": None if child.affected_module_ids is None else list(child.affected_module_ids),
        "lock_keys": _lock_keys(registry, child.job_type, placed),
    }


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a job works: what its locks are derived from."""

    provider: str
    module_type_id: int | None
    year: int | None


def _lock_keys(registry: JobTypes, job_type: str, scope: Scope) -> list[str]:
    return [str(lock) for lock in registry[job_type].locks(scope)]
