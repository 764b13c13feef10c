"""Failure groups are of visible jobs only."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, Provider
from gql_server.ledger.failures.record import record_left_over
from tests import build
from tests.graph.failures.conftest import Fail, ago
from tests.graph.test_queries import statements
from tests.graphql import Client

GROUPS = """query ($filter: FailureGroupFilter) { failureGroups(filter: $filter) { totalCount { value } nodes {
  id title rule firstSeenAt lastSeenAt isNew affectedJobs { value } affectedPipelines { value }
  histogram(buckets: 2) { count } pipelines { nodes { id } } } } }"""
OF_UNIT = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "10208"}


async def groups(client: Client, **filter: Any) -> list[dict[str, Any]]:
    found = (await client.query(GROUPS, filter=filter))["failureGroups"]
    assert found["totalCount"]["value"] == len(found["nodes"])
    return found["nodes"]


@pytest.fixture
def principal(engine: AsyncEngine) -> Client:
    """The principal of unit 10208."""
    return Client(engine, "principal", unit="10208")


async def test_l17_a_principal_sees_of_a_group_the_jobs_of_their_unit(engine: AsyncEngine, fail: Fail, principal: Client):
    mine = await fail(hours=5, **OF_UNIT)
    await fail(hours=9)
    await fail(hours=1, **OF_UNIT | {"unit_institutional_id": "10209"})

    [group] = await groups(principal)

    assert group["firstSeenAt"] == group["lastSeenAt"] == ago(5).isoformat().replace("+00:00", "Z")
    assert (group["affectedJobs"], group["affectedPipelines"]) == ({"value": 1}, {"value": 1})
    assert [bucket["count"] for bucket in group["histogram"]] == [0, 1]
    [pipeline] = (await principal.query("{ pipelines { nodes { id pipelineId } } }"))["pipelines"]["nodes"]
    assert (group["pipelines"]["nodes"], pipeline["pipelineId"]) == ([{"id": pipeline["id"]}], str(mine))
    assert [bucket["count"] for bucket in (await groups(Client(engine)))[0]["histogram"]] == [0, 3]


async def test_a_group_without_a_visible_job_does_not_exist(engine: AsyncEngine, fail: Fail, principal: Client):
    await fail()
    await fail(provider=Provider.ACCRED)
    async with engine.begin() as connection:
        await build.job(connection, result=JobResult.ERROR, status_message="Aborted by ada")
    await record_left_over(engine)
    [of_accred] = await groups(Client(engine, provider="ACCRED"))
    of_default = await groups(Client(engine))
    assert len(of_default) == 2

    assert await groups(principal) == []
    for group in of_default:
        assert await principal.query(f'{{ node(id: "{group["id"]}") {{ id }} }}') == {"node": None}
    assert (await groups(Client(engine, provider="TEST")), of_accred["affectedJobs"]) == ([], {"value": 1})


FILTERS = [{"seenAt": {"from": ago(2).isoformat()}}, {"years": [2024]}, {"moduleTypeIds": [7]}, {"isNew": True}]


@pytest.mark.parametrize("filter", FILTERS, ids=["seenAt", "years", "moduleTypeIds", "isNew"])
async def test_filters_look_at_no_job_of_others(fail: Fail, principal: Client, filter: dict[str, Any], revision: Any):
    await revision("first", 40)
    await revision("second", 20)
    await fail(hours=30, **OF_UNIT)
    await fail(hours=1, year=2024, module_type_id=7)

    assert await groups(principal, **filter) == []


async def test_a_group_can_be_new_to_one_viewer_and_old_to_another(
    engine: AsyncEngine, fail: Fail, principal: Client, revision: Any
):
    await revision("first", 40)
    await revision("second", 20)
    await fail(hours=30)
    await fail(hours=1, **OF_UNIT)

    assert [group["isNew"] for group in await groups(principal)] == [True]
    assert [group["isNew"] for group in await groups(Client(engine))] == [False]


async def test_words_of_the_error_are_for_operators(engine: AsyncEngine, fail: Fail, principal: Client):
    await fail("Müller of unit F1 is not so nice", **OF_UNIT)

    answer = await principal.execute("{ failureGroups { nodes { title sample } } }")

    assert answer["data"]["failureGroups"]["nodes"] == [{"title": "Unclassified", "sample": None}]
    assert [entry["coordinate"] for entry in answer["extensions"]["redactions"]] == ["FailureGroup.sample"]
    [seen] = (await Client(engine, "operator").query("{ failureGroups { nodes { title sample } } }"))["failureGroups"]["nodes"]
    assert seen == {
        "title": "Unclassified: Müller of unit F<n> is not so nice",
        "sample": "Müller of unit F1 is not so nice",
    }


async def test_a_standard_user_is_shown_no_failure(engine: AsyncEngine, fail: Fail):
    await fail(**OF_UNIT)

    assert await groups(Client(engine, "standard")) == []


async def test_a_principal_takes_no_more_statements(fail: Fail, principal: Client, engine: AsyncEngine):
    for index in range(4):
        await fail(f"cause {'abcd'[index]}", **OF_UNIT)

    with statements(engine) as executed:
        assert len(await groups(principal)) == 4

    assert len(executed) == 7
