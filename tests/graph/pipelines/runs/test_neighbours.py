"""Previous, next and resolving runs on the same scope and kind."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import ledger
from gql_server.db import models
from gql_server.db.models import EntityType, JobResult, JobType, Provider
from gql_server.graph.nodes import encode
from gql_server.reads.pipelines.runs import neighbours_statement, resolving_statement
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client, viewer

OPERATOR = viewer("operator")
SUCCESS, ERROR = JobResult.SUCCESS, JobResult.ERROR
UNIT_SPECIFIC = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A"}
AROUND = """query ($id: ID!) { node(id: $id) { ... on Pipeline {
  previous { pipelineId } next { pipelineId } isResolved resolvedBy { pipelineId }
} } }"""


async def around(engine: AsyncEngine, key: UUID, role: str = "superadmin", **claims: Any) -> dict[str, Any]:
    node = (await Client(engine, role, **claims).query(AROUND, id=encode("Pipeline", key)))["node"]
    ids = {name: UUID(value["pipelineId"]) if value else None for name, value in node.items() if name != "isResolved"}
    return {**ids, "isResolved": node["isResolved"]}


async def test_the_neighbours_of_a_run_are_the_nearest_ones(engine: AsyncEngine):
    async with engine.begin() as connection:
        first, second, third = [await build.run(connection, SUCCESS) for _ in range(3)]

    assert await around(engine, first) == {"previous": None, "next": second, "isResolved": False, "resolvedBy": None}
    assert await around(engine, second) == {"previous": first, "next": third, "isResolved": False, "resolvedBy": None}
    assert await around(engine, third) == {"previous": second, "next": None, "isResolved": False, "resolvedBy": None}


@pytest.mark.parametrize("results", [(ERROR,), (SUCCESS, ERROR)])
async def test_a_failure_is_resolved_by_the_first_later_success(engine: AsyncEngine, results: tuple[JobResult, ...]):
    async with engine.begin() as connection:
        await build.run(connection, SUCCESS)
        failed = await build.run(connection, *results)
        again = await build.run(connection, *results)
        repaired = await build.run(connection, SUCCESS)
        await build.run(connection, SUCCESS)
        since = await build.run(connection, *results)

    assert await around(engine, failed) | {"previous": None} == {
        "previous": None,
        "next": again,
        "isResolved": True,
        "resolvedBy": repaired,
    }
    assert (await around(engine, since))["isResolved"] is False


@pytest.mark.parametrize(
    "other",
    [
        {"kind": JobType.API_INGEST},
        {"module_type_id": 5},
        {"module_type_id": None},
        {"data_entry_type_id": 10},
        {"year": 2024},
        {"entity_type": EntityType.GLOBAL_PER_YEAR},
        {"provider": Provider.TEST},
        {"unit_institutional_id": "A"},
        {"entity_type": None},
    ],
)
async def test_a_run_that_differs_in_one_part_of_the_scope_is_no_neighbour(engine: AsyncEngine, other: dict[str, Any]):
    async with engine.begin() as connection:
        await _succeeded(connection, **other)
        failed = await build.run(connection, ERROR)
        await _succeeded(connection, **other)

    assert await around(engine, failed) == {"previous": None, "next": None, "isResolved": False, "resolvedBy": None}


async def test_runs_across_modules_are_neighbours_although_their_scope_has_gaps(engine: AsyncEngine):
    everything = {"kind": JobType.UNIT_SYNC, "entity_type": EntityType.GLOBAL_PER_YEAR, "module_type_id": None}
    async with engine.begin() as connection:
        first, second = [await build.run(connection, SUCCESS, **everything) for _ in range(2)]

    assert (await around(engine, first))["next"] == second


async def test_unit_specific_runs_that_name_no_unit_have_no_neighbours(engine: AsyncEngine):
    async with engine.begin() as connection:
        failed = await build.run(connection, ERROR, entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        await build.run(connection, SUCCESS, entity_type=EntityType.MODULE_UNIT_SPECIFIC)

    assert (await around(engine, failed))["next"] is None


async def test_a_principal_sees_the_neighbours_on_their_unit(engine: AsyncEngine):
    async with engine.begin() as connection:
        failed = await build.run(connection, ERROR, **UNIT_SPECIFIC)
        await build.run(connection, SUCCESS, **(UNIT_SPECIFIC | {"unit_institutional_id": "B"}))
        repaired = await build.run(connection, SUCCESS, **UNIT_SPECIFIC)

    expected = {"previous": None, "next": repaired, "isResolved": True, "resolvedBy": repaired}
    assert await around(engine, failed, "principal", unit="A") == expected


@pytest.mark.parametrize(
    ("results", "later", "is_resolved"),
    [
        ((ERROR,), {"file_name": "b.csv", "file_digest": "b"}, False),
        ((ERROR,), {"file_name": "b.csv", "file_digest": "a"}, True),
        ((ERROR,), {"file_name": "a.csv", "file_digest": "b"}, True),
        ((ERROR,), {}, False),
        ((SUCCESS, ERROR), {"file_name": "b.csv", "file_digest": "b"}, True),
    ],
    ids=["another file", "the same bytes", "the same name", "no file", "rows in, recalculation failed"],
)
async def test_a_failed_file_of_a_unit_is_resolved_by_the_same_file_and_one_that_landed_by_any(
    engine: AsyncEngine, results: tuple[JobResult, ...], later: dict[str, str], is_resolved: bool
):
    async with engine.begin() as connection:
        failed = await build.run(connection, *results, **UNIT_SPECIFIC, file_name="a.csv", file_digest="a")
        after = await build.run(connection, SUCCESS, **UNIT_SPECIFIC, **later)

    resolved_by = after if is_resolved else None
    expected = {"previous": None, "next": after, "isResolved": is_resolved, "resolvedBy": resolved_by}
    assert await around(engine, failed) == expected


@pytest.mark.parametrize(
    ("failed", "later", "is_resolved"),
    [
        ({"data_entry_type_id": 10}, {}, True),
        ({}, {"data_entry_type_id": 10}, False),
        ({"data_entry_type_id": 10}, {"data_entry_type_id": 11}, False),
        ({"data_entry_type_id": 10}, {"year": 2024}, False),
        ({"data_entry_type_id": 10}, UNIT_SPECIFIC, False),
        ({"data_entry_type_id": 10, "kind": JobType.FACTOR_INGEST}, {"kind": JobType.FACTOR_INGEST}, True),
        ({"data_entry_type_id": 10, "kind": JobType.EMISSION_RECALC}, {"kind": JobType.EMISSION_RECALC}, False),
        ({"module_type_id": 8}, {"module_type_id": 8, "data_entry_type_id": 50}, True),
        ({"module_type_id": 8, "data_entry_type_id": 50}, {"module_type_id": 8}, True),
        (
            UNIT_SPECIFIC | {"data_entry_type_id": 10, "file_name": "a.csv", "file_digest": "a"},
            UNIT_SPECIFIC | {"file_name": "b.csv", "file_digest": "a"},
            True,
        ),
        (
            UNIT_SPECIFIC | {"data_entry_type_id": 10, "file_name": "a.csv", "file_digest": "a"},
            UNIT_SPECIFIC | {"file_name": "b.csv", "file_digest": "b"},
            False,
        ),
    ],
)
async def test_a_failure_is_resolved_also_by_a_later_success_on_all_entry_types_of_its_module(
    engine: AsyncEngine, failed: dict[str, Any], later: dict[str, Any], is_resolved: bool
):
    async with engine.begin() as connection:
        await _succeeded(connection, **later)
        key = await build.run(connection, ERROR, **failed)
        after = await _succeeded(connection, **later)

    found = await around(engine, key)
    assert (found["isResolved"], found["resolvedBy"]) == (is_resolved, after if is_resolved else None)


FILE = UUID("11111111-1111-1111-1111-111111111111")


@pytest.mark.parametrize(
    ("results", "later", "is_resolved"),
    [
        ((ERROR,), {"unit_institutional_id": "A"}, True),
        ((ERROR,), {"entity_type": EntityType.MODULE_PER_YEAR, "kind": JobType.FACTOR_INGEST}, True),
        ((ERROR,), {"unit_institutional_id": "B"}, False),
        ((SUCCESS, ERROR), {"unit_institutional_id": "A"}, False),
    ],
    ids=["of the unit", "of the whole year", "of another unit", "rows in, recalculation failed"],
)
async def test_a_file_of_the_wrong_kind_is_resolved_by_the_same_bytes_as_what_they_are(
    engine: AsyncEngine, results: tuple[JobResult, ...], later: dict[str, Any], is_resolved: bool
):
    async with engine.begin() as connection:
        failed = await build.run(connection, *results, **UNIT_SPECIFIC, file_key=FILE, file_name="a", file_digest="a")
        unit = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        after = await build.run(connection, SUCCESS, **(unit | later), module_type_id=8, file_key=FILE)

    found = await around(engine, failed)
    assert (found["isResolved"], found["resolvedBy"]) == (is_resolved, after if is_resolved else None)


async def test_what_a_viewer_may_not_see_resolves_nothing_for_them(engine: AsyncEngine):
    async with engine.begin() as connection:
        failed = await build.run(connection, ERROR, **UNIT_SPECIFIC, file_key=FILE)
        await build.run(connection, SUCCESS, kind=JobType.FACTOR_INGEST, file_key=FILE)

    unresolved = "{ pipelines(filter: { unresolved: true }) { totalCount { value } } }"
    principal = Client(engine, "principal", unit="A")
    assert (await around(engine, failed, "principal", unit="A"))["isResolved"] is False
    assert (await principal.query(unresolved))["pipelines"]["totalCount"] == {"value": 1}
    assert (await Client(engine).query(unresolved))["pipelines"]["totalCount"] == {"value": 0}


async def test_an_orphan_that_failed_is_resolved_by_a_later_pipeline(engine: AsyncEngine):
    async with engine.begin() as connection:
        orphan = await build.job(connection, result=ERROR)
        repaired = await build.run(connection, SUCCESS)
        key = await connection.scalar(select(models.Job.time_key).where(models.Job.id == orphan))
    assert key is not None

    assert await around(engine, key) == {"previous": None, "next": repaired, "isResolved": True, "resolvedBy": repaired}


async def test_a_submitted_root_gives_its_pipeline_the_scope(engine: AsyncEngine):
    new = ledger.NewJob(
        job_type=JobType.CSV_INGEST,
        provider=Provider.DEFAULT,
        ingestion_method=models.IngestionMethod.CSV,
        target_type=models.TargetType.DATA_ENTRIES,
        module_type_id=4,
        data_entry_type_id=10,
        year=2025,
    )
    async with engine.begin() as connection:
        earlier = await ledger.submit(connection, new, [])
        later = await ledger.submit(connection, new, [])
        entry_type = await connection.scalar(select(models.Pipeline.data_entry_type_id).distinct())

    assert entry_type == 10
    assert (await around(engine, later.pipeline_id))["previous"] == earlier.pipeline_id


async def test_the_neighbours_of_a_page_take_a_constant_number_of_statements(engine: AsyncEngine):
    query = """query ($first: Int) { pipelines(first: $first) { nodes {
      previous { id } next { id } isResolved resolvedBy { id }
    } } }"""
    async with engine.begin() as connection:
        for _ in range(30):
            await build.run(connection, ERROR)
        await build.run(connection, SUCCESS)

    counts = set[int]()
    for first in (2, 10, 31):
        with statements(engine) as executed:
            nodes = (await Client(engine).query(query, first=first))["pipelines"]["nodes"]
        assert [node["isResolved"] for node in nodes] == [False, *[True] * (first - 1)]
        counts.add(len(executed))

    assert counts == {7}


async def test_neighbours_are_found_through_the_index_of_scopes(engine: AsyncEngine):
    async with engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO pipelines (provider, kind, entity_type, module_type_id, year, status)
                    SELECT 'DEFAULT', 'csv_ingest', 'MODULE_PER_YEAR', i % 8 + 1, 2020 + i % 5,
                      (ARRAY['FAILED', 'SUCCESS', 'PARTIAL'])[i % 3 + 1]
                    FROM generate_series(1, 5000) AS i""")
        )
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE pipelines"))
        keys = (await autocommit.scalars(select(models.Pipeline.id).limit(50))).all()
        previous, following = [
            await _plan(autocommit, neighbours_statement(OPERATOR, before=before).statement, keys) for before in (True, False)
        ]
        resolving = await _plan(autocommit, resolving_statement(OPERATOR).statement, keys)

    assert "using ix_pipelines_scope " in previous
    assert "using ix_pipelines_scope " in following
    assert "using ix_pipelines_scope_success " in resolving
    for plan in (previous, following, resolving):
        assert "Seq Scan on pipelines" not in plan
        assert "Sort  (" not in plan


async def _plan(connection: AsyncConnection, statement: Any, keys: Sequence[UUID]) -> str:
    compiled = statement.compile(connection.sync_engine)
    parameters = tuple(keys if name == "keys" else compiled.params[name] for name in compiled.positiontup)
    return "\n".join((await connection.exec_driver_sql(f"EXPLAIN {compiled}", parameters)).scalars())


async def _succeeded(connection: AsyncConnection, **values: Any) -> UUID:
    pipeline_id = await build.pipeline(connection, **values)
    of_job = {name: values[name] for name in ("provider", "module_type_id", "year") if name in values}
    await build.job(connection, pipeline_id, result=SUCCESS, **of_job)
    await build.settle(connection, pipeline_id)
    return pipeline_id
