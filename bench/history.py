"""A ledger with years of finished work behind it, made in the database."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

JOBS_PER_PIPELINE = 5

_PIPELINES_AND_JOBS = text("""
WITH minted AS (
  INSERT INTO pipelines (provider, kind, status, entity_type, ingestion_method, module_type_id, year, expected_recalc,
    job_count, created_at, started_at, finished_at, updated_at)
  SELECT 'ACCRED', 'csv_ingest', 'SUCCESS', 'MODULE_PER_YEAR', 'csv', n % 8 + 1, 2015 + n % 11, 3,
    5, past, past, past + interval '1 minute', past + interval '1 minute'
  FROM generate_series(1, :pipelines) AS n,
    LATERAL (SELECT clock_timestamp() - interval '2 days' - n * interval '1 minute') AS t(past)
  RETURNING id, module_type_id, year, started_at
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, ingestion_method, target_type, provider, module_type_id,
  data_entry_type_id, year, state, result, status_message, attempts, locked_by, locked_at, started_at, finished_at, meta)
SELECT m.id, j.job_type, 'MODULE_PER_YEAR', j.method::ingestion_method_enum, 'DATA_ENTRIES', 'ACCRED', m.module_type_id,
  j.entry_type, m.year, 'FINISHED', 'SUCCESS', 'Success', 1, 'worker-' || m.year, m.started_at, m.started_at,
  m.started_at + interval '1 minute', jsonb_build_object('status_history', jsonb_build_array(
    jsonb_build_object('message', 'Starting CSV processing', 'ts', m.started_at),
    jsonb_build_object('message', 'Success', 'ts', m.started_at)))
FROM minted m, (VALUES ('csv_ingest', NULL, 'csv'), ('emission_recalc', 10, 'computed'), ('emission_recalc', 11, 'computed'),
  ('emission_recalc', 12, 'computed'), ('aggregation', NULL, 'computed')) AS j(job_type, entry_type, method)
""")

# What claims leave: the newest job of each combination is its current one.
_NOT_CURRENT = text("UPDATE data_ingestion_jobs SET is_current = false WHERE is_current")
_CURRENT = text("""
UPDATE data_ingestion_jobs SET is_current = true WHERE id IN (
  SELECT max(id) FROM data_ingestion_jobs
  GROUP BY provider, module_type_id, data_entry_type_id, target_type, ingestion_method, year)
""")


async def grow(engine: AsyncEngine, jobs: int) -> None:
    """Add so many finished jobs, five to a pipeline, without their events; then vacuum and analyse."""
    async with engine.begin() as connection:
        for table in ("pipelines", "data_ingestion_jobs"):
            await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        await connection.execute(_NOT_CURRENT)
        await connection.execute(_PIPELINES_AND_JOBS, {"pipelines": jobs // JOBS_PER_PIPELINE})
        await connection.execute(_CURRENT)
        for table in ("pipelines", "data_ingestion_jobs"):
            await connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE pipelines, data_ingestion_jobs"))
