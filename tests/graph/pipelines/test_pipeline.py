from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.feed.tokens import Position
from gql_server.graph.nodes import encode
from tests import build
from tests.graphql import Client, opened, viewer

OK = JobResult.SUCCESS


async def test_one_pipeline_is_read_without_the_jobs_of_another(engine: AsyncEngine):
    async with engine.begin() as connection:
        one = await build.pipeline(connection)
        other = await build.pipeline(connection)
        ids = [await build.job(connection, pipeline_id) for pipeline_id in (one, other, one, other, one)]

    found = await Client(engine).query(
        "query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { rootJob { jobId } jobs { nodes { jobId } } } }", id=str(one)
    )

    assert found["pipeline"] == {
        "rootJob": {"jobId": ids[0]},
        "jobs": {"nodes": [{"jobId": ids[0]}, {"jobId": ids[2]}, {"jobId": ids[4]}]},
    }


async def test_a_pipeline_has_the_same_answer_under_each_of_its_names(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id)
        job_id = await build.job(connection, pipeline_id, job_type=JobType.AGGREGATION)
    global_id = encode("Pipeline", pipeline_id)

    found = await Client(engine).query(
        """query ($id: ID!, $pipelineId: UUID!, $jobId: Int!) {
          a: pipeline(by: { id: $id }) { id pipelineId }
          b: pipeline(by: { pipelineId: $pipelineId }) { id pipelineId }
          c: pipeline(by: { jobId: $jobId }) { id pipelineId }
          d: node(id: $id) { id __typename ... on Pipeline { pipelineId } }
          job(by: { jobId: $jobId }) { pipeline { id pipelineId } }
        }""",
        id=global_id,
        pipelineId=str(pipeline_id),
        jobId=job_id,
    )

    same = {"id": global_id, "pipelineId": str(pipeline_id)}
    assert found == {"a": same, "b": same, "c": same, "d": {**same, "__typename": "Pipeline"}, "job": {"pipeline": same}}


async def test_an_orphan_is_found_by_its_job_and_by_its_global_id(engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await build.job(connection)
    client = Client(engine)

    orphan = (await client.query("query ($id: Int!) { pipeline(by: { jobId: $id }) { id pipelineId } }", id=job_id))["pipeline"]
    again = await client.query("query ($id: ID!) { node(id: $id) { id } }", id=orphan["id"])

    assert orphan["pipelineId"] is None
    assert again["node"] == {"id": orphan["id"]}


async def test_what_does_not_exist_is_null(engine: AsyncEngine):
    nothing = encode("Pipeline", "0190a000-0000-7000-8000-000000000000")

    found = await Client(engine).query(
        """query ($id: ID!) {
          a: pipeline(by: { id: $id }) { id } b: pipeline(by: { jobId: 4711 }) { id }
          node(id: $id) { id } job(by: { jobId: 1 }) { id }
        }""",
        id=nothing,
    )

    assert found == {"a": None, "b": None, "node": None, "job": None}


@pytest.mark.parametrize(
    "id",
    ["", "nonsense", encode("Pipeline", "not-a-uuid"), encode("Job", "x"), encode("Job", 2**40), encode("Unit", ""), "Zg=="],
)
async def test_what_is_no_global_id_is_refused(engine: AsyncEngine, id: str):
    assert await Client(engine).codes("query ($id: ID!) { node(id: $id) { id } }", id=id) == ["BAD_USER_INPUT"]


async def test_the_global_id_of_another_type_is_refused(engine: AsyncEngine):
    codes = await Client(engine).codes("query ($id: ID!) { pipeline(by: { id: $id }) { id } }", id=encode("Job", 1))

    assert codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("value", ["x", "0190a000", 7, "{0190a000-0000-7000-8000-000000000000}"])
async def test_what_is_no_uuid_is_refused(engine: AsyncEngine, value: object):
    codes = await Client(engine).codes("query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { id } }", id=value)

    assert codes == ["BAD_USER_INPUT"]


async def test_times_are_utc_and_durations_run_until_the_end(engine: AsyncEngine):
    created = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, created_at=created)
        started, ended = created + timedelta(seconds=2), created + timedelta(seconds=65.5)
        await build.job(connection, pipeline_id, result=OK, started_at=started, finished_at=ended)
        await build.settle(connection, pipeline_id)

    node = (
        await Client(engine).query("{ pipelines { nodes { createdAt startedAt finishedAt queuedSeconds durationSeconds } } }")
    )["pipelines"]["nodes"][0]

    assert node == {
        "createdAt": "2025-03-01T12:00:00Z",
        "startedAt": "2025-03-01T12:00:02Z",
        "finishedAt": "2025-03-01T12:01:05.500000Z",
        "queuedSeconds": 2.0,
        "durationSeconds": 63.5,
    }


async def test_a_running_pipeline_has_no_end_and_its_duration_grows(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(connection, pipeline_id, result=OK, started_at=datetime.now(UTC) - timedelta(minutes=1))
        await build.job(connection, pipeline_id, job_type=JobType.AGGREGATION, state=JobState.RUNNING)
        await build.settle(connection, pipeline_id)

    [node] = (await Client(engine).query("{ pipelines { nodes { status isTerminal finishedAt durationSeconds } } }"))[
        "pipelines"
    ]["nodes"]

    assert (node["status"], node["isTerminal"], node["finishedAt"]) == ("RUNNING", False, None)
    assert 60 <= node["durationSeconds"] < 120


async def test_progress_shows_the_rows_of_the_running_job(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        await build.job(
            connection,
            pipeline_id,
            state=JobState.RUNNING,
            started_at=datetime.now(UTC) - timedelta(seconds=10),
            meta={"progress": {"phase": "parse", "processed": 500, "total": 2000}},
        )
        await build.settle(connection, pipeline_id)

    [node] = (
        await Client(engine).query(
            "{ pipelines { nodes { progress { phase phaseIndex phaseCount fraction finishedJobs expectedJobs "
            "rows { stage processed total rowsPerSecond } } } } }"
        )
    )["pipelines"]["nodes"]

    rate = node["progress"]["rows"].pop("rowsPerSecond")
    assert node["progress"] == {
        "phase": "DATA",
        "phaseIndex": 1,
        "phaseCount": 3,
        "fraction": None,
        "finishedJobs": 0,
        "expectedJobs": None,
        "rows": {"stage": "parse", "processed": 500, "total": 2000},
    }
    assert 30 < rate <= 50


async def test_the_feed_token_is_the_newest_event_of_the_snapshot(engine: AsyncEngine):
    query = "{ pipelines { nodes { feedToken } } }"
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
    client = Client(engine)

    async def position() -> Position:
        [node] = (await client.query(query))["pipelines"]["nodes"]
        return opened(node["feedToken"], viewer("superadmin"))

    before, again = await position(), await position()
    async with engine.begin() as connection:
        await build.job(connection, pipeline_id)
    after = await position()

    assert before == again
    assert after.epoch == before.epoch
    assert after.sequence > before.sequence


async def test_jobs_are_paged_within_their_pipeline(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipelines = [await build.pipeline(connection) for _ in range(2)]
        ids = {pipeline_id: [await build.job(connection, pipeline_id) for _ in range(5)] for pipeline_id in pipelines}
    client = Client(engine)
    query = """query ($id: UUID!, $first: Int, $after: String, $last: Int) {
      pipeline(by: { pipelineId: $id }) { jobs(first: $first, after: $after, last: $last) {
        nodes { jobId } pageInfo { endCursor hasNextPage hasPreviousPage }
      } }
    }"""
    one = pipelines[0]

    first = (await client.query(query, id=str(one), first=2))["pipeline"]["jobs"]
    rest = (await client.query(query, id=str(one), first=5, after=first["pageInfo"]["endCursor"]))["pipeline"]["jobs"]
    last = (await client.query(query, id=str(one), last=1))["pipeline"]["jobs"]

    assert [node["jobId"] for page in (first, rest) for node in page["nodes"]] == ids[one]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert [node["jobId"] for node in last["nodes"]] == ids[one][-1:]
    assert (last["pageInfo"]["hasNextPage"], last["pageInfo"]["hasPreviousPage"]) == (False, True)
