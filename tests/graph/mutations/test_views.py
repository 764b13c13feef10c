"""Saving operations, for oneself or for everyone of the provider."""

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.commands import views
from gql_server.db.models import Provider
from gql_server.graph.nodes import encode
from tests.graph.mutations.conftest import mutate, rows
from tests.graphql import Client

FAILED = "query ($first: Int) { pipelines(first: $first, filter: { hasErrors: true }) { nodes { message } } }"
SEARCH = "query ($text: String) { pipelines(filter: { search: $text }) { nodes { id } } }"
VIEW = "view { id name description documentId document variables isShared owner { kind email } isMine }"


async def save(client: Client, **values: Any) -> dict[str, Any]:
    return await mutate(client, "saveView", VIEW, **{"name": "Failed", "document": FAILED, **values})


async def remove(client: Client, view: str, **values: Any) -> dict[str, Any]:
    return await mutate(client, "deleteView", "deletedId", id=view, **values)


async def names(client: Client) -> list[str]:
    return [view["name"] for view in (await client.query("{ viewer { views { name } } }"))["viewer"]["views"]]


async def test_a_view_is_saved_and_shown_as_it_was_saved(engine: AsyncEngine) -> None:
    client = Client(engine, "operator")

    saved = (await save(client, variables={"first": 10}, description="What failed"))["view"]

    assert saved == {
        "id": saved["id"],
        "name": "Failed",
        "description": "What failed",
        "documentId": hashlib.sha256(FAILED.encode()).hexdigest(),
        "document": FAILED,
        "variables": {"first": 10},
        "isShared": False,
        "owner": {"kind": "USER", "email": "operator@example.org"},
        "isMine": True,
    }
    shown = await client.query(
        f'{{ viewer {{ views {{ id }} }} node(id: "{saved["id"]}") {{ ... on TriageView {{ name }} }} }}'
    )
    assert shown == {"viewer": {"views": [{"id": saved["id"]}]}, "node": {"name": "Failed"}}


async def test_the_views_of_one_are_bounded_together(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(engine, "operator")
    monkeypatch.setattr(views, "BYTES_OF_ONE", 2 * len(FAILED))

    await save(client, name="1")
    second = (await save(client, name="2"))["view"]["id"]
    third = await save(client, name="3")
    longer = await save(client, id=second, variables={"first": 1})
    other = await save(Client(engine, "superadmin"), name="4")

    assert (third["reason"], longer["reason"]) == ("TOO_MANY_VIEWS", "TOO_MANY_VIEWS")
    assert await names(client) == ["1", "2"]
    assert "view" in other


async def test_a_document_that_is_too_long_is_not_saved(engine: AsyncEngine) -> None:
    refused = await save(Client(engine, "operator"), document=f"{FAILED} # {'x' * 16_384}")

    assert (refused["code"], refused["message"]) == ("BAD_USER_INPUT", "the document must have at most 16384 characters")


async def test_own_views_are_private_and_shared_ones_are_the_provider_s(engine: AsyncEngine) -> None:
    operator, superadmin = Client(engine, "operator"), Client(engine, "superadmin")
    foreign = Client(engine, "operator", provider=Provider.TEST)
    private = (await save(operator, name="mine"))["view"]["id"]
    shared = (await save(operator, name="ours", isShared=True))["view"]["id"]

    assert await names(operator) == ["mine", "ours"]
    assert await names(superadmin) == ["ours"]
    assert await names(foreign) == []
    query = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await superadmin.query(query, id=private))["node"] is None
    assert (await foreign.query(query, id=shared))["node"] is None


async def test_only_its_owner_replaces_a_view_and_a_private_one_of_another_does_not_exist(engine: AsyncEngine) -> None:
    operator, superadmin = Client(engine, "operator"), Client(engine, "superadmin")
    private = (await save(operator))["view"]["id"]
    shared = (await save(operator, isShared=True))["view"]["id"]

    hidden, visible = await save(superadmin, id=private), await save(superadmin, id=shared)
    absent = await save(superadmin, id=encode("TriageView", uuid4()))
    replaced = await save(operator, id=private, name="Better", document="{ viewer { id } }")

    assert hidden == absent
    assert (hidden["__typename"], visible["__typename"]) == ("NotFoundProblem", "ForbiddenProblem")
    assert visible["permission"] == "view.isOwner"
    assert (replaced["view"]["id"], replaced["view"]["name"], replaced["view"]["document"]) == (
        private,
        "Better",
        "{ viewer { id } }",
    )
    assert await rows(engine, "SELECT count(*) FROM triage_views") == [(2,)]


async def test_who_does_not_see_operations_saves_for_themselves_only(engine: AsyncEngine) -> None:
    principal = Client(engine, "principal", unit="10208")

    assert (await save(principal))["__typename"] == "SaveViewPayload"
    refused = await save(principal, isShared=True)
    assert (refused["__typename"], refused["permission"]) == ("ForbiddenProblem", "backoffice.pipeline_operations:view")


@pytest.mark.parametrize(("values", "field", "path"), [
    ({"document": "{ viewer "}, "document", None),
    ({"document": "{ nothing }"}, "document", None),
    ({"document": "fragment F on Query { viewer { id } }"}, "document", None),
    ({"document": "query A { viewer { id } } query B { viewer { id } }"}, "document", None),
    ({"document": "{ viewer { " + "id " * 2100 + "} }"}, "document", None),
    ({"variables": [1]}, "variables", ""),
    ({"variables": {"last": 1}}, "variables", "/last"),
    ({"variables": {"first": "x"}}, "variables", "/first"),
    ({"document": "query ($a: Int!) { pipelines(first: $a) { nodes { id } } }", "variables": {"a": None}}, "variables", "/a"),
    ({"document": SEARCH, "variables": {"text": "x" * 70_000}}, "variables", ""),
    ({"name": " "}, "name", None),
    ({"name": "x" * 101}, "name", None),
    ({"id": encode("Job", 1)}, "id", None),
])  # fmt: skip
async def test_what_cannot_be_saved_is_named(engine: AsyncEngine, values: dict[str, Any], field: str, path: str | None) -> None:
    refused = await save(Client(engine, "operator"), **values)

    assert (refused["__typename"], refused["coordinate"], refused["path"]) == ("InputProblem", f"SaveViewInput.{field}", path)
    assert await rows(engine, "SELECT 1 FROM triage_views") == []


async def test_one_key_saves_one_view_though_sent_at_once(engine: AsyncEngine) -> None:
    client, key = Client(engine, "operator"), str(uuid4())

    results = await asyncio.gather(*(save(client, idempotencyKey=key) for _ in range(6)))

    assert results == [results[0]] * 6
    assert await rows(engine, "SELECT count(*) FROM triage_views") == [(1,)]


async def test_one_saves_so_many_views_and_no_more(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "VIEWS_OF_ONE", 2)
    client = Client(engine, "operator")

    results = [await save(client, name=name) for name in "abc"]

    assert [result.get("reason") for result in results] == [None, None, "TOO_MANY_VIEWS"]
    assert (await save(Client(engine, "superadmin")))["__typename"] == "SaveViewPayload"


async def test_only_its_owner_deletes_a_view_and_may_save_it_again(engine: AsyncEngine) -> None:
    operator, superadmin = Client(engine, "operator"), Client(engine, "superadmin")
    private = (await save(operator, name="mine"))["view"]["id"]
    shared = (await save(operator, name="ours", isShared=True))["view"]["id"]
    [seen] = (await superadmin.query("{ viewer { views { id isMine } } }"))["viewer"]["views"]

    hidden, visible = await remove(superadmin, private), await remove(superadmin, shared)
    deleted, again = await remove(operator, shared), await remove(operator, shared)
    saved = await save(operator, name="ours", isShared=True)

    assert seen == {"id": shared, "isMine": False}
    assert (hidden["__typename"], visible["__typename"]) == ("NotFoundProblem", "ForbiddenProblem")
    assert visible["permission"] == "view.isOwner"
    assert deleted == {"__typename": "DeleteViewPayload", "deletedId": shared}
    assert again["__typename"] == "NotFoundProblem"
    assert saved["view"]["id"] not in (private, shared)
    assert await names(operator) == ["mine", "ours"]


async def test_one_key_deletes_once_and_answers_the_same_again(engine: AsyncEngine) -> None:
    client, key = Client(engine, "operator"), str(uuid4())
    view = (await save(client))["view"]["id"]

    results = [await remove(client, view, idempotencyKey=key) for _ in range(2)]

    assert results == [{"__typename": "DeleteViewPayload", "deletedId": view}] * 2
