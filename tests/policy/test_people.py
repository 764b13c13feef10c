"""By whom a job was aborted, for who may know people and who may not."""

from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.commands.pipelines import abort_pipeline
from gql_server.db.models import EntityType, JobState, Provider
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.policy.scopes import narrowed
from gql_server.worker import registry
from tests import build
from tests.graphql import SCHEMA, context, viewer

PERSON = "operator@example.org"
OPERATOR = Viewer("operator", Provider.DEFAULT.value, permissions_of(Role.OPERATOR, None), "Opéra Teur", PERSON)
READING = narrowed(permissions_of(Role.SUPERADMIN, None), ["pipelines:read", "pipelines:operate"])
VIEWERS = {
    "principal": viewer("principal", unit="A"),
    "service without people": Viewer("service", Provider.DEFAULT.value, READING),
}
EVERYTHING = """{
  pipelines(first: 5) {
    nodes {
      message lastError ticketMarkdown diagnosis { message remedy }
      timeline(first: 50) { nodes { message actor { displayName email } } }
      jobs(first: 5) {
        nodes { message errorDetail diagnosis { message } timeline { nodes { message } } meta { raw entries { key value } } }
      }
    }
  }
  failureGroups(first: 5) { nodes { title sample } }
}"""
FOUND = "query ($text: String!) { pipelines(filter: { search: $text }) { nodes { message } totalCount { value } } }"


async def _ask(engine: AsyncEngine, who: Viewer, query: str, **variables: Any) -> Any:
    result = await SCHEMA.execute(query, variable_values=variables, context_value=context(engine, who))
    assert result.data is not None
    return result.data


@pytest.fixture
async def aborted(engine: AsyncEngine) -> AsyncEngine:
    """An aborted pipeline of a unit, and an orphan that was aborted long ago."""
    async with engine.begin() as connection:
        of_unit = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A"}
        pipeline = await build.run(connection, JobState.RUNNING, **of_unit)
        await abort_pipeline(connection, registry, OPERATOR, pipeline)
        message, marks = f"Aborted by {PERSON}", {"aborted": True, "aborted_by": PERSON}
        await build.job(connection, state=JobState.FINISHED, result="ERROR", status_message=message, meta=marks)
    return engine


@pytest.mark.parametrize("who", VIEWERS)
async def test_who_may_not_know_people_reads_no_address_in_any_text(aborted: AsyncEngine, who: str) -> None:
    data = await _ask(aborted, VIEWERS[who], EVERYTHING)

    assert {node["message"] for node in data["pipelines"]["nodes"]} == {"Aborted"}
    assert PERSON not in orjson.dumps(data).decode()


@pytest.mark.parametrize("who", VIEWERS)
async def test_who_may_not_know_people_finds_nobody_by_address(aborted: AsyncEngine, who: str) -> None:
    by_address = await _ask(aborted, VIEWERS[who], FOUND, text=PERSON)
    by_message = await _ask(aborted, VIEWERS[who], FOUND, text="bort")

    assert by_address["pipelines"] == {"nodes": [], "totalCount": {"value": 0}}
    assert {node["message"] for node in by_message["pipelines"]["nodes"]} == {"Aborted"}


async def test_an_operator_reads_and_finds_who_aborted(aborted: AsyncEngine) -> None:
    data = await _ask(aborted, OPERATOR, EVERYTHING)
    found = await _ask(aborted, OPERATOR, FOUND, text=PERSON)

    assert [node["message"] for node in data["pipelines"]["nodes"]] == [f"Aborted by {PERSON}"] * 2
    assert found["pipelines"]["totalCount"] == {"value": 2}
