"""Estimates of when a running pipeline will end, from how long its like took."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db import models
from gql_server.db.models import EntityType, JobResult, JobState, JobType, PipelineStatus, Provider
from gql_server.reads.pipelines.estimates import estimates_statement
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client, viewer

ESTIMATE = """query ($first: Int) { pipelines(first: $first) { nodes { pipelineId startedAt progress {
  estimate { finishAtP50 finishAtP90 sampleSize isSlowerThanP95 }
} } } }"""


def now() -> datetime:
    return datetime.now(UTC)


async def past(connection: AsyncConnection, *minutes: float, ago: timedelta = timedelta(days=1), **values: Any) -> None:
    """Runs that took that long and landed."""
    ended = now() - ago
    for took in minutes:
        finished = {"started_at": ended - timedelta(minutes=took), "finished_at": ended}
        await build.pipeline(connection, **({"status": PipelineStatus.SUCCESS, **finished} | values))


async def running(connection: AsyncConnection, minutes: float = 1, **values: Any) -> UUID:
    pipeline_id = await build.pipeline(connection, **values)
    scope = {name: values[name] for name in ("provider", "entity_type") if name in values}
    await build.job(connection, pipeline_id, state=JobState.RUNNING, started_at=now() - timedelta(minutes=minutes), **scope)
    await build.settle(connection, pipeline_id)
    return pipeline_id


async def estimate(engine: AsyncEngine, pipeline_id: UUID, role: str = "operator", **claims: Any) -> dict[str, Any] | None:
    nodes = (await Client(engine, role, **claims).query(ESTIMATE, first=200))["pipelines"]["nodes"]
    found = next(node for node in nodes if node["pipelineId"] == str(pipeline_id))
    estimated = found["progress"]["estimate"]
    return estimated and {"startedAt": found["startedAt"], **estimated}


async def test_the_end_is_estimated_from_the_middle_and_the_slow_runs(engine: AsyncEngine):
    async with engine.begin() as connection:
        await past(connection, *range(1, 12))
        pipeline_id = await running(connection, minutes=2)

    found = await estimate(engine, pipeline_id)

    assert found is not None
    started = datetime.fromisoformat(found["startedAt"])
    assert datetime.fromisoformat(found["finishAtP50"]) == started + timedelta(minutes=6)
    assert datetime.fromisoformat(found["finishAtP90"]) == started + timedelta(minutes=10)
    assert (found["sampleSize"], found["isSlowerThanP95"]) == (11, False)


async def test_a_run_that_takes_longer_than_nearly_all_is_slow(engine: AsyncEngine):
    async with engine.begin() as connection:
        await past(connection, *range(1, 12))
        pipeline_id = await running(connection, minutes=30)

    found = await estimate(engine, pipeline_id)

    assert found is not None
    assert found["isSlowerThanP95"] is True
    assert datetime.fromisoformat(found["finishAtP50"]) < now()


@pytest.mark.parametrize("size", [4, 5])
async def test_fewer_than_five_runs_are_no_sample(engine: AsyncEngine, size: int):
    async with engine.begin() as connection:
        await past(connection, *[1.0] * size)
        pipeline_id = await running(connection)

    found = await estimate(engine, pipeline_id)

    assert (found and found["sampleSize"]) == (5 if size == 5 else None)


@pytest.mark.parametrize(
    "other",
    [
        {"kind": JobType.API_INGEST},
        {"entity_type": EntityType.GLOBAL_PER_YEAR},
        {"provider": Provider.TEST},
        {"status": PipelineStatus.FAILED},
        {"aborted_at": now()},
        {"ago": timedelta(days=91)},
    ],
)
async def test_other_runs_are_not_in_the_sample(engine: AsyncEngine, other: dict[str, Any]):
    async with engine.begin() as connection:
        await past(connection, 1, 2, 3, 4, 5, **other)
        pipeline_id = await running(connection)

    assert await estimate(engine, pipeline_id) is None


async def test_a_sample_holds_only_what_the_viewer_may_see(engine: AsyncEngine):
    specific: dict[str, Any] = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    async with engine.begin() as connection:
        await past(connection, 1, 2, 3, 4, 5, unit_institutional_id="A", **specific)
        await past(connection, 50, 60, unit_institutional_id="B", **specific)
        pipeline_id = await running(connection, unit_institutional_id="A", **specific)

    operator = await estimate(engine, pipeline_id)
    principal = await estimate(engine, pipeline_id, "principal", unit="A")

    assert operator is not None
    assert principal is not None
    assert (operator["sampleSize"], principal["sampleSize"]) == (7, 5)


async def test_what_has_ended_or_not_begun_and_orphans_have_no_estimate(engine: AsyncEngine):
    async with engine.begin() as connection:
        await past(connection, 1, 2, 3, 4, 5)
        await build.run(connection, JobResult.SUCCESS)
        await build.run(connection, JobState.NOT_STARTED)
        await build.job(connection, state=JobState.RUNNING)

    nodes = (await Client(engine).query(ESTIMATE))["pipelines"]["nodes"]

    assert [node["progress"]["estimate"] for node in nodes] == [None] * 8


async def test_the_estimates_of_a_page_take_one_statement_and_none_where_nothing_runs(engine: AsyncEngine):
    async with engine.begin() as connection:
        await past(connection, *range(1, 12))
        await past(connection, *range(1, 12), kind=JobType.API_INGEST)
        for _ in range(10):
            await build.run(connection, JobResult.SUCCESS)
    ended = await _count(engine, first=10)
    async with engine.begin() as connection:
        for index in range(40):
            await running(connection, kind=JobType.API_INGEST if index % 2 else JobType.CSV_INGEST)

    assert ended == (2, 0)
    assert await _count(engine, first=2) == (3, 2)
    assert await _count(engine, first=40) == (3, 40)


async def _count(engine: AsyncEngine, first: int) -> tuple[int, int]:
    with statements(engine) as executed:
        nodes = (await Client(engine).query(ESTIMATE, first=first))["pipelines"]["nodes"]
    return len(executed), sum(node["progress"]["estimate"] is not None for node in nodes)


async def test_the_latest_five_hundred_are_read_through_their_index(engine: AsyncEngine):
    async with engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO pipelines (provider, kind, entity_type, status, started_at, finished_at)
                    SELECT 'DEFAULT', (ARRAY['csv_ingest', 'api_ingest'])[i % 2 + 1], 'MODULE_PER_YEAR',
                      (ARRAY['FAILED', 'SUCCESS', 'PARTIAL'])[i % 3 + 1],
                      now() - make_interval(mins => i + 10), now() - make_interval(mins => i)
                    FROM generate_series(1, 20000) AS i""")
        )
        pipeline_id = await running(connection)

    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE pipelines"))
        found = await estimate(engine, pipeline_id)
        compiled: Any = estimates_statement(viewer("operator"), [pipeline_id]).compile(
            engine.sync_engine, compile_kwargs={"render_postcompile": True}
        )
        parameters = tuple(compiled.construct_params()[name] for name in compiled.positiontup)
        plan = "\n".join((await autocommit.exec_driver_sql(f"EXPLAIN {compiled}", parameters)).scalars())

    assert found is not None
    assert found["sampleSize"] == 500
    assert "using ix_pipelines_landed " in plan
    assert "Seq Scan on pipelines" not in plan
    assert models.Pipeline.__tablename__ in plan
