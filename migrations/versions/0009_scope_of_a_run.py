"""A pipeline and a job carry a digest of what they are about, so that the runs before and after are found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# No digest where the scope cannot be told: unit-specific work that names no unit. A SQL function cannot be inlined where it
# calls what is only stable, here the output of the enums, whose labels never change.
SCOPE_KEY = """
CREATE FUNCTION gql_scope_key(
  provider user_provider_enum, kind text, level entity_type_enum, module int, entry_type int, year int, unit text
) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN kind IS NOT NULL AND level IS NOT NULL AND (level <> 'MODULE_UNIT_SPECIFIC' OR unit IS NOT NULL)
    THEN md5(jsonb_build_array(provider, kind, level, module, entry_type, year, unit)::text)::uuid END
$$
"""
OF_PIPELINE = "gql_scope_key(provider, kind, entity_type, module_type_id, data_entry_type_id, year, unit_institutional_id)"
OF_JOB = "gql_scope_key(provider, job_type, entity_type, module_type_id, data_entry_type_id, year, NULL)"

ENTRY_TYPE_OF_ROOT = """
UPDATE pipelines p SET data_entry_type_id = (
  SELECT j.data_entry_type_id FROM data_ingestion_jobs j WHERE j.pipeline_id = p.id ORDER BY j.id LIMIT 1
)
"""


def upgrade() -> None:
    op.execute(SCOPE_KEY)
    op.add_column("pipelines", sa.Column("data_entry_type_id", sa.Integer(), nullable=True))
    op.execute(ENTRY_TYPE_OF_ROOT)
    op.add_column("pipelines", sa.Column("scope_key", sa.Uuid(), sa.Computed(OF_PIPELINE, persisted=True), nullable=True))
    op.add_column("data_ingestion_jobs", sa.Column("scope_key", sa.Uuid(), sa.Computed(OF_JOB, persisted=True), nullable=True))
    op.create_index("ix_pipelines_scope", "pipelines", ["scope_key", "id"])
    op.create_index(
        "ix_pipelines_scope_success", "pipelines", ["scope_key", "id"], postgresql_where=sa.text("status = 'SUCCESS'")
    )
    op.create_index(
        "ix_pipelines_landed",
        "pipelines",
        ["provider", "kind", "entity_type", "finished_at"],
        postgresql_where=sa.text("status IN ('SUCCESS', 'PARTIAL') AND aborted_at IS NULL"),
    )
    op.create_index(
        "ix_data_ingestion_jobs_scope",
        "data_ingestion_jobs",
        ["scope_key", "id"],
        postgresql_where=sa.text("scope_key IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_data_ingestion_jobs_scope", table_name="data_ingestion_jobs", postgresql_where=sa.text("scope_key IS NOT NULL")
    )
    op.drop_index("ix_pipelines_landed", table_name="pipelines")
    op.drop_index("ix_pipelines_scope_success", table_name="pipelines", postgresql_where=sa.text("status = 'SUCCESS'"))
    op.drop_index("ix_pipelines_scope", table_name="pipelines")
    op.drop_column("data_ingestion_jobs", "scope_key")
    op.drop_column("pipelines", "scope_key")
    op.drop_column("pipelines", "data_entry_type_id")
    op.execute("DROP FUNCTION gql_scope_key")
