"""Every clause and order of the lists has its index; pipelines and jobs know how long they took, messages their trigrams."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

JOBS = "data_ingestion_jobs"

# In one pass over the letters: substr() would count them from the start each time.
TRIGRAMS = """
CREATE FUNCTION gql_trigrams(value text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  letters text[] := string_to_array(lower(value), NULL);
  trigrams text[] := '{}';
BEGIN
  FOR place IN 3..cardinality(letters) LOOP
    trigrams := trigrams || (letters[place - 2] || letters[place - 1] || letters[place]);
  END LOOP;
  RETURN trigrams;
END $$
"""

DURATION = "greatest(extract(epoch FROM finished_at - started_at)::double precision, 0::double precision)"
PIPELINE_DURATION = f"CASE WHEN status IN ('SUCCESS', 'PARTIAL', 'FAILED') THEN {DURATION} END"
JOB_DURATION = f"CASE WHEN state = 'FINISHED' THEN {DURATION} END"

KNOWN_STATUSES = "'NOT_STARTED', 'RUNNING', 'SUCCESS', 'PARTIAL', 'FAILED'"
KNOWN_KINDS = (
    "'csv_ingest', 'api_ingest', 'factor_ingest', 'reference_ingest', 'unit_sync', 'emission_recalc', "
    "'module_emission_recalc', 'aggregation'"
)
REPLACED = (
    ("ix_pipelines_status", "pipelines", "(status, id)"),
    ("ix_pipelines_open", "pipelines", "(id) WHERE status IN ('NOT_STARTED', 'RUNNING')"),
    ("ix_pipelines_unit", "pipelines", "(unit_institutional_id, id) WHERE unit_institutional_id IS NOT NULL"),
    (f"ix_{JOBS}_year", JOBS, "(year, id)"),
    (f"ix_{JOBS}_job_type", JOBS, "(job_type, id)"),
    (f"ix_{JOBS}_started_at", JOBS, "(started_at)"),
)
CREATED = (
    ("ix_pipelines_status", "pipelines", "(provider, status, id)"),
    ("ix_pipelines_open", "pipelines", "(provider, id) WHERE status IN ('NOT_STARTED', 'RUNNING')"),
    ("ix_pipelines_failed", "pipelines", "(provider, id) WHERE status IN ('PARTIAL', 'FAILED')"),
    ("ix_pipelines_unheard", "pipelines", f"(provider, id) WHERE status NOT IN ({KNOWN_STATUSES})"),
    ("ix_pipelines_level", "pipelines", "(provider, entity_type, id)"),
    ("ix_pipelines_unit", "pipelines", "(provider, unit_institutional_id, id) WHERE unit_institutional_id IS NOT NULL"),
    ("ix_pipelines_creator", "pipelines", "(provider, (created_by ->> 'user_id'), id)"),
    ("ix_pipelines_aborted", "pipelines", "(provider, id) WHERE aborted_at IS NOT NULL"),
    ("ix_pipelines_by_creation", "pipelines", "(provider, created_at, id)"),
    ("ix_pipelines_by_start", "pipelines", "(provider, started_at, id)"),
    ("ix_pipelines_by_finish", "pipelines", "(provider, finished_at, id)"),
    ("ix_pipelines_by_duration", "pipelines", "(provider, duration_seconds, id)"),
    ("ix_pipelines_by_update", "pipelines", "(provider, updated_at, id)"),
    ("ix_pipelines_by_errors", "pipelines", "(provider, error_count, id)"),
    (f"ix_{JOBS}_provider", JOBS, "(provider, id)"),
    (f"ix_{JOBS}_job_type", JOBS, "(provider, job_type, id)"),
    (f"ix_{JOBS}_failed", JOBS, "(provider, id) WHERE result = 'ERROR'"),
    (f"ix_{JOBS}_by_start", JOBS, "(provider, started_at, id)"),
    (f"ix_{JOBS}_by_finish", JOBS, "(provider, finished_at, id)"),
    (f"ix_{JOBS}_by_duration", JOBS, "(provider, duration_seconds, id)"),
    (f"ix_{JOBS}_by_attempt", JOBS, "(provider, attempts, id)"),
    (f"ix_{JOBS}_kind_of_pipeline", JOBS, "(provider, job_type, pipeline_id)"),
    (f"ix_{JOBS}_year_of_pipeline", JOBS, "(provider, year, pipeline_id)"),
    (f"ix_{JOBS}_module_of_pipeline", JOBS, "(provider, module_type_id, pipeline_id)"),
    (f"ix_{JOBS}_entry_type_of_pipeline", JOBS, "(provider, data_entry_type_id, pipeline_id)"),
    (f"ix_{JOBS}_other", JOBS, f"(provider, pipeline_id) WHERE job_type IS NULL OR job_type NOT IN ({KNOWN_KINDS})"),
    (f"ix_{JOBS}_trigrams", JOBS, "USING gin (gql_trigrams(status_message))"),
)


def upgrade() -> None:
    op.execute(TRIGRAMS)
    op.add_column("pipelines", sa.Column("duration_seconds", sa.Double(), sa.Computed(PIPELINE_DURATION, persisted=True)))
    op.add_column(JOBS, sa.Column("duration_seconds", sa.Double(), sa.Computed(JOB_DURATION, persisted=True)))
    _replace(REPLACED, CREATED)


def downgrade() -> None:
    _replace(CREATED, REPLACED)
    op.drop_column(JOBS, "duration_seconds")
    op.drop_column("pipelines", "duration_seconds")
    op.execute("DROP FUNCTION gql_trigrams")


def _replace(old: tuple[tuple[str, str, str], ...], new: tuple[tuple[str, str, str], ...]) -> None:
    for name, _, _ in old:
        op.execute(f"DROP INDEX {name}")
    for name, table, definition in new:
        op.execute(f"CREATE INDEX {name} ON {table} {definition}")
