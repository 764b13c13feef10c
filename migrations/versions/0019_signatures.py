"""Pipelines know what their jobs are alike in, so that a million of them can be counted."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

FORGET = (
    """
CREATE FUNCTION gql_forget_signature() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE pipelines SET signature = NULL WHERE id = new.pipeline_id AND signature IS NOT NULL;
  RETURN NULL;
END $$
""",
    """
CREATE TRIGGER job_added AFTER INSERT ON data_ingestion_jobs
FOR EACH ROW WHEN (new.pipeline_id IS NOT NULL) EXECUTE FUNCTION gql_forget_signature()
""",
    """
CREATE TRIGGER job_differs AFTER UPDATE OF pipeline_id, job_type, module_type_id, year, failure_class ON data_ingestion_jobs
FOR EACH ROW
WHEN ((old.pipeline_id, old.job_type, old.module_type_id, old.year, old.failure_class)
  IS DISTINCT FROM (new.pipeline_id, new.job_type, new.module_type_id, new.year, new.failure_class))
EXECUTE FUNCTION gql_forget_signature()
""",
    """
CREATE FUNCTION gql_unsign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  new.signature := NULL;
  RETURN new;
END $$
""",
    """
CREATE TRIGGER pipeline_goes_on BEFORE UPDATE OF status ON pipelines
FOR EACH ROW WHEN (new.signature IS NOT NULL AND new.status NOT IN ('SUCCESS', 'PARTIAL', 'FAILED'))
EXECUTE FUNCTION gql_unsign()
""",
)
SIGN = """
WITH facts AS MATERIALIZED (
  SELECT DISTINCT p.id, j.id IS NOT NULL AS is_job, j.job_type, j.module_type_id, j.year, j.failure_class
  FROM pipelines p LEFT JOIN data_ingestion_jobs j ON j.pipeline_id = p.id
  WHERE p.status IN ('SUCCESS', 'PARTIAL', 'FAILED')
), signed AS MATERIALIZED (
  SELECT id, md5(coalesce(string_agg(fact, ' ' ORDER BY fact COLLATE "C") FILTER (WHERE is_job), ''))::uuid AS signature
  FROM (SELECT id, is_job, jsonb_build_array(job_type, module_type_id, year, failure_class)::text AS fact FROM facts) f
  GROUP BY id
), known AS (
  INSERT INTO job_signatures (signature, job_type, module_type_id, year, failure_class)
  SELECT DISTINCT s.signature, f.job_type, f.module_type_id, f.year, f.failure_class
  FROM signed s JOIN facts f USING (id) WHERE f.is_job
)
UPDATE pipelines p SET signature = s.signature FROM signed s WHERE p.id = s.id
"""


def upgrade() -> None:
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
    op.drop_index("ix_pipelines_creator", table_name="pipelines")
    op.execute(
        "ALTER TABLE pipelines ADD COLUMN signature uuid,"
        " ADD COLUMN creator text GENERATED ALWAYS AS (created_by ->> 'user_id') STORED"
    )
    op.execute(SIGN)
    op.create_index("ix_pipelines_creator", "pipelines", ["provider", "creator", "id"])
    op.create_index(
        "ix_pipelines_signature",
        "pipelines",
        ["provider", "signature", "status", "entity_type", "creator"],
        postgresql_where=sa.text("signature IS NOT NULL"),
    )
    op.create_index("ix_pipelines_unsigned", "pipelines", ["provider", "id"], postgresql_where=sa.text("signature IS NULL"))
    for statement in FORGET:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER pipeline_goes_on ON pipelines")
    op.execute("DROP TRIGGER job_differs ON data_ingestion_jobs")
    op.execute("DROP TRIGGER job_added ON data_ingestion_jobs")
    op.execute("DROP FUNCTION gql_unsign")
    op.execute("DROP FUNCTION gql_forget_signature")
    op.drop_index("ix_pipelines_unsigned", table_name="pipelines")
    op.drop_index("ix_pipelines_signature", table_name="pipelines")
    op.drop_index("ix_pipelines_creator", table_name="pipelines")
    op.drop_column("pipelines", "creator")
    op.drop_column("pipelines", "signature")
    op.create_index("ix_pipelines_creator", "pipelines", ["provider", sa.text("(created_by ->> 'user_id')"), "id"])
    op.drop_table("job_signatures")
