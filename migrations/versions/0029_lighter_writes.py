"""An index that no read needs is dropped, and a heartbeat changes none: each write of a job maintains all of its table."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

JOBS = "data_ingestion_jobs"
RUNNING, HELD = sa.text("state = 'RUNNING'"), sa.text("locked_by IS NOT NULL")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_data_ingestion_jobs_held", JOBS, ["locked_by"], postgresql_where=RUNNING, postgresql_concurrently=True
        )
        op.drop_index("ix_data_ingestion_jobs_running", table_name=JOBS, postgresql_concurrently=True)
        op.execute("ALTER INDEX ix_data_ingestion_jobs_held RENAME TO ix_data_ingestion_jobs_running")
        op.drop_index("ix_data_ingestion_jobs_locked_by", table_name=JOBS, postgresql_concurrently=True)


def downgrade() -> None:
    op.create_index("ix_data_ingestion_jobs_locked_by", JOBS, ["locked_by"], postgresql_where=HELD)
    op.drop_index("ix_data_ingestion_jobs_running", table_name=JOBS)
    op.create_index("ix_data_ingestion_jobs_running", JOBS, ["locked_at"], postgresql_where=RUNNING)
