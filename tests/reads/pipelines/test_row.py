"""Each attribute of a pipeline's row is what its declaration says, of stored pipelines and of orphans."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db import models
from gql_server.db.models import EntityType, JobResult, JobState, JobType, PipelineStatus, Provider
from gql_server.reads.pipelines.queries import pipelines_by_key
from gql_server.reads.pipelines.row import PipelineRow, orphans, stored
from gql_server.reads.rows import NotRead
from tests import build
from tests.graphql import viewer

CREATED = datetime(2025, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC)
STARTED, FINISHED = CREATED + timedelta(seconds=1.5), CREATED + timedelta(seconds=63.25)
ACTOR = {"user_id": "u1", "name": "Ada", "email": "ada@example.org"}


def shown(row: PipelineRow) -> dict[str, Any]:
    moving = ("key", "feed_position", "event_sequence")
    return {name: getattr(row, name) for name in row.shown() if name not in moving}


async def the_row(connection: AsyncConnection, key: Any) -> PipelineRow:
    return (await pipelines_by_key(connection, viewer("operator"), [key]))[key]


async def test_a_row_of_a_stored_pipeline_has_every_value_under_its_own_name(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.pipeline(
            connection,
            kind=JobType.FACTOR_INGEST,
            status=PipelineStatus.PARTIAL,
            entity_type=EntityType.MODULE_UNIT_SPECIFIC,
            module_type_id=5,
            year=2023,
            unit_institutional_id="10208",
            created_by=ACTOR,
            has_warning=True,
            job_count=7,
            error_count=3,
            last_error="It broke.",
            created_at=CREATED,
            started_at=STARTED,
            finished_at=FINISHED,
            updated_at=FINISHED + timedelta(seconds=1),
        )
        root = await build.job(
            connection, key, job_type=JobType.CSV_INGEST, data_entry_type_id=60, result=JobResult.SUCCESS, status_message="Ok"
        )
        await build.job(connection, key, job_type=JobType.AGGREGATION, data_entry_type_id=61)
        row = await the_row(connection, key)

    assert row.key == key
    assert shown(row) == {
        "pipeline_id": key,
        "is_orphan": False,
        "kind_raw": "factor_ingest",
        "kind": "FACTOR_INGEST",
        "status": "PARTIAL",
        "status_raw": "PARTIAL",
        "status_source": "STORED",
        "has_warning": True,
        "tone": "WARNING",
        "is_terminal": True,
        "is_aborted": False,
        "level": "MODULE_UNIT_SPECIFIC",
        "year": 2023,
        "module_type_id": 5,
        "data_entry_type_id": 60,
        "unit_institutional_id": "10208",
        "provider": "DEFAULT",
        "actor_kind": "USER",
        "actor_name": "Ada",
        "actor_email": "ada@example.org",
        "created_at": CREATED,
        "started_at": STARTED,
        "finished_at": FINISHED,
        "queued_seconds": 1.5,
        "duration_seconds": 61.75,
        "updated_at": FINISHED + timedelta(seconds=1),
        "message": "It broke.",
        "last_error": "It broke.",
        "job_count": 7,
        "error_count": 3,
        "has_live_jobs": True,
        "failed_key": key,
        "root_id": root,
    }


async def test_a_row_of_an_orphan_has_every_value_under_its_own_name(engine: AsyncEngine):
    async with engine.begin() as connection:
        root = await build.job(
            connection,
            job_type=JobType.API_INGEST,
            entity_type=EntityType.GLOBAL_PER_YEAR,
            provider=Provider.DEFAULT,
            module_type_id=5,
            data_entry_type_id=60,
            year=2023,
            result=JobResult.ERROR,
            status_message="It broke.",
            meta={"created_by": ACTOR, "aborted": True},
            created_at=CREATED,
            started_at=STARTED,
            finished_at=FINISHED,
        )
        key = await connection.scalar(models.Job.__table__.select().with_only_columns(models.Job.time_key))
        row = await the_row(connection, key)

    assert row.key == key
    assert shown(row) == {
        "pipeline_id": None,
        "is_orphan": True,
        "kind_raw": "api_ingest",
        "kind": "API_INGEST",
        "status": "FAILED",
        "status_raw": None,
        "status_source": "DERIVED",
        "has_warning": False,
        "tone": "DANGER",
        "is_terminal": True,
        "is_aborted": True,
        "level": "GLOBAL_PER_YEAR",
        "year": 2023,
        "module_type_id": 5,
        "data_entry_type_id": 60,
        "unit_institutional_id": None,
        "provider": "DEFAULT",
        "actor_kind": "USER",
        "actor_name": "Ada",
        "actor_email": "ada@example.org",
        "created_at": CREATED,
        "started_at": STARTED,
        "finished_at": FINISHED,
        "queued_seconds": 1.5,
        "duration_seconds": 61.75,
        "updated_at": FINISHED,
        "message": "It broke.",
        "last_error": "It broke.",
        "job_count": 1,
        "error_count": 1,
        "has_live_jobs": False,
        "failed_key": key,
        "root_id": root,
    }


@pytest.mark.parametrize(
    ("state", "result", "status"),
    [
        (JobState.NOT_STARTED, None, "NOT_STARTED"),
        (JobState.QUEUED, None, "NOT_STARTED"),
        (JobState.RUNNING, None, "RUNNING"),
        (JobState.FINISHED, JobResult.WARNING, "SUCCESS"),
        (JobState.FINISHED, None, "SUCCESS"),
        (JobState.FINISHED, JobResult.ERROR, "FAILED"),
        (None, None, "UNKNOWN"),
    ],
)
async def test_the_status_of_an_orphan_follows_from_its_job(engine: AsyncEngine, state: Any, result: Any, status: str):
    async with engine.begin() as connection:
        await build.job(connection)
        await connection.execute(update(models.Job).values(state=state, result=result))
        key = await connection.scalar(models.Job.__table__.select().with_only_columns(models.Job.time_key))
        row = await the_row(connection, key)

    assert (row.status, row.is_terminal) == (status, state == JobState.FINISHED)


def test_stored_pipelines_and_orphans_are_read_under_the_same_labels_in_the_same_order():
    for names in (PipelineRow.attributes.keys() - {"value"}, {"year", "module_type_id"}, {"module_type_id", "year", "tone"}):
        columns = PipelineRow.columns(names)
        both = [each(viewer("operator"), columns).selected_columns.keys() for each in (stored, orphans)]
        assert both == [list(columns.names)] * 2


def test_the_root_job_is_joined_only_for_what_it_tells():
    statement = str(stored(viewer("operator"), PipelineRow.columns(["year", "status", "job_count"])))
    assert "data_ingestion_jobs" not in statement

    for name in ("message", "started_at", "data_entry_type_id", "root_id"):
        assert "LATERAL" in str(stored(viewer("operator"), PipelineRow.columns([name])))


def test_what_was_not_read_is_an_error_and_no_absence():
    [row] = PipelineRow.columns(["year"]).rows([(2025,)])

    assert (row.year, tuple(row)) == (2025, (2025,))
    with pytest.raises(NotRead, match=r"PipelineRow.job_count was not read"):
        getattr(row, "job_count", None)
    with pytest.raises(NotRead, match=r"PipelineRow.tone was not read"):
        _ = row.tone
