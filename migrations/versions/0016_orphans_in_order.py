"""Orphans are filtered and ordered by time from their index alone, and aborted ones have an index of their own."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

JOBS = "data_ingestion_jobs"
ORPHANS = f"ix_{JOBS}_orphans"
TOLD_APART = "state, result, job_type, entity_type, module_type_id, data_entry_type_id, year, failure_class"
ORDERED = "scope_key, created_at, started_at, finished_at, duration_seconds"


def upgrade() -> None:
    _include(f"{TOLD_APART}, {ORDERED}")
    op.execute(
        f"CREATE INDEX {ORPHANS}_aborted ON {JOBS} (provider, time_key) "
        "WHERE pipeline_id IS NULL AND coalesce(meta ->> 'aborted' = 'true', false)"
    )


def downgrade() -> None:
    op.execute(f"DROP INDEX {ORPHANS}_aborted")
    _include(TOLD_APART)


def _include(columns: str) -> None:
    op.execute(f"DROP INDEX {ORPHANS}")
    op.execute(f"CREATE INDEX {ORPHANS} ON {JOBS} (provider, time_key) INCLUDE ({columns}) WHERE pipeline_id IS NULL")
