"""Instants that a client sends, or that another writer has put into metadata, are taken or refused: never INTERNAL."""

from datetime import UTC, datetime

import pytest
from graphql import GraphQLError
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import models
from gql_server.graph.scalars import format_instant, parse_instant
from gql_server.instants import recorded, rfc3339
from tests import build
from tests.graphql import Client

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
OUTSIDE = ("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "0001-01-01T12:00:00+14:00")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-03-01T12:00:00Z", NOON),
        ("2025-03-01t12:00:00z", NOON),
        ("2025-03-01T13:00:00+01:00", NOON),
        ("2025-03-01T12:00:00.000000-00:00", NOON),
        ("2025-03-01T12:00:00.1234567Z", NOON.replace(microsecond=123456)),
        ("0001-01-01T00:00:00Z", FIRST),
        ("0001-01-01T01:00:00+01:00", FIRST),
        ("9999-12-31T23:59:59.999999Z", LAST),
    ],
)
def test_what_rfc_3339_allows_is_taken_in_utc(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant
    assert parse_instant(text).tzinfo is UTC
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize(
    "text",
    [
        *OUTSIDE,
        "2025-W09-6T12:00:00Z",
        "2025-060T12:00:00Z",
        "20250301T120000Z",
        "2025-03-01T12:00Z",
        "2025-03-01T12Z",
        "2025-03-01 12:00:00Z",
        "2025-03-01T12:00:00",
        "2025-03-01",
        "2025-03-01T12:00:00+0100",
        "2025-03-01T12:00:00+01:00:30",
        "2025-03-01T12:00:00,5Z",
        "2025-02-30T12:00:00Z",
        "2025-03-01T25:00:00Z",
        "2025-03-01T12:00:00+25:00",
        "٢٠٢٥-03-01T12:00:00Z",
        "2025-03-01T12:00:00Z\n",
        1740830400,
    ],
)
def test_what_rfc_3339_does_not_allow_or_utc_cannot_hold_is_refused(text: object) -> None:
    assert rfc3339(text) is None
    with pytest.raises(GraphQLError, match="Not an RFC 3339 instant"):
        parse_instant(text)


def test_what_another_writer_has_recorded_is_an_instant_of_utc_or_none() -> None:
    assert recorded("2025-03-01T13:00:00+0100") == NOON
    assert [recorded(text) for text in (*OUTSIDE, "2025-03-01T12:00:00", "soon", None, 7)] == [None] * 7


INPUTS = (
    "{ pipelines(filter: { createdAt: { from: %s } }) { nodes { id } } }",
    "{ pipelines(filter: { createdAt: { to: %s } }) { nodes { id } } }",
    "{ pipelines(filter: { startedAt: { from: %s } }) { nodes { id } } }",
    "{ pipelines(filter: { finishedAt: { to: %s } }) { nodes { id } } }",
    "{ pipelines(filter: { createdAt: { from: %s } }) { totalCount { value } } }",
    "{ jobs(filter: { startedAt: { from: %s } }) { nodes { id } } }",
    "{ failureGroups(filter: { seenAt: { to: %s } }) { nodes { id } } }",
    "{ failureGroups { nodes { histogram(since: %s) { count } } } }",
)


@pytest.mark.parametrize("document", INPUTS)
async def test_an_instant_at_the_ends_of_time_is_bad_user_input_or_an_answer(engine: AsyncEngine, document: str) -> None:
    client = Client(engine, "operator")
    by_variable = f"query ($at: DateTime!) {document % '$at'}"
    for text in OUTSIDE:
        for answer in (await client.execute(document % f'"{text}"'), await client.execute(by_variable, at=text)):
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}
    for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        answer = await client.execute(by_variable, at=text)
        assert "errors" not in answer or {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


async def test_a_phase_recorded_at_the_ends_of_time_has_no_time_and_breaks_nothing(engine: AsyncEngine) -> None:
    phases = [{"name": "fetch", "state": "finished", "started_at": OUTSIDE[0], "finished_at": OUTSIDE[1]}]
    history = [{"ts": OUTSIDE[2], "message": "long ago", "kind": "MESSAGE"}]
    async with engine.begin() as connection:
        job_id = await build.job(connection)
        meta = {"phases": phases, "status_history": history}
        await connection.execute(update(models.Job).where(models.Job.id == job_id).values(meta=meta))
    answer = await Client(engine, "operator").execute(
        "query ($id: Int!) { job(by: { jobId: $id }) { phases { name startedAt finishedAt } timeline { nodes { at } } } }",
        id=job_id,
    )

    assert "errors" not in answer
    assert answer["data"]["job"]["phases"] == [{"name": "fetch", "startedAt": None, "finishedAt": None}]
