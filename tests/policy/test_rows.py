from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, Provider
from tests import build
from tests.graphql import Client, context, subscribed, viewer

SPECIFIC = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
UNITS = (None, "A", "B")


async def _of_two_units(engine: AsyncEngine, count: int = 5) -> dict[str | None, list[str]]:
    """Ids of pipelines about all units, A and B, mixed in time and newest first; another provider has some too."""
    made: dict[str | None, list[str]] = {unit: [] for unit in UNITS}
    async with engine.begin() as connection:
        for _ in range(count):
            for unit in UNITS:
                scope = {"unit_institutional_id": unit, **(SPECIFIC if unit else {})}
                made[unit].insert(0, str(await build.run(connection, JobResult.SUCCESS, **scope)))
                await build.run(connection, JobResult.SUCCESS, provider=Provider.TEST, **scope)
    return made


async def _listed(client: Client, **arguments: Any) -> list[str]:
    query = "query ($first: Int, $after: String) { pipelines(first: $first, after: $after) { nodes { pipelineId } } }"
    return [node["pipelineId"] for node in (await client.query(query, **arguments))["pipelines"]["nodes"]]


async def test_l16_an_operator_without_module_permissions_sees_every_pipeline_of_the_provider(engine: AsyncEngine):
    made = await _of_two_units(engine)

    assert set(await _listed(Client(engine, "operator"))) == {id for ids in made.values() for id in ids}


async def test_l17_pipelines_of_another_unit_are_absent_and_no_errors(engine: AsyncEngine):
    made = await _of_two_units(engine)
    query = "query ($id: UUID!) { pipelines { nodes { pipelineId } } pipeline(by: { pipelineId: $id }) { id } }"

    answer = await Client(engine, "principal", unit="A").execute(query, id=made["B"][0])

    assert answer == {"data": {"pipelines": {"nodes": [{"pipelineId": id} for id in made["A"]]}, "pipeline": None}}


async def test_l18_pages_are_full_of_what_is_visible(engine: AsyncEngine):
    made = await _of_two_units(engine)
    query = """query ($after: String) { pipelines(first: 2, after: $after) {
      nodes { pipelineId } pageInfo { hasNextPage endCursor }
    } }"""
    pages, after = [], None

    while True:
        page = (await Client(engine, "principal", unit="A").query(query, after=after))["pipelines"]
        pages.append([node["pipelineId"] for node in page["nodes"]])
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]

    assert pages == [made["A"][:2], made["A"][2:4], made["A"][4:]]


async def test_a_message_of_a_subscription_reports_what_it_keeps_back_once(engine: AsyncEngine):
    async with engine.begin() as connection:
        owner = {"created_by": {"name": "Ada", "email": "ada@example.org"}}
        id = await build.run(connection, JobResult.SUCCESS, unit_institutional_id="A", **SPECIFIC, **owner)
    query = """subscription ($id: UUID!) { pipeline(by: { pipelineId: $id }) { ... on PipelineChanged {
      pipeline { triggeredBy { email } again: triggeredBy { email } }
    } } }"""

    async with subscribed(context(engine, viewer("principal", "A")), query, id=str(id)) as messages:
        message = await anext(messages)

    nobody = {"email": None}
    assert message.data["pipeline"]["pipeline"] == {"triggeredBy": nobody, "again": nobody}
    assert message.extensions["redactions"] == [
        {"coordinate": "Actor.email", "permission": "backoffice.users:view", "count": 2}
    ]


async def test_what_is_kept_back_is_reported_beside_errors(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id="A", **SPECIFIC)
    query = '{ pipelines { nodes { triggeredBy { email } } } node(id: "nothing") { id } workers { id } }'

    answer = await Client(engine, "principal", unit="A").execute(query)

    assert answer["data"] == {"pipelines": {"nodes": [{"triggeredBy": {"email": None}}]}, "node": None, "workers": None}
    assert {(*error["path"], error["extensions"]["code"]) for error in answer["errors"]} == {
        ("node", "BAD_USER_INPUT"),
        ("workers", "FORBIDDEN"),
    }
    assert [each["coordinate"] for each in answer["extensions"]["redactions"]] == ["Actor.email"]
