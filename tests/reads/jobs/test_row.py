"""Each attribute of a job's row is what its declaration says."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, TargetType
from gql_server.reads.jobs.queries import jobs_by_id
from tests import build
from tests.graphql import viewer

CREATED = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
STARTED, FINISHED = CREATED + timedelta(seconds=1), CREATED + timedelta(seconds=41)


async def test_a_row_of_a_job_has_every_value_under_its_own_name(engine: AsyncEngine):
    phases = [{"name": "fetch", "state": "finished"}]
    async with engine.begin() as connection:
        key = await build.pipeline(connection, unit_institutional_id="10208")
        job_id = await build.job(
            connection,
            key,
            job_type=JobType.CSV_INGEST,
            entity_type=EntityType.MODULE_UNIT_SPECIFIC,
            target_type=TargetType.FACTORS,
            ingestion_method=IngestionMethod.MANUAL,
            module_type_id=5,
            data_entry_type_id=60,
            year=2023,
            result=JobResult.WARNING,
            status_message="Landed.",
            meta={"rows_processed": 80, "progress": {"phase": "late", "total": 9}, "phases": phases, "row_errors_count": 4},
            attempts=2,
            max_attempts=5,
            run_after=FINISHED,
            is_current=True,
            locked_at=STARTED,
            claimed_by="w1",
            created_at=CREATED,
            started_at=STARTED,
            finished_at=FINISHED,
        )
        row = (await jobs_by_id(connection, viewer("operator"), [job_id]))[job_id]

    assert {name: getattr(row, name) for name in row.shown()} == {
        "job_id": job_id,
        "pipeline_key": key,
        "kind_raw": "csv_ingest",
        "kind": "CSV_INGEST",
        "state": "FINISHED",
        "result": "WARNING",
        "failed_id": None,
        "tone": "WARNING",
        "level": "MODULE_UNIT_SPECIFIC",
        "year": 2023,
        "module_type_id": 5,
        "data_entry_type_id": 60,
        "unit_institutional_id": "10208",
        "provider": "DEFAULT",
        "target": "FACTORS",
        "method": "MANUAL",
        "message": "Landed.",
        "created_at": CREATED,
        "started_at": STARTED,
        "finished_at": FINISHED,
        "duration_seconds": 40.0,
        "rows_stage": None,
        "rows_processed": 80,
        "rows_total": None,
        "rows_per_second": 2.0,
        "phases_raw": phases,
        "attempt": 2,
        "max_attempts": 5,
        "retries_left": 0,
        "next_attempt_at": None,
        "is_current": True,
        "is_aborted": False,
        "is_stuck": False,
        "recover_obstacle": "ENDED",
        "has_source": False,
        "worker_id": "w1",
        "locked_at": STARTED,
        "row_error_count": 4,
        "failure_fingerprint": None,
    }


async def test_what_an_unfinished_job_says_of_its_progress_and_its_next_attempt(engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await build.job(
            connection,
            state=JobState.RUNNING,
            meta={"progress": {"phase": "reading", "processed": 5, "total": 9}},
            attempts=2,
            max_attempts=5,
            run_after=FINISHED,
        )
        row = (await jobs_by_id(connection, viewer("operator"), [job_id]))[job_id]

    assert (row.state, row.result, row.tone) == ("RUNNING", None, "PROGRESS")
    assert (row.rows_stage, row.rows_processed, row.rows_total) == ("reading", 5, 9)
    assert (row.retries_left, row.next_attempt_at) == (3, FINISHED)
