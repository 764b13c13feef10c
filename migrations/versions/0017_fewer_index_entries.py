"""Failure groups are counted from their index alone; a job that changes writes to fewer indexes."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

JOBS = "data_ingestion_jobs"
FAILURES = f"ix_{JOBS}_failures"
OCCURRENCES = f"{JOBS} (provider, failure_fingerprint, coalesce(finished_at, created_at))"
COUNTED = "year, module_type_id, pipeline_id, time_key, id, created_at, finished_at"
ENTRY_TYPE = f"ix_{JOBS}_entry_type_of_pipeline ON {JOBS} (provider, data_entry_type_id, pipeline_id)"
UPLOAD = f"ix_{JOBS}_upload_id ON {JOBS} (upload_id)"


def upgrade() -> None:
    _include(COUNTED)
    op.execute(f"DROP INDEX ix_{JOBS}_parent_job_id")
    _replace(" WHERE data_entry_type_id IS NOT NULL", " WHERE upload_id IS NOT NULL")


def downgrade() -> None:
    _replace("", "")
    op.execute(f"CREATE INDEX ix_{JOBS}_parent_job_id ON {JOBS} (parent_job_id)")
    _include("year, module_type_id")


def _include(columns: str) -> None:
    op.execute(f"DROP INDEX {FAILURES}")
    op.execute(f"CREATE INDEX {FAILURES} ON {OCCURRENCES} INCLUDE ({columns}) WHERE failure_fingerprint IS NOT NULL")


def _replace(of_entry_type: str, of_upload: str) -> None:
    op.execute(f"DROP INDEX ix_{JOBS}_entry_type_of_pipeline")
    op.execute(f"CREATE INDEX {ENTRY_TYPE}{of_entry_type}")
    op.execute(f"DROP INDEX ix_{JOBS}_upload_id")
    op.execute(f"CREATE INDEX {UPLOAD}{of_upload}")
