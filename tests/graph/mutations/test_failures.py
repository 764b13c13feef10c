"""Taking a failure group, as a client asks for it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType
from gql_server.graph.nodes import encode
from tests.graph.failures.conftest import Fail, fail
from tests.graph.mutations.conftest import mutate, rows
from tests.graphql import Client

assert fail
TAKEN = "failureGroup { id acknowledgement { note until reopenedAt by { kind } } }"


async def group_id(engine: AsyncEngine) -> str:
    [group] = (await Client(engine).query("{ failureGroups { nodes { id } } }"))["failureGroups"]["nodes"]
    return group["id"]


async def take(client: Client, id: str, **values: Any) -> dict[str, Any]:
    return await mutate(client, "acknowledgeFailure", TAKEN, id=id, **values)


async def test_a_group_is_taken_once_for_a_key_and_shown_with_its_acknowledgement(engine: AsyncEngine, fail: Fail) -> None:
    await fail()
    id, key = await group_id(engine), str(uuid4())
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    client = Client(engine, "operator")

    taken = await take(client, id, note="mine", until=until, idempotencyKey=key)
    again = await take(client, id, note="mine", until=until, idempotencyKey=key)

    acknowledgement = {"note": "mine", "until": until, "reopenedAt": None, "by": {"kind": "USER"}}
    assert taken == {
        "__typename": "AcknowledgeFailurePayload",
        "failureGroup": {"id": id, "acknowledgement": acknowledgement},
    }
    assert again == taken
    assert await rows(engine, "SELECT command, target ->> 'note' FROM audit_log") == [("acknowledge_failure", "mine")]


async def test_what_is_not_visible_is_not_found_and_who_may_not_is_told_the_permission(engine: AsyncEngine, fail: Fail) -> None:
    await fail(entity_type=EntityType.MODULE_UNIT_SPECIFIC, unit_institutional_id="10208")
    id = await group_id(engine)
    absent = encode("FailureGroup", "nothing")

    foreign = await take(Client(engine, "operator", provider="TEST"), id)
    assert foreign == await take(Client(engine, "operator"), absent)
    assert foreign["__typename"] == "NotFoundProblem"
    refused = await take(Client(engine, "principal", unit="10208"), id)
    assert (refused["__typename"], refused["permission"]) == ("ForbiddenProblem", "backoffice.failures:acknowledge")


async def test_refused_values_are_named(engine: AsyncEngine, fail: Fail) -> None:
    await fail()
    client, id = Client(engine, "operator"), await group_id(engine)

    refused = [
        await take(client, id, until="2020-01-01T00:00:00Z"),
        await take(client, id, note="x" * 2001),
        await take(client, encode("Job", 1)),
    ]

    assert [result["coordinate"].partition(".")[2] for result in refused] == ["until", "note", "id"]
