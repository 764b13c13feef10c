"""Pipelines say which file of a unit they read: files of a unit add up, so one does not make another good."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pipelines", sa.Column("file_name", sa.Text(), nullable=True))
    op.add_column("pipelines", sa.Column("file_digest", sa.Text(), nullable=True))
    op.execute(
        "UPDATE pipelines p SET file_name = u.filename, file_digest = coalesce(u.sha256, u.id::text) "
        "FROM data_ingestion_jobs j JOIN uploads u ON u.id = j.upload_id "
        "WHERE j.pipeline_id = p.id AND j.job_type = 'csv_ingest' AND p.kind = 'csv_ingest' "
        "AND p.entity_type = 'MODULE_UNIT_SPECIFIC'"
    )


def downgrade() -> None:
    op.drop_column("pipelines", "file_digest")
    op.drop_column("pipelines", "file_name")
