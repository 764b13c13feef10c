"""Submit, the verb: a root job, and the pipeline that is minted with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import tracing
from gql_server.db import models
from gql_server.db.models import (
    RECALCULATIONS,
    UNNAMED,
    EntityType,
    IngestionMethod,
    JobType,
    TargetType,
)
from gql_server.ledger.locks import Lock

jobs, uploads = models.Job, models.Upload


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
    """Job and pipeline that a submit put into the ledger."""

    job_id: int
    pipeline_id: UUID


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
        "traceparent": tracing.traceparent(),
        "expected_recalc": int(new.job_type == JobType.EMISSION_RECALC),
        "owes_aggregation": new.job_type in RECALCULATIONS,
        "job_count": 1,
        **_file(new),
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


def _file(new: NewJob) -> dict[str, Any]:
    """Key of the file that is read, and if it is one of entries of one unit, its name and digest."""
    if new.upload_id is None:
        return {}
    digest = func.coalesce(uploads.sha256, cast(uploads.id, Text))
    of_file = {"file_key": func.gql_file_key(uploads.provider, new.year, digest)}
    if (new.job_type, new.entity_type) == (JobType.CSV_INGEST, EntityType.MODULE_UNIT_SPECIFIC):
        of_file |= {"file_name": func.nullif(uploads.filename, UNNAMED), "file_digest": digest}
    return {name: select(value).where(uploads.id == new.upload_id).scalar_subquery() for name, value in of_file.items()}
