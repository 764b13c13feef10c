"""Failure groups through the graph: what an operator is told."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobType
from gql_server.graph.nodes import encode
from gql_server.ledger.failures.record import record_left_over
from tests import build
from tests.graph.failures.conftest import NOW, Fail, ago
from tests.graph.test_queries import statements
from tests.graphql import Client

Revise = Callable[[str, float], Awaitable[None]]

LIST = """query ($filter: FailureGroupFilter, $orderBy: FailureGroupOrder, $first: Int = 25, $after: String) {
  failureGroups(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    nodes { title } pageInfo { hasNextPage endCursor } totalCount { value precision }
  }
}"""

MORE_OF_THE_SAME = text("""
INSERT INTO data_ingestion_jobs (provider, job_type, entity_type, state, result, status_message, failure_class,
  failure_fingerprint, finished_at)
SELECT provider, job_type, entity_type, state, result, status_message, failure_class, failure_fingerprint, finished_at
FROM (SELECT * FROM data_ingestion_jobs WHERE failure_fingerprint IS NOT NULL ORDER BY id LIMIT 1), generate_series(1, :count)
""")


async def titles(client: Client, **variables: Any) -> list[str]:
    """The groups of a list that fits on one page."""
    found = (await client.query(LIST, **variables))["failureGroups"]
    assert found["totalCount"] == {"value": len(found["nodes"]), "precision": "EXACT"}
    return [node["title"] for node in found["nodes"]]


async def only(client: Client, fields: str) -> dict[str, Any]:
    """The one group there is."""
    [group] = (await client.query(f"{{ failureGroups {{ nodes {{ {fields} }} }} }}"))["failureGroups"]["nodes"]
    return group


async def test_failures_of_one_cause_are_one_group(engine: AsyncEngine, fail: Fail):
    await fail("no such unit 'F1'", 5, kind=JobType.UNIT_SYNC)
    await fail("no such unit 'F2'", 3, kind=JobType.UNIT_SYNC)
    await fail("no such unit 'F3'", 4, kind="nightly_export")

    fields = "class kind kindRaw title rule sample firstSeenAt lastSeenAt affectedJobs { value }"
    found = (await Client(engine).query(f"{{ failureGroups {{ nodes {{ {fields} }} }} }}"))["failureGroups"]["nodes"]

    shared = {"class": "UNCLASSIFIED", "title": "Unclassified: no such unit <value>", "rule": "No other rule applies."}
    assert found == [
        {
            **shared,
            "kind": "UNIT_SYNC",
            "kindRaw": "unit_sync",
            "sample": "no such unit 'F2'",
            "firstSeenAt": _instant(ago(5)),
            "lastSeenAt": _instant(ago(3)),
            "affectedJobs": {"value": 2},
        },
        {
            **shared,
            "kind": "OTHER",
            "kindRaw": "nightly_export",
            "sample": "no such unit 'F3'",
            "firstSeenAt": _instant(ago(4)),
            "lastSeenAt": _instant(ago(4)),
            "affectedJobs": {"value": 1},
        },
    ]


async def test_affected_pipelines_are_counted_up_to_the_limit_and_orphans_each_for_one(engine: AsyncEngine, fail: Fail):
    await fail(times=3)
    await fail(times=2)
    async with engine.begin() as connection:
        for _ in range(2):
            await build.job(connection, result=JobResult.ERROR, status_message="deadlock detected")
    await record_left_over(engine)

    counts = "all: affectedPipelines { value precision } some: affectedPipelines(limit: 3) { value precision }"
    found = await only(Client(engine), f"{counts} affectedJobs(limit: 7) {{ value precision }}")

    assert found == {
        "all": {"value": 4, "precision": "EXACT"},
        "some": {"value": 3, "precision": "AT_LEAST"},
        "affectedJobs": {"value": 7, "precision": "EXACT"},
    }


async def test_what_a_group_hit_is_counted_to_the_last(engine: AsyncEngine, fail: Fail):
    await fail(times=2)
    await record_left_over(engine)
    async with engine.begin() as connection:
        await connection.execute(MORE_OF_THE_SAME, {"count": 1_200})

    counts = (
        "affectedPipelines { value precision } affectedJobs { value precision } pipelines { totalCount { value precision } }"
    )

    assert await only(Client(engine), counts) == {
        "affectedPipelines": {"value": 1_201, "precision": "EXACT"},
        "affectedJobs": {"value": 1_202, "precision": "EXACT"},
        "pipelines": {"totalCount": {"value": 1_201, "precision": "EXACT"}},
    }


async def test_pipelines_of_a_group_are_paged_newest_first_and_counted(engine: AsyncEngine, fail: Fail):
    stored = [await fail(times=2) for _ in range(3)]
    await fail("another one")
    async with engine.begin() as connection:
        orphan = await build.job(connection, result=JobResult.ERROR, status_message="deadlock detected")
    await record_left_over(engine)
    client = Client(engine)
    group = (await client.query("{ failureGroups(filter: {class: DEADLOCK}) { nodes { id } } }"))["failureGroups"]["nodes"][0]
    query = """query ($id: ID!, $after: String) { node(id: $id) { ... on FailureGroup { pipelines(first: 2, after: $after) {
      nodes { pipelineId rootJob { jobId } } pageInfo { hasNextPage endCursor } } } } }"""

    pages, after = [], None
    while True:
        page = (await client.query(query, id=group["id"], after=after))["node"]["pipelines"]
        pages.append(page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]

    assert [len(page) for page in pages] == [2, 2]
    assert pages[0][0] == {"pipelineId": None, "rootJob": {"jobId": orphan}}
    assert [node["pipelineId"] for page in pages for node in page][1:] == [str(key) for key in reversed(stored)]


async def test_a_histogram_has_equal_buckets_until_now(engine: AsyncEngine, fail: Fail):
    for hours in (0.01, 0.5, 1.5, 3.5, 3.6, 5):
        await fail(hours=hours)
    since = datetime.now(ago(0).tzinfo) - timedelta(hours=4)

    found = await only(Client(engine), f'histogram(buckets: 4, since: "{_instant(since)}") {{ from to count }}')

    buckets = found["histogram"]
    assert [bucket["count"] for bucket in buckets] == [2, 0, 1, 2]
    assert buckets[0]["from"] == _instant(since)
    assert all(earlier["to"] == later["from"] for earlier, later in pairwise(buckets))
    day = (await only(Client(engine), "histogram { from to count }"))["histogram"]
    assert (len(day), sum(bucket["count"] for bucket in day)) == (24, 6)
    widths = {_width(bucket) for bucket in day}
    assert max(widths) - min(widths) < timedelta(milliseconds=1)
    assert abs(_width(day[0]) - timedelta(hours=1)) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "arguments",
    ["buckets: 0", "buckets: 201", f'since: "{NOW + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"'],
    ids=["too few", "too many", "not begun"],
)
async def test_a_histogram_is_bounded(engine: AsyncEngine, fail: Fail, arguments: str):
    await fail()

    codes = await Client(engine).codes(f"{{ failureGroups {{ nodes {{ histogram({arguments}) {{ count }} }} }} }}")

    assert codes == ["BAD_USER_INPUT"]


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"class": ["DEADLOCK"]}, ["Deadlock"]),
    ({"class": ["TIMEOUT", "ABORTED"]}, ["Aborted by an operator", "A statement took too long"]),
    ({"class": []}, []),
    ({"years": [2024]}, ["Aborted by an operator"]),
    ({"years": [2024, 2025], "moduleTypeIds": [4]}, ["Aborted by an operator", "Deadlock"]),
    ({"moduleTypeIds": [1]}, ["Deadlock", "A statement took too long"]),
    ({"moduleTypeIds": [1], "years": [2024]}, []),
    ({"modules": ["headcount"]}, ["Deadlock", "A statement took too long"]),
    ({"modules": ["headcount"], "moduleTypeIds": [4]}, []),
    ({"seenAt": {"from": 5, "to": 2}}, ["Deadlock", "A statement took too long"]),
    ({"seenAt": {"to": 4}}, ["A statement took too long"]),
    ({"seenAt": {"from": 4, "to": 4}}, []),
    ({"seenAt": {"from": 2}, "moduleTypeIds": [1]}, ["Deadlock"]),
    ({}, ["Aborted by an operator", "Deadlock", "A statement took too long"]),
]


@pytest.mark.parametrize(("clauses", "expected"), FILTERS, ids=str)
async def test_filters_are_about_one_and_the_same_job(
    engine: AsyncEngine, fail: Fail, clauses: dict[str, Any], expected: list[str]
):
    await fail("canceling statement due to statement timeout", 4.5, module_type_id=1)
    await fail(hours=3, module_type_id=4)
    await fail(hours=1.5, module_type_id=1)
    await fail("Aborted by ada@epfl.ch", 1, year=2024)
    given = {name: _instants(value) if name == "seenAt" else value for name, value in clauses.items()}

    found = await titles(Client(engine), filter=given)

    assert found == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [("LAST_SEEN", ["c", "a", "d", "b"]), ("FIRST_SEEN", ["c", "d", "b", "a"]), ("PIPELINE_COUNT", ["b", "a"])],
)
@pytest.mark.parametrize("size", [1, 3, 4])
async def test_orders_are_paged_in_both_directions(engine: AsyncEngine, fail: Fail, field: str, expected: list[str], size: int):
    for name, hours in (("a", 9), ("a", 2), ("b", 5), ("b", 6), ("b", 7), ("d", 4), ("c", 1)):
        await fail(f"cause {name}", hours)
    client = Client(engine)

    down = await _paged(client, size, {"field": field})
    up = await _paged(client, size, {"field": field, "direction": "ASC"})

    assert down[: len(expected)] == expected
    assert up == down[::-1]
    assert sorted(down) == ["a", "b", "c", "d"]


async def test_a_cursor_belongs_to_its_filter_and_order(engine: AsyncEngine, fail: Fail):
    for name in "ab":
        await fail(f"cause {name}")
    client = Client(engine)
    cursor = (await client.query(LIST, first=1))["failureGroups"]["pageInfo"]["endCursor"]

    assert await client.codes(LIST, after=cursor, filter={"isNew": False}) == ["CURSOR_FILTER_MISMATCH"]
    assert await client.codes(LIST, after=cursor, orderBy={"field": "FIRST_SEEN"}) == ["CURSOR_FILTER_MISMATCH"]
    assert await client.codes(LIST, after=f"A{cursor[1:]}") == ["CURSOR_INVALID"]


async def test_a_group_is_new_if_it_appeared_since_the_current_revision(engine: AsyncEngine, fail: Fail, revision: Revise):
    await fail("an old cause", 10)
    await fail("an old cause", 1)
    await fail("a new cause", 2)
    client = Client(engine)
    assert await titles(client, filter={"isNew": True}) == []
    await revision("first", 20)
    assert await titles(client, filter={"isNew": True}) == []
    await revision("second", 5)

    assert await titles(client, filter={"isNew": True}) == ["Unclassified: a new cause"]
    assert await titles(client, filter={"isNew": False}) == ["Unclassified: an old cause"]
    found = (await client.query("{ failureGroups { nodes { isNew } } }"))["failureGroups"]["nodes"]
    assert [node["isNew"] for node in found] == [False, True]


async def test_a_job_and_its_pipeline_name_their_failures(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.pipeline(connection)
        for message in ("Aborted by ada", "deadlock detected", "Aborted by bob"):
            await build.job(connection, key, result=JobResult.ERROR, status_message=message)
        await build.job(connection, key, result=JobResult.SUCCESS)
        await build.job(connection, key)
        await build.settle(connection, key)
    await record_left_over(engine)

    [node] = (
        await Client(engine).query("{ pipelines { nodes { failures { class } jobs { nodes { failure { class } } } } } }")
    )["pipelines"]["nodes"]

    assert [group["class"] for group in node["failures"]] == ["ABORTED", "DEADLOCK"]
    groups = [job["failure"] and job["failure"]["class"] for job in node["jobs"]["nodes"]]
    assert groups == ["ABORTED", "DEADLOCK", "ABORTED", None, None]


QUERIES = {
    "groups": """failureGroups(first: $first) { totalCount { value } nodes {
        sample acknowledgement { at } affectedJobs { value } affectedPipelines { value } histogram { count }
        pipelines(first: 3) { nodes { status } } } }""",
    "failures": "pipelines(first: $first) { nodes { failures { title isNew } } }",
    "failure": "pipelines(first: $first) { nodes { jobs { nodes { failure { title } } } } }",
    "neither": "pipelines(first: $first) { nodes { jobs { nodes { jobId } } } }",
}


async def test_the_statements_of_failures_are_constant(engine: AsyncEngine, fail: Fail):
    for index in range(12):
        await fail(f"cause {'abcdefghijkl'[index]}", times=index % 3 + 1)
    client = Client(engine)

    counts: dict[str, list[int]] = {}
    for size in (1, 10):
        for name, query in QUERIES.items():
            with statements(engine) as executed:
                await client.query(f"query ($first: Int) {{ {query} }}", first=size)
            counts.setdefault(name, []).append(len(executed))

    assert counts == {"groups": [8, 8], "failures": [3, 3], "failure": [3, 3], "neither": [2, 2]}


@pytest.mark.parametrize("id", [encode("FailureGroup", "nothing"), encode("FailureGroup", "é" * 99)])
async def test_a_group_that_does_not_exist_is_null(engine: AsyncEngine, id: str):
    assert await Client(engine).query("query ($id: ID!) { node(id: $id) { id } }", id=id) == {"node": None}


async def _paged(client: Client, size: int, order: dict[str, str]) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = (await client.query(LIST, first=size, after=after, orderBy=order))["failureGroups"]
        found += [node["title"][-1] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _instants(hours: dict[str, float]) -> dict[str, str]:
    return {name: _instant(ago(number)) for name, number in hours.items()}


def _width(bucket: dict[str, str]) -> timedelta:
    return datetime.fromisoformat(bucket["to"]) - datetime.fromisoformat(bucket["from"])


async def test_pipelines_that_nothing_has_made_good_are_counted_as_the_list_of_them_is(engine: AsyncEngine, fail: Fail):
    good, bad = {"module_type_id": 3, "year": 2025}, {"module_type_id": 4, "year": 2025}
    await fail(**good)
    await fail(times=2, **bad)
    await fail(**bad)
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, **good)
        await build.job(connection, result=JobResult.ERROR, status_message="deadlock detected")
    await record_left_over(engine)
    counts = "all: unresolvedPipelines { value precision } some: unresolvedPipelines(limit: 1) { value precision }"

    found = await only(Client(engine), f"id affectedPipelines {{ value }} {counts}")

    listed = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { totalCount { value } } }"
    filter = {"failureGroup": found["id"], "unresolved": True}
    total = (await Client(engine).query(listed, filter=filter))["pipelines"]["totalCount"]["value"]
    assert (found["affectedPipelines"]["value"], found["all"]) == (4, {"value": 3, "precision": "EXACT"})
    assert (found["some"], total) == ({"value": 1, "precision": "AT_LEAST"}, 3)
