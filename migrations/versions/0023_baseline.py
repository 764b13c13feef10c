"""The tables and indexes of the ledger and of the domain slice. Functions and triggers are in `gql_server/db/sql`."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from gql_server.db import routines

revision = "0023"
down_revision = None
branch_labels = None
depends_on = None

provider = postgresql.ENUM("ACCRED", "DEFAULT", "TEST", name="user_provider_enum", create_type=False)
entity_type = postgresql.ENUM(
    "MODULE_PER_YEAR", "MODULE_UNIT_SPECIFIC", "GLOBAL_PER_YEAR", name="entity_type_enum", create_type=False
)
ingestion_method = postgresql.ENUM("api", "csv", "manual", "computed", name="ingestion_method_enum", create_type=False)
target_type = postgresql.ENUM(
    "DATA_ENTRIES", "FACTORS", "REDUCTION_OBJECTIVES", "REFERENCE_DATA", name="target_type_enum", create_type=False
)
job_state = postgresql.ENUM("NOT_STARTED", "QUEUED", "RUNNING", "FINISHED", name="ingestion_state_enum", create_type=False)
job_result = postgresql.ENUM("SUCCESS", "WARNING", "ERROR", name="ingestion_result_enum", create_type=False)
ENUMS = (provider, entity_type, ingestion_method, target_type, job_state, job_result)


def upgrade() -> None:
    for enum in ENUMS:
        enum.create(op.get_bind())
    routines.install(op.get_bind(), "functions")
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("actor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("target", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "bulk_aborts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("pipeline_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("succeeded", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_aborts")),
    )
    op.create_index("ix_bulk_aborts_created_at", "bulk_aborts", ["created_at"], unique=False)
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pipeline_key", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
    op.create_index("ix_events_pipeline", "events", ["pipeline_key", "seq"], unique=False)
    op.create_table(
        "failure_groups",
        sa.Column("provider", provider, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("failure_class", sa.Text(), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "fingerprint", name=op.f("pk_failure_groups")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("provider", provider, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("mutation", sa.Text(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("provider", "subject", "mutation", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "job_signatures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("signature", sa.Uuid(), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=True),
        sa.Column("module_type_id", sa.Integer(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("failure_class", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_signatures")),
    )
    op.create_index(
        "uq_job_signatures",
        "job_signatures",
        ["signature", "job_type", "module_type_id", "year", "failure_class"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "pipelines",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="NOT_STARTED", nullable=False),
        sa.Column("entity_type", entity_type, nullable=True),
        sa.Column("ingestion_method", ingestion_method, nullable=True),
        sa.Column("module_type_id", sa.Integer(), nullable=True),
        sa.Column("data_entry_type_id", sa.Integer(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("unit_institutional_id", sa.Text(), nullable=True),
        sa.Column(
            "scope_key",
            sa.Uuid(),
            sa.Computed(
                "gql_scope_key(provider, kind, entity_type, module_type_id, data_entry_type_id, year, unit_institutional_id)",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.Column("expected_recalc", sa.Integer(), nullable=True),
        sa.Column("owes_aggregation", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("job_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("has_warning", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("creator", sa.Text(), sa.Computed("created_by ->> 'user_id'", persisted=True), nullable=True),
        sa.Column("signature", sa.Uuid(), nullable=True),
        sa.Column("aborted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "duration_seconds",
            sa.Double(),
            sa.Computed(
                "CASE WHEN status = ANY (ARRAY['SUCCESS'::text, 'PARTIAL'::text, 'FAILED'::text]) THEN greatest(extract(epoch FROM finished_at - started_at)::double precision, 0::double precision) ELSE NULL::double precision END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("substring(id::text from 15 for 1) = '7'", name=op.f("ck_pipelines_id_is_uuid7")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines")),
    )
    op.create_index(
        "ix_pipelines_aborted",
        "pipelines",
        ["provider", "id"],
        unique=False,
        postgresql_where=sa.text("aborted_at IS NOT NULL"),
    )
    op.create_index("ix_pipelines_by_creation", "pipelines", ["provider", "created_at", "id"], unique=False)
    op.create_index("ix_pipelines_by_duration", "pipelines", ["provider", "duration_seconds", "id"], unique=False)
    op.create_index("ix_pipelines_by_errors", "pipelines", ["provider", "error_count", "id"], unique=False)
    op.create_index("ix_pipelines_by_finish", "pipelines", ["provider", "finished_at", "id"], unique=False)
    op.create_index("ix_pipelines_by_start", "pipelines", ["provider", "started_at", "id"], unique=False)
    op.create_index("ix_pipelines_by_update", "pipelines", ["provider", "updated_at", "id"], unique=False)
    op.create_index(
        "ix_pipelines_cell_success",
        "pipelines",
        ["provider", "year", "module_type_id", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'SUCCESS'"),
    )
    op.create_index("ix_pipelines_creator", "pipelines", ["provider", "creator", "id"], unique=False)
    op.create_index(
        "ix_pipelines_failed",
        "pipelines",
        ["provider", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('PARTIAL', 'FAILED')"),
    )
    op.create_index(
        "ix_pipelines_landed",
        "pipelines",
        ["provider", "kind", "entity_type", "finished_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('SUCCESS', 'PARTIAL') AND aborted_at IS NULL"),
    )
    op.create_index("ix_pipelines_level", "pipelines", ["provider", "entity_type", "id"], unique=False)
    op.create_index(
        "ix_pipelines_open",
        "pipelines",
        ["provider", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('NOT_STARTED', 'RUNNING')"),
    )
    op.create_index("ix_pipelines_provider", "pipelines", ["provider", "id"], unique=False)
    op.create_index("ix_pipelines_scope", "pipelines", ["scope_key", "id"], unique=False)
    op.create_index(
        "ix_pipelines_scope_success",
        "pipelines",
        ["scope_key", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'SUCCESS'"),
    )
    op.create_index(
        "ix_pipelines_signature",
        "pipelines",
        ["provider", "signature", "status", "entity_type", "creator"],
        unique=False,
        postgresql_where=sa.text("signature IS NOT NULL"),
    )
    op.create_index("ix_pipelines_status", "pipelines", ["provider", "status", "id"], unique=False)
    op.create_index(
        "ix_pipelines_unheard",
        "pipelines",
        ["provider", "id"],
        unique=False,
        postgresql_where=sa.text("status NOT IN ('NOT_STARTED', 'RUNNING', 'SUCCESS', 'PARTIAL', 'FAILED')"),
    )
    op.create_index(
        "ix_pipelines_unit",
        "pipelines",
        ["provider", "unit_institutional_id", "id"],
        unique=False,
        postgresql_where=sa.text("unit_institutional_id IS NOT NULL"),
    )
    op.create_index(
        "ix_pipelines_unsigned", "pipelines", ["provider", "id"], unique=False, postgresql_where=sa.text("signature IS NULL")
    )
    op.create_index("ix_pipelines_updated_at", "pipelines", ["updated_at"], unique=False)
    op.create_table(
        "pods",
        sa.Column("pod_id", sa.Text(), nullable=False),
        sa.Column("git_sha", sa.Text(), nullable=True),
        sa.Column("app_version", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("last_heartbeat_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("heartbeat_interval", sa.Interval(), server_default=sa.text("'00:00:05'"), nullable=False),
        sa.Column("lease", sa.Interval(), server_default=sa.text("'00:00:10'"), nullable=False),
        sa.PrimaryKeyConstraint("pod_id", name=op.f("pk_pods")),
    )
    op.create_table(
        "reference_data",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("module_type_id", sa.Integer(), nullable=False),
        sa.Column("data_entry_type_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_data")),
        sa.UniqueConstraint(
            "provider",
            "year",
            "module_type_id",
            "data_entry_type_id",
            "key",
            name="uq_reference_data_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "revisions",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_revisions")),
    )
    op.create_table(
        "triage_views",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("owner_subject", sa.Text(), nullable=False),
        sa.Column("owner", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("variables", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("is_shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triage_views")),
    )
    op.create_index("ix_triage_views_owner", "triage_views", ["provider", "owner_subject"], unique=False)
    op.create_index("ix_triage_views_shared", "triage_views", ["provider"], unique=False, postgresql_where=sa.text("is_shared"))
    op.create_table(
        "units",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("institutional_code", sa.Text(), nullable=False),
        sa.Column("institutional_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("unit_type", sa.Text(), nullable=True),
        sa.Column("principal_user_institutional_id", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_units")),
    )
    op.create_index("ix_units_institutional_code", "units", ["provider", "institutional_code"], unique=True)
    op.create_index("ix_units_institutional_id", "units", ["provider", "institutional_id"], unique=True)
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("created_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("storage", sa.Text(), server_default="database", nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_kept", "uploads", ["created_at"], unique=False, postgresql_where=sa.text("pruned_at IS NULL"))
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("institutional_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("ix_users_email", "users", ["provider", "email"], unique=True)
    op.create_index("ix_users_institutional_id", "users", ["provider", "institutional_id"], unique=True)
    op.create_table(
        "year_configuration",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("is_started", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("configuration_completed", sa.DateTime(timezone=True), nullable=True),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("year", "provider", name=op.f("pk_year_configuration")),
    )
    op.create_table(
        "carbon_projects",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("carbon_report_type", sa.Text(), server_default="Calculator", nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_carbon_projects_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carbon_projects")),
        sa.UniqueConstraint("unit_id", "carbon_report_type", name="uq_carbon_projects_unit_type"),
    )
    op.create_table(
        "data_ingestion_jobs",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("time_key", sa.Uuid(), server_default=sa.text("gql_uuid7()"), nullable=False),
        sa.Column("pipeline_id", sa.Uuid(), nullable=True),
        sa.Column("parent_job_id", sa.Integer(), nullable=True),
        sa.Column("job_type", sa.Text(), nullable=True),
        sa.Column("entity_type", entity_type, nullable=False),
        sa.Column("entity_id", sa.Integer(), nullable=True),
        sa.Column("module_type_id", sa.Integer(), nullable=True),
        sa.Column("data_entry_type_id", sa.Integer(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("target_type", target_type, nullable=True),
        sa.Column("ingestion_method", ingestion_method, server_default="api", nullable=False),
        sa.Column("provider", provider, server_default="DEFAULT", nullable=False),
        sa.Column("state", job_state, server_default="NOT_STARTED", nullable=True),
        sa.Column("result", job_result, nullable=True),
        sa.Column("status_message", sa.Text(), nullable=True),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("meta", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("scope_module_ids", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("serves", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("affected_module_ids", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("failure_class", sa.Text(), nullable=True),
        sa.Column("failure_fingerprint", sa.Text(), nullable=True),
        sa.Column("lock_keys", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=True),
        sa.Column("is_current", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "scope_key",
            sa.Uuid(),
            sa.Computed(
                "gql_scope_key(provider, job_type, entity_type, module_type_id, data_entry_type_id, year, NULL)", persisted=True
            ),
            nullable=True,
        ),
        sa.Column("locked_by", sa.Text(), nullable=True),
        sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("run_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "duration_seconds",
            sa.Double(),
            sa.Computed(
                "CASE WHEN state = 'FINISHED'::ingestion_state_enum THEN greatest(extract(epoch FROM finished_at - started_at)::double precision, 0::double precision) ELSE NULL::double precision END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["parent_job_id"],
            ["data_ingestion_jobs.id"],
            name=op.f("fk_data_ingestion_jobs_parent_job_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipelines.id"], name=op.f("fk_data_ingestion_jobs_pipeline_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_data_ingestion_jobs_upload_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_ingestion_jobs")),
    )
    op.create_index("ix_data_ingestion_jobs_by_attempt", "data_ingestion_jobs", ["provider", "attempts", "id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_by_duration", "data_ingestion_jobs", ["provider", "duration_seconds", "id"], unique=False
    )
    op.create_index("ix_data_ingestion_jobs_by_finish", "data_ingestion_jobs", ["provider", "finished_at", "id"], unique=False)
    op.create_index("ix_data_ingestion_jobs_by_start", "data_ingestion_jobs", ["provider", "started_at", "id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_cell_aggregations",
        "data_ingestion_jobs",
        ["provider", "year", "module_type_id", "id"],
        unique=False,
        postgresql_where=sa.text("job_type = 'aggregation'"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_cell_changes",
        "data_ingestion_jobs",
        ["provider", "year", "module_type_id", "finished_at"],
        unique=False,
        postgresql_where=sa.text(
            "state = 'FINISHED' AND result <> 'ERROR' AND target_type IN ('DATA_ENTRIES', 'FACTORS') AND job_type <> 'aggregation'"
        ),
    )
    op.create_index(
        "ix_data_ingestion_jobs_cell_factors",
        "data_ingestion_jobs",
        ["provider", "year", "module_type_id", "id"],
        unique=False,
        postgresql_where=sa.text("target_type = 'FACTORS'"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_cell_recalculations",
        "data_ingestion_jobs",
        ["provider", "year", "module_type_id", "data_entry_type_id", "id"],
        unique=False,
        postgresql_where=sa.text("job_type IN ('emission_recalc', 'module_emission_recalc')"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_claimed_by",
        "data_ingestion_jobs",
        ["provider", "claimed_by", "pipeline_id"],
        unique=False,
        postgresql_where=sa.text("claimed_by IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_entry_type_of_pipeline",
        "data_ingestion_jobs",
        ["provider", "data_entry_type_id", "pipeline_id"],
        unique=False,
        postgresql_where=sa.text("data_entry_type_id IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_failed",
        "data_ingestion_jobs",
        ["provider", "id"],
        unique=False,
        postgresql_where=sa.text("result = 'ERROR'"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_failure_class",
        "data_ingestion_jobs",
        ["provider", "failure_class", "pipeline_id"],
        unique=False,
        postgresql_where=sa.text("failure_class IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_failure_fingerprint",
        "data_ingestion_jobs",
        ["provider", "failure_fingerprint", "pipeline_id"],
        unique=False,
        postgresql_where=sa.text("failure_fingerprint IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_failures",
        "data_ingestion_jobs",
        ["provider", "failure_fingerprint", sa.literal_column("coalesce(finished_at, created_at)")],
        unique=False,
        postgresql_where=sa.text("failure_fingerprint IS NOT NULL"),
        postgresql_include=["year", "module_type_id", "pipeline_id", "time_key", "id", "created_at", "finished_at"],
    )
    op.create_index(
        "ix_data_ingestion_jobs_is_current_unique",
        "data_ingestion_jobs",
        ["provider", "module_type_id", "data_entry_type_id", "target_type", "ingestion_method", "year"],
        unique=True,
        postgresql_where=sa.text("is_current"),
    )
    op.create_index("ix_data_ingestion_jobs_job_type", "data_ingestion_jobs", ["provider", "job_type", "id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_kind_of_pipeline", "data_ingestion_jobs", ["provider", "job_type", "pipeline_id"], unique=False
    )
    op.create_index(
        "ix_data_ingestion_jobs_locked_by",
        "data_ingestion_jobs",
        ["locked_by"],
        unique=False,
        postgresql_where=sa.text("locked_by IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_module_of_pipeline",
        "data_ingestion_jobs",
        ["provider", "module_type_id", "pipeline_id"],
        unique=False,
    )
    op.create_index(
        "ix_data_ingestion_jobs_orphans",
        "data_ingestion_jobs",
        ["provider", "time_key"],
        unique=False,
        postgresql_where=sa.text("pipeline_id IS NULL"),
        postgresql_include=[
            "state",
            "result",
            "job_type",
            "entity_type",
            "module_type_id",
            "data_entry_type_id",
            "year",
            "failure_class",
            "scope_key",
            "created_at",
            "started_at",
            "finished_at",
            "duration_seconds",
        ],
    )
    op.create_index(
        "ix_data_ingestion_jobs_orphans_aborted",
        "data_ingestion_jobs",
        ["provider", "time_key"],
        unique=False,
        postgresql_where=sa.text("pipeline_id IS NULL AND coalesce(meta ->> 'aborted' = 'true', false)"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_orphans_creator",
        "data_ingestion_jobs",
        ["provider", sa.literal_column("((meta -> 'created_by') ->> 'user_id')"), "time_key"],
        unique=False,
        postgresql_where=sa.text("pipeline_id IS NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_orphans_failed",
        "data_ingestion_jobs",
        ["provider", "time_key"],
        unique=False,
        postgresql_where=sa.text("pipeline_id IS NULL AND state = 'FINISHED' AND result = 'ERROR'"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_other",
        "data_ingestion_jobs",
        ["provider", "pipeline_id"],
        unique=False,
        postgresql_where=sa.text(
            "job_type IS NULL OR job_type NOT IN ('csv_ingest', 'api_ingest', 'factor_ingest', 'reference_ingest', 'unit_sync', 'emission_recalc', 'module_emission_recalc', 'aggregation')"
        ),
    )
    op.create_index(
        "ix_data_ingestion_jobs_pending",
        "data_ingestion_jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('NOT_STARTED', 'QUEUED') AND locked_by IS NULL AND job_type IS NOT NULL"),
    )
    op.create_index("ix_data_ingestion_jobs_pipeline_id", "data_ingestion_jobs", ["pipeline_id", "id"], unique=False)
    op.create_index("ix_data_ingestion_jobs_provider", "data_ingestion_jobs", ["provider", "id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_running",
        "data_ingestion_jobs",
        ["locked_at"],
        unique=False,
        postgresql_where=sa.text("state = 'RUNNING'"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_scope",
        "data_ingestion_jobs",
        ["scope_key", "id"],
        unique=False,
        postgresql_where=sa.text("scope_key IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_serves",
        "data_ingestion_jobs",
        ["serves"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        postgresql_where=sa.text("serves <> '{}'::uuid[]"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_trigrams",
        "data_ingestion_jobs",
        [sa.literal_column("gql_trigrams(status_message)")],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "ix_data_ingestion_jobs_unclassified",
        "data_ingestion_jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("failure_fingerprint IS NULL AND state = 'FINISHED' AND result IN ('ERROR', 'WARNING')"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_upload_id",
        "data_ingestion_jobs",
        ["upload_id"],
        unique=False,
        postgresql_where=sa.text("upload_id IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_year_of_pipeline", "data_ingestion_jobs", ["provider", "year", "pipeline_id"], unique=False
    )
    op.create_index(
        "uq_aggregation_active",
        "data_ingestion_jobs",
        ["provider", "module_type_id", "year"],
        unique=True,
        postgresql_where=sa.text("job_type = 'aggregation' AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0"),
    )
    op.create_index("uq_data_ingestion_jobs_time_key", "data_ingestion_jobs", ["time_key"], unique=True)
    op.create_index(
        "uq_emission_recalc_active",
        "data_ingestion_jobs",
        ["provider", "module_type_id", "data_entry_type_id", "year"],
        unique=True,
        postgresql_where=sa.text("job_type = 'emission_recalc' AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0"),
    )
    op.create_table(
        "failure_acknowledgements",
        sa.Column("provider", provider, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("by", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider", "fingerprint"],
            ["failure_groups.provider", "failure_groups.fingerprint"],
            name=op.f("fk_failure_acknowledgements_provider"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("provider", "fingerprint", name=op.f("pk_failure_acknowledgements")),
    )
    op.create_table(
        "unit_users",
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_unit_users_unit_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_unit_users_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("unit_id", "user_id", name=op.f("pk_unit_users")),
    )
    op.create_index("ix_unit_users_user_id", "unit_users", ["user_id"], unique=False)
    op.create_table(
        "upload_chunks",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_upload_chunks_upload_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("upload_id", "seq", name=op.f("pk_upload_chunks")),
    )
    op.create_table(
        "carbon_reports",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("carbon_project_id", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("completion_progress", sa.Text(), nullable=True),
        sa.Column("overall_status", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stats", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["carbon_project_id"], ["carbon_projects.id"], name=op.f("fk_carbon_reports_carbon_project_id")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_carbon_reports_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carbon_reports")),
        sa.UniqueConstraint("carbon_project_id", "year", name="uq_carbon_reports_project_year"),
    )
    op.create_index("ix_carbon_reports_unit_id", "carbon_reports", ["unit_id"], unique=False)
    op.create_index("ix_carbon_reports_year_unit", "carbon_reports", ["year", "unit_id"], unique=False)
    op.create_table(
        "factors",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("emission_type_id", sa.Integer(), nullable=False),
        sa.Column("data_entry_type_id", sa.Integer(), nullable=False),
        sa.Column("classification", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("last_seen_job_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["last_seen_job_id"], ["data_ingestion_jobs.id"], name=op.f("fk_factors_last_seen_job_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_factors")),
    )
    op.create_index("ix_factors_last_seen_job_id", "factors", ["last_seen_job_id"], unique=False)
    op.create_index(
        "uq_factor_identity",
        "factors",
        ["provider", "data_entry_type_id", "year", "emission_type_id", sa.literal_column("(classification::text)")],
        unique=True,
    )
    op.create_table(
        "row_errors",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("column", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["data_ingestion_jobs.id"], name=op.f("fk_row_errors_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_row_errors")),
    )
    op.create_index("ix_row_errors_job_id", "row_errors", ["job_id", "id"], unique=False)
    op.create_table(
        "carbon_report_modules",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("module_type_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("carbon_report_id", sa.Integer(), nullable=False),
        sa.Column("last_updated", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("stats", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["carbon_report_id"], ["carbon_reports.id"], name=op.f("fk_carbon_report_modules_carbon_report_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carbon_report_modules")),
        sa.UniqueConstraint("carbon_report_id", "module_type_id", name="uq_carbon_report_modules_report_module"),
    )
    op.create_index(
        "ix_carbon_report_modules_module", "carbon_report_modules", ["module_type_id", "carbon_report_id"], unique=False
    )
    op.create_table(
        "data_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", provider, nullable=False),
        sa.Column("data_entry_type_id", sa.Integer(), nullable=False),
        sa.Column("carbon_report_module_id", sa.Integer(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["carbon_report_module_id"], ["carbon_report_modules.id"], name=op.f("fk_data_entries_carbon_report_module_id")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_data_entries_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_entries")),
    )
    op.create_index("ix_data_entries_module", "data_entries", ["carbon_report_module_id", "data_entry_type_id"], unique=False)
    op.create_index("ix_data_entries_slice", "data_entries", ["provider", "data_entry_type_id", "year", "source"], unique=False)
    op.create_index("ix_data_entries_unit_id", "data_entries", ["unit_id"], unique=False)
    op.create_table(
        "data_entry_emissions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("data_entry_id", sa.BigInteger(), nullable=False),
        sa.Column("emission_type_id", sa.Integer(), nullable=False),
        sa.Column("primary_factor_id", sa.Integer(), nullable=True),
        sa.Column("kg_co2eq", sa.Double(), nullable=False),
        sa.Column("additional_value", sa.Double(), nullable=True),
        sa.Column("scope", sa.Integer(), nullable=True),
        sa.Column("meta", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("computed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_entry_id"], ["data_entries.id"], name=op.f("fk_data_entry_emissions_data_entry_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["primary_factor_id"], ["factors.id"], name=op.f("fk_data_entry_emissions_primary_factor_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_entry_emissions")),
    )
    op.create_index("ix_data_entry_emissions_entry", "data_entry_emissions", ["data_entry_id"], unique=False)
    op.create_index("ix_data_entry_emissions_factor", "data_entry_emissions", ["primary_factor_id"], unique=False)
    op.execute("CREATE SEQUENCE events_seq OWNED BY events.seq")
    # the feed begins with an event of nobody's pipeline, by which a history is told from another
    op.execute("INSERT INTO events (seq, pipeline_key) VALUES (gql_event_number(), '00000000-0000-0000-0000-000000000000')")


def downgrade() -> None:
    op.drop_table("data_entry_emissions")
    op.drop_table("data_entries")
    op.drop_table("carbon_report_modules")
    op.drop_table("row_errors")
    op.drop_table("factors")
    op.drop_table("carbon_reports")
    op.drop_table("upload_chunks")
    op.drop_table("unit_users")
    op.drop_table("failure_acknowledgements")
    op.drop_table("data_ingestion_jobs")
    op.drop_table("carbon_projects")
    op.drop_table("year_configuration")
    op.drop_table("users")
    op.drop_table("uploads")
    op.drop_table("units")
    op.drop_table("triage_views")
    op.drop_table("revisions")
    op.drop_table("reference_data")
    op.drop_table("pods")
    op.drop_table("pipelines")
    op.drop_table("job_signatures")
    op.drop_table("idempotency_keys")
    op.drop_table("failure_groups")
    op.drop_table("events")
    op.drop_table("bulk_aborts")
    op.drop_table("audit_log")
    op.execute(
        "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND proname LIKE 'gql\\_%' LOOP EXECUTE format('DROP FUNCTION %s', f); END LOOP; END $$"
    )
    for enum in ENUMS:
        enum.drop(op.get_bind())
