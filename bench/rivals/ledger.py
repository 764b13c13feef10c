"""A generated ledger that is kept between runs, since a million jobs take minutes to make."""

import asyncio
import hashlib
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.database import connected
from bench.report import console
from gql_server.db import embedded, migrate
from gql_server.generate.load import generate

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "migrations" / "versions", ROOT / "gql_server" / "db" / "sql")

# The newest page: 100 pipelines of 20 jobs each, as an ingest that fanned out.
_WIDE = text("""
WITH made AS (
  INSERT INTO pipelines (provider, kind, status, entity_type, ingestion_method, module_type_id, year, job_count,
    started_at, finished_at)
  SELECT 'ACCRED', 'csv_ingest', 'SUCCESS', 'MODULE_PER_YEAR', 'csv', 4, 2025, 20, now() - interval '1 minute', now()
  FROM generate_series(1, 100) RETURNING id
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, ingestion_method, target_type, provider,
  module_type_id, year, state, result, status_message, attempts, started_at, finished_at)
SELECT id, CASE n WHEN 1 THEN 'csv_ingest' WHEN 20 THEN 'aggregation' ELSE 'emission_recalc' END, 'MODULE_PER_YEAR', 'csv',
  'DATA_ENTRIES', 'ACCRED', 4, 2025, 'FINISHED', 'SUCCESS', n || ' of 20: ' || 10 * n || ' rows', 1,
  now() - interval '1 minute', now()
FROM made, generate_series(1, 20) AS n
""")


@contextmanager
def kept(pipelines: int) -> Generator[str]:
    """The connection string of a ledger of so many pipelines under `.data/bench`: made where there is none, and brought to
    today's schema where it has another."""
    folder = ROOT / ".data" / "bench" / f"ledger-{pipelines}"
    mark = folder / "made"
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with embedded.start(folder) as dsn:
        if not mark.exists():
            asyncio.run(_make(dsn, pipelines))
        elif mark.read_text() != _schema():
            asyncio.run(_renew(dsn))
        mark.write_text(_schema())
        yield dsn


async def _renew(dsn: str) -> None:
    console.print("migrating the kept ledger …")
    await migrate.upgrade(dsn)
    async with connected(dsn) as engine:
        await _analyze(engine)


async def _make(dsn: str, pipelines: int) -> None:
    console.print(f"generating {pipelines:,} pipelines, kept for the next run …")
    await migrate.upgrade(dsn)
    async with connected(dsn) as engine:
        await generate(engine, pipelines=pipelines, seed=1, provider="ACCRED")
        async with engine.begin() as connection:
            await connection.execute(_WIDE)
        await _analyze(engine)


async def _analyze(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE"))


def _schema() -> str:
    """A digest of the migrations and of the SQL that they put in place."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in SCHEMA for path in folder.rglob("*") if path.suffix in (".py", ".sql")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
