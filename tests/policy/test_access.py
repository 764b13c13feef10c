"""Every role, every field of every type, every object: what is answered is what the policy and plain row rules say."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.policy import GUARDS
from tests.graphql import Client
from tests.policy.asking import Asker, differences, documents, ids_by_type, walk
from tests.policy.oracle import expected
from tests.policy.worlds import PERSONAS, all_seeing, database, everything, known_to

LIKE_OTHERS = ("principal of B", "operator of TEST", "principal of A in TEST")
"""Personas who differ from another persona by the unit or the provider alone."""


@pytest.mark.parametrize(
    "persona",
    [pytest.param(name, marks=pytest.mark.exhaustive) if name in LIKE_OTHERS else name for name in PERSONAS],
)
async def test_each_field_of_each_object_is_answered_as_the_policy_says(
    postgres: str, template: str, whole: AsyncEngine, persona: str
):
    viewer, plan = PERSONAS[persona], walk()
    node_types = {type_.name for type_ in plan.node_types}
    async with database(postgres, template, known_to(viewer, everything())) as known:
        mine, theirs = await ids_by_type(whole, "DEFAULT"), await ids_by_type(whole, "TEST")
        ids = {name: mine.get(name, set()) | theirs.get(name, set()) for name in mine | theirs}
        asked, told = Asker(whole, viewer), Asker(known, all_seeing(viewer))
        for query, variables in documents(plan, ids):
            answer, full = await asked.ask(query, **variables), await told.ask(query, **variables)
            assert "errors" not in full
            wanted = expected(viewer, full["data"], node_types)

            assert list(differences(answer["data"], wanted.data)) == []
            errors = answer.get("errors", [])
            assert [error["path"] for error in errors] == wanted.forbidden
            assert {error["extensions"]["code"] for error in errors} <= {"FORBIDDEN"}
            redactions = answer.get("extensions", {}).get("redactions", [])
            counts = {each["coordinate"]: each["count"] for each in redactions}
            assert counts.keys() <= wanted.objects.keys()
            bounds = {name: (wanted.values[name], counts.get(name, 0), wanted.objects[name]) for name in wanted.objects}
            assert {name: each for name, each in bounds.items() if sorted(each) != list(each)} == {}
            assert all(each["permission"] == GUARDS[each["coordinate"]].permission for each in redactions)


async def test_the_world_has_objects_of_every_type_for_every_provider(whole: AsyncEngine):
    for provider in ("DEFAULT", "TEST"):
        assert (await ids_by_type(whole, provider)).keys() == {type_.name for type_ in walk().node_types}


def test_the_walk_reaches_every_field_of_every_type():
    plan = walk()
    node_types = [type_.name for type_ in plan.node_types]
    documents(plan, {name: ["any"] for name in node_types})

    left_out = {each for each in plan.reachable() if each not in plan.covered | plan.not_compared}

    assert left_out == set()


async def test_nobody_is_answered_without_a_token(engine: AsyncEngine):
    response = await Client(engine, None).post(json={"query": "{ __typename }"})

    assert response.status_code == 401
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["UNAUTHENTICATED"]
