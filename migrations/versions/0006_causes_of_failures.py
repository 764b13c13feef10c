"""A job says what shape its failure has, which group it belongs to, and which worker claimed it last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "data_ingestion_jobs"
COLUMNS = ("failure_class", "failure_fingerprint", "claimed_by")


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column(TABLE, sa.Column(column, sa.Text(), nullable=True))
    op.execute("UPDATE data_ingestion_jobs SET claimed_by = locked_by WHERE locked_by IS NOT NULL")
    for column in COLUMNS:
        op.create_index(
            f"ix_{TABLE}_{column}",
            TABLE,
            ["provider", column, "pipeline_id"],
            unique=False,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )


def downgrade() -> None:
    for column in reversed(COLUMNS):
        op.drop_index(f"ix_{TABLE}_{column}", table_name=TABLE, postgresql_where=sa.text(f"{column} IS NOT NULL"))
        op.drop_column(TABLE, column)
