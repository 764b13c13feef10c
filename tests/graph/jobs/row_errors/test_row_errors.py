"""The rejected rows of a job: pages, counts, groups, and who may read them."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.carbon.readers import RowRejected
from gql_server.db.models import EntityType, JobResult, Provider, RowError
from gql_server.handlers.results import IngestCounts
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

PAGE = """query ($job: Int!, $first: Int, $after: String, $contains: String) { job(by: { jobId: $job }) {
  rowErrorCount
  rowErrors(first: $first, after: $after, contains: $contains) {
    nodes { row column reason value } totalCount { value precision } groups { reason count sampleRow }
    edges { cursor node { row } } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
} }"""


async def rejected(connection: AsyncConnection, *rows: tuple[int | None, str | None, str], total: int | None = None) -> int:
    """A job that rejected these rows, and more of which no detail was kept when the total says so."""
    total = len(rows) if total is None else total
    pipeline_id = await build.pipeline(connection, unit_institutional_id="A", entity_type=EntityType.MODULE_UNIT_SPECIFIC)
    unit = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "meta": {"row_errors_count": total}}
    job_id = await build.job(connection, pipeline_id, result=JobResult.WARNING, **unit)
    if rows:
        errors = [
            {"job_id": job_id, "row": row, "column": column, "reason": reason, "value": f"cell {row}"}
            for row, column, reason in rows
        ]
        await connection.execute(insert(RowError), errors)
    return job_id


async def page(engine: AsyncEngine, job_id: int, role: str = "operator", **variables: Any) -> dict[str, Any]:
    job = (await Client(engine, role).query(PAGE, job=job_id, **variables))["job"]
    return job["rowErrors"]


async def test_rows_are_paged_in_the_order_of_the_file(engine: AsyncEngine):
    async with engine.begin() as connection:
        await rejected(connection, (1, "a", "of another job"))
        job_id = await rejected(connection, (3, "unit", "unknown unit"), (7, None, "blank"), (5, "fte", "fte is blank"))

    first = await page(engine, job_id, first=2)
    second = await page(engine, job_id, first=2, after=first["pageInfo"]["endCursor"])

    assert first["nodes"] == [
        {"row": 3, "column": "unit", "reason": "unknown unit", "value": "cell 3"},
        {"row": 7, "column": None, "reason": "blank", "value": "cell 7"},
    ]
    assert [node["row"] for node in second["nodes"]] == [5]
    assert [edge["node"]["row"] for edge in first["edges"]] == [3, 7]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert first["totalCount"] == second["totalCount"] == {"value": 3, "precision": "EXACT"}


async def test_the_count_is_true_also_of_rows_whose_detail_was_not_kept(engine: AsyncEngine):
    tally = IngestCounts()
    tally.add(0, [RowRejected(row, "unit", "unknown unit", "X") for row in range(1, 151)])
    async with engine.begin() as connection:
        kept = [(error.row, error.column, error.reason) for error in tally.errors]
        job_id = await rejected(connection, *kept, total=tally.meta["row_errors_count"])

    everything = await page(engine, job_id, first=200)
    some = await page(engine, job_id, contains="unknown")
    none = await page(engine, job_id, contains="nothing like this")

    assert len(everything["nodes"]) == 100
    assert everything["totalCount"] == {"value": 150, "precision": "EXACT"}
    assert everything["groups"] == [{"reason": "unknown unit", "count": 100, "sampleRow": 1}]
    assert some["totalCount"] == {"value": 100, "precision": "AT_LEAST"}
    assert (none["totalCount"], none["nodes"], none["groups"]) == ({"value": 0, "precision": "AT_LEAST"}, [], [])
    bounded = "query ($job: Int!) { job(by: { jobId: $job }) { rowErrors { totalCount(limit: 120) { value precision } } } }"
    assert (await Client(engine).query(bounded, job=job_id))["job"]["rowErrors"]["totalCount"] == {
        "value": 120,
        "precision": "AT_LEAST",
    }


@pytest.mark.parametrize(("contains", "rows"), [
    ("UNIT", [1, 4]),
    ("100%", [2]),
    ("%", [2]),
    ("_", [3, 4]),
    ("\\", [3]),
    ("é", [5]),
    ("É", [5]),
    ("fte", [4]),
    (" ", [1, 2, 3, 5]),
    ("x" * 200, []),
])  # fmt: skip
async def test_a_search_is_literal_but_for_case_in_reason_and_column(engine: AsyncEngine, contains: str, rows: list[int]):
    async with engine.begin() as connection:
        job_id = await rejected(
            connection,
            (1, "code", "unknown Unit"),
            (2, "share", "more than 100% given"),
            (3, "a_b", "a back\\slash too"),
            (4, "unit_FTE", "missing"),
            (5, None, "l'Été est là"),
        )

    found = await page(engine, job_id, contains=contains)

    assert [node["row"] for node in found["nodes"]] == rows
    assert found["totalCount"] == {"value": len(rows), "precision": "EXACT"}
    assert sum(group["count"] for group in found["groups"]) == len(rows)


@pytest.mark.parametrize("contains", ["", "x" * 201, "a\0b"])
async def test_a_search_for_nothing_or_too_much_is_refused(engine: AsyncEngine, contains: str):
    async with engine.begin() as connection:
        job_id = await rejected(connection)

    assert await Client(engine).codes(PAGE, job=job_id, contains=contains) == ["BAD_USER_INPUT"]


async def test_a_cursor_fits_only_the_same_search(engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await rejected(connection, (1, None, "a"), (2, None, "a"))
    after = (await page(engine, job_id, first=1, contains="a"))["pageInfo"]["endCursor"]

    assert [node["row"] for node in (await page(engine, job_id, contains="a", after=after))["nodes"]] == [2]
    assert await Client(engine).codes(PAGE, job=job_id, after=after) == ["CURSOR_FILTER_MISMATCH"]


async def test_rows_are_grouped_by_their_reasons_but_for_what_differs_from_row_to_row(engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await rejected(
            connection,
            (4, "fte", "fte is blank"),
            (2, "fte", "fte is blank"),
            *((row, "kind", f"no matching factor for plane (kind=Plane {row}, subkind=None)") for row in (9, 3, 5)),
            (None, None, "the file ends early"),
        )

    groups = (await page(engine, job_id))["groups"]
    two = "query ($job: Int!) { job(by: { jobId: $job }) { rowErrors { groups(limit: 2) { count } } } }"

    assert [(group["count"], group["sampleRow"]) for group in groups] == [(3, 3), (2, 2), (1, None)]
    assert groups[0]["reason"].startswith("no matching factor for plane (kind=<")
    assert [group["reason"] for group in groups[1:]] == ["fte is blank", "the file ends early"]
    assert (await Client(engine).query(two, job=job_id))["job"]["rowErrors"]["groups"] == [{"count": 3}, {"count": 2}]
    for limit in (0, 101):
        assert await Client(engine).codes(two.replace("2)", f"{limit})"), job=job_id) == ["BAD_USER_INPUT"]


async def test_rejected_rows_are_for_operators_and_their_cells_for_who_may_edit(engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await rejected(connection, (1, "unit", "unknown unit"))
    query = "query ($job: Int!) { job(by: { jobId: $job }) { rowErrorCount rowErrors { nodes { reason value } } } }"

    theirs = await Client(engine, "principal", unit="A").execute(query, job=job_id)
    operators = await Client(engine, "operator").execute(query, job=job_id)
    elsewhere = await Client(engine, "operator", provider=Provider.TEST).execute(query, job=job_id)

    assert theirs["data"]["job"] == {"rowErrorCount": 1, "rowErrors": None}
    assert theirs["extensions"]["redactions"] == [
        {"coordinate": "Job.rowErrors", "permission": "backoffice.pipeline_operations:view", "count": 1}
    ]
    assert operators["data"]["job"]["rowErrors"]["nodes"] == [{"reason": "unknown unit", "value": "cell 1"}]
    assert elsewhere["data"]["job"] is None


async def test_the_rejected_rows_of_a_page_of_jobs_take_three_statements(engine: AsyncEngine):
    async with engine.begin() as connection:
        for count in range(6):
            await rejected(connection, *((row, None, f"reason {row}") for row in range(count)))
    selection = "rowErrors(first: 2) { nodes { row } totalCount { value } groups { count } }"

    with statements(engine) as executed:
        answer = await Client(engine).query(f"{{ pipelines {{ nodes {{ jobs {{ nodes {{ {selection} }} }} }} }} }}")

    found = [job["rowErrors"] for node in answer["pipelines"]["nodes"] for job in node["jobs"]["nodes"]]
    assert [len(each["nodes"]) for each in found] == [2, 2, 2, 2, 1, 0]
    assert [each["totalCount"]["value"] for each in found] == [5, 4, 3, 2, 1, 0]
    assert [each["groups"] for each in found][-3:] == [[{"count": 2}], [{"count": 1}], []]
    assert len(executed) == 5
