"""Signatures of pipelines: a digest of what their jobs are, equal where these are alike, so that many are counted at once.

Only what is terminal and has come to rest is signed; a trigger forgets the signature as soon as its jobs change.
"""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

QUIET = timedelta(minutes=1)
BATCH = 2_000
BATCHES_OF_A_SWEEP = 10

_SIGN = """
WITH chosen AS MATERIALIZED ({chosen}), facts AS MATERIALIZED (
  SELECT DISTINCT c.id, j.id IS NOT NULL AS is_job, j.job_type, j.module_type_id, j.year, j.failure_class
  FROM chosen c LEFT JOIN data_ingestion_jobs j ON j.pipeline_id = c.id
), signed AS MATERIALIZED (
  SELECT id, md5(coalesce(string_agg(fact, ' ' ORDER BY fact COLLATE "C") FILTER (WHERE is_job), ''))::uuid AS signature
  FROM (SELECT id, is_job, jsonb_build_array(job_type, module_type_id, year, failure_class)::text AS fact FROM facts) AS each
  GROUP BY id
), known AS (
  INSERT INTO job_signatures (signature, job_type, module_type_id, year, failure_class)
  SELECT DISTINCT s.signature, f.job_type, f.module_type_id, f.year, f.failure_class
  FROM signed s JOIN facts f USING (id) WHERE f.is_job
  ON CONFLICT DO NOTHING
)
UPDATE pipelines p SET signature = s.signature FROM signed s WHERE p.id = s.id
"""
_UNSIGNED = """
  SELECT id FROM pipelines WHERE signature IS NULL AND status IN ('SUCCESS', 'PARTIAL', 'FAILED')
"""
_SIGN_ALL = text(_SIGN.format(chosen=_UNSIGNED))
_SIGN_SOME = text(
    _SIGN.format(
        chosen=f"{_UNSIGNED} AND updated_at < clock_timestamp() - CAST(:quiet AS interval)"
        " LIMIT :most FOR NO KEY UPDATE SKIP LOCKED"
    )
)


async def sign_all(connection: AsyncConnection) -> int:
    """Sign every terminal pipeline, in one statement. Returns how many that were."""
    return (await connection.execute(_SIGN_ALL)).rowcount


async def sign(engine: AsyncEngine, *, quiet: timedelta = QUIET) -> int:
    """Sign terminal pipelines that nobody has changed lately, in bounded batches of a transaction each. Returns how many."""
    total = 0
    for _ in range(BATCHES_OF_A_SWEEP):
        async with engine.begin() as connection:
            signed = (await connection.execute(_SIGN_SOME, {"quiet": quiet, "most": BATCH})).rowcount
        total += signed
        if signed < BATCH:
            break
    return total
