"""The pipeline that took over work of another can be found."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_data_ingestion_jobs_serves",
        "data_ingestion_jobs",
        ["serves"],
        postgresql_using="gin",
        postgresql_where=sa.text("serves <> '{}'::uuid[]"),
    )


def downgrade() -> None:
    op.drop_index("ix_data_ingestion_jobs_serves", table_name="data_ingestion_jobs")
