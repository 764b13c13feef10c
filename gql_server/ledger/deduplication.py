"""Inserting a job, or widening the one that waits for the same scope already."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, literal_column, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import JobType
from gql_server.ledger.locks import JobTypes, Scope

jobs = models.Job


@dataclass(frozen=True, slots=True)
class DedupConfig:
    """One waiting job per scope. `index` is the partial unique index that says so; its predicate is that no worker
    has claimed the job yet, so that work which arrives while one is running gets a follow-up of its own."""

    job_type: str
    scope: tuple[str, ...]
    index: str

    def check(self, values: dict[str, Any]) -> None:
        """Check that these values can be deduplicated. Raises ValueError when the job is of another type, or a scope value is
        missing."""
        if values["job_type"] != self.job_type:
            raise ValueError(f"{self.index} deduplicates {self.job_type}, not {values['job_type']}")
        missing = [column for column in self.scope if values[column] is None]
        if missing:
            raise ValueError(f"a {self.job_type} cannot be deduplicated without {', '.join(missing)}")

    @property
    def predicate(self) -> ColumnElement[Any]:
        """Condition of the partial unique index, as its table declares it: what `ON CONFLICT` has to repeat."""
        table = jobs.__table__
        assert isinstance(table, Table)
        index = next(index for index in table.indexes if index.name == self.index)
        return index.dialect_options["postgresql"]["where"]


AGGREGATION = DedupConfig(JobType.AGGREGATION, ("provider", "module_type_id", "year"), "uq_aggregation_active")
EMISSION_RECALC = DedupConfig(
    JobType.EMISSION_RECALC, ("provider", "module_type_id", "data_entry_type_id", "year"), "uq_emission_recalc_active"
)
DEDUPLICATED = {config.job_type: config for config in (AGGREGATION, EMISSION_RECALC)}


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


@dataclass(frozen=True, slots=True)
class Placement:
    """Provider, module and year of a job, from which its locks are derived."""

    provider: str
    module_type_id: int | None
    year: int | None


def lock_keys_of(registry: JobTypes, job_type: str, scope: Scope) -> list[str]:
    """Texts of the locks of a job of that type and scope, in the order in which they are taken: `category` or `category:key`.

    Raises LookupError for a job type that nobody registered.
    """
    return [str(lock) for lock in registry[job_type].locks(scope)]
