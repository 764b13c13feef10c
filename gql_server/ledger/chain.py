"""Children of a finished job, and work that goes back to the pipelines whose own it was."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import RECALCULATIONS, JobType
from gql_server.ledger import interventions, reconcile
from gql_server.ledger.deduplication import DEDUPLICATED, Chained, Placement, insert_job, lock_keys_of
from gql_server.ledger.job import ChildJob, ClaimedJob
from gql_server.ledger.locks import JobTypes

pipelines = models.Pipeline

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
        "lock_keys": lock_keys_of(registry, child.job_type, placed),
    }
