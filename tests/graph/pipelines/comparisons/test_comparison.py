"""Differences between a run and the last good one, or any other."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db import models
from gql_server.db.models import EntityType, JobResult, JobState, JobType, Provider
from gql_server.graph.nodes import encode
from gql_server.reads.pipelines.comparison.comparison import ComparedJob, slowest
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
SUCCESS, ERROR = JobResult.SUCCESS, JobResult.ERROR
COMPARISON = """baseline { pipelineId } durationDeltaSeconds rowsDelta
  slowestJobs { kind dataEntryType { key } deltaSeconds } newFailures { fingerprint } fixedFailures { fingerprint }"""
NODE = f"""query ($id: ID!, $with: ID) {{ node(id: $id) {{ ... on Pipeline {{
  comparison(with: $with) {{ {COMPARISON} }} }} }} }}"""


def took(seconds: float) -> dict[str, Any]:
    return {"started_at": NOON, "finished_at": NOON + timedelta(seconds=seconds)}


async def ingest(connection: AsyncConnection, *, seconds: float, recalc: float, rows: int | None = None, **values: Any) -> UUID:
    """A run of an ingest and a recalculation that take that long, one after the other as far as the pipeline is concerned."""
    result = values.pop("result", SUCCESS)
    fingerprint = values.pop("fingerprint", None)
    scope = {name: values[name] for name in ("entity_type", "provider") if name in values}
    pipeline_id = await build.pipeline(connection, **values)
    meta = {} if rows is None else {"inserted": rows}
    await build.job(connection, pipeline_id, result=SUCCESS, meta=meta, **took(seconds), **scope)
    await build.job(
        connection,
        pipeline_id,
        job_type=JobType.EMISSION_RECALC,
        data_entry_type_id=10,
        result=result,
        failure_class="VALIDATION" if fingerprint else None,
        failure_fingerprint=fingerprint,
        **took(recalc),
        **scope,
    )
    await build.settle(connection, pipeline_id)
    return pipeline_id


async def comparison(engine: AsyncEngine, id: UUID, other: UUID | None = None, role: str = "operator", **claims: Any) -> Any:
    variables = {"id": encode("Pipeline", id), "with": other and encode("Pipeline", other)}
    return (await Client(engine, role, **claims).query(NODE, **variables))["node"]["comparison"]


async def test_a_run_is_compared_with_the_last_success_on_its_scope(engine: AsyncEngine):
    async with engine.begin() as connection:
        await ingest(connection, seconds=1, recalc=1, rows=1)
        good = await ingest(connection, seconds=10, recalc=20, rows=100)
        await ingest(connection, seconds=99, recalc=99, result=ERROR)
        await ingest(connection, seconds=1, recalc=1, kind=JobType.API_INGEST)
        pipeline_id = await ingest(connection, seconds=12, recalc=50, rows=70)
        await ingest(connection, seconds=1, recalc=1)

    assert await comparison(engine, pipeline_id) == {
        "baseline": {"pipelineId": str(good)},
        "durationDeltaSeconds": 30,
        "rowsDelta": -30,
        "slowestJobs": [
            {"kind": "EMISSION_RECALC", "dataEntryType": {"key": "scientific"}, "deltaSeconds": 30},
            {"kind": "CSV_INGEST", "dataEntryType": None, "deltaSeconds": 2},
        ],
        "newFailures": [],
        "fixedFailures": [],
    }


async def test_a_baseline_can_be_chosen_and_what_is_not_known_of_both_is_null(engine: AsyncEngine):
    async with engine.begin() as connection:
        other = await ingest(connection, seconds=10, recalc=20, kind=JobType.API_INGEST)
        running = await build.run(connection, SUCCESS, JobState.RUNNING)

    assert await comparison(engine, running) is None
    assert await comparison(engine, running, other) == {
        "baseline": {"pipelineId": str(other)},
        "durationDeltaSeconds": None,
        "rowsDelta": None,
        "slowestJobs": [],
        "newFailures": [],
        "fixedFailures": [],
    }


async def test_a_baseline_that_is_not_visible_does_not_exist(engine: AsyncEngine):
    specific: dict[str, Any] = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    async with engine.begin() as connection:
        mine = await ingest(connection, seconds=1, recalc=1, unit_institutional_id="A", **specific)
        others = await ingest(connection, seconds=1, recalc=1, unit_institutional_id="B", **specific)
        elsewhere = await ingest(connection, seconds=1, recalc=1, provider=Provider.TEST)

    assert await comparison(engine, mine, others) is not None
    assert await comparison(engine, mine, elsewhere) is None
    assert await comparison(engine, mine, others, "principal", unit="A") is None
    assert await comparison(engine, mine, UUID(int=7)) is None
    ids = {"id": encode("Pipeline", mine), "with": "nonsense"}
    assert await Client(engine).codes(NODE, **ids) == ["BAD_USER_INPUT"]


async def test_failures_are_told_apart_by_fingerprint(engine: AsyncEngine):
    async with engine.begin() as connection:
        groups = [
            {
                "fingerprint": fingerprint,
                "provider": Provider.DEFAULT,
                "failure_class": "VALIDATION",
                "job_type": "emission_recalc",
            }
            | {"title": fingerprint, "cause": fingerprint, "rule": "a rule"}
            for fingerprint in ("aa", "bb")
        ]
        await connection.execute(insert(models.FailureGroup), groups)
        first = await ingest(connection, seconds=1, recalc=1, result=ERROR, fingerprint="aa")
        second = await ingest(connection, seconds=1, recalc=1, result=ERROR, fingerprint="bb")

    found = await comparison(engine, second, first)
    same = await comparison(engine, second, second)

    assert found["newFailures"] == [{"fingerprint": "bb"}]
    assert found["fixedFailures"] == [{"fingerprint": "aa"}]
    assert (same["newFailures"], same["fixedFailures"]) == ([], [])


@given(
    st.dictionaries(st.builds(ComparedJob, st.sampled_from(["A", "B"]), st.integers(1, 5)), st.floats(0, 100)),
    st.dictionaries(st.builds(ComparedJob, st.sampled_from(["A", "B"]), st.integers(1, 5)), st.floats(0, 100)),
)
def test_the_slowest_steps_are_those_of_both_runs_that_slowed_down_most(
    seconds: dict[ComparedJob, float], before: dict[ComparedJob, float]
):
    deltas = slowest(seconds, before)

    expected = sorted((seconds[step] - before[step] for step in seconds.keys() & before.keys()), reverse=True)
    assert [delta.delta_seconds for delta in deltas] == [delta for delta in expected if delta > 0][:5]


async def test_the_comparisons_of_a_page_take_a_constant_number_of_statements(engine: AsyncEngine):
    query = f"query ($first: Int) {{ pipelines(first: $first) {{ nodes {{ comparison {{ {COMPARISON} }} }} }} }}"
    async with engine.begin() as connection:
        for index in range(21):
            await ingest(connection, seconds=index, recalc=index)

    counts = set[int]()
    for first in (1, 20):
        with statements(engine) as executed:
            nodes = (await Client(engine).query(query, first=first))["pipelines"]["nodes"]
        assert all(node["comparison"]["durationDeltaSeconds"] == 1 for node in nodes)
        counts.add(len(executed))

    assert counts == {5}
