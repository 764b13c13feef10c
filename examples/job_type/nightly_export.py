"""A job type of your own: the totals of a year as a CSV file. Run this module to submit one."""

import asyncio
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import work_engine
from gql_server.db.models import EntityType, IngestionMethod, TargetType
from gql_server.ledger import NewJob, Submitted, submit
from gql_server.ledger.locks import reports_of_year
from gql_server.ledger.wakeup import wake_all
from gql_server.worker import ClaimedJob, JobError, Outcome, Run, job_type, registry

NIGHTLY_EXPORT = "nightly_export"
COLUMNS = ("unit_institutional_id", "unit", "total_kg_co2eq")

_TOTALS = text("""
SELECT u.institutional_id, u.name, (r.stats ->> 'total')::float8 AS total
FROM carbon_reports r JOIN units u ON u.id = r.unit_id
WHERE r.year = :year AND u.provider = :provider AND r.stats IS NOT NULL
ORDER BY u.institutional_id
""")


@job_type(NIGHTLY_EXPORT, locks=reports_of_year)
async def nightly_export(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Write the year's totals to NIGHTLY_EXPORT_DIR; an aggregation of the year waits meanwhile, so they belong together."""
    folder = os.environ.get("NIGHTLY_EXPORT_DIR")
    if job.year is None or not folder:
        raise JobError("an export needs a year, and a folder in NIGHTLY_EXPORT_DIR")
    await run.phase("read", f"Reading the totals of {job.year}")
    totals = (await connection.execute(_TOTALS, {"year": job.year, "provider": job.provider})).all()
    await run.phase("write", f"Writing {len(totals)} totals")
    path = Path(folder) / f"{job.provider}_{job.year}.csv"
    await asyncio.to_thread(write_csv, path, totals)
    return Outcome(message=f"{len(totals)} totals exported", meta={"file": path.name, "rows": len(totals)})


def write_csv(path: Path, totals: Sequence[Row[tuple[str, str, float]]]) -> None:
    """Replace the file at once: a second attempt writes the same file again, and nobody reads half of one."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, newline="", encoding="utf-8", delete=False) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(tuple(row) for row in totals)
    os.replace(file.name, path)


async def submit_export(dsn: str, provider: str, year: int) -> Submitted:
    """Put one export into the ledger and wake a worker; what a scheduler calls every night."""
    new = NewJob(
        job_type=NIGHTLY_EXPORT,
        provider=provider,
        entity_type=EntityType.GLOBAL_PER_YEAR,
        ingestion_method=IngestionMethod.COMPUTED,
        target_type=TargetType.DATA_ENTRIES,
        year=year,
    )
    engine = work_engine(dsn, concurrency=1)
    try:
        async with engine.begin() as connection:
            submitted = await submit(connection, new, registry[NIGHTLY_EXPORT].locks(new))
        await wake_all(engine)
    finally:
        await engine.dispose()
    return submitted


if __name__ == "__main__":
    print(asyncio.run(submit_export(os.environ["GQL_DATABASE_URL"], "ACCRED", int(sys.argv[1]))).pipeline_id)
