"""Indexes of jobs: for claims, for lists in each of their orders, and for what follows from failures."""

from sqlalchemy import Index, text

from gql_server.db.models.enums import JobType
from gql_server.db.models.metadata import RUN_SECONDS

_KNOWN_JOB_TYPES = ", ".join(f"'{kind.value}'" for kind in JobType)
_OF_MODULE_YEARS = {
    "cell_aggregations": ("id", "job_type = 'aggregation'"),
    "cell_factors": ("id", "target_type = 'FACTORS'"),
    "cell_recalculations": ("data_entry_type_id", "id", "job_type IN ('emission_recalc', 'module_emission_recalc')"),
    "cell_changes": (
        "finished_at",
        "state = 'FINISHED' AND result <> 'ERROR' AND target_type IN ('DATA_ENTRIES', 'FACTORS') AND job_type <> 'aggregation'",
    ),
}


JOB_INDEXES = (
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
    Index("ix_data_ingestion_jobs_running", "locked_by", postgresql_where=text("state = 'RUNNING'")),
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
        for name, (*keys, where) in _OF_MODULE_YEARS.items()
    ),
    Index("ix_data_ingestion_jobs_provider", "provider", "id"),
    Index("ix_data_ingestion_jobs_job_type", "provider", "job_type", "id"),
    Index("ix_data_ingestion_jobs_failed", "provider", "id", postgresql_where=text("result = 'ERROR'")),
    Index("ix_data_ingestion_jobs_by_start", "provider", "started_at", "id"),
    Index("ix_data_ingestion_jobs_by_finish", "provider", "finished_at", "id"),
    Index("ix_data_ingestion_jobs_by_duration", "provider", text(RUN_SECONDS), "id"),
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
        postgresql_where=text(f"job_type IS NULL OR job_type NOT IN ({_KNOWN_JOB_TYPES})"),
    ),
    Index("ix_data_ingestion_jobs_trigrams", text("gql_trigrams(status_message)"), postgresql_using="gin"),
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
