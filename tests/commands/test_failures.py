"""Acknowledging failure groups, and how an acknowledgement ends by itself."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.commands.failures import NOTE_LENGTH, acknowledge
from gql_server.db import models
from gql_server.db.models import EntityType
from gql_server.errors import BadInput, Forbidden, NotFound
from gql_server.policy import Viewer
from gql_server.reads.failures.queries import groups_by_fingerprint
from tests.graph.failures.conftest import Fail, ago, fail, revision
from tests.graphql import Client, viewer

__all__ = ["fail", "revision"]

Revise = Callable[[str, float], Awaitable[None]]
ACKNOWLEDGED = "{ failureGroups { nodes { acknowledgement { by { kind displayName } at until note reopenedAt } } } }"
OF_UNIT = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "10208"}


async def fingerprint(client: Client) -> str:
    """Of the one group there is."""
    [group] = (await client.query("{ failureGroups { nodes { fingerprint } } }"))["failureGroups"]["nodes"]
    return group["fingerprint"]


async def take(engine: AsyncEngine, hours: float | None = None, by: Viewer | None = None, **arguments: Any) -> None:
    """Acknowledge the one group there is, so many hours ago."""
    key = await fingerprint(Client(engine))
    async with engine.begin() as connection:
        await acknowledge(connection, by or viewer("superadmin"), key, **arguments)
        if hours is not None:
            await connection.execute(update(models.Acknowledgement).values(at=ago(hours)))


async def mute_until(engine: AsyncEngine, until: datetime) -> None:
    """Let the time of the acknowledgement pass."""
    async with engine.begin() as connection:
        await connection.execute(update(models.Acknowledgement).values(until=until))


async def acknowledgement(engine: AsyncEngine) -> Any:
    [group] = (await Client(engine).query(ACKNOWLEDGED))["failureGroups"]["nodes"]
    return group["acknowledgement"]


async def listed(engine: AsyncEngine) -> tuple[int, int]:
    """Numbers of groups that are acknowledged, and that are not."""
    query = "query ($is: Boolean) { failureGroups(filter: {acknowledged: $is}) { totalCount { value } } }"
    answers = [await Client(engine).query(query, **{"is": value}) for value in (True, False)]
    acknowledged, others = (answer["failureGroups"]["totalCount"]["value"] for answer in answers)
    return acknowledged, others


async def test_somebody_takes_a_failure(engine: AsyncEngine, fail: Fail):
    await fail()
    assert await acknowledgement(engine) is None
    assert await listed(engine) == (0, 1)
    until = datetime.now(UTC) + timedelta(days=1)

    await take(engine, until=until, note="Waiting for “IT”")

    taken = await acknowledgement(engine)
    assert taken["by"] == {"kind": "USER", "displayName": None}
    assert taken["until"] == until.isoformat().replace("+00:00", "Z")
    assert (taken["note"], taken["reopenedAt"]) == ("Waiting for “IT”", None)
    assert await listed(engine) == (1, 0)


async def test_the_latest_acknowledgement_counts(engine: AsyncEngine, fail: Fail):
    await fail()
    await take(engine, hours=5, note="mine")
    await take(engine, by=viewer("operator"))

    taken = await acknowledgement(engine)

    assert (taken["note"], taken["until"]) == (None, None)
    assert taken["at"] > ago(1).isoformat()


async def test_it_reopens_when_its_time_has_passed(engine: AsyncEngine, fail: Fail):
    await fail(hours=9)
    await take(engine, hours=5)
    await mute_until(engine, ago(2))

    assert (await acknowledgement(engine))["reopenedAt"] == ago(2).isoformat().replace("+00:00", "Z")
    assert await listed(engine) == (0, 1)


async def test_it_reopens_when_it_happens_again_on_a_new_revision(engine: AsyncEngine, fail: Fail, revision: Revise):
    await revision("old", 20)
    await fail(hours=9)
    await take(engine, hours=8)
    await fail(hours=7)
    assert await listed(engine) == (1, 0)
    await revision("new", 6)
    assert await listed(engine) == (1, 0)
    await fail(hours=4)
    await fail(hours=3)

    assert (await acknowledgement(engine))["reopenedAt"] == ago(4).isoformat().replace("+00:00", "Z")
    assert await listed(engine) == (0, 1)
    await take(engine)
    assert await listed(engine) == (1, 0)


async def test_a_revision_reopens_only_what_was_acknowledged_before_it(engine: AsyncEngine, fail: Fail, revision: Revise):
    """Two groups: the one taken after the revision began stays taken."""
    await fail(hours=9)
    await take(engine, hours=8)
    await revision("new", 6)
    await fail("another cause", 5)
    async with engine.begin() as connection:
        fields = "{ failureGroups(filter: {class: UNCLASSIFIED}) { nodes { fingerprint } } }"
        [other] = (await Client(engine).query(fields))["failureGroups"]["nodes"]
        await acknowledge(connection, viewer("superadmin"), other["fingerprint"])
        late = models.Acknowledgement.fingerprint == other["fingerprint"]
        await connection.execute(update(models.Acknowledgement).values(at=ago(4)).where(late))
    await fail(hours=3)
    await fail("another cause", 2)

    found = (await Client(engine).query(ACKNOWLEDGED))["failureGroups"]["nodes"]
    reopened = [group["acknowledgement"]["reopenedAt"] for group in found]
    assert reopened == [None, ago(3).isoformat().replace("+00:00", "Z")]
    assert await listed(engine) == (1, 1)


async def test_whichever_comes_first_reopens_it(engine: AsyncEngine, fail: Fail, revision: Revise):
    await fail(hours=9)
    await take(engine, hours=8)
    await mute_until(engine, ago(2))
    await revision("new", 6)
    await fail(hours=4)

    assert (await acknowledgement(engine))["reopenedAt"] == ago(4).isoformat().replace("+00:00", "Z")


async def test_what_happens_to_others_reopens_nothing_for_a_principal(engine: AsyncEngine, fail: Fail, revision: Revise):
    await fail(hours=9, **OF_UNIT)
    await take(engine, hours=8, note="Müller's file")
    await revision("new", 6)
    await fail(hours=4)

    assert (await acknowledgement(engine))["reopenedAt"] is not None
    answer = await Client(engine, "principal", unit="10208").execute(ACKNOWLEDGED)
    [group] = answer["data"]["failureGroups"]["nodes"]
    assert (group["acknowledgement"]["reopenedAt"], group["acknowledgement"]["note"]) == (None, None)


async def test_a_group_that_is_not_seen_is_not_found(engine: AsyncEngine, fail: Fail):
    await fail()
    key = await fingerprint(Client(engine))
    strangers = (viewer("principal", "10208"), viewer("standard"), Viewer("x", "TEST", viewer("superadmin").permissions))
    async with engine.begin() as connection:
        for by in strangers:
            with pytest.raises(NotFound):
                await acknowledge(connection, by, key)
        with pytest.raises(NotFound):
            await acknowledge(connection, viewer("superadmin"), "nothing")


async def test_who_sees_it_may_not_always_take_it(engine: AsyncEngine, fail: Fail):
    await fail(**OF_UNIT)
    key = await fingerprint(Client(engine))
    async with engine.begin() as connection:
        with pytest.raises(Forbidden):
            await acknowledge(connection, viewer("principal", "10208"), key)

    assert await acknowledgement(engine) is None


REFUSED = [{"until": ago(1)}, {"note": "x" * (NOTE_LENGTH + 1)}, {"note": "nul \0"}]


@pytest.mark.parametrize("arguments", REFUSED, ids=["past", "long", "nul"])
async def test_what_cannot_be_meant_is_refused(engine: AsyncEngine, fail: Fail, arguments: dict[str, Any]):
    await fail()

    with pytest.raises(BadInput):
        await take(engine, **arguments)

    async with engine.connect() as connection:
        key = await fingerprint(Client(engine))
        [group] = (await groups_by_fingerprint(connection, viewer("superadmin"), [key])).values()
    assert group.acknowledged_at is None
