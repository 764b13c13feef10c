"""Jobs of the same combination, across runs."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobType, Provider, TargetType
from gql_server.reads.pipelines.runs import lineage_statement
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client, viewer

LINEAGE = "query ($id: Int!) { job(by: { jobId: $id }) { supersedes { jobId } supersededBy { jobId } } }"
RECALC = {"job_type": JobType.EMISSION_RECALC, "data_entry_type_id": 10, "result": JobResult.SUCCESS}


async def lineage(engine: AsyncEngine, job_id: int) -> tuple[int | None, int | None]:
    job = (await Client(engine).query(LINEAGE, id=job_id))["job"]
    supersedes, superseded_by = job["supersedes"], job["supersededBy"]
    return supersedes and supersedes["jobId"], superseded_by and superseded_by["jobId"]


async def test_jobs_of_a_combination_follow_each_other_across_runs(engine: AsyncEngine):
    async with engine.begin() as connection:
        first, second, third = [await build.job(connection, await build.pipeline(connection), **RECALC) for _ in range(3)]

    assert await lineage(engine, first) == (None, second)
    assert await lineage(engine, second) == (first, third)
    assert await lineage(engine, third) == (second, None)


@pytest.mark.parametrize(
    "other",
    [
        {"job_type": JobType.AGGREGATION},
        {"module_type_id": 5},
        {"data_entry_type_id": None},
        {"year": 2024},
        {"target_type": TargetType.FACTORS},
        {"target_type": None},
        {"ingestion_method": IngestionMethod.MANUAL},
        {"provider": Provider.TEST},
        {"entity_type": EntityType.MODULE_UNIT_SPECIFIC},
    ],
)
async def test_a_job_of_another_combination_is_not_in_the_lineage(engine: AsyncEngine, other: dict[str, Any]):
    async with engine.begin() as connection:
        await build.job(connection, **(RECALC | other))
        job_id = await build.job(connection, **RECALC)
        await build.job(connection, **(RECALC | other))

    assert await lineage(engine, job_id) == (None, None)


async def test_the_lineage_of_who_sees_one_unit_is_of_the_jobs_of_its_pipelines(engine: AsyncEngine):
    async with engine.begin() as connection:
        units = ["A", "B", "A", "B", "A"]
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        runs = [await build.pipeline(connection, unit_institutional_id=unit, **specific) for unit in units]
        jobs = [await build.job(connection, run, **RECALC) for run in runs]

    async def told(role: str, unit: str | None = None) -> list[list[int | None]]:
        client = Client(engine, role, unit=unit)
        return [
            [job[name] and job[name]["jobId"] for name in ("supersedes", "supersededBy")]
            for number in jobs
            if (job := (await client.query(LINEAGE, id=number))["job"])
        ]

    first, second, third, fourth, fifth = jobs
    assert await told("principal", "A") == [[None, third], [first, fifth], [third, None]]
    assert await told("principal", "B") == [[None, fourth], [second, None]]
    assert await told("operator") == [[None, second], [first, third], [second, fourth], [third, fifth], [fourth, None]]


async def test_unit_specific_jobs_have_no_lineage(engine: AsyncEngine):
    async with engine.begin() as connection:
        specific = RECALC | {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        first, _ = [await build.job(connection, **specific) for _ in range(2)]

    assert await lineage(engine, first) == (None, None)


async def test_the_lineage_of_a_page_takes_four_statements_and_the_index_of_scopes(engine: AsyncEngine):
    async with engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO data_ingestion_jobs
                      (job_type, entity_type, module_type_id, year, target_type, ingestion_method, state, result)
                    SELECT 'aggregation', 'MODULE_PER_YEAR', i % 8 + 1, 2020 + i % 5, 'DATA_ENTRIES', 'computed',
                      'FINISHED', 'SUCCESS' FROM generate_series(1, 5000) AS i""")
        )
    query = (
        "query ($first: Int) { pipelines(first: $first) { nodes { rootJob { supersedes { jobId } supersededBy { jobId } } } } }"
    )
    counts = set[int]()
    for first in (50, 150):
        with statements(engine) as executed:
            nodes = (await Client(engine).query(query, first=first))["pipelines"]["nodes"]
        assert all(node["rootJob"]["supersedes"] for node in nodes)
        counts.add(len(executed))
    assert counts == {6}

    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE data_ingestion_jobs"))
        for before in (True, False):
            statement: Any = lineage_statement(viewer("operator"), before=before).statement
            compiled = statement.compile(engine.sync_engine)
            keys = list(range(100, 150))
            parameters = tuple(keys if name == "keys" else compiled.params[name] for name in compiled.positiontup)
            plan = "\n".join((await autocommit.exec_driver_sql(f"EXPLAIN {compiled}", parameters)).scalars())
            assert "using ix_data_ingestion_jobs_scope " in plan
            assert "Sort  (" not in plan
