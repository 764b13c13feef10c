"""The indexes by duration have no value for what ended before anybody claimed it, where the column says 0."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None
EXPANDS = True

RUN_SECONDS = "(CASE WHEN started_at IS NOT NULL THEN duration_seconds ELSE NULL::double precision END)"
INDEXES = {"ix_pipelines_by_duration": "pipelines", "ix_data_ingestion_jobs_by_duration": "data_ingestion_jobs"}


def upgrade() -> None:
    _replace(sa.text(RUN_SECONDS))


def downgrade() -> None:
    _replace("duration_seconds")


def _replace(value: str | sa.TextClause) -> None:
    """The indexes are there all the time, in one form or the other. It can be run again after any of its steps."""
    for name, table in INDEXES.items():
        built = f"{name}_built"
        with op.get_context().autocommit_block():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {built}")
            op.create_index(built, table, ["provider", value, "id"], postgresql_concurrently=True)
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"ALTER INDEX {built} RENAME TO {name}")
