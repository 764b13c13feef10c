from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.driver import Fetched
from gql_server.db.models import JobResult
from gql_server.graph.nodes import encode
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.queries import page_statement
from tests import build
from tests.graphql import PAGING, Client, viewer

PAGE = """query ($first: Int) {
  pipelines(first: $first) {
    nodes {
      kind status progress { phase } message
      jobs { nodes { kind state result } }
      meta { providerName } scope { module { key } } triggeredBy { displayName }
    }
    pageInfo { endCursor hasNextPage }
  }
}"""


@contextmanager
def statements(engine: AsyncEngine) -> Generator[list[str], None, None]:
    """Statements that are executed meanwhile."""
    executed: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", record)
    try:
        yield executed
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", record)


@contextmanager
def fetched(engine: AsyncEngine) -> Generator[list[int], None, None]:
    """Numbers of rows that statements give meanwhile."""
    counts: list[int] = []

    def record(_connection: object, cursor: Any, *_: object) -> None:
        counts.append(len(cursor.rows if isinstance(cursor, Fetched) else cursor._rows))

    event.listen(engine.sync_engine, "after_cursor_execute", record)
    try:
        yield counts
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", record)


@pytest.mark.parametrize("role", ["superadmin", "operator"])
async def test_a_page_takes_four_statements_however_long_it_is(engine: AsyncEngine, role: str):
    async with engine.begin() as connection:
        for index in range(50):
            await build.run(connection, *[JobResult.SUCCESS] * (index % 5 + 1))
        for _ in range(10):
            await build.job(connection, result=JobResult.ERROR)
    client = Client(engine, role)

    counts = {}
    for first in (1, 10, 60):
        with statements(engine) as executed:
            nodes = (await client.query(PAGE, first=first))["pipelines"]["nodes"]
        assert len(nodes) == first
        counts[first] = len(executed)

    assert counts == {1: 4, 10: 4, 60: 4}


CONSOLE = """query ($first: Int, $filter: PipelineFilter) {
  pipelines(first: $first, filter: $filter) {
    nodes {
      id status
      jobs { nodes { kind result } }
      scope { year module { key } unit { institutionalId } }
      progress { phase fraction }
    }
    totalCount { value }
    facets(keys: [STATUS, KIND, FAILURE_CLASS]) { key values { value count { value } } }
  }
}"""


@pytest.mark.parametrize("filter", [None, {"search": "created", "years": [2024, 2025], "status": {"notIn": ["RUNNING"]}}])
async def test_l21_the_console_page_takes_at_most_six_statements_whatever_its_size(engine: AsyncEngine, filter: object):
    async with engine.begin() as connection:
        for index in range(50):
            await build.run(connection, *[JobResult.SUCCESS] * (index % 5 + 1))
    client = Client(engine)

    counts = {}
    for first in (1, 50):
        with statements(engine) as executed:
            nodes = (await client.query(CONSOLE, first=first, filter=filter))["pipelines"]["nodes"]
        assert len(nodes) == first
        counts[first] = len(executed)

    assert counts == {1: 5, 50: 5}


async def test_nodes_take_one_statement_a_type(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipelines = [encode("Pipeline", await build.run(connection, JobResult.SUCCESS)) for _ in range(10)]
        jobs = [encode("Job", await build.job(connection)) for _ in range(10)]

    with statements(engine) as executed:
        await Client(engine).query("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=pipelines + jobs)

    assert len(executed) == 2


async def test_fields_of_the_row_alone_take_one_statement(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)

    with statements(engine) as executed:
        await Client(engine).query("{ pipelines { nodes { id status message scope { year } durationSeconds feedToken } } }")

    assert len(executed) == 1


async def test_years_take_one_statement_for_all_their_active_pipelines(engine: AsyncEngine):
    async with engine.begin() as connection:
        for number in range(2020, 2026):
            await build.year(connection, number)

    with statements(engine) as executed:
        await Client(engine).query("{ yearConfigurations { year activePipelines { nodes { id } } } }")

    assert len(executed) == 2


async def test_a_page_reads_only_the_page_through_its_indexes(engine: AsyncEngine):
    async with engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO pipelines (provider, kind, status)
                    SELECT (CASE WHEN i % 10 = 0 THEN 'DEFAULT' ELSE 'TEST' END)::user_provider_enum, 'csv_ingest', 'SUCCESS'
                    FROM generate_series(1, 5000) AS i""")
        )
        await connection.execute(
            text("""INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, state, result)
                    SELECT id, 'csv_ingest', 'MODULE_PER_YEAR', 'FINISHED', 'SUCCESS' FROM pipelines""")
        )
        await connection.execute(
            text("""INSERT INTO data_ingestion_jobs (job_type, entity_type, state, result)
                    SELECT 'csv_ingest', 'MODULE_PER_YEAR', 'FINISHED', 'ERROR' FROM generate_series(1, 1000)""")
        )
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE pipelines, data_ingestion_jobs"))
        window = PAGING.window("Query.pipelines", first=50, criteria=PipelineCriteria(), descending=True)
        statement = page_statement(viewer("operator"), PipelineCriteria(), window)
        assert statement is not None
        compiled = statement.compile(engine.sync_engine, compile_kwargs={"literal_binds": True})
        plan = "\n".join((await autocommit.exec_driver_sql(f"EXPLAIN {compiled}")).scalars())

    assert "Seq Scan" not in plan.replace("Seq Scan on pg_database", "")
    assert "ix_pipelines_provider" in plan
    assert "ix_data_ingestion_jobs_orphans" in plan
    assert "Merge Append" in plan
    assert plan.count("Sort  (") == 2  # of the page, and of the live jobs of a running pipeline
    assert plan.index("Sort  (") == 0
