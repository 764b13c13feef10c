"""A pipeline as a card for a ticket."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, JobType
from gql_server.reads.pipelines.ticket.markdown import escaped
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

TICKETS = "query ($first: Int) { pipelines(first: $first) { nodes { pipelineId jobs { nodes { jobId } } ticketMarkdown } } }"
SPECIFIC = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


@given(st.text())
def test_an_escaped_text_is_one_line_without_a_bare_mark(text: str):
    found = escaped(text)

    assert "\n" not in found
    assert re.fullmatch(r"(\\[!-/:-@\[-`{-~]|[^!-/:-@\[-`{-~])*", found)
    assert re.sub(r"\\(.)", r"\1", found) == " ".join(text.split())


@pytest.mark.parametrize("role", ["operator", "principal"])
async def test_a_card_says_what_failed_as_far_as_the_viewer_may_know(engine: AsyncEngine, role: str):
    error = "duplicate key\n# [click](http://evil.example) <b> @everyone"
    async with engine.begin() as connection:
        created_by = {"name": "Ada", "email": "ada@example.org"}
        pipeline_id = await build.pipeline(connection, unit_institutional_id="A", created_by=created_by, **SPECIFIC)
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS, **SPECIFIC)
        recalc = {
            "job_type": JobType.EMISSION_RECALC,
            "data_entry_type_id": 10,
            "result": JobResult.ERROR,
            "meta": {"error": "x"},
        }
        await build.job(connection, pipeline_id, **recalc, status_message="Success", **SPECIFIC)
        failed = await build.job(connection, pipeline_id, **recalc, status_message=error, **SPECIFIC)
        await build.settle(connection, pipeline_id)

    (node,) = (await _nodes(engine, role))["pipelines"]["nodes"]

    card = TIME.sub("TIME", node["ticketMarkdown"]).split("\n")
    assert card[0] == (
        "**PARTIAL** CSV\\_INGEST: equipment\\_electric\\_consumption, "
        + ("unit A, " if role in ("principal", "operator") else "")
        + "2025, DEFAULT"
    )
    assert card[1:] == [
        "",
        f"- Pipeline: `{pipeline_id}`",
        "- Created: TIME by Ada" if role == "operator" else "- Created: TIME",
        "- Started: TIME",
        "- Finished: TIME, after 0:00:00",
        "- Jobs: 3, of which 2 failed",
        f"- Failed step: EMISSION\\_RECALC of scientific, job `{failed}`, attempt 1 of 3",
        "",
        r"> duplicate key \# \[click\]\(http\:\/\/evil\.example\) \<b\> \@everyone"
        if role == "operator"
        else r"> The job failed unexpectedly\.",
    ]


async def test_the_card_of_what_did_not_fail_names_no_step(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
        orphan = await build.job(connection)

    nodes = (await _nodes(engine, "operator"))["pipelines"]["nodes"]

    waiting, succeeded = (node["ticketMarkdown"] for node in nodes)
    assert waiting.startswith("**NOT_STARTED** CSV\\_INGEST")
    assert f"- Job without pipeline: `{orphan}`" in waiting
    assert succeeded.startswith("**SUCCESS** CSV\\_INGEST")
    assert "Failed step" not in waiting + succeeded


async def test_the_cards_of_a_page_take_one_statement(engine: AsyncEngine):
    async with engine.begin() as connection:
        for _ in range(20):
            await build.run(connection, JobResult.ERROR)

    counts = set[int]()
    for first in (1, 20):
        with statements(engine) as executed:
            await Client(engine).query("query ($n: Int) { pipelines(first: $n) { nodes { ticketMarkdown } } }", n=first)
        counts.add(len(executed))

    assert counts == {2}


async def _nodes(engine: AsyncEngine, role: str) -> dict[str, Any]:
    return await Client(engine, role, unit="A" if role == "principal" else None).query(TICKETS)
