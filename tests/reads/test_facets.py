"""The alert strip on a ledger of some thousand pipelines: every count is that of the list which it opens."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.plans import recorded, sequential_scans
from gql_server.db.models import JobResult
from gql_server.ledger.signatures import sign_all
from tests import build
from tests.databases import Databases
from tests.graphql import Client
from tests.reads.test_plans import buffers

KEYS = ["STATUS", "KIND", "MODULE", "YEAR", "SCOPE", "FAILURE_CLASS", "TRIGGERED_BY", "TONE", "ALERT"]
FACETS = """query ($keys: [PipelineFacetKey!]!, $filter: PipelineFilter, $limit: Int) {
  pipelines(first: 1, filter: $filter) {
    facets(keys: $keys, limit: $limit) { key values { value count { value precision } filter } }
  }
}"""
TOTAL = "query ($filter: PipelineFilter) { pipelines(first: 1, filter: $filter) { totalCount { value precision } } }"
RUNS = text("""
WITH runs AS (
  INSERT INTO pipelines (provider, kind, status, entity_type, module_type_id, year, created_by, unit_institutional_id,
    has_warning)
  SELECT 'DEFAULT', 'csv_ingest', :status, 'MODULE_UNIT_SPECIFIC', 4, :year, '{"user_id": "ada", "name": "Ada"}', 'A', :warned
  FROM generate_series(1, :count) RETURNING id
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, module_type_id, year, state, result, failure_class)
SELECT id, kind, 'MODULE_PER_YEAR', 4, :year, CAST(:state AS ingestion_state_enum),
  CASE WHEN CAST(:state AS text) = 'FINISHED' THEN CAST('SUCCESS' AS ingestion_result_enum) END,
  CASE WHEN kind = CAST(:failed AS text) THEN CAST(:failure AS text) END
FROM runs, unnest(CAST(:kinds AS text[])) AS kind
""")
ANALYZE = text("ANALYZE pipelines, data_ingestion_jobs")
UNFAILED: dict[str, Any] = {
    "state": "FINISHED",
    "kinds": ["csv_ingest"],
    "failed": None,
    "failure": None,
    "year": 2025,
    "warned": False,
}
EXPECTED = {
    "STATUS": {"SUCCESS": 2_500, "PARTIAL": 128, "FAILED": 70, "RUNNING": 1},
    "KIND": {"CSV_INGEST": 2_729, "AGGREGATION": 128},
    "MODULE": {"equipment_electric_consumption": 2_729},
    "YEAR": {"2025": 2_699, "2024": 30},
    "SCOPE": {"MODULE_UNIT_SPECIFIC": 2_699, "MODULE_PER_YEAR": 30},
    "FAILURE_CLASS": {"DEADLOCK": 128, "VALIDATION": 70, "TIMEOUT": 30},
    "TRIGGERED_BY": {"Ada": 2_699},
    "TONE": {"SUCCESS": 2_480, "WARNING": 148, "DANGER": 100, "PROGRESS": 1},
    "ALERT": {"PARTIAL": 128, "FAILED": 70, "ORPHAN_FAILED": 30, "UNRESOLVED": 30, "WARNING": 20, "RUNNING": 1, "STUCK": 1},
}


async def runs(connection: AsyncConnection, status: str, count: int, **values: Any) -> None:
    await connection.execute(RUNS, {**UNFAILED, "status": status, "count": count, **values})


@pytest.fixture(scope="module", params=[True, False], ids=["signed", "unsigned"])
async def ledger(databases: Databases, request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    """A stuck upload, then failures, then thousands of successes; and orphans. Tests only read them."""
    database = await databases.borrow()
    await fill(database.engine(), is_signed=request.param)
    yield database.engine()
    await databases.give_back(database)


async def fill(engine: AsyncEngine, *, is_signed: bool) -> None:
    async with engine.begin() as connection:
        await runs(connection, "RUNNING", 1, state="RUNNING")
        await runs(connection, "PARTIAL", 128, kinds=["csv_ingest", "aggregation"], failed="aggregation", failure="DEADLOCK")
        await runs(connection, "FAILED", 70, failed="csv_ingest", failure="VALIDATION")
        for _ in range(30):
            await build.job(connection, result="ERROR", failure_class="TIMEOUT", year=2024)
        await runs(connection, "SUCCESS", 2_480)
        await runs(connection, "SUCCESS", 20, warned=True)
        await build.run(connection, JobResult.ERROR, provider="TEST")
        await connection.execute(ANALYZE)
        if is_signed:
            assert await sign_all(connection) == 2_699


async def facets(client: Client, **variables: Any) -> dict[str, list[Any]]:
    page = (await client.query(FACETS, **{"keys": KEYS, **variables}))["pipelines"]
    return {facet["key"]: facet["values"] for facet in page["facets"]}


def counts(found: dict[str, list[Any]]) -> dict[str, dict[str, int]]:
    return {key: {value["value"]: value["count"]["value"] for value in values} for key, values in found.items()}


async def test_every_alert_is_told_with_its_filter_though_it_counts_nothing(ledger: AsyncEngine):
    found = await facets(Client(ledger), filter={"years": [1999]}, keys=["ALERT", "STATUS"])

    assert counts(found) == {"ALERT": dict.fromkeys(EXPECTED["ALERT"], 0), "STATUS": {}}
    assert {value["count"]["precision"] for value in found["ALERT"]} == {"EXACT"}
    filters = {value["value"]: value["filter"] for value in found["ALERT"]}
    assert {name: {key: value for key, value in filter.items() if value is not None} for name, filter in filters.items()} == {
        "FAILED": {"status": {"in": ["FAILED"]}},
        "PARTIAL": {"status": {"in": ["PARTIAL"]}},
        "ORPHAN_FAILED": {"isOrphan": True, "hasErrors": True},
        "WARNING": {"tone": ["WARNING"], "hasErrors": False},
        "RUNNING": {"tone": ["PROGRESS"]},
        "STUCK": {"isStuck": True},
        "UNRESOLVED": {"unresolved": True},
    }


async def test_every_value_is_counted_to_the_last_however_many_newer_pipelines_there_are(ledger: AsyncEngine):
    found = await facets(Client(ledger))

    assert counts(found) == EXPECTED
    assert {value["count"]["precision"] for values in found.values() for value in values} == {"EXACT"}


@pytest.mark.parametrize(
    "filter",
    [
        {},
        {"status": {"notIn": ["SUCCESS"]}},
        {"kind": {"in": ["CSV_INGEST"]}, "failureClass": ["VALIDATION", "TIMEOUT"]},
        {"kind": {"notIn": ["AGGREGATION"]}},
        {"unresolved": True},
        {"isOrphan": True},
        {"search": "job"},
        {"triggeredBy": ["ada"], "level": ["MODULE_UNIT_SPECIFIC"]},
    ],
    ids=lambda filter: " ".join(filter) or "all",
)
@pytest.mark.parametrize("role", ["operator", "principal"])
async def test_every_count_equals_the_list_that_its_filter_opens(ledger: AsyncEngine, filter: dict[str, Any], role: str):
    """But for alerts and tones of a text that many jobs say, which are counted no further than among the newest of each."""
    client = Client(ledger, role, unit="A" if role == "principal" else None, subject="ada")
    found = await facets(client, filter=filter)

    for values in found.values():
        for value in values:
            total = (await client.query(TOTAL, filter={**filter, **value["filter"]}))["pipelines"]["totalCount"]
            if "search" in filter and value["count"]["precision"] == "AT_LEAST":
                assert value["count"]["value"] <= total["value"], value
            else:
                assert value["count"] == total, value


async def test_who_names_a_limit_is_counted_no_further(ledger: AsyncEngine):
    statuses = (await facets(Client(ledger), keys=["STATUS"], limit=100))["STATUS"]

    assert [(value["value"], *value["count"].values()) for value in statuses] == [
        ("SUCCESS", 100, "AT_LEAST"),
        ("PARTIAL", 100, "AT_LEAST"),
        ("FAILED", 70, "EXACT"),
        ("RUNNING", 1, "EXACT"),
    ]


SAYING = text("""
    UPDATE data_ingestion_jobs AS job SET status_message = CASE
        WHEN p.status = 'SUCCESS' THEN 'Success: all rows' WHEN p.status = 'RUNNING' THEN 'success is near'
        WHEN p.id IN (SELECT id FROM pipelines WHERE status = 'FAILED' ORDER BY id LIMIT 3) THEN 'success, then failure' END
    FROM pipelines AS p WHERE p.id = job.pipeline_id
""")


async def test_a_value_that_is_counted_to_a_bound_counts_no_more_than_the_list_that_it_opens(engine: AsyncEngine):
    async with engine.begin() as connection:
        await runs(connection, "SUCCESS", 1_002)
        await connection.execute(SAYING)
    client, filter = Client(engine), {"search": "success", "hasErrors": False}

    found = await facets(client, keys=["STATUS", "KIND"], filter=filter)

    total = (await client.query(TOTAL, filter=filter))["pipelines"]["totalCount"]
    assert total == {"value": 1_000, "precision": "AT_LEAST"}
    assert {value["value"]: value["count"] for value in found["STATUS"]} == {"SUCCESS": total}
    assert all(value["count"] == total for value in found["KIND"])


MOST = 40
PAGES_MAX = 8_000


async def test_a_text_that_many_jobs_say_is_looked_for_in_the_newest_of_each_alert_and_counted_at_least(engine: AsyncEngine):
    async with engine.begin() as connection:
        await runs(connection, "FAILED", 1_500, failed="csv_ingest", failure="VALIDATION")
        await runs(connection, "SUCCESS", 400)
        await runs(connection, "SUCCESS", 20, warned=True)
        await runs(connection, "RUNNING", 1, state="RUNNING")
        await connection.execute(SAYING)
        await connection.execute(ANALYZE)

    with recorded(engine) as executed:
        found = await facets(Client(engine), keys=["ALERT"], filter={"search": "success"}, limit=MOST)

    assert {value["value"]: tuple(value["count"].values()) for value in found["ALERT"]} == {
        "FAILED": (0, "AT_LEAST"),
        "PARTIAL": (0, "EXACT"),
        "ORPHAN_FAILED": (0, "EXACT"),
        "WARNING": (20, "EXACT"),
        "RUNNING": (1, "EXACT"),
        "STUCK": (1, "EXACT"),
        "UNRESOLVED": (0, "EXACT"),
    }
    async with engine.connect() as connection:
        counting = [each for each in executed if "status_message" in each.statement]
        pages = [await buffers(connection, each, "auto") for each in counting]
    assert sum(pages) < PAGES_MAX, "each of 1,500 failures was looked through"


async def test_a_text_that_few_jobs_say_is_counted_to_the_last(engine: AsyncEngine):
    async with engine.begin() as connection:
        await runs(connection, "FAILED", 500, failed="csv_ingest", failure="VALIDATION")
        await runs(connection, "SUCCESS", 500)
        await connection.execute(SAYING)
        await connection.execute(ANALYZE)

    found = await facets(Client(engine), keys=["ALERT"], filter={"search": "then failure"}, limit=MOST)

    most_frequent = found["ALERT"][0]
    assert (most_frequent["value"], most_frequent["count"]) == ("FAILED", {"value": 3, "precision": "EXACT"})


async def test_a_strip_reads_no_table_from_end_to_end(engine: AsyncEngine):
    async with engine.begin() as connection:
        await runs(connection, "SUCCESS", 10_000)
        await runs(connection, "FAILED", 300, failed="csv_ingest", failure="VALIDATION")
        await connection.execute(text("UPDATE pipelines SET last_error = repeat('as wide as real rows ', 30)"))
        await connection.execute(ANALYZE)
        await sign_all(connection)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        for command in ("VACUUM FULL pipelines", "VACUUM ANALYZE pipelines, data_ingestion_jobs, job_signatures"):
            await connection.execute(text(command))
    with recorded(engine) as executed:
        await Client(engine).query("{ pipelines { totalCount { value } facets(keys: [STATUS, KIND, FAILURE_CLASS]) { key } } }")

    async with engine.connect() as connection:
        assert [scan for each in executed for scan in await sequential_scans(connection, each)] == []
