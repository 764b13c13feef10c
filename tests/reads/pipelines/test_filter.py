"""Clauses, counts and facets of the list as a client asks for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.graph.nodes import encode
from tests import build
from tests.graphql import Client, context, subscribed, viewer

OK, FAILED = JobResult.SUCCESS, JobResult.ERROR
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
UNIT_SPECIFIC = {"entity_type": "MODULE_UNIT_SPECIFIC"}
LIST = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { kindRaw } totalCount { value precision } } }"


async def _kinds(client: Client, **filter: Any) -> list[str]:
    """Kinds of the listed pipelines, newest first, of which the count tells the same."""
    page = (await client.query(LIST, filter=filter))["pipelines"]
    assert page["totalCount"] == {"value": len(page["nodes"]), "precision": "EXACT"}
    return [node["kindRaw"] for node in page["nodes"]]


async def test_l12_a_job_that_started_at_the_begin_matches_and_one_that_never_started_does_not(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.job(connection, job_type="at noon", result=OK, started_at=NOON, finished_at=NOON)
        await build.job(connection, job_type="an hour later", result=OK, started_at=NOON + timedelta(hours=1))
        await build.job(connection, job_type="never")
    client = Client(engine)
    noon, one = NOON.isoformat(), (NOON + timedelta(hours=1)).isoformat()

    assert await _kinds(client, startedAt={"from": noon}) == ["an hour later", "at noon"]
    assert await _kinds(client, startedAt={"from": noon, "to": one}) == ["at noon"]
    assert await _kinds(client, startedAt={"to": noon}) == []
    assert await _kinds(client, startedAt={}) == ["an hour later", "at noon"]
    assert await _kinds(client, finishedAt={"from": noon, "to": one}) == ["at noon"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("RÉSUMÉ_a", ["odd"]),
        ("50%", ["odd"]),
        ("é_a\\b", ["odd"]),
        ("50_", []),
        ("%%%", []),
        ("deadLOCK det", ["orphan", "failed"]),
        ("deadlock detected", ["orphan", "failed"]),
        ("deadlock  detected", []),
    ],
)
async def test_search_finds_exact_substrings_whatever_their_case(engine: AsyncEngine, search: str, found: list[str]):
    async with engine.begin() as connection:
        odd = await build.pipeline(connection, kind="odd")
        await build.job(connection, odd, status_message="50% of Résumé_A\\b")
        failed = await build.pipeline(connection, kind="failed")
        await build.job(connection, failed, status_message="Success", result=OK)
        await build.job(connection, failed, status_message="Deadlock detected", result=FAILED)
        await build.job(connection, job_type="orphan", status_message="a deadlock detected")

    assert await _kinds(Client(engine), search=search) == found


@pytest.mark.parametrize("search", ["", "ab", "x" * 101, "nul\0byte"])
async def test_search_for_too_little_or_too_much_is_refused(engine: AsyncEngine, search: str):
    assert await Client(engine).codes(LIST, filter={"search": search}) == ["BAD_USER_INPUT"]


async def test_search_tells_nobody_what_their_messages_do_not(engine: AsyncEngine):
    specific = {**UNIT_SPECIFIC, "unit_institutional_id": "A"}
    async with engine.begin() as connection:
        hidden = await build.pipeline(connection, kind="hidden", **specific)
        await build.job(connection, hidden, result=FAILED, status_message="secret of row 7", meta={"error": "secret"})
        long = await build.pipeline(connection, kind="long", **specific)
        await build.job(connection, long, result=FAILED, status_message="x" * 499 + "secret")
        plain = await build.pipeline(connection, kind="plain", **specific)
        await build.job(connection, plain, result=FAILED, status_message="no secret at all")
    principal, operator = Client(engine, "principal", unit="A"), Client(engine, "operator")

    assert await _kinds(operator, search="secret") == ["plain", "long", "hidden"]
    assert await _kinds(principal, search="secret") == ["plain"]
    assert await _kinds(principal, search="failed unexpectedly") == ["hidden"]


async def _refusal(client: Client, query: str = LIST, **filter: Any) -> dict[str, Any]:
    """The extensions of the one error that a filter is answered with."""
    answer = await client.execute(query, filter=filter)
    assert answer["data"] == {"pipelines": None} or answer["data"] == {"jobs": None}
    [error] = answer["errors"]
    return error["extensions"]


UNIT_REFUSED = {
    "code": "FORBIDDEN",
    "permission": "backoffice.pipeline_operations:view | modules.*:view@{unit}",
    "coordinate": "PipelineFilter.unitInstitutionalId",
}


async def test_whoever_operates_pipelines_filters_by_any_unit_and_others_are_told_that_they_may_not(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="of A", unit_institutional_id="A", **UNIT_SPECIFIC)
        await build.run(connection, OK, kind="of B", unit_institutional_id="B", **UNIT_SPECIFIC)

    assert await _kinds(Client(engine, "principal", unit="A"), unitInstitutionalId="A") == ["of A"]
    assert await _kinds(Client(engine, "superadmin"), unitInstitutionalId="B") == ["of B"]
    assert await _kinds(Client(engine, "operator"), unitInstitutionalId="B") == ["of B"]
    assert await _kinds(Client(engine, "operator"), unitInstitutionalId="C") == []
    for role in ("principal", "standard"):
        assert await _refusal(Client(engine, role, unit="A"), unitInstitutionalId="B") == UNIT_REFUSED


async def test_a_unit_filter_finds_work_of_a_module_that_this_server_does_not_know(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="unknown", unit_institutional_id="A", module_type_id=99, **UNIT_SPECIFIC)

    assert await _kinds(Client(engine, "operator"), unitInstitutionalId="A") == ["unknown"]


@pytest.mark.parametrize("field", ["pipelines(filter: $filter) { token }", "facets(filter: $filter, keys: [STATUS]) { key }"])
async def test_a_live_list_refuses_the_same_filters(engine: AsyncEngine, field: str):
    operation = f"subscription ($filter: PipelineFilter) {{ {field} }}"
    async with subscribed(context(engine, viewer("principal", "A")), operation, filter={"unitInstitutionalId": "B"}) as results:
        result = await anext(results)

    assert [error.extensions for error in result.errors] == [UNIT_REFUSED]


async def test_unresolved_is_what_failed_and_has_not_succeeded_since(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, FAILED, year=2024)
        await build.run(connection, FAILED, module_type_id=5)
        await build.run(connection, OK, year=2024)
        await build.run(connection, OK, FAILED, kind="partial", year=2024)
        await build.run(connection, OK, kind="other", module_type_id=5)
    nodes = "pipelines(filter: { unresolved: true }) { nodes { status scope { year module { typeId } } } }"

    found = (await Client(engine).query(f"{{ {nodes} }}"))["pipelines"]["nodes"]

    assert found == [
        {"status": "PARTIAL", "scope": {"year": 2024, "module": {"typeId": 4}}},
        {"status": "FAILED", "scope": {"year": 2025, "module": {"typeId": 5}}},
    ]


async def test_who_started_it_is_asked_of_oneself_and_of_others_by_those_who_may_see_users(engine: AsyncEngine):
    specific = {**UNIT_SPECIFIC, "unit_institutional_id": "A"}
    async with engine.begin() as connection:
        await build.run(connection, OK, kind="mine", created_by={"user_id": "me"}, **specific)
        await build.run(connection, OK, kind="hers", created_by={"user_id": "her", "name": "Ada"}, **specific)
        await build.run(connection, OK, kind="nobody's", **specific)
    principal, operator = (Client(engine, role, unit="A", subject="me") for role in ("principal", "operator"))

    for client in (principal, operator):
        assert await _kinds(client, triggeredByMe=True) == ["mine"]
        assert await _kinds(client, triggeredByMe=False) == ["nobody's", "hers"]
    assert await _kinds(operator, triggeredBy=["her", "me"]) == ["hers", "mine"]
    assert await _kinds(principal, triggeredBy=["me"]) == ["mine"]
    assert await _kinds(principal, triggeredBy=[]) == []
    for named in (["her"], ["her", "me"]):
        assert await _refusal(principal, triggeredBy=named) == {
            "code": "FORBIDDEN",
            "permission": "backoffice.users:view",
            "coordinate": "PipelineFilter.triggeredBy",
        }
    assert await _kinds(operator, triggeredBy=["her"], triggeredByMe=True) == []


async def test_a_worker_finds_what_it_held_for_those_who_may_see_workers(engine: AsyncEngine):
    async with engine.begin() as connection:
        held = await build.pipeline(connection, kind="held", unit_institutional_id="A", **UNIT_SPECIFIC)
        await build.job(connection, held, state=JobState.RUNNING, claimed_by="w1", locked_by="w1")
        await build.job(connection, job_type="was held", result=OK, claimed_by="w1")
        await build.job(connection, job_type="another's", result=OK, claimed_by="w2")
    worker = encode("Worker", "w1")

    assert await _kinds(Client(engine, "operator"), workerId=worker) == ["was held", "held"]
    assert await _refusal(Client(engine, "principal", unit="A"), workerId=worker) == {
        "code": "FORBIDDEN",
        "permission": "backoffice.pipeline_operations:view",
        "coordinate": "PipelineFilter.workerId",
    }


async def test_failures_are_found_by_class_and_by_group(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.job(connection, job_type="deadlock", failure_class="DEADLOCK", failure_fingerprint="d1", result=FAILED)
        await build.job(connection, job_type="timeout", failure_class="TIMEOUT", failure_fingerprint="t1", result=FAILED)
        await build.job(connection, job_type="fine", result=OK)
    client = Client(engine)

    assert await _kinds(client, failureClass=["DEADLOCK"]) == ["deadlock"]
    assert await _kinds(client, failureClass=["DEADLOCK", "TIMEOUT"]) == ["timeout", "deadlock"]
    assert await _kinds(client, failureClass=[]) == []
    assert await _kinds(client, failureGroup=encode("FailureGroup", "t1")) == ["timeout"]
    assert await client.codes(LIST, filter={"failureGroup": encode("Job", 1)}) == ["BAD_USER_INPUT"]


async def test_ids_levels_durations_and_aborts_are_clauses(engine: AsyncEngine):
    second = timedelta(seconds=1)
    async with engine.begin() as connection:
        first = await build.run(connection, OK, kind="global", entity_type="GLOBAL_PER_YEAR")
        slow = await build.pipeline(connection, kind="slow", aborted_at=NOON)
        await build.job(connection, slow, result=FAILED, started_at=NOON, finished_at=NOON + 90 * second)
        await build.settle(connection, slow)
        running = await build.pipeline(connection, kind="running")
        await build.job(connection, running, state=JobState.RUNNING, started_at=NOON)
        await build.settle(connection, running)
    client = Client(engine)

    assert await _kinds(client, ids=[encode("Pipeline", first), encode("Pipeline", slow)]) == ["slow", "global"]
    assert await _kinds(client, level=["GLOBAL_PER_YEAR"]) == ["global"]
    assert await _kinds(client, durationSeconds={"min": 90, "max": 90}) == ["slow"]
    assert await _kinds(client, durationSeconds={"max": 89.9}) == ["global"]
    assert await _kinds(client, isAborted=True) == ["slow"]
    assert await client.codes(LIST, filter={"ids": ["nonsense"]}) == ["BAD_USER_INPUT"]
    assert await client.codes(LIST, filter={"years": list(range(101))}) == ["BAD_USER_INPUT"]


async def test_l20_counts_and_facets_are_of_the_whole_list_and_ignore_their_own_clause(engine: AsyncEngine):
    async with engine.begin() as connection:
        for _ in range(7):
            await build.run(connection, FAILED)
        for _ in range(113):
            await build.run(connection, OK, OK)
        await build.run(connection, FAILED, provider="TEST")
    query = """query ($filter: PipelineFilter, $limit: Int) {
      pipelines(first: 5, filter: $filter) {
        totalCount(limit: $limit) { value precision }
        facets(keys: [STATUS, KIND], limit: $limit) { key values { value count { value precision } filter } }
      }
    }"""
    client = Client(engine)

    def value(name: str, count: int, filter: object, precision: str = "EXACT") -> dict[str, Any]:
        return {"value": name, "count": {"value": count, "precision": precision}, "filter": filter}

    everything = (await client.query(query, limit=1000))["pipelines"]
    failed = (await client.query(query, limit=1000, filter={"status": {"in": ["FAILED"]}}))["pipelines"]
    bounded = (await client.query(query, limit=10))["pipelines"]

    statuses = [
        value("SUCCESS", 113, {"status": {"in": ["SUCCESS"]}}),
        value("FAILED", 7, {"status": {"in": ["FAILED"]}}),
    ]
    ingests, aggregations = ({"kind": {"in": [kind]}} for kind in ("CSV_INGEST", "AGGREGATION"))
    assert everything == {
        "totalCount": {"value": 120, "precision": "EXACT"},
        "facets": [
            {"key": "STATUS", "values": statuses},
            {
                "key": "KIND",
                "values": [value("CSV_INGEST", 120, ingests), value("AGGREGATION", 113, aggregations)],
            },
        ],
    }
    assert failed == {
        "totalCount": {"value": 7, "precision": "EXACT"},
        "facets": [{"key": "STATUS", "values": statuses}, {"key": "KIND", "values": [value("CSV_INGEST", 7, ingests)]}],
    }
    assert bounded["totalCount"] == {"value": 10, "precision": "AT_LEAST"}
    assert bounded["facets"][0]["values"] == [value("SUCCESS", 10, {"status": {"in": ["SUCCESS"]}}, "AT_LEAST"), statuses[1]]


async def test_the_facet_of_users_names_others_only_to_those_who_may_see_users(engine: AsyncEngine):
    specific = {**UNIT_SPECIFIC, "unit_institutional_id": "A"}
    async with engine.begin() as connection:
        await build.run(connection, OK, created_by={"user_id": "me", "name": "Bo"}, **specific)
        await build.run(connection, OK, created_by={"user_id": "her", "name": "Ada"}, **specific)
    query = "{ pipelines { facets(keys: [TRIGGERED_BY]) { values { value filter } } } }"

    async def values(role: str) -> list[dict[str, Any]]:
        return (await Client(engine, role, unit="A", subject="me").query(query))["pipelines"]["facets"][0]["values"]

    bo, ada = ({"value": name, "filter": {"triggeredBy": [user]}} for name, user in (("Bo", "me"), ("Ada", "her")))
    assert await values("operator") == [ada, bo]
    assert await values("principal") == [bo]


async def test_around_shows_a_pipeline_with_its_neighbours(engine: AsyncEngine):
    async with engine.begin() as connection:
        keys = [await build.run(connection, OK, kind=str(number)) for number in range(9)]
        elsewhere = await build.run(connection, OK, provider="TEST")
    client = Client(engine)
    query = """query ($around: ID, $after: String, $filter: PipelineFilter) {
      pipelines(first: 3, around: $around, after: $after, filter: $filter) { nodes { kindRaw } pageInfo { endCursor } }
    }"""

    async def page(**variables: Any) -> list[str]:
        return [node["kindRaw"] for node in (await client.query(query, **variables))["pipelines"]["nodes"]]

    middle = encode("Pipeline", keys[4])
    cursor = (await client.query(query, around=middle))["pipelines"]["pageInfo"]["endCursor"]
    assert await page(around=middle) == ["5", "4", "3"]
    assert await page(after=cursor) == ["2", "1", "0"]
    assert await page(around=encode("Pipeline", keys[8])) == ["8", "7", "6"]
    assert await page(around=encode("Pipeline", keys[0])) == ["2", "1", "0"]
    assert await page(around=encode("Pipeline", elsewhere)) == ["8", "7", "6"]
    assert await page(around=middle, filter={"hasErrors": True}) == []
    assert await client.codes(query, around=middle, after=cursor) == ["BAD_USER_INPUT"]


async def test_a_cursor_does_not_fit_another_order(engine: AsyncEngine):
    async with engine.begin() as connection:
        for _ in range(2):
            await build.run(connection, OK)
    client = Client(engine)
    query = """query ($order: PipelineOrder, $after: String) {
      pipelines(first: 1, orderBy: $order, after: $after) { nodes { id } pageInfo { endCursor } }
    }"""
    order = {"field": "DURATION"}
    cursor = (await client.query(query, order=order))["pipelines"]["pageInfo"]["endCursor"]

    for other in ({"field": "DURATION", "direction": "ASC"}, {"field": "STARTED_AT"}, None):
        assert await client.codes(query, order=other, after=cursor) == ["CURSOR_FILTER_MISMATCH"]


async def test_jobs_of_a_pipeline_are_filtered_ordered_and_counted(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.pipeline(connection)
        for seconds in (3, 1, None, 2):
            finished = {} if seconds is None else {"result": OK, "finished_at": NOON + timedelta(seconds=seconds)}
            state = {"state": JobState.RUNNING} if seconds is None else {}
            await build.job(connection, key, job_type=JobType.AGGREGATION, started_at=NOON, **state, **finished)
        await build.job(connection, key, result=FAILED)
    query = """query ($filter: JobFilter, $after: String) { pipelines { nodes {
      jobs(filter: $filter, orderBy: { field: DURATION }, first: 3, after: $after) {
        nodes { durationSeconds state } totalCount { value } pageInfo { endCursor }
      }
    } } }"""
    client, filter = Client(engine), {"kind": {"in": ["AGGREGATION"]}}

    first = (await client.query(query, filter=filter))["pipelines"]["nodes"][0]["jobs"]
    rest = (await client.query(query, filter=filter, after=first["pageInfo"]["endCursor"]))["pipelines"]["nodes"][0]["jobs"]

    assert [job["durationSeconds"] for job in first["nodes"]] == [1.0, 2.0, 3.0]
    assert [job["state"] for job in rest["nodes"]] == ["RUNNING"]
    assert first["totalCount"] == {"value": 4}


async def test_what_ended_before_its_first_claim_has_no_duration_and_comes_last(engine: AsyncEngine):
    async with engine.begin() as connection:
        keys = [await build.pipeline(connection) for _ in range(3)]
        await build.job(connection, keys[2], result=OK, started_at=NOON, finished_at=NOON + timedelta(seconds=5))
        for key in (*keys[:2], None):
            await build.job(connection, key, result=FAILED, started_at=None, finished_at=NOON)
        for key in keys:
            await build.settle(connection, key)
    query = """query ($after: String, $direction: Direction!) {
      jobs(orderBy: { field: DURATION, direction: $direction }, first: 2, after: $after) {
        nodes { durationSeconds } pageInfo { endCursor }
      }
      pipelines(orderBy: { field: DURATION, direction: $direction }) { nodes { durationSeconds } }
      short: pipelines(filter: { durationSeconds: { max: 5 } }) { nodes { durationSeconds } }
    }"""
    client = Client(engine)

    for direction in ("ASC", "DESC"):
        first = await client.query(query, direction=direction)
        rest = await client.query(query, direction=direction, after=first["jobs"]["pageInfo"]["endCursor"])
        jobs = [*first["jobs"]["nodes"], *rest["jobs"]["nodes"]]
        assert [job["durationSeconds"] for job in jobs] == [5.0, None, None, None]
        assert [one["durationSeconds"] for one in first["pipelines"]["nodes"]] == [5.0, None, None, None]
        assert [one["durationSeconds"] for one in first["short"]["nodes"]] == [5.0]


async def test_jobs_are_listed_across_pipelines_by_every_clause(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.pipeline(connection, unit_institutional_id="A", **UNIT_SPECIFIC)
        running = await build.job(connection, key, state=JobState.RUNNING, claimed_by="w1", started_at=NOON)
        waiting = await build.job(connection, job_type=JobType.UNIT_SYNC, attempts=0)
        failed = await build.job(connection, result=FAILED, attempts=3, is_current=True)
        await build.job(connection, provider="TEST", result=FAILED)
    query = "query ($filter: JobFilter) { jobs(filter: $filter) { nodes { jobId } totalCount { value precision } } }"

    async def ids(client: Client, **filter: Any) -> list[int]:
        page = (await client.query(query, filter=filter))["jobs"]
        assert page["totalCount"] == {"value": len(page["nodes"]), "precision": "EXACT"}
        return [node["jobId"] for node in page["nodes"]]

    operator, principal = Client(engine, "operator"), Client(engine, "principal", unit="A")
    assert await ids(operator) == [failed, waiting, running]
    assert await ids(principal) == [running]
    assert await ids(operator, kind={"notIn": ["UNIT_SYNC"]}) == [failed, running]
    assert await ids(operator, state=["NOT_STARTED", "RUNNING"]) == [waiting, running]
    assert await ids(operator, result=["ERROR"]) == [failed]
    assert await ids(operator, isStuck=True) == [running]
    assert await ids(operator, isStuck=False) == [failed, waiting]
    assert await ids(operator, isCurrent=True) == [failed]
    assert await ids(operator, attemptAtLeast=2) == [failed]
    assert await ids(operator, workerId=encode("Worker", "w1")) == [running]
    assert await _refusal(principal, query, workerId=encode("Worker", "w1")) == {
        "code": "FORBIDDEN",
        "permission": "backoffice.pipeline_operations:view",
        "coordinate": "JobFilter.workerId",
    }
    assert await ids(operator, startedAt={"to": (NOON + timedelta(seconds=1)).isoformat()}) == [running]


async def test_nodes_come_in_the_order_asked_for_with_null_for_what_is_not_there(engine: AsyncEngine):
    async with engine.begin() as connection:
        key = await build.run(connection, OK)
        hidden = await build.run(connection, OK, provider="TEST")
        job = await build.job(connection)
    client = Client(engine)
    ids = [encode("Job", job), encode("Pipeline", hidden), encode("Pipeline", key), encode("Job", job), encode("Novel", 1)]

    nodes = (await client.query("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids))["nodes"]

    assert [node and node["id"] for node in nodes] == [ids[0], None, ids[2], ids[0], None]
    assert await client.codes("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[ids[0]] * 101) == ["BAD_USER_INPUT"]


TONES = ("DANGER", "WARNING", "SUCCESS", "PROGRESS", "NEUTRAL")


async def test_of_a_tone_those_with_errors_and_those_without_are_told_apart(engine: AsyncEngine):
    outcomes = [(OK, OK), (OK, JobResult.WARNING), (OK, FAILED), (FAILED,), (JobState.RUNNING,), (JobState.QUEUED,)]
    async with engine.begin() as connection:
        for number, outcome in enumerate(outcomes):
            await build.run(connection, *outcome, kind=f"run {number}")
    client = Client(engine)

    for flag in (True, False):
        flagged = set(await _kinds(client, hasErrors=flag))
        for tone in TONES:
            of_tone = await _kinds(client, tone=[tone])
            assert await _kinds(client, tone=[tone], hasErrors=flag) == [kind for kind in of_tone if kind in flagged]
            assert of_tone
