"""Orphans are told apart without reading them, and found by who started them and by how they ended."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

JOBS = "data_ingestion_jobs"
TOLD_APART = "state, result, job_type, entity_type, module_type_id, data_entry_type_id, year, failure_class"
ORPHANS = f"ix_{JOBS}_orphans"
FAILED = "pipeline_id IS NULL AND state = 'FINISHED' AND result = 'ERROR'"


def upgrade() -> None:
    op.execute(f"DROP INDEX {ORPHANS}")
    op.execute(f"CREATE INDEX {ORPHANS} ON {JOBS} (provider, time_key) INCLUDE ({TOLD_APART}) WHERE pipeline_id IS NULL")
    op.execute(f"CREATE INDEX {ORPHANS}_failed ON {JOBS} (provider, time_key) WHERE {FAILED}")
    op.execute(
        f"CREATE INDEX {ORPHANS}_creator ON {JOBS} (provider, (meta -> 'created_by' ->> 'user_id'), time_key) "
        "WHERE pipeline_id IS NULL"
    )


def downgrade() -> None:
    op.execute(f"DROP INDEX {ORPHANS}_creator")
    op.execute(f"DROP INDEX {ORPHANS}_failed")
    op.execute(f"DROP INDEX {ORPHANS}")
    op.execute(f"CREATE INDEX {ORPHANS} ON {JOBS} (provider, time_key) WHERE pipeline_id IS NULL")
