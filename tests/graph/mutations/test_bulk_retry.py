"""Retrying many pipelines, as a client asks for it."""

from typing import Any
from uuid import UUID, uuid4

from gql_server.graph.nodes import encode
from tests.graph.mutations.conftest import PROBLEM, mutate, rows
from tests.graphql import Client
from tests.handlers.conftest import PROCESS_FACTORS, World, world

assert world
CSV = "category,subcategory,quantity,note\nCO2,,{},\n"
OUTCOMES = f"""started refused outcomes {{
  pipelineNodeId result {{ __typename ... on RetryPipelinePayload {{ pipeline {{ pipelineId kind status }} }} {PROBLEM} }}
}}"""
CAN_RETRY = "query ($id: ID!) { pipeline(by: { id: $id }) { viewerCan { retry { allowed code message } } } }"


def client(world: World, role: str = "operator", **claims: Any) -> Client:
    return Client(world.engine, role, **dict[str, Any](provider="ACCRED") | claims)


async def retry(client: Client, *pipelines: UUID, **values: Any) -> dict[str, Any]:
    ids = [encode("Pipeline", pipeline) for pipeline in pipelines]
    return await mutate(client, "retryPipelines", OUTCOMES, ids=ids, **values)


async def failed(world: World, unit: str) -> UUID:
    """An upload whose factors are missing."""
    return await world.upload("process_emissions", CSV.format(unit), unit=unit)


async def test_each_pipeline_is_started_again_or_refused_as_if_it_were_alone(world: World) -> None:
    first, last = await failed(world, "10208"), await failed(world, "10209")
    await world.factors("process_emissions", PROCESS_FACTORS)
    live, unknown = await world.submit("process_emissions", CSV.format(5), unit="10210"), uuid4()
    alone = await client(world).query(CAN_RETRY, id=encode("Pipeline", live))

    result = await retry(client(world), first, live, unknown, last)
    await world.drain()

    started, refused = result["outcomes"][::3], result["outcomes"][1:3]
    assert (result["__typename"], result["started"], result["refused"]) == ("RetryPipelinesPayload", 2, 2)
    assert [outcome["pipelineNodeId"] for outcome in result["outcomes"]] == [
        encode("Pipeline", key) for key in (first, live, unknown, last)
    ]
    assert [(each["result"]["pipeline"]["kind"], each["result"]["pipeline"]["status"]) for each in started] == [
        ("CSV_INGEST", "NOT_STARTED")
    ] * 2
    assert [await world.status(UUID(each["result"]["pipeline"]["pipelineId"])) for each in started] == ["SUCCESS"] * 2
    assert [each["result"]["__typename"] for each in refused] == ["ConflictProblem", "NotFoundProblem"]
    assert refused[0]["result"]["message"] == alone["pipeline"]["viewerCan"]["retry"]["message"]
    assert refused[0]["result"]["current"] == {"pipelineId": str(live), "status": "NOT_STARTED"}


async def test_sent_again_under_its_key_it_starts_only_what_was_refused_before(world: World) -> None:
    first = await failed(world, "10208")
    live = await world.submit("process_emissions", CSV.format(5), unit="10210")
    operator, key = client(world), str(uuid4())

    before = await retry(operator, first, live, idempotencyKey=key)
    await world.drain()
    after = await retry(operator, first, live, idempotencyKey=key)
    other = await retry(operator, first, idempotencyKey=key)

    assert [(result["started"], result["refused"]) for result in (before, after)] == [(1, 1), (2, 0)]
    started = [result["outcomes"][0]["result"]["pipeline"]["pipelineId"] for result in (before, after)]
    assert started[0] == started[1]
    assert (other["__typename"], other["coordinate"]) == ("InputProblem", "RetryPipelinesInput.idempotencyKey")


async def test_a_principal_retries_those_of_their_unit_alone(world: World) -> None:
    of_unit, of_other = await failed(world, "10208"), await failed(world, "10209")
    principal = client(world, "principal", unit="10208", subject="ada")

    result = await retry(principal, of_other, of_unit)

    assert [each["result"]["__typename"] for each in result["outcomes"]] == ["NotFoundProblem", "RetryPipelinePayload"]


async def test_who_sees_a_pipeline_but_may_not_start_it_is_told_which_permission_is_missing(world: World) -> None:
    of_unit = await failed(world, "10208")
    await rows(
        world.engine, "UPDATE data_ingestion_jobs SET job_type = 'api_ingest' WHERE pipeline_id = :id RETURNING 1", id=of_unit
    )

    result = await retry(client(world, "principal", unit="10208"), of_unit)

    [outcome] = result["outcomes"]
    assert outcome["result"]["permission"] == "backoffice.pipeline_operations:edit"


async def test_what_is_not_a_list_of_pipelines_is_refused_as_a_whole(world: World) -> None:
    pipeline, operator = await failed(world, "10208"), client(world)

    twice = await retry(operator, pipeline, pipeline)
    many = await retry(operator, *(uuid4() for _ in range(101)))
    no_pipeline = await mutate(operator, "retryPipelines", OUTCOMES, ids=[encode("Pipeline", pipeline), encode("Job", 1)])

    for refused in (twice, many, no_pipeline):
        assert (refused["__typename"], refused["coordinate"]) == ("InputProblem", "RetryPipelinesInput.ids")
    assert twice["message"] == f"pipeline {pipeline} is named twice"
    assert many["message"] == "at most 100 pipelines are started at a time, not 101"
    assert [tuple(row) for row in await world.query("SELECT count(*) FROM pipelines WHERE kind = 'csv_ingest'")] == [(1,)]
