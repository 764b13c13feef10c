"""Failure groups are filtered by year and module from their index alone."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INDEX = "ix_data_ingestion_jobs_failures"
COLUMNS = "data_ingestion_jobs (provider, failure_fingerprint, coalesce(finished_at, created_at))"
CLASSIFIED = "WHERE failure_fingerprint IS NOT NULL"


def upgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
    op.execute(f"CREATE INDEX {INDEX} ON {COLUMNS} INCLUDE (year, module_type_id) {CLASSIFIED}")


def downgrade() -> None:
    op.execute(f"DROP INDEX {INDEX}")
    op.execute(f"CREATE INDEX {INDEX} ON {COLUMNS} {CLASSIFIED}")
