"""Children of a finished job, their deduplication, and the aggregation a pipeline owes after its recalculations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Uuid, any_, false, func, literal, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import LIVE_STATES, RECALCULATIONS, EntityType, IngestionMethod, JobState, JobType, TargetType
from gql_server.ledger import interventions, reconcile
from gql_server.ledger.job import Child, Job
from gql_server.ledger.locks import JobTypes, Scope

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
        CASE WHEN excluded.pipeline_id = data_ingestion_jobs.pipeline_id THEN data_ingestion_jobs.serves
        ELSE array_remove(data_ingestion_jobs.serves, excluded.pipeline_id) || excluded.pipeline_id END"""),
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


async def chain(connection: AsyncConnection, registry: JobTypes, parent: Job, children: Sequence[Child]) -> list[Chained]:
    """Chain the children of a job in its own transaction, and store with them what its pipeline now expects."""
    # Siblings are inserted in one order everywhere, so that two parents cannot wait for each other's rows.
    ordered = sorted(children, key=lambda child: (child.job_type, child.module_type_id or 0, child.data_entry_type_id or 0))
    chained = [
        await insert_job(connection, _values(registry, parent, child), DEDUPLICATED.get(child.job_type)) for child in ordered
    ]
    created = [child.job_type for child, result in zip(ordered, chained, strict=True) if result.created]
    if parent.pipeline_id is not None and any(job_type in RECALCULATIONS for job_type in created):
        await connection.execute(
            update(pipelines)
            .where(pipelines.id == parent.pipeline_id)
            .values(
                owes_aggregation=True,
                expected_recalc=func.coalesce(pipelines.expected_recalc, 0) + created.count(JobType.EMISSION_RECALC),
            )
        )
    return chained


async def hand_over(connection: AsyncConnection, registry: JobTypes, aborted: Sequence[interventions.Aborted]) -> set[UUID]:
    """Give the work that aborted jobs had taken over from other pipelines back to one of those.

    Returns the pipelines that got a job, which the caller recomputes.
    """
    receivers: set[UUID] = set()
    for job in aborted:
        if (receiver := await _first_open(connection, job.serves)) is None:
            continue
        values = {column: getattr(job, column) for column in HANDED_OVER} | {"pipeline_id": receiver}
        dedup = DEDUPLICATED.get(str(job.job_type))
        chained = await insert_job(connection, values, dedup)
        if chained.created and job.job_type in RECALCULATIONS:
            await connection.execute(update(pipelines).where(pipelines.id == receiver).values(owes_aggregation=True))
        receivers.add(receiver)
    return receivers


async def _first_open(connection: AsyncConnection, pipeline_ids: Collection[UUID]) -> UUID | None:
    """The oldest of these pipelines that nobody aborted."""
    return await connection.scalar(
        select(pipelines.id)
        .where(pipelines.id == any_(literal(list(pipeline_ids), ARRAY(Uuid()))), pipelines.aborted_at.is_(None))
        .order_by(pipelines.id)
        .limit(1)
    )


async def settle(connection: AsyncConnection, registry: JobTypes, pipeline_ids: Collection[UUID]) -> list[Chained]:
    """Chain the aggregation that these pipelines owe, where no job of theirs is live any more.

    The pipelines are locked first: of siblings that finish together, exactly one sees that it was the last.
    """
    if not (owing_ids := await reconcile.lock(connection, pipeline_ids)):
        return []
    live = select(jobs.id).where(jobs.pipeline_id == pipelines.id, jobs.state.in_(LIVE_STATES)).exists()
    due = await connection.scalars(
        select(pipelines.id).where(pipelines.id == any_(literal(owing_ids, ARRAY(Uuid()))), ~live).order_by(pipelines.id)
    )
    return [chained for pipeline_id in due.all() for chained in await _aggregate(connection, registry, pipeline_id)]


async def _aggregate(connection: AsyncConnection, registry: JobTypes, pipeline_id: UUID) -> list[Chained]:
    """One aggregation for each module and year that the pipeline recalculated, with the union of what was affected."""
    recalculated = await connection.execute(
        select(
            jobs.provider,
            jobs.module_type_id,
            jobs.year,
            func.max(jobs.id).label("parent_job_id"),
            func.bool_or(jobs.affected_module_ids.is_(None)).label("unscoped"),
        )
        .where(jobs.pipeline_id == pipeline_id, jobs.job_type.in_(RECALCULATIONS), jobs.state == JobState.FINISHED)
        .where(jobs.module_type_id.is_not(None), jobs.year.is_not(None))
        .group_by(jobs.provider, jobs.module_type_id, jobs.year)
        .order_by(jobs.module_type_id, jobs.year)
    )
    chained: list[Chained] = []
    for row in recalculated.all():
        affected = None if row.unscoped else await _affected_modules(connection, pipeline_id)
        values = {
            "job_type": JobType.AGGREGATION,
            "pipeline_id": pipeline_id,
            "parent_job_id": row.parent_job_id,
            "provider": row.provider,
            "module_type_id": row.module_type_id,
            "year": row.year,
            "entity_type": EntityType.MODULE_PER_YEAR,
            "ingestion_method": IngestionMethod.COMPUTED,
            "target_type": TargetType.DATA_ENTRIES,
            "scope_module_ids": affected,
        }
        values["lock_keys"] = _lock_keys(registry, JobType.AGGREGATION, Placement(row.provider, row.module_type_id, row.year))
        chained.append(await insert_job(connection, values, AGGREGATION))
    await connection.execute(update(pipelines).where(pipelines.id == pipeline_id).values(owes_aggregation=false()))
    return chained


async def _affected_modules(connection: AsyncConnection, pipeline_id: UUID) -> list[int]:
    affected = await connection.scalars(
        select(func.unnest(jobs.affected_module_ids).label("id"))
        .where(jobs.pipeline_id == pipeline_id, jobs.state == JobState.FINISHED)
        .distinct()
        .order_by(text("1"))
    )
    return list(affected.all())


def _values(registry: JobTypes, parent: Job, child: Child) -> dict[str, Any]:
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
