from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.graph.nodes import encode
from tests import build
from tests.graphql import Client

OK, WARNED, FAILED = JobResult.SUCCESS, JobResult.WARNING, JobResult.ERROR


async def _kinds(client: Client, filter: dict[str, Any] | None = None) -> list[str]:
    """Kinds of the listed pipelines, newest first: tests give each pipeline its own."""
    query = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { kindRaw } } }"
    return [node["kindRaw"] for node in (await client.query(query, filter=filter))["pipelines"]["nodes"]]


async def test_l1_pages_of_one_hold_one_pipeline_with_all_its_jobs(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, *[OK] * 5)
        await build.run(connection, *[OK] * 10)
    client = Client(engine)
    query = """query ($after: String) {
      pipelines(first: 1, after: $after) { nodes { jobCount jobs { nodes { jobId } } } pageInfo { endCursor } }
    }"""

    sizes, after = [], None
    for _ in range(2):
        page = (await client.query(query, after=after))["pipelines"]
        [node] = page["nodes"]
        sizes.append((node["jobCount"], len(node["jobs"]["nodes"])))
        after = page["pageInfo"]["endCursor"]

    assert sizes == [(10, 10), (5, 5)]


async def test_l2_a_pipeline_keeps_its_place_while_it_fans_out(engine: AsyncEngine):
    async with engine.begin() as connection:
        older = await build.run(connection, OK, kind="older")
        await build.run(connection, OK, kind="newer")
        await build.job(connection, older, job_type=JobType.AGGREGATION)

    assert await _kinds(Client(engine)) == ["newer", "older"]


async def test_l6_orphans_and_pipelines_interleave_by_time(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="first")
        await build.job(connection, job_type="second")
        await build.run(connection, OK, kind="third")
        await build.job(connection, job_type="fourth", result=FAILED, status_message="no such file")
    client = Client(engine)

    newest = (
        await client.query("""{ pipelines(first: 1) { nodes {
          id pipelineId isOrphan status statusRaw statusSource tone isTerminal message lastError jobCount errorCount
          jobs { nodes { jobId } } rootJob { jobId pipeline { id } } progress { phase fraction finishedJobs expectedJobs }
        } } }""")
    )["pipelines"]["nodes"][0]

    assert await _kinds(client) == ["fourth", "third", "second", "first"]
    [job] = newest["jobs"]["nodes"]
    assert newest == {
        "id": newest["id"],
        "pipelineId": None,
        "isOrphan": True,
        "status": "FAILED",
        "statusRaw": None,
        "statusSource": "DERIVED",
        "tone": "DANGER",
        "isTerminal": True,
        "message": "no such file",
        "lastError": "no such file",
        "jobCount": 1,
        "errorCount": 1,
        "jobs": {"nodes": [job]},
        "rootJob": {**job, "pipeline": {"id": newest["id"]}},
        "progress": {"phase": "AGGREGATION", "fraction": 1.0, "finishedJobs": 1, "expectedJobs": 1},
    }


@pytest.mark.parametrize(
    ("values", "status", "tone"),
    [
        ({"state": JobState.NOT_STARTED}, "NOT_STARTED", "NEUTRAL"),
        ({"state": JobState.QUEUED}, "NOT_STARTED", "NEUTRAL"),
        ({"state": JobState.RUNNING}, "RUNNING", "PROGRESS"),
        ({"result": OK}, "SUCCESS", "SUCCESS"),
        ({"result": WARNED}, "SUCCESS", "WARNING"),
        ({"result": None}, "SUCCESS", "SUCCESS"),
        ({"result": FAILED}, "FAILED", "DANGER"),
        ({"state": None}, "UNKNOWN", "NEUTRAL"),
    ],
)
async def test_the_status_of_an_orphan_is_its_jobs(engine: AsyncEngine, values: dict[str, Any], status: str, tone: str):
    async with engine.begin() as connection:
        await build.job(connection, **values)

    nodes = (await Client(engine).query("{ pipelines { nodes { status tone } } }"))["pipelines"]["nodes"]

    assert nodes == [{"status": status, "tone": tone}]


async def test_l5_all_jobs_are_shown_of_a_pipeline_that_one_job_qualifies(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, OK, OK, OK)
        await build.run(connection, OK, kind=JobType.UNIT_SYNC)

    nodes = (
        await Client(engine).query(
            "{ pipelines(filter: { kind: { in: [AGGREGATION] } }) { nodes { jobs { nodes { kind } } } } }"
        )
    )["pipelines"]["nodes"]

    kinds = ["CSV_INGEST", "EMISSION_RECALC", "EMISSION_RECALC", "AGGREGATION"]
    assert nodes == [{"jobs": {"nodes": [{"kind": kind} for kind in kinds]}}]


async def test_row_clauses_must_hold_for_the_same_job(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, kind="mixed")
        await build.job(connection, pipeline_id, job_type=JobType.CSV_INGEST, year=2024, module_type_id=1)
        await build.job(connection, pipeline_id, job_type=JobType.AGGREGATION, year=2025, module_type_id=2)
        await build.job(connection, job_type=JobType.CSV_INGEST, year=2025, module_type_id=2)
    client = Client(engine)

    assert await _kinds(client, {"years": [2024]}) == ["mixed"]
    assert await _kinds(client, {"years": [2025]}) == ["csv_ingest", "mixed"]
    assert await _kinds(client, {"years": [2024], "moduleTypeIds": [2]}) == []
    assert await _kinds(client, {"years": [2024], "moduleTypeIds": [1]}) == ["mixed"]
    assert await _kinds(client, {"years": [2024], "modules": ["professional_travel"]}) == []
    assert await _kinds(client, {"years": [2024], "modules": ["headcount"]}) == ["mixed"]
    assert await _kinds(client, {"years": [2024], "kind": {"in": ["AGGREGATION"]}}) == []
    assert await _kinds(client, {"years": [2025], "kind": {"in": ["AGGREGATION", "CSV_INGEST"]}}) == ["csv_ingest", "mixed"]
    assert await _kinds(client, {"kind": {"notIn": ["AGGREGATION"]}}) == ["csv_ingest"]
    assert await _kinds(client, {"kind": {"notIn": ["UNIT_SYNC"]}}) == ["csv_ingest", "mixed"]
    assert await _kinds(client, {"years": []}) == []


async def test_modules_and_entry_types_are_asked_for_by_key_or_number_and_unknown_ones_are_refused(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.job(connection, job_type="process", module_type_id=8, data_entry_type_id=50)
        await build.job(connection, job_type="member", module_type_id=1, data_entry_type_id=1)
        await build.job(connection, job_type="strange", module_type_id=99)
    client = Client(engine)

    assert await _kinds(client, {"modules": ["process_emissions"]}) == ["process"]
    assert await _kinds(client, {"modules": ["headcount", "process_emissions"]}) == ["member", "process"]
    assert await _kinds(client, {"dataEntryTypes": ["member"]}) == ["member"]
    assert await _kinds(client, {"modules": ["8"], "dataEntryTypes": ["50"]}) == ["process"]
    assert await _kinds(client, {"modules": ["headcount", "process_emissions"], "moduleTypeIds": [8, 99]}) == ["process"]
    assert await _kinds(client, {"modules": ["headcount"], "dataEntryTypes": []}) == []
    for unknown in ({"modules": ["processes"]}, {"modules": ["99"]}, {"dataEntryTypes": ["members"]}):
        assert await client.codes("query ($f: PipelineFilter) { pipelines(filter: $f) { nodes { id } } }", f=unknown) == [
            "BAD_USER_INPUT"
        ]


async def test_the_filter_of_a_module_of_a_facet_replaces_whatever_named_modules(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.job(connection, module_type_id=8)
        await build.job(connection, module_type_id=99)
    query = """query ($f: PipelineFilter) { pipelines(filter: $f) {
      nodes { id } facets(keys: [MODULE]) { values { value filter } }
    } }"""
    client = Client(engine)

    for asked in ({"modules": ["headcount"]}, {"moduleTypeIds": [1]}, {}):
        [facet] = (await client.query(query, f=asked))["pipelines"]["facets"]
        assert facet["values"] == [
            {"value": "process_emissions", "filter": {"modules": ["process_emissions"], "moduleTypeIds": None}},
            {"value": "99", "filter": {"modules": None, "moduleTypeIds": [99]}},
        ]
        for value in facet["values"]:
            assert len((await client.query(query, f=asked | value["filter"]))["pipelines"]["nodes"]) == 1


async def test_kinds_nobody_knows_are_other_and_can_be_asked_for(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="from_the_future")
        await build.job(connection, job_type=None)
        await build.job(connection, job_type=JobType.CSV_INGEST)
    client = Client(engine)

    nodes = (await client.query("{ pipelines(filter: { kind: { in: [OTHER] } }) { nodes { kind kindRaw } } }"))["pipelines"][
        "nodes"
    ]

    assert nodes == [{"kind": "OTHER", "kindRaw": None}, {"kind": "OTHER", "kindRaw": "from_the_future"}]
    assert await _kinds(client, {"kind": {"notIn": ["OTHER"]}}) == ["csv_ingest"]


async def test_l7_a_status_filter_excludes_orphans(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="success")
        await build.run(connection, OK, OK, FAILED, kind="partial")
        await build.run(connection, FAILED, kind="failed")
        await build.run(connection, JobState.RUNNING, kind="running")
        await build.job(connection, job_type="orphan", result=FAILED)
        await build.pipeline(connection, kind="unheard", status="PAUSED")
    client = Client(engine)

    assert await _kinds(client, {"status": {"in": ["FAILED", "PARTIAL"]}}) == ["failed", "partial"]
    assert await _kinds(client, {"status": {"in": ["RUNNING"]}}) == ["running"]
    assert await _kinds(client, {"status": {"notIn": ["FAILED", "PARTIAL"]}}) == ["unheard", "running", "success"]
    assert await _kinds(client, {"status": {"in": ["UNKNOWN"]}}) == ["unheard"]
    assert await _kinds(client, {"status": {"in": ["SUCCESS"]}, "isOrphan": True}) == []


async def test_l8_has_errors_divides_pipelines_and_orphans(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="success")
        await build.run(connection, OK, FAILED, kind="partial")
        await build.run(connection, FAILED, kind="failed")
        await build.job(connection, job_type="orphan that failed", result=FAILED)
        await build.job(connection, job_type="orphan without result", result=None)
        await build.job(connection, job_type="orphan without state", state=None)
        await build.job(connection, job_type="orphan that waits")
    client = Client(engine)

    assert await _kinds(client, {"hasErrors": True}) == ["orphan that failed", "failed", "partial"]
    assert await _kinds(client, {"hasErrors": False}) == [
        "orphan that waits",
        "orphan without state",
        "orphan without result",
        "success",
    ]


async def test_active_and_orphan_filters(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="done")
        await build.run(connection, JobState.RUNNING, kind="running")
        await build.job(connection, job_type="orphan that waits")
        await build.job(connection, job_type="orphan that ended", result=OK)
    client = Client(engine)

    assert await _kinds(client, {"isActive": True}) == ["orphan that waits", "running"]
    assert await _kinds(client, {"isActive": False}) == ["orphan that ended", "done"]
    assert await _kinds(client, {"isOrphan": True}) == ["orphan that ended", "orphan that waits"]
    assert await _kinds(client, {"isOrphan": False}) == ["running", "done"]
    assert await _kinds(client, {"isOrphan": None, "years": None, "status": None}) == await _kinds(client)


@pytest.mark.parametrize("value", ["BOGUS", "partial", 2])
async def test_l9_an_unknown_status_is_refused_with_the_names_there_are(engine: AsyncEngine, value: object):
    query = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }"

    answer = await Client(engine).execute(query, filter={"status": {"in": [value]}})

    [error] = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    if isinstance(value, str):
        assert "NOT_STARTED, RUNNING, SUCCESS, PARTIAL, FAILED, UNKNOWN" in error["message"]


async def test_l9_an_unknown_status_in_the_document_is_refused_with_the_names_there_are(engine: AsyncEngine):
    answer = await Client(engine).execute("{ pipelines(filter: { status: { in: [BOGUS] } }) { nodes { id } } }")

    [error] = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"].endswith("Its members are NOT_STARTED, RUNNING, SUCCESS, PARTIAL, FAILED, UNKNOWN.")


async def test_exactly_one_of_in_and_not_in_is_needed(engine: AsyncEngine):
    query = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }"
    client = Client(engine)

    for match in ({}, {"in": [], "notIn": []}, {"in": None}):
        assert await client.codes(query, filter={"status": match}) == ["BAD_USER_INPUT"]


async def test_an_unknown_module_is_null_and_the_pipeline_is_listed(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, module_type_id=99)
        await build.run(connection, OK, module_type_id=4)

    nodes = (await Client(engine).query("{ pipelines { nodes { scope { module { id typeId key } } } } }"))["pipelines"]["nodes"]

    module = {"id": encode("ModuleType", 4), "typeId": 4, "key": "equipment_electric_consumption"}
    assert nodes == [{"scope": {"module": module}}, {"scope": {"module": None}}]


@pytest.mark.parametrize(
    ("created_by", "actor"),
    [
        ({"user_id": 1, "name": "Ada", "email": "a@example.org"}, ("USER", "Ada", "a@example.org")),
        ({"user_id": 1, "name": "", "email": "a@example.org"}, ("USER", "a@example.org", "a@example.org")),
        ({"email": "a@example.org"}, ("USER", "a@example.org", "a@example.org")),
        (None, ("UNKNOWN", None, None)),
    ],
)
async def test_the_author_is_the_name_else_the_email_else_nobody(
    engine: AsyncEngine, created_by: dict[str, Any] | None, actor: tuple[str | None, ...]
):
    async with engine.begin() as connection:
        await build.run(connection, OK, created_by=created_by)
        await build.job(connection, meta={"created_by": created_by})

    nodes = (await Client(engine).query("{ pipelines { nodes { triggeredBy { kind displayName email } } } }"))["pipelines"][
        "nodes"
    ]

    assert [tuple(node["triggeredBy"].values()) for node in nodes] == [actor, actor]


async def test_l18_pages_are_full_whatever_is_hidden_between(engine: AsyncEngine):
    specific = {"entity_type": "MODULE_UNIT_SPECIFIC"}
    async with engine.begin() as connection:
        for unit in "ABABBBAB":
            await build.run(connection, OK, kind=unit, unit_institutional_id=unit, **specific)
    client = Client(engine, "principal", unit="A")

    page = (await client.query("{ pipelines(first: 3) { nodes { kindRaw } pageInfo { hasNextPage } } }"))["pipelines"]

    assert page == {"nodes": [{"kindRaw": "A"}] * 3, "pageInfo": {"hasNextPage": False}}


async def test_a_failed_pipeline_says_why_and_a_successful_one_what_its_root_said(engine: AsyncEngine):
    async with engine.begin() as connection:
        partial = await build.pipeline(connection)
        await build.job(connection, partial, result=OK, status_message="Success")
        await build.job(connection, partial, job_type=JobType.AGGREGATION, result=FAILED, status_message="deadlock")
        await build.settle(connection, partial)
        failed = await build.pipeline(connection)
        await build.job(connection, failed, result=FAILED, status_message="y" * 600)
        await build.settle(connection, failed)
        await build.job(connection, result=FAILED, status_message="z" * 600)
        warned = await build.pipeline(connection)
        await build.job(connection, warned, result=WARNED, status_message="x" * 600)
        await build.settle(connection, warned)

    nodes = (await Client(engine).query("{ pipelines { nodes { status tone message lastError hasWarning } } }"))["pipelines"]

    assert nodes["nodes"] == [
        {"status": "SUCCESS", "tone": "WARNING", "message": "x" * 500, "lastError": None, "hasWarning": True},
        {"status": "FAILED", "tone": "DANGER", "message": "z" * 500, "lastError": "z" * 500, "hasWarning": False},
        {"status": "FAILED", "tone": "DANGER", "message": "y" * 500, "lastError": "y" * 500, "hasWarning": False},
        {"status": "PARTIAL", "tone": "WARNING", "message": "deadlock", "lastError": "deadlock", "hasWarning": False},
    ]


async def test_a_status_this_version_does_not_know_is_shown_as_it_is(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.pipeline(connection, status="PAUSED")

    nodes = await Client(engine).query(
        "{ pipelines { nodes { status statusRaw isTerminal rootJob { id } meta { providerName entries { key } } } } }"
    )

    assert nodes["pipelines"]["nodes"] == [
        {
            "status": "UNKNOWN",
            "statusRaw": "PAUSED",
            "isTerminal": False,
            "rootJob": None,
            "meta": {"providerName": None, "entries": []},
        }
    ]
