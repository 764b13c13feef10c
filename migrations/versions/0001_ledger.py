"""The ledger, the business tables of the slice, and the functions that mint time-ordered ids and number events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
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

# A UUIDv7 on the database's clock: 48 bits of milliseconds, 12 of the fraction, the rest random (RFC 9562 §6.2, method 3).
UUID7 = """
CREATE FUNCTION gql_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT (lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex((us % 1000) * 4096 / 1000), 3, '0')
          || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid
  FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) AS now
$$
"""

# Runs at COMMIT and holds its lock until the commit is visible, so the order of `seq` is the order of commits.
EVENTS = (
    "CREATE SEQUENCE events_seq OWNED BY events.seq",
    """
CREATE FUNCTION gql_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key, job_id)
    VALUES (nextval('events_seq'), coalesce(new.pipeline_id, new.time_key), new.id);
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION gql_pipeline_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1240, 0);
  INSERT INTO events (seq, pipeline_key) VALUES (nextval('events_seq'), new.id);
  RETURN NULL;
END $$
""",
    """
CREATE CONSTRAINT TRIGGER job_event AFTER INSERT OR UPDATE OF
  pipeline_id, state, result, status_message, meta, is_current, run_after, attempts, started_at, finished_at
ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_job_event()
""",
    """
CREATE CONSTRAINT TRIGGER pipeline_created AFTER INSERT
ON pipelines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gql_pipeline_event()
""",
    """
CREATE CONSTRAINT TRIGGER pipeline_changed AFTER UPDATE
ON pipelines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN ((old.status, old.expected_recalc, old.job_count, old.error_count, old.has_warning, old.last_error, old.aborted_at,
       old.started_at, old.finished_at)
  IS DISTINCT FROM
      (new.status, new.expected_recalc, new.job_count, new.error_count, new.has_warning, new.last_error, new.aborted_at,
       new.started_at, new.finished_at))
EXECUTE FUNCTION gql_pipeline_event()
""",
)


def upgrade() -> None:
    op.execute(UUID7)
    for enum in ENUMS:
        enum.create(op.get_bind())
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pipeline_key", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
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
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("unit_institutional_id", sa.Text(), nullable=True),
        sa.Column("expected_recalc", sa.Integer(), nullable=True),
        sa.Column("owes_aggregation", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("job_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("has_warning", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("aborted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("substring(id::text from 15 for 1) = '7'", name=op.f("ck_pipelines_id_is_uuid7")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines")),
    )
    op.create_index("ix_pipelines_module_year", "pipelines", ["module_type_id", "year"], unique=False)
    op.create_index(
        "ix_pipelines_open", "pipelines", ["id"], unique=False, postgresql_where=sa.text("status IN ('NOT_STARTED', 'RUNNING')")
    )
    op.create_index("ix_pipelines_provider", "pipelines", ["provider", "id"], unique=False)
    op.create_index("ix_pipelines_updated_at", "pipelines", ["updated_at"], unique=False)
    op.create_index("ix_pipelines_status", "pipelines", ["status", "id"], unique=False)
    op.create_index(
        "ix_pipelines_unit",
        "pipelines",
        ["unit_institutional_id", "id"],
        unique=False,
        postgresql_where=sa.text("unit_institutional_id IS NOT NULL"),
    )
    op.create_table(
        "pods",
        sa.Column("pod_id", sa.Text(), nullable=False),
        sa.Column("git_sha", sa.Text(), nullable=True),
        sa.Column("app_version", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("last_heartbeat_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("pod_id", name=op.f("pk_pods")),
    )
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
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
        sa.Column("affected_module_ids", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("lock_keys", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=True),
        sa.Column("is_current", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("locked_by", sa.Text(), nullable=True),
        sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
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
    op.create_index(
        "ix_data_ingestion_jobs_is_current_unique",
        "data_ingestion_jobs",
        ["provider", "module_type_id", "data_entry_type_id", "target_type", "ingestion_method", "year"],
        unique=True,
        postgresql_where=sa.text("is_current"),
    )
    op.create_index("ix_data_ingestion_jobs_job_type", "data_ingestion_jobs", ["job_type", "id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_locked_by",
        "data_ingestion_jobs",
        ["locked_by"],
        unique=False,
        postgresql_where=sa.text("locked_by IS NOT NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_orphans",
        "data_ingestion_jobs",
        ["provider", "time_key"],
        unique=False,
        postgresql_where=sa.text("pipeline_id IS NULL"),
    )
    op.create_index("ix_data_ingestion_jobs_parent_job_id", "data_ingestion_jobs", ["parent_job_id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_pending",
        "data_ingestion_jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('NOT_STARTED', 'QUEUED') AND locked_by IS NULL AND job_type IS NOT NULL"),
    )
    op.create_index("ix_data_ingestion_jobs_pipeline_id", "data_ingestion_jobs", ["pipeline_id", "id"], unique=False)
    op.create_index(
        "ix_data_ingestion_jobs_running",
        "data_ingestion_jobs",
        ["locked_at"],
        unique=False,
        postgresql_where=sa.text("state = 'RUNNING'"),
    )
    op.create_index("ix_data_ingestion_jobs_started_at", "data_ingestion_jobs", ["started_at"], unique=False)
    op.create_index("ix_data_ingestion_jobs_upload_id", "data_ingestion_jobs", ["upload_id"], unique=False)
    op.create_index("ix_data_ingestion_jobs_year", "data_ingestion_jobs", ["year", "id"], unique=False)
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
    for statement in EVENTS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_index("ix_data_entry_emissions_factor", table_name="data_entry_emissions")
    op.drop_index("ix_data_entry_emissions_entry", table_name="data_entry_emissions")
    op.drop_table("data_entry_emissions")
    op.drop_index("ix_data_entries_unit_id", table_name="data_entries")
    op.drop_index("ix_data_entries_slice", table_name="data_entries")
    op.drop_index("ix_data_entries_module", table_name="data_entries")
    op.drop_table("data_entries")
    op.drop_index("ix_carbon_report_modules_module", table_name="carbon_report_modules")
    op.drop_table("carbon_report_modules")
    op.drop_index("ix_row_errors_job_id", table_name="row_errors")
    op.drop_table("row_errors")
    op.drop_index("uq_factor_identity", table_name="factors")
    op.drop_index("ix_factors_last_seen_job_id", table_name="factors")
    op.drop_table("factors")
    op.drop_index("ix_carbon_reports_year_unit", table_name="carbon_reports")
    op.drop_index("ix_carbon_reports_unit_id", table_name="carbon_reports")
    op.drop_table("carbon_reports")
    op.drop_table("upload_chunks")
    op.drop_index("ix_unit_users_user_id", table_name="unit_users")
    op.drop_table("unit_users")
    op.drop_index(
        "uq_emission_recalc_active",
        table_name="data_ingestion_jobs",
        postgresql_where=sa.text("job_type = 'emission_recalc' AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0"),
    )
    op.drop_index("uq_data_ingestion_jobs_time_key", table_name="data_ingestion_jobs")
    op.drop_index(
        "uq_aggregation_active",
        table_name="data_ingestion_jobs",
        postgresql_where=sa.text("job_type = 'aggregation' AND state IN ('NOT_STARTED', 'QUEUED') AND attempts = 0"),
    )
    op.drop_index("ix_data_ingestion_jobs_year", table_name="data_ingestion_jobs")
    op.drop_index("ix_data_ingestion_jobs_upload_id", table_name="data_ingestion_jobs")
    op.drop_index("ix_data_ingestion_jobs_started_at", table_name="data_ingestion_jobs")
    op.drop_index(
        "ix_data_ingestion_jobs_running", table_name="data_ingestion_jobs", postgresql_where=sa.text("state = 'RUNNING'")
    )
    op.drop_index("ix_data_ingestion_jobs_pipeline_id", table_name="data_ingestion_jobs")
    op.drop_index(
        "ix_data_ingestion_jobs_pending",
        table_name="data_ingestion_jobs",
        postgresql_where=sa.text("state IN ('NOT_STARTED', 'QUEUED') AND locked_by IS NULL AND job_type IS NOT NULL"),
    )
    op.drop_index("ix_data_ingestion_jobs_parent_job_id", table_name="data_ingestion_jobs")
    op.drop_index(
        "ix_data_ingestion_jobs_orphans", table_name="data_ingestion_jobs", postgresql_where=sa.text("pipeline_id IS NULL")
    )
    op.drop_index(
        "ix_data_ingestion_jobs_locked_by", table_name="data_ingestion_jobs", postgresql_where=sa.text("locked_by IS NOT NULL")
    )
    op.drop_index("ix_data_ingestion_jobs_job_type", table_name="data_ingestion_jobs")
    op.drop_index(
        "ix_data_ingestion_jobs_is_current_unique", table_name="data_ingestion_jobs", postgresql_where=sa.text("is_current")
    )
    op.drop_table("data_ingestion_jobs")
    op.drop_table("carbon_projects")
    op.drop_table("year_configuration")
    op.drop_index("ix_users_institutional_id", table_name="users")
    op.drop_index("ix_users_email", table_name="users")
    op.drop_table("users")
    op.drop_table("uploads")
    op.drop_index("ix_units_institutional_id", table_name="units")
    op.drop_index("ix_units_institutional_code", table_name="units")
    op.drop_table("units")
    op.drop_table("pods")
    op.drop_index("ix_pipelines_unit", table_name="pipelines", postgresql_where=sa.text("unit_institutional_id IS NOT NULL"))
    op.drop_index("ix_pipelines_status", table_name="pipelines")
    op.drop_index("ix_pipelines_provider", table_name="pipelines")
    op.drop_index("ix_pipelines_open", table_name="pipelines", postgresql_where=sa.text("status IN ('NOT_STARTED', 'RUNNING')"))
    op.drop_index("ix_pipelines_module_year", table_name="pipelines")
    op.drop_table("pipelines")
    op.drop_table("events")
    for enum in ENUMS:
        enum.drop(op.get_bind())
    for function in ("gql_job_event", "gql_pipeline_event", "gql_uuid7"):
        op.execute(f"DROP FUNCTION {function}")
