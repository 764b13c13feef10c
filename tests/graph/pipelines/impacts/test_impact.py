"""Sizes of what a pipeline touched."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db.models import JobResult, JobState, JobType
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

IMPACT = """query ($first: Int) { pipelines(first: $first) { nodes {
  impact { affectedModuleCount affectedUnitCount rowsWritten }
} } }"""
RECALC = {"job_type": JobType.EMISSION_RECALC, "result": JobResult.SUCCESS}


async def impacts(engine: AsyncEngine, **variables: Any) -> list[dict[str, Any]]:
    return [node["impact"] for node in (await Client(engine).query(IMPACT, **variables))["pipelines"]["nodes"]]


async def report_modules(connection: AsyncConnection, unit: str, count: int) -> list[int]:
    await build.unit(connection, unit)
    rows = await connection.scalars(
        text("""
        WITH project AS (
          INSERT INTO carbon_projects (unit_id) SELECT id FROM units WHERE institutional_id = :unit RETURNING *
        ), report AS (
          INSERT INTO carbon_reports (year, unit_id, carbon_project_id) SELECT 2025, unit_id, id FROM project RETURNING *
        )
        INSERT INTO carbon_report_modules (module_type_id, carbon_report_id)
        SELECT module, report.id FROM report, generate_series(1, :count) AS module
        RETURNING id"""),
        {"unit": unit, "count": count},
    )
    return list(rows.all())


async def test_modules_and_units_count_once_however_many_jobs_touched_them(engine: AsyncEngine):
    async with engine.begin() as connection:
        first = await report_modules(connection, "A", 3)
        second = await report_modules(connection, "B", 1)
        pipeline_id = await build.pipeline(connection)
        meta = {"inserted": 50, "skipped": 2}
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS, affected_module_ids=first, meta=meta)
        await build.job(connection, pipeline_id, affected_module_ids=first[:2] + second, **RECALC)
        await build.job(connection, pipeline_id, affected_module_ids=second, **RECALC)
        await build.job(connection, pipeline_id, job_type=JobType.AGGREGATION, result=JobResult.SUCCESS)

    assert await impacts(engine) == [{"affectedModuleCount": 4, "affectedUnitCount": 2, "rowsWritten": 50}]


async def test_nothing_touched_is_zero_and_nothing_said_is_null(engine: AsyncEngine):
    async with engine.begin() as connection:
        factors = await build.pipeline(connection, kind=JobType.FACTOR_INGEST)
        await build.job(connection, factors, result=JobResult.SUCCESS, affected_module_ids=[], meta={"inserted": 7})
        await build.run(connection, JobState.RUNNING)
        await build.job(connection, state=JobState.NOT_STARTED, meta={"inserted": "many"})

    assert await impacts(engine) == [
        {"affectedModuleCount": None, "affectedUnitCount": None, "rowsWritten": None},
        {"affectedModuleCount": None, "affectedUnitCount": None, "rowsWritten": None},
        {"affectedModuleCount": 0, "affectedUnitCount": 0, "rowsWritten": 7},
    ]


async def test_the_impacts_of_a_page_take_one_statement(engine: AsyncEngine):
    async with engine.begin() as connection:
        for _ in range(20):
            await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)

    counts = set[int]()
    for first in (1, 20):
        with statements(engine) as executed:
            assert len(await impacts(engine, first=first)) == first
        counts.add(len(executed))

    assert counts == {2}
