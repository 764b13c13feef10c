"""A plan that PostgreSQL keeps for all values is as good as one that it makes for each, of statements that stay prepared."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.plans import Executed, recorded
from gql_server.carbon.catalog import entry_types_of
from gql_server.db import direct
from gql_server.policy import Viewer
from gql_server.reads.facets import facets
from gql_server.reads.failures.queries import unresolved_pipelines
from gql_server.reads.fleet.locks import held_locks
from gql_server.reads.jobs.filter import JobCriteria, Match, Range
from gql_server.reads.jobs.list import counted_by_pipeline, page_by_pipeline
from gql_server.reads.jobs.list import page as page_of_jobs
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.jobs.search import is_frequent
from gql_server.reads.pagination.windows import Window, newest
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import ORDERINGS, counted
from gql_server.reads.pipelines.queries import page, pipelines_by_key, progress_by_pipeline, rows_of_list
from gql_server.reads.pipelines.runs import neighbours, resolving_by_pipeline, superseded_by_job, superseding_by_job
from gql_server.reads.years.aggregations import freshness_by_module_year
from gql_server.reads.years.recalculations import recalculations_by_module_year
from tests.databases import Databases
from tests.graphql import PAGING, viewer

NOW = datetime(2025, 6, 1, tzinfo=UTC)
SLACK = 150
LEDGER = """
    INSERT INTO pipelines (provider, kind, status, entity_type, year, module_type_id, unit_institutional_id, created_by,
                           created_at, started_at, finished_at, updated_at, job_count)
    SELECT 'DEFAULT', 'csv_ingest', CASE WHEN i % 7 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,
           (CASE WHEN i % 3 = 0 THEN 'MODULE_UNIT_SPECIFIC' ELSE 'MODULE_PER_YEAR' END)::entity_type_enum,
           2020 + i % 6, 1 + i % 7, CASE WHEN i % 3 = 0 THEN (10000 + i % 50)::text END,
           jsonb_build_object('user_id', 'u' || i % 40),
           at, at + interval '1 second', at + (i % 500) * interval '1 second', at + interval '1 hour', 4
    FROM (SELECT i, timestamptz '2025-06-01Z' - (4000 - i) * interval '2 hours' AS at FROM generate_series(1, 4000) AS i) _;

    INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, state, result, status_message, year, module_type_id,
                                     claimed_by, failure_class, failure_fingerprint, created_at, started_at, finished_at)
    SELECT p.id, 'csv_ingest', p.entity_type, 'FINISHED',
           (CASE p.status WHEN 'FAILED' THEN 'ERROR' ELSE 'SUCCESS' END)::ingestion_result_enum, 'Done ' || n,
           p.year, p.module_type_id, 'w' || n, CASE p.status WHEN 'FAILED' THEN 'VALIDATION' END,
           CASE p.status WHEN 'FAILED' THEN 'f' || p.module_type_id END, p.created_at, p.started_at, p.finished_at
    FROM pipelines AS p, generate_series(1, 4) AS n;

    INSERT INTO data_ingestion_jobs (job_type, entity_type, state, result)
    SELECT 'csv_ingest', 'MODULE_PER_YEAR', 'FINISHED', 'ERROR' FROM generate_series(1, 300);
"""


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return f"'{{{','.join('NULL' if each is None else str(each) for each in value)}}}'"
    return f"'{value}'"


async def buffers(connection: AsyncConnection, executed: Executed, mode: str) -> int:
    """Pages that a prepared statement touches, once PostgreSQL has made up its mind about its plan."""
    given = f"({', '.join(map(literal, executed.parameters))})" if executed.parameters else ""
    await connection.execute(text(f"SET plan_cache_mode = {mode}"))
    name = f"asked_{uuid4().hex}"
    await connection.exec_driver_sql(f"PREPARE {name} AS {executed.statement}")
    try:
        for _ in range(7 if mode == "auto" else 1):
            await connection.exec_driver_sql(f"EXECUTE {name}{given}")
        explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}{given}")
        found = explained.scalar_one()
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    finally:
        await connection.exec_driver_sql(f"DEALLOCATE {name}")
        await connection.execute(text("RESET plan_cache_mode"))


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def reads(join: Mapping[str, Any], table: str) -> bool:
    """It joins rows of that table to others."""
    return "Join Type" in join and any(inner.get("Relation Name") == table for inner in join["Plans"])


async def executed_by(connection: AsyncConnection, read: Any) -> list[Executed]:
    with recorded(connection.engine) as found:
        await read
    return found


DAY, OLD = Range(NOW - timedelta(days=1), None), Range(NOW - timedelta(days=300), NOW - timedelta(days=290))
CRITERIA: dict[str, PipelineCriteria] = {
    "nothing": PipelineCriteria(),
    "created_at": PipelineCriteria(created_at=DAY),
    "created_at long ago": PipelineCriteria(created_at=OLD),
    "started_at": PipelineCriteria(started_at=DAY),
    "finished_at": PipelineCriteria(finished_at=OLD),
    "duration_seconds": PipelineCriteria(duration_seconds=Range(490.0, None)),
    "triggered_by": PipelineCriteria(triggered_by=("u7",)),
    "not_triggered_by": PipelineCriteria(not_triggered_by="u7"),
    "failure_fingerprint": PipelineCriteria(failure_fingerprint="f3"),
    "worker": PipelineCriteria(worker="w2"),
    "years and created_at": PipelineCriteria(years=(2023,), created_at=OLD),
    "status and started_at": PipelineCriteria(status=Match(("FAILED",)), started_at=DAY),
    "unresolved": PipelineCriteria(unresolved=True, created_at=OLD),
    "search": PipelineCriteria(search="done 3"),
    "unit": PipelineCriteria(unit="10003"),
}


@pytest.fixture(scope="module")
async def filled(databases: Databases) -> AsyncIterator[AsyncEngine]:
    """A ledger that is large enough for plans to differ. Tests only read it."""
    database = await databases.borrow()
    async with database.engine().connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in LEDGER.split(";\n"):
            if statement.strip():
                await connection.exec_driver_sql(statement)
        await connection.exec_driver_sql("VACUUM ANALYZE pipelines, data_ingestion_jobs")
    yield database.engine()
    await databases.give_back(database)


@pytest.fixture
async def ledger(filled: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to it."""
    async with filled.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


async def compare(connection: AsyncConnection, read: Any, *, slack: int = SLACK) -> None:
    [asked] = await executed_by(connection, read)
    custom, *kept = [
        await buffers(connection, asked, f"{mode}") for mode in ("force_custom_plan", "force_generic_plan", "auto")
    ]
    assert max(kept) <= 2 * custom + slack, (custom, kept, asked)


def window(order: str | None, size: int = 50) -> Window:
    by = ORDERINGS[order].order if order else None
    return PAGING.window("Query.pipelines", first=size, descending=True, order=by)


@pytest.mark.parametrize("role", ["operator", "principal"])
async def test_pages_of_pipelines_are_as_good_after_the_fifth_execution(ledger: AsyncConnection, role: str):
    who: Viewer = viewer(role, unit="10003") if role == "principal" else viewer(role)
    for name, criteria in CRITERIA.items():
        if role == "principal" and criteria.worker:
            continue
        for order in (None, "DURATION"):
            first = window(order)
            await compare(ledger, rows_of_list(ledger, who, criteria, first))
            found = await page(ledger, who, criteria=criteria, window=first)
            if found.has_next_page:
                after = PAGING.window("Query.pipelines", first=50, after=found.end_cursor, descending=True, order=first.order)
                await compare(ledger, rows_of_list(ledger, who, criteria, after))
            assert name


async def test_reads_by_key_are_as_good_after_the_fifth_execution(ledger: AsyncConnection):
    who = viewer("operator")
    pipelines = [row.key for row in (await page(ledger, who, criteria=PipelineCriteria(), window=window(None))).nodes]
    jobs = list(await ledger.scalars(text("SELECT id FROM data_ingestion_jobs ORDER BY id LIMIT 200")))

    await compare(ledger, pipelines_by_key(ledger, who, pipelines))
    await compare(ledger, jobs_by_id(ledger, who, jobs), slack=4 * len(jobs))  # each looks its pipeline up in an index
    by_id = PAGING.window("Pipeline.jobs", first=20)
    for criteria in (JobCriteria(), JobCriteria(worker="w2"), JobCriteria(started_at=DAY), JobCriteria(attempt_at_least=1)):
        await compare(ledger, page_by_pipeline(ledger, who, pipelines, criteria=criteria, window=by_id))
        await compare(ledger, page_of_jobs(ledger, who, criteria=criteria, window=by_id))


FACTS: dict[str, Any] = {
    "progress": progress_by_pipeline,
    "retry": retry_facts_by_pipeline,
    "resolving": resolving_by_pipeline,
    "previous": partial(neighbours, before=True),
    "next": neighbours,
    "jobs": partial(counted_by_pipeline, criteria=JobCriteria(), limit=100),
}


BY_KEY: dict[str, Any] = {
    **FACTS,
    "pipelines": pipelines_by_key,
    "pages of jobs": partial(page_by_pipeline, criteria=JobCriteria(), window=PAGING.window("Pipeline.jobs", first=20)),
}


@pytest.mark.parametrize("name", BY_KEY)
async def test_what_is_read_of_one_key_is_planned_no_more_after_the_fifth_execution(ledger: AsyncConnection, name: str):
    key = (await page(ledger, viewer("operator"), criteria=PipelineCriteria(), window=window(None))).nodes[0].key
    with recorded(ledger.engine) as executed:
        async with direct(ledger.engine).connect() as connection:
            await BY_KEY[name](connection, viewer("operator"), [key])
    [asked] = executed
    prepared, given = f"asked_{uuid4().hex}", ", ".join(map(literal, asked.parameters))
    await ledger.exec_driver_sql(f"PREPARE {prepared} AS {asked.statement}")

    for _ in range(9):
        await ledger.exec_driver_sql(f"EXECUTE {prepared}({given})")

    plans = f"SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE name = '{prepared}'"
    assert tuple((await ledger.exec_driver_sql(plans)).one()) == (5, 4)


@pytest.mark.parametrize("name", ["jobs", "pages of jobs"])
async def test_no_plan_of_jobs_by_their_pipeline_begins_with_all_that_a_principal_may_see(ledger: AsyncConnection, name: str):
    who = viewer("principal", unit="10003")
    keys = [row.key for row in (await page(ledger, who, criteria=PipelineCriteria(), window=window(None))).nodes]
    assert len(keys) == 27

    [asked] = await executed_by(ledger, BY_KEY[name](ledger, who, keys))

    explained = await ledger.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {asked.statement}", tuple(asked.parameters))
    joined = [node["Join Type"] for node in nodes(explained.scalar_one()[0]["Plan"]) if reads(node, "pipelines")]
    assert joined == ["Left"]


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("count", [1, 50])
async def test_facts_of_pipelines_are_as_good_after_the_fifth_execution(ledger: AsyncConnection, name: str, count: int):
    who = viewer("operator")
    keys = [row.key for row in (await page(ledger, who, criteria=PipelineCriteria(), window=window(None, count))).nodes]

    await compare(ledger, FACTS[name](ledger, who, keys), slack=SLACK + 4 * count)


@pytest.mark.parametrize("unresolved", [True, False])
async def test_no_run_is_compared_with_all_others_to_tell_whether_it_was_made_good(ledger: AsyncConnection, unresolved: bool):
    criteria = PipelineCriteria(unresolved=unresolved, search="done 3")

    asked = await executed_by(ledger, rows_of_list(ledger, viewer("operator"), criteria, window(None)))

    explained = [await ledger.exec_driver_sql(f"EXPLAIN {each.statement}", tuple(each.parameters)) for each in asked]
    plans = ["\n".join(found.scalars()) for found in explained]
    assert [plan.count("Seq Scan on pipelines pipelines_1") for plan in plans] == [0] * len(plans)
    assert "ix_pipelines_scope_success" in plans[0]


async def test_counts_are_as_good_after_the_fifth_execution(ledger: AsyncConnection):
    who = viewer("operator")
    for criteria in CRITERIA.values():
        if criteria.search is None:
            await compare(ledger, counted(ledger, who, [criteria], limit=None))
            await compare(ledger, facets(ledger, who, [criteria], names=("STATUS", "KIND"), limit=None))


async def test_newer_data_is_looked_for_once_in_the_scopes_of_the_module(ledger: AsyncConnection):
    module_and_key = "SELECT module_type_id, id FROM pipelines WHERE entity_type = 'MODULE_PER_YEAR' ORDER BY id DESC LIMIT 5"
    for row in (await ledger.exec_driver_sql(module_and_key)).all():
        [asked] = await executed_by(ledger, retry_facts_by_pipeline(ledger, viewer("operator"), [row.id]))

        explained = await ledger.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked.statement}", tuple(asked.parameters))

        plan = explained.scalar_one()[0]["Plan"]
        scopes = [node["Actual Rows"] for node in nodes(plan) if node.get("Alias") == "covering"]
        assert scopes == [1 + len(entry_types_of(row.module_type_id))]


async def test_of_a_pipeline_with_many_jobs_the_first_alone_is_read_to_tell_its_root(ledger: AsyncConnection):
    keys = [row.key for row in (await page(ledger, viewer("operator"), criteria=PipelineCriteria(), window=window(None))).nodes]
    [asked] = await executed_by(ledger, retry_facts_by_pipeline(ledger, viewer("operator"), keys))

    explained = await ledger.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked.statement}", tuple(asked.parameters))

    [roots] = [node for node in nodes(explained.scalar_one()[0]["Plan"]) if node.get("Subplan Name") == "CTE roots"]
    read = [node["Actual Rows"] * node["Actual Loops"] for node in nodes(roots) if reads_jobs(node)]
    assert sum(read) == len(keys)


async def test_how_frequent_a_text_is_is_told_from_two_hundred_jobs_by_their_numbers(ledger: AsyncConnection):
    [asked] = await executed_by(ledger, ledger.scalar(select(is_frequent("zqzqzq"))))
    await ledger.execute(text("SET enable_seqscan = off"))  # as where there are too many jobs to read them

    explained = await ledger.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked.statement}", tuple(asked.parameters))

    await ledger.execute(text("RESET ALL"))
    looked_at = [node for node in nodes(explained.scalar_one()[0]["Plan"]) if reads_jobs(node) and node["Actual Loops"] > 1]
    assert [(node["Index Name"], node["Actual Rows"], node["Actual Loops"]) for node in looked_at] == [
        ("pk_data_ingestion_jobs", 1, 200)
    ]


async def planned(connection: AsyncConnection, read: Any) -> list[Mapping[str, Any]]:
    """All nodes of the plan of the one statement of a read, as it was executed."""
    [asked] = await executed_by(connection, read)
    explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked.statement}", tuple(asked.parameters))
    return list(nodes(explained.scalar_one()[0]["Plan"]))


def scans(plan: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [node for node in plan if node.get("Alias") == name]


async def test_whether_failures_were_made_good_is_told_by_the_index_of_failures_alone(ledger: AsyncConnection):
    unresolved = counted(ledger, viewer("operator"), [PipelineCriteria(unresolved=True)], limit=None)

    [failed] = scans(await planned(ledger, unresolved), "pipelines")

    assert (failed["Node Type"], failed["Index Name"]) == ("Index Only Scan", "ix_pipelines_failed")


async def test_what_a_group_of_failures_still_has_to_do_is_not_looked_up_failure_by_failure(ledger: AsyncConnection):
    groups = [f"f{number}" for number in range(1, 8)]

    plan = await planned(ledger, unresolved_pipelines(ledger, viewer("operator"), groups, limit=None))

    assert [node["Actual Loops"] for node in scans(plan, "pipelines")] == [1]


async def test_pipelines_whose_work_is_stuck_are_looked_up_by_the_keys_that_stuck_jobs_name(ledger: AsyncConnection):
    stuck = PipelineCriteria(is_stuck=True)

    plan = await planned(ledger, counted(ledger, viewer("operator"), [stuck], limit=None))

    assert ["id = ANY" in node["Index Cond"] for node in scans(plan, "pipelines")] == [True]
    assert len([node for node in plan if node.get("Index Name") == "ix_data_ingestion_jobs_running"]) == 2  # and of orphans


@pytest.mark.parametrize("read", [superseded_by_job, superseding_by_job], ids=["before", "after"])
async def test_what_a_principal_sees_is_read_once_however_many_jobs_of_a_combination_are_asked_for(
    ledger: AsyncConnection, read: Any
):
    jobs = list(
        await ledger.scalars(text("SELECT id FROM data_ingestion_jobs WHERE scope_key IS NOT NULL ORDER BY id LIMIT 20"))
    )

    plan = await planned(ledger, read(ledger, viewer("principal", unit="10003"), jobs))

    assert [node["Actual Loops"] for node in scans(plan, "pipelines")] == [1]


async def test_each_pipeline_of_a_page_is_read_where_it_is_and_nowhere_else(ledger: AsyncConnection):
    size = 350  # of the newest, of which 300 are orphans

    plan = await planned(ledger, rows_of_list(ledger, viewer("operator"), PipelineCriteria(), newest(size - 1)))

    assert sorted(node["Actual Rows"] for node in plan if node["Node Type"] == "CTE Scan") == [50, 300]


async def test_warnings_are_counted_by_their_own_index(ledger: AsyncConnection):
    warnings = PipelineCriteria(tones=("WARNING",), has_errors=False)

    [warned] = scans(await planned(ledger, counted(ledger, viewer("operator"), [warnings], limit=None)), "pipelines")

    assert (warned["Node Type"], warned["Index Name"]) == ("Index Only Scan", "ix_pipelines_warned")


async def test_the_freshness_of_a_module_reads_its_newest_aggregations_however_many_there_were(engine: AsyncEngine):
    ended = """INSERT INTO data_ingestion_jobs (job_type, entity_type, year, module_type_id, state, result)
        SELECT 'aggregation', 'MODULE_PER_YEAR', 2025, 4, 'FINISHED', 'SUCCESS' FROM generate_series(1, 3000)"""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql(ended)
        await connection.exec_driver_sql("VACUUM ANALYZE data_ingestion_jobs")
        read = partial(freshness_by_module_year, older_than_minutes=60)

        plan = await planned(connection, read(connection, viewer("operator"), [(2025, 4)]))

    assert max(node["Actual Rows"] * node["Actual Loops"] for node in plan if reads_jobs(node)) == 1


async def test_facts_of_work_that_has_no_type_are_known_without_reading_every_job(ledger: AsyncConnection):
    untyped = """INSERT INTO data_ingestion_jobs (entity_type, state, result) VALUES ('MODULE_PER_YEAR', 'FINISHED', 'ERROR')
        RETURNING time_key"""
    keys = [(await ledger.exec_driver_sql(untyped)).scalar_one() for _ in range(5)]
    who = viewer("operator")

    facts = await retry_facts_by_pipeline(ledger, who, keys)
    [asked] = await executed_by(ledger, retry_facts_by_pipeline(ledger, who, keys))

    assert [facts[key].done_by for key in keys] == [None] * 5
    assert await buffers(ledger, asked, "force_custom_plan") < SLACK


async def test_who_holds_locks_is_read_once_however_many_wait(ledger: AsyncConnection):
    [asked] = await executed_by(ledger, held_locks(ledger, viewer("superadmin")))

    explained = await ledger.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {asked.statement}", tuple(asked.parameters))

    assert [node.get("Subplan Name") for node in nodes(explained.scalar_one()[0]["Plan"])].count("CTE running") == 1


CELLS = [(year, module) for year in range(2020, 2026) for module in range(1, 8)]


@pytest.mark.parametrize(
    "read", [recalculations_by_module_year, partial(freshness_by_module_year, older_than_minutes=60)], ids=["stale", "fresh"]
)
async def test_the_newest_jobs_of_a_module_are_found_by_the_index_of_its_year(ledger: AsyncConnection, read: Any):
    [asked] = await executed_by(ledger, read(ledger, viewer("operator"), CELLS))
    await ledger.execute(text("SET enable_sort = off"))  # as where there are too many jobs to sort them
    await ledger.execute(text("SET enable_seqscan = off"))
    await ledger.execute(text("SET enable_bitmapscan = off"))

    explained = await ledger.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {asked.statement}", tuple(asked.parameters))

    used = {node["Index Name"] for node in nodes(explained.scalar_one()[0]["Plan"]) if reads_jobs(node)}
    assert {name.removeprefix("ix_data_ingestion_jobs_").partition("_")[0] for name in used} == {"cell"}
    await ledger.execute(text("RESET ALL"))


def reads_jobs(node: Mapping[str, Any]) -> bool:
    return node.get("Relation Name") == "data_ingestion_jobs"
