"""The ledger's tables. `data_ingestion_jobs` is at once queue, lease, progress log and audit record."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class JobState(StrEnum):
    """Lifecycle of a job. The first three are *live*."""

    NOT_STARTED = "NOT_STARTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"


class JobResult(StrEnum):
    """Verdict of a finished job."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"


class PipelineStatus(StrEnum):
    """Verdict of a pipeline, recomputed from its jobs and stored, never counted up."""

    NOT_STARTED = "NOT_STARTED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class EntityType(StrEnum):
    """How wide the work reaches."""

    MODULE_PER_YEAR = "MODULE_PER_YEAR"
    MODULE_UNIT_SPECIFIC = "MODULE_UNIT_SPECIFIC"
    GLOBAL_PER_YEAR = "GLOBAL_PER_YEAR"


class IngestionMethod(StrEnum):
    """How the data arrived. Members are lower case in storage, as they always were."""

    API = "api"
    CSV = "csv"
    MANUAL = "manual"
    COMPUTED = "computed"


class TargetType(StrEnum):
    """What a job writes."""

    DATA_ENTRIES = "DATA_ENTRIES"
    FACTORS = "FACTORS"
    REDUCTION_OBJECTIVES = "REDUCTION_OBJECTIVES"
    REFERENCE_DATA = "REFERENCE_DATA"


class Provider(StrEnum):
    """Directory of people and units a row belongs to: the tenant boundary."""

    ACCRED = "ACCRED"
    DEFAULT = "DEFAULT"
    TEST = "TEST"


class JobType(StrEnum):
    """Job types this version ships; the column is text, so that a newer version's types can be shown."""

    CSV_INGEST = "csv_ingest"
    API_INGEST = "api_ingest"
    FACTOR_INGEST = "factor_ingest"
    REFERENCE_INGEST = "reference_ingest"
    UNIT_SYNC = "unit_sync"
    EMISSION_RECALC = "emission_recalc"
    MODULE_EMISSION_RECALC = "module_emission_recalc"
    AGGREGATION = "aggregation"


FILE_JOBS = (JobType.CSV_INGEST, JobType.FACTOR_INGEST, JobType.REFERENCE_INGEST)
RECALCULATIONS = (JobType.EMISSION_RECALC, JobType.MODULE_EMISSION_RECALC)


class Storage(StrEnum):
    """Where the bytes of an upload are."""

    DATABASE = "database"
    BUCKET = "bucket"


class HistoryKind(StrEnum):
    """What an entry of a job's `status_history` tells. An entry without a kind is progress."""

    CLAIMED = "CLAIMED"
    RETRIED = "RETRIED"
    RECOVERED = "RECOVERED"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"


EVENT_RETENTION = timedelta(days=1)
"""How long the feed can be resumed from where it was left."""

LIVE_STATES = (JobState.NOT_STARTED, JobState.QUEUED, JobState.RUNNING)
TERMINAL_STATUSES = (PipelineStatus.SUCCESS, PipelineStatus.PARTIAL, PipelineStatus.FAILED)


def _enum(members: type[StrEnum], name: str) -> Enum:
    """A native enum that reads and writes plain strings, so that a value unknown to this version does not break a read."""
    return Enum(*[member.value for member in members], name=name)


entity_type_enum = _enum(EntityType, "entity_type_enum")
ingestion_method_enum = _enum(IngestionMethod, "ingestion_method_enum")
target_type_enum = _enum(TargetType, "target_type_enum")
provider_enum = _enum(Provider, "user_provider_enum")
job_state_enum = _enum(JobState, "ingestion_state_enum")
job_result_enum = _enum(JobResult, "ingestion_result_enum")

TIME_ORDERED_ID = text("gql_uuid7()")
NOW = func.clock_timestamp()


_SECONDS = "greatest(extract(epoch FROM finished_at - started_at)::double precision, 0::double precision)"
_IS_TERMINAL = "status = ANY (ARRAY['SUCCESS'::text, 'PARTIAL'::text, 'FAILED'::text])"
_PIPELINE_SECONDS = f"CASE WHEN {_IS_TERMINAL} THEN {_SECONDS} ELSE NULL::double precision END"
_JOB_SECONDS = f"CASE WHEN state = 'FINISHED'::ingestion_state_enum THEN {_SECONDS} ELSE NULL::double precision END"
_KNOWN_KINDS = ", ".join(f"'{kind.value}'" for kind in JobType)


class Base(DeclarativeBase):
    """Metadata of every table, with names for all constraints so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[int]: ARRAY(Integer),
        list[str]: ARRAY(Text),
        list[UUID]: ARRAY(Uuid()),
        str: Text,
        UUID: Uuid(),
    }


class Pipeline(Base):
    """One run: a root job and everything it chained. Rows are never deleted.

    `data_entry_type_id` is the root job's; `scope_key` is equal for runs of one kind on the same scope. `signature` is equal
    where jobs are alike (see `JobSignature`); null until the pipeline has come to rest.
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
    expected_recalc: Mapped[int | None]
    owes_aggregation: Mapped[bool] = mapped_column(server_default=text("false"))
    job_count: Mapped[int] = mapped_column(server_default=text("0"))
    error_count: Mapped[int] = mapped_column(server_default=text("0"))
    has_warning: Mapped[bool] = mapped_column(server_default=text("false"))
    last_error: Mapped[str | None]
    created_by: Mapped[dict[str, Any] | None]
    creator: Mapped[str | None] = mapped_column(Computed("created_by ->> 'user_id'", persisted=True))
    signature: Mapped[UUID | None]
    aborted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_seconds: Mapped[float | None] = mapped_column(Double, Computed(_PIPELINE_SECONDS, persisted=True))
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("substring(id::text from 15 for 1) = '7'", name="id_is_uuid7"),
        Index("ix_pipelines_status", "provider", "status", "id"),
        Index(
            "ix_pipelines_cell_success",
            "provider",
            "year",
            "module_type_id",
            "id",
            postgresql_where=text("status = 'SUCCESS'"),
        ),
        Index("ix_pipelines_provider", "provider", "id"),
        Index("ix_pipelines_updated_at", "updated_at"),
        Index("ix_pipelines_open", "provider", "id", postgresql_where=text("status IN ('NOT_STARTED', 'RUNNING')")),
        Index("ix_pipelines_failed", "provider", "id", postgresql_where=text("status IN ('PARTIAL', 'FAILED')")),
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
            postgresql_where=text("signature IS NOT NULL"),
        ),
        Index("ix_pipelines_unsigned", "provider", "id", postgresql_where=text("signature IS NULL")),
        Index("ix_pipelines_aborted", "provider", "id", postgresql_where=text("aborted_at IS NOT NULL")),
        Index("ix_pipelines_by_creation", "provider", "created_at", "id"),
        Index("ix_pipelines_by_start", "provider", "started_at", "id"),
        Index("ix_pipelines_by_finish", "provider", "finished_at", "id"),
        Index("ix_pipelines_by_duration", "provider", "duration_seconds", "id"),
        Index("ix_pipelines_by_update", "provider", "updated_at", "id"),
        Index("ix_pipelines_by_errors", "provider", "error_count", "id"),
        Index("ix_pipelines_scope", "scope_key", "id"),
        Index("ix_pipelines_scope_success", "scope_key", "id", postgresql_where=text("status = 'SUCCESS'")),
        Index(
            "ix_pipelines_landed",
            "provider",
            "kind",
            "entity_type",
            "finished_at",
            postgresql_where=text("status IN ('SUCCESS', 'PARTIAL') AND aborted_at IS NULL"),
        ),
    )


_OF_CELLS = {
    "cell_aggregations": ("id", "job_type = 'aggregation'"),
    "cell_factors": ("id", "target_type = 'FACTORS'"),
    "cell_recalculations": ("data_entry_type_id", "id", "job_type IN ('emission_recalc', 'module_emission_recalc')"),
    "cell_changes": (
        "finished_at",
        "state = 'FINISHED' AND result <> 'ERROR' AND target_type IN ('DATA_ENTRIES', 'FACTORS') AND job_type <> 'aggregation'",
    ),
}


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

    __table_args__ = (
        Index("uq_data_ingestion_jobs_time_key", "time_key", unique=True),
        Index(
            "ix_data_ingestion_jobs_orphans",
            "provider",
            "time_key",
            postgresql_where=text("pipeline_id IS NULL"),
            postgresql_include=[
                *("state", "result", "job_type", "entity_type"),
                *("module_type_id", "data_entry_type_id", "year", "failure_class"),
                *("scope_key", "created_at", "started_at", "finished_at", "duration_seconds"),
            ],
        ),
        Index(
            "ix_data_ingestion_jobs_orphans_aborted",
            "provider",
            "time_key",
            postgresql_where=text("pipeline_id IS NULL AND coalesce(meta ->> 'aborted' = 'true', false)"),
        ),
        Index(
            "ix_data_ingestion_jobs_orphans_failed",
            "provider",
            "time_key",
            postgresql_where=text("pipeline_id IS NULL AND state = 'FINISHED' AND result = 'ERROR'"),
        ),
        Index(
            "ix_data_ingestion_jobs_orphans_creator",
            "provider",
            text("((meta -> 'created_by') ->> 'user_id')"),
            "time_key",
            postgresql_where=text("pipeline_id IS NULL"),
        ),
        Index("ix_data_ingestion_jobs_pipeline_id", "pipeline_id", "id"),
        Index("ix_data_ingestion_jobs_upload_id", "upload_id", postgresql_where=text("upload_id IS NOT NULL")),
        Index(
            "ix_data_ingestion_jobs_serves",
            "serves",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
            postgresql_where=text("serves <> '{}'::uuid[]"),
        ),
        Index(
            "ix_data_ingestion_jobs_is_current_unique",
            "provider",
            "module_type_id",
            "data_entry_type_id",
            "target_type",
            "ingestion_method",
            "year",
            unique=True,
            postgresql_where=text("is_current"),
        ),
        Index(
            "ix_data_ingestion_jobs_pending",
            "id",
            postgresql_where=text("state IN ('NOT_STARTED', 'QUEUED') AND locked_by IS NULL AND job_type IS NOT NULL"),
        ),
        Index("ix_data_ingestion_jobs_running", "locked_at", postgresql_where=text("state = 'RUNNING'")),
        Index(
            "uq_aggregation_active",
            "provider",
            "module_type_id",
            "year",
            unique=True,
            postgresql_where=text("job_type = 'aggregation' AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0"),
        ),
        Index(
            "uq_emission_recalc_active",
            "provider",
            "module_type_id",
            "data_entry_type_id",
            "year",
            unique=True,
            postgresql_where=text("job_type = 'emission_recalc' AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0"),
        ),
        Index("ix_data_ingestion_jobs_scope", "scope_key", "id", postgresql_where=text("scope_key IS NOT NULL")),
        *(
            Index(f"ix_data_ingestion_jobs_{name}", "provider", "year", "module_type_id", *keys, postgresql_where=text(where))
            for name, (*keys, where) in _OF_CELLS.items()
        ),
        Index("ix_data_ingestion_jobs_provider", "provider", "id"),
        Index("ix_data_ingestion_jobs_job_type", "provider", "job_type", "id"),
        Index("ix_data_ingestion_jobs_failed", "provider", "id", postgresql_where=text("result = 'ERROR'")),
        Index("ix_data_ingestion_jobs_by_start", "provider", "started_at", "id"),
        Index("ix_data_ingestion_jobs_by_finish", "provider", "finished_at", "id"),
        Index("ix_data_ingestion_jobs_by_duration", "provider", "duration_seconds", "id"),
        Index("ix_data_ingestion_jobs_by_attempt", "provider", "attempts", "id"),
        Index("ix_data_ingestion_jobs_kind_of_pipeline", "provider", "job_type", "pipeline_id"),
        Index("ix_data_ingestion_jobs_year_of_pipeline", "provider", "year", "pipeline_id"),
        Index("ix_data_ingestion_jobs_module_of_pipeline", "provider", "module_type_id", "pipeline_id"),
        Index(
            "ix_data_ingestion_jobs_entry_type_of_pipeline",
            "provider",
            "data_entry_type_id",
            "pipeline_id",
            postgresql_where=text("data_entry_type_id IS NOT NULL"),
        ),
        Index(
            "ix_data_ingestion_jobs_other",
            "provider",
            "pipeline_id",
            postgresql_where=text(f"job_type IS NULL OR job_type NOT IN ({_KNOWN_KINDS})"),
        ),
        Index("ix_data_ingestion_jobs_trigrams", text("gql_trigrams(status_message)"), postgresql_using="gin"),
        Index("ix_data_ingestion_jobs_locked_by", "locked_by", postgresql_where=text("locked_by IS NOT NULL")),
        *(
            Index(
                f"ix_data_ingestion_jobs_{column}",
                "provider",
                column,
                "pipeline_id",
                postgresql_where=text(f"{column} IS NOT NULL"),
            )
            for column in ("failure_class", "failure_fingerprint", "claimed_by")
        ),
        Index(
            "ix_data_ingestion_jobs_failures",
            "provider",
            "failure_fingerprint",
            text("coalesce(finished_at, created_at)"),
            postgresql_where=text("failure_fingerprint IS NOT NULL"),
            postgresql_include=["year", "module_type_id", "pipeline_id", "time_key", "id", "created_at", "finished_at"],
        ),
        Index(
            "ix_data_ingestion_jobs_unclassified",
            "id",
            postgresql_where=text("failure_fingerprint IS NULL AND state = 'FINISHED' AND result IN ('ERROR', 'WARNING')"),
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


class Upload(Base):
    """A file a client sent. Its bytes are where `storage` says, for every worker to read, until they are pruned."""

    __tablename__ = "uploads"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    filename: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    sha256: Mapped[str | None]
    created_by: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    storage: Mapped[str] = mapped_column(server_default=Storage.DATABASE.value)
    pruned_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_uploads_kept", "created_at", postgresql_where=text("pruned_at IS NULL")),)


class UploadChunk(Base):
    """A piece of an uploaded file, in order of `seq` from 0."""

    __tablename__ = "upload_chunks"

    upload_id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Pod(Base):
    """A worker process, known by its heartbeat. Each says at what interval it beats, and how long it may be silent on a job."""

    __tablename__ = "pods"

    pod_id: Mapped[str] = mapped_column(primary_key=True)
    git_sha: Mapped[str | None]
    app_version: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    last_heartbeat_at: Mapped[datetime] = mapped_column(server_default=NOW)
    heartbeat_interval: Mapped[timedelta] = mapped_column(server_default=text("'00:00:05'"))
    lease: Mapped[timedelta] = mapped_column(server_default=text("'00:00:10'"))


class Revision(Base):
    """A revision that a worker ran, and when the first one did."""

    __tablename__ = "revisions"

    revision: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)


class FailureGroup(Base):
    """What all jobs with one `failure_fingerprint` share. It counts nothing: who sees which of them differs."""

    __tablename__ = "failure_groups"

    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    failure_class: Mapped[str]
    job_type: Mapped[str | None]
    title: Mapped[str]
    cause: Mapped[str]
    rule: Mapped[str]


class Acknowledgement(Base):
    """Somebody takes care of a failure group, until a time if they said so. The latest one counts."""

    __tablename__ = "failure_acknowledgements"

    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    by: Mapped[dict[str, Any]]
    until: Mapped[datetime | None]
    note: Mapped[str | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["provider", "fingerprint"], ["failure_groups.provider", "failure_groups.fingerprint"], ondelete="CASCADE"
        ),
    )


class YearConfiguration(Base):
    """A reporting year of one provider. `configuration_completed` is stamped by its unit sync."""

    __tablename__ = "year_configuration"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    is_started: Mapped[bool] = mapped_column(server_default=text("false"))
    configuration_completed: Mapped[datetime | None]
    config: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Event(Base):
    """One visible change, numbered in commit order by a deferred trigger; it says what changed, never the data."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    pipeline_key: Mapped[UUID]
    job_id: Mapped[int | None]
    at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_events_pipeline", "pipeline_key", "seq"),)


class IdempotencyKey(Base):
    """A command that was done under a client's key; sent again, it is answered with the same outcome."""

    __tablename__ = "idempotency_keys"

    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    mutation: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[UUID] = mapped_column(primary_key=True)
    input_digest: Mapped[str]
    outcome: Mapped[Any | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)


class BulkAbort(Base):
    """An abort of many pipelines, from its preview on. The first `done` of them are done with; `refused` are of those."""

    __tablename__ = "bulk_aborts"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    subject: Mapped[str]
    pipeline_ids: Mapped[list[UUID]]
    reason: Mapped[str | None]
    done: Mapped[int] = mapped_column(server_default=text("0"))
    succeeded: Mapped[int] = mapped_column(server_default=text("0"))
    refused: Mapped[list[UUID]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_bulk_aborts_created_at", "created_at"),)


class AuditEntry(Base):
    """One command that was done: by whom, to what, and the fields it changed. Rows are never changed."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    provider: Mapped[str] = mapped_column(provider_enum)
    actor: Mapped[dict[str, Any]]
    command: Mapped[str]
    target: Mapped[dict[str, Any]]
    changes: Mapped[dict[str, Any] | None]


class TriageView(Base):
    """An operation that somebody saved, for themselves or for everyone of their provider."""

    __tablename__ = "triage_views"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    owner_subject: Mapped[str]
    owner: Mapped[dict[str, Any]]
    name: Mapped[str]
    description: Mapped[str | None]
    document: Mapped[str]
    document_id: Mapped[str]
    variables: Mapped[dict[str, Any] | None]
    is_shared: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        Index("ix_triage_views_owner", "provider", "owner_subject"),
        Index("ix_triage_views_shared", "provider", postgresql_where=text("is_shared")),
    )
