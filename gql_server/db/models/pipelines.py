"""Pipelines, and the signatures by which they are counted."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, Double, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.enums import PipelineStatus
from gql_server.db.models.metadata import (
    NOW,
    RUN_SECONDS,
    SECONDS_OF_RUN,
    TIME_ORDERED_ID,
    Base,
    entity_type_enum,
    ingestion_method_enum,
    provider_enum,
)

_IS_TERMINAL = "status = ANY (ARRAY['SUCCESS'::text, 'PARTIAL'::text, 'FAILED'::text])"
_PIPELINE_SECONDS = f"CASE WHEN {_IS_TERMINAL} THEN {SECONDS_OF_RUN} ELSE NULL::double precision END"


class Pipeline(Base):
    """One run: a root job and everything it chained. Rows are never deleted.

    `data_entry_type_id` is the root job's; `scope_key` is equal for runs of one kind on the same scope; `wider_scope_key` is
    that of a run whose data includes its own. `file_key` is equal where the same bytes are read for a year, `signature`
    where jobs are alike (see `JobSignature`); null until the pipeline has come to rest. `file_name` and `file_digest` are of
    the file that was read for one unit: such files add up, so a later one resolves only what read the same.
    """

    __tablename__ = "pipelines"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    kind: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=PipelineStatus.NOT_STARTED.value)
    entity_type: Mapped[str | None] = mapped_column(entity_type_enum)
    ingestion_method: Mapped[str | None] = mapped_column(ingestion_method_enum)
    module_type_id: Mapped[int | None]
    data_entry_type_id: Mapped[int | None]
    year: Mapped[int | None]
    unit_institutional_id: Mapped[str | None]
    scope_key: Mapped[UUID | None] = mapped_column(
        Computed(
            "gql_scope_key(provider, kind, entity_type, module_type_id, data_entry_type_id, year, unit_institutional_id)",
            persisted=True,
        )
    )
    wider_scope_key: Mapped[UUID | None] = mapped_column(
        Computed(
            "gql_wider_scope_key(provider, kind, entity_type, module_type_id, data_entry_type_id, year, unit_institutional_id)",
            persisted=True,
        )
    )
    file_key: Mapped[UUID | None]
    file_name: Mapped[str | None]
    file_digest: Mapped[str | None]
    expected_recalc: Mapped[int | None]
    owes_aggregation: Mapped[bool] = mapped_column(server_default=text("false"))
    job_count: Mapped[int] = mapped_column(server_default=text("0"))
    error_count: Mapped[int] = mapped_column(server_default=text("0"))
    has_warning: Mapped[bool] = mapped_column(server_default=text("false"))
    last_error: Mapped[str | None]
    created_by: Mapped[dict[str, Any] | None]
    traceparent: Mapped[str | None]
    creator: Mapped[str | None] = mapped_column(Computed("created_by ->> 'user_id'", persisted=True))
    signature: Mapped[UUID | None]
    aborted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_seconds: Mapped[float | None] = mapped_column(Double, Computed(_PIPELINE_SECONDS, persisted=True))
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("substring(id::text from 15 for 1) = '7'", name="id_is_uuid7"),
        Index("ix_pipelines_status", "provider", "status", "id", postgresql_include=["has_warning"]),
        Index(
            "ix_pipelines_cell_success",
            "provider",
            "year",
            "module_type_id",
            "id",
            postgresql_where=text("status = 'SUCCESS'"),
        ),
        Index("ix_pipelines_provider", "provider", "id"),
        Index("ix_pipelines_open", "provider", "id", postgresql_where=text("status IN ('NOT_STARTED', 'RUNNING')")),
        Index("ix_pipelines_warned", "provider", "id", postgresql_where=text("has_warning AND status = 'SUCCESS'")),
        Index(
            "ix_pipelines_failed",
            "provider",
            "id",
            postgresql_where=text("status IN ('PARTIAL', 'FAILED')"),
            postgresql_include=[
                *("status", "scope_key", "wider_scope_key", "file_key", "file_digest", "file_name", "unit_institutional_id")
            ],
        ),
        Index(
            "ix_pipelines_unheard",
            "provider",
            "id",
            postgresql_where=text("status NOT IN ('NOT_STARTED', 'RUNNING', 'SUCCESS', 'PARTIAL', 'FAILED')"),
        ),
        Index("ix_pipelines_level", "provider", "entity_type", "id"),
        Index(
            "ix_pipelines_unit",
            "provider",
            "unit_institutional_id",
            "id",
            postgresql_where=text("unit_institutional_id IS NOT NULL"),
        ),
        Index("ix_pipelines_creator", "provider", "creator", "id"),
        Index(
            "ix_pipelines_signature",
            *("provider", "signature", "status", "entity_type", "creator"),
            postgresql_include=["has_warning"],
            postgresql_where=text("signature IS NOT NULL"),
        ),
        Index("ix_pipelines_unsigned", "provider", "id", postgresql_where=text("signature IS NULL")),
        Index("ix_pipelines_aborted", "provider", "id", postgresql_where=text("aborted_at IS NOT NULL")),
        Index("ix_pipelines_updated_at", "updated_at"),
        Index("ix_pipelines_by_creation", "provider", "created_at", "id"),
        Index("ix_pipelines_by_start", "provider", "started_at", "id"),
        Index("ix_pipelines_by_finish", "provider", "finished_at", "id"),
        Index("ix_pipelines_by_duration", "provider", text(RUN_SECONDS), "id"),
        Index("ix_pipelines_by_update", "provider", "updated_at", "id"),
        Index("ix_pipelines_by_errors", "provider", "error_count", "id"),
        Index("ix_pipelines_scope", "scope_key", "id"),
        Index("ix_pipelines_scope_success", "scope_key", "id", postgresql_where=text("status = 'SUCCESS'")),
        Index("ix_pipelines_wider_failed", "wider_scope_key", "id", postgresql_where=text("status IN ('PARTIAL', 'FAILED')")),
        Index("ix_pipelines_file", "file_key", "id", postgresql_where=text("file_key IS NOT NULL")),
        Index(
            "ix_pipelines_landed",
            "provider",
            "kind",
            "entity_type",
            "finished_at",
            postgresql_where=text("status IN ('SUCCESS', 'PARTIAL') AND aborted_at IS NULL"),
        ),
    )


class JobSignature(Base):
    """A sort of job that pipelines with this signature have. That of pipelines without jobs has no rows."""

    __tablename__ = "job_signatures"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    signature: Mapped[UUID]
    job_type: Mapped[str | None]
    module_type_id: Mapped[int | None]
    year: Mapped[int | None]
    failure_class: Mapped[str | None]

    __table_args__ = (
        Index(
            "uq_job_signatures",
            *("signature", "job_type", "module_type_id", "year", "failure_class"),
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )
