"""Jobs: the table that is at once queue, lease, progress log and audit record."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, Double, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.enums import IngestionMethod, JobState, Provider
from gql_server.db.models.job_indexes import JOB_INDEXES
from gql_server.db.models.metadata import (
    NOW,
    SECONDS_OF_RUN,
    TIME_ORDERED_ID,
    Base,
    entity_type_enum,
    ingestion_method_enum,
    job_result_enum,
    job_state_enum,
    provider_enum,
    target_type_enum,
)

_JOB_SECONDS = f"CASE WHEN state = 'FINISHED'::ingestion_state_enum THEN {SECONDS_OF_RUN} ELSE NULL::double precision END"


class Job(Base):
    """One row of work. `pipeline_id IS NULL` is an orphan, shown as a pipeline of one under its `time_key`.

    `scope_key` is equal for jobs of one kind on the same scope; unit-specific jobs have none.
    """

    __tablename__ = "data_ingestion_jobs"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    time_key: Mapped[UUID] = mapped_column(server_default=TIME_ORDERED_ID)
    pipeline_id: Mapped[UUID | None] = mapped_column(ForeignKey("pipelines.id", ondelete="RESTRICT"))
    parent_job_id: Mapped[int | None] = mapped_column(ForeignKey("data_ingestion_jobs.id", ondelete="RESTRICT"))
    job_type: Mapped[str | None]
    entity_type: Mapped[str] = mapped_column(entity_type_enum)
    entity_id: Mapped[int | None]
    module_type_id: Mapped[int | None]
    data_entry_type_id: Mapped[int | None]
    year: Mapped[int | None]
    target_type: Mapped[str | None] = mapped_column(target_type_enum)
    ingestion_method: Mapped[str] = mapped_column(ingestion_method_enum, server_default=IngestionMethod.API.value)
    provider: Mapped[str] = mapped_column(provider_enum, server_default=Provider.DEFAULT.value)
    state: Mapped[str | None] = mapped_column(job_state_enum, server_default=JobState.NOT_STARTED.value)
    result: Mapped[str | None] = mapped_column(job_result_enum)
    status_message: Mapped[str | None]
    config: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    meta: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    scope_module_ids: Mapped[list[int] | None]
    serves: Mapped[list[UUID]] = mapped_column(server_default=text("'{}'"))
    affected_module_ids: Mapped[list[int] | None]
    failure_class: Mapped[str | None]
    failure_fingerprint: Mapped[str | None]
    lock_keys: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    upload_id: Mapped[UUID | None] = mapped_column(ForeignKey("uploads.id", ondelete="RESTRICT"))
    is_current: Mapped[bool] = mapped_column(server_default=text("false"))
    scope_key: Mapped[UUID | None] = mapped_column(
        Computed(
            "gql_scope_key(provider, job_type, entity_type, module_type_id, data_entry_type_id, year, NULL)", persisted=True
        )
    )
    locked_by: Mapped[str | None]
    locked_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    run_after: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    max_attempts: Mapped[int] = mapped_column(server_default=text("3"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_seconds: Mapped[float | None] = mapped_column(Double, Computed(_JOB_SECONDS, persisted=True))

    __table_args__ = JOB_INDEXES


class RowError(Base):
    """One rejected input row of an ingest. The true count is in the job's meta; at most `max_row_errors` are kept."""

    __tablename__ = "row_errors"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("data_ingestion_jobs.id", ondelete="CASCADE"))
    row: Mapped[int | None]
    column: Mapped[str | None]
    reason: Mapped[str]
    value: Mapped[str | None]

    __table_args__ = (Index("ix_row_errors_job_id", "job_id", "id"),)
