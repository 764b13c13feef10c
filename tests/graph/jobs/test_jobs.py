from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.driver import Fetched
from gql_server.db.models import EntityType, JobResult, JobState, JobType
from gql_server.feed.queries import jobs_by_event_span
from gql_server.graph.nodes import encode
from gql_server.reads.jobs.meta import ALLOWED, allowed
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client, viewer

SECRETS = {
    "row_errors": [{"row": 1, "reason": "SECRET"}],
    "stats": {"row_errors": ["SECRET"]},
    "error_details": [{"error": "SECRET"}],
    "affected_module_ids": [4711],
    "config": {"file_path": "SECRET"},
    "error": "IntegrityError: SECRET",
    "validation_error": "SECRET",
    "from_the_future": "SECRET",
}
SHOWN = {
    "provider_name": "EquipmentCSVProvider",
    "filters": {"unit": "10208"},
    "status_history": [{"message": "Job created", "ts": "2025-03-01T12:00:00Z"}],
    "phases": [{"name": "fetch_units", "state": "finished"}],
}
META = "meta { providerName filters targetYear entries { key value } }"


async def _job(engine: AsyncEngine, selection: str, role: str = "superadmin", **values: Any) -> dict[str, Any]:
    async with engine.begin() as connection:
        job_id = await build.job(connection, **values)
    query = f"query ($id: Int!) {{ job(by: {{ jobId: $id }}) {{ {selection} }} }}"
    return (await Client(engine, role).query(query, id=job_id))["job"]


async def test_l13_only_the_allowed_keys_of_the_bag_leave_the_database(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        job_id = await build.job(connection, pipeline_id, meta={**SECRETS, **SHOWN}, affected_module_ids=[4711])
        orphan_id = await build.job(connection, meta={**SECRETS, **SHOWN}, config={"file_path": "SECRET"})
    fetched: list[Any] = []

    def record(_connection: Any, cursor: Any, *_: Any) -> None:
        fetched.extend(cursor.rows if isinstance(cursor, Fetched) else cursor._rows)

    event.listen(engine.sync_engine, "after_cursor_execute", record)
    fields = """id jobId kind state result message errorDetail rowErrorCount rowProgress { processed } phases { name }
      meta { providerName filters targetYear entries { key value } }"""

    answer = await Client(engine).query(
        f"query ($id: Int!) {{ pipelines {{ nodes {{ message {META} jobs {{ nodes {{ {fields} }} }} }} }} "
        f"job(by: {{ jobId: $id }}) {{ {fields} }} }}",
        id=job_id,
    )

    entries = [{"key": key, "value": value} for key, value in SHOWN.items()]
    shown = {"providerName": "EquipmentCSVProvider", "filters": {"unit": "10208"}, "targetYear": None, "entries": entries}
    metas = [node["meta"] for node in answer["pipelines"]["nodes"]]
    metas += [job["meta"] for node in answer["pipelines"]["nodes"] for job in node["jobs"]["nodes"]]
    assert metas == [shown] * 4
    assert {job["jobId"] for node in answer["pipelines"]["nodes"] for job in node["jobs"]["nodes"]} == {job_id, orphan_id}
    assert "SECRET" not in str(answer)
    assert fetched
    assert "SECRET" not in str(fetched)
    assert "4711" not in str(fetched)


async def test_the_text_of_an_unexpected_error_reaches_only_who_may_read_details(engine: AsyncEngine):
    unit = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, **unit)
        failed = {"result": JobResult.ERROR, "status_message": "It failed.", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        await build.job(connection, pipeline_id, **failed, meta={**SECRETS, **SHOWN})
        await build.settle(connection, pipeline_id)
    fields = f"message {META}"
    query = f"{{ pipelines {{ nodes {{ lastError {fields} jobs {{ nodes {{ errorDetail {fields} }} }} }} }} }}"

    theirs = await Client(engine, "principal", unit="A").execute(query)
    operators = await Client(engine, "operator").query(query)

    [pipeline] = theirs["data"]["pipelines"]["nodes"]
    [job] = pipeline["jobs"]["nodes"]
    assert (pipeline["message"], pipeline["lastError"], job["message"]) == ("The job failed unexpectedly.",) * 3
    assert job["errorDetail"] is None
    assert [entry["key"] for entry in job["meta"]["entries"]] == list(SHOWN)
    assert "SECRET" not in str(theirs)
    assert [entry["coordinate"] for entry in theirs["extensions"]["redactions"]] == ["Job.errorDetail"]
    assert operators["pipelines"]["nodes"][0]["jobs"]["nodes"][0]["errorDetail"] == "IntegrityError: SECRET"


async def test_keys_that_are_not_asked_for_are_not_shipped(engine: AsyncEngine):
    job = await _job(
        engine, 'meta { entries(keys: ["filters", "row_errors", "nonsense", "phases"]) { key } }', meta={**SECRETS, **SHOWN}
    )

    assert job == {"meta": {"entries": [{"key": "filters"}, {"key": "phases"}]}}


async def test_a_bag_without_the_keys_has_no_entries(engine: AsyncEngine):
    nothing = {"providerName": None, "filters": None, "targetYear": None, "entries": []}

    assert await _job(engine, META) == {"meta": nothing}
    assert await _job(engine, META, meta=dict.fromkeys(ALLOWED)) == {"meta": nothing}


async def test_the_target_year_is_that_of_the_configuration_else_of_the_global_job(engine: AsyncEngine):
    selection = "meta { targetYear }"
    sync = {"job_type": JobType.UNIT_SYNC, "entity_type": EntityType.GLOBAL_PER_YEAR}

    assert await _job(engine, selection, **sync, config={"target_year": 2030}) == {"meta": {"targetYear": 2030}}
    assert await _job(engine, selection, **sync, year=2026) == {"meta": {"targetYear": 2026}}
    assert await _job(engine, selection, year=2026) == {"meta": {"targetYear": None}}


def test_the_allow_list_keeps_its_order_whatever_is_asked():
    assert allowed(None) == ALLOWED
    assert allowed(["phases", "config", "filters"]) == ("filters", "phases")
    assert allowed([]) == ()


@pytest.mark.parametrize(
    ("values", "state", "result", "tone"),
    [
        ({}, "NOT_STARTED", None, "NEUTRAL"),
        ({"state": JobState.QUEUED}, "QUEUED", None, "NEUTRAL"),
        ({"state": JobState.RUNNING}, "RUNNING", None, "PROGRESS"),
        ({"result": JobResult.SUCCESS}, "FINISHED", "SUCCESS", "SUCCESS"),
        ({"result": JobResult.WARNING}, "FINISHED", "WARNING", "WARNING"),
        ({"result": JobResult.ERROR}, "FINISHED", "ERROR", "DANGER"),
        ({"state": None}, "UNKNOWN", None, "NEUTRAL"),
    ],
)
async def test_state_result_and_tone(engine: AsyncEngine, values: dict[str, Any], state: str, result: str | None, tone: str):
    assert await _job(engine, "state result tone", **values) == {"state": state, "result": result, "tone": tone}


async def test_a_job_in_full(engine: AsyncEngine):
    created = datetime(2025, 3, 1, 12, tzinfo=UTC)
    job = await _job(
        engine,
        """id jobId kind kindRaw scope { level year provider module { key } dataEntryType { id typeId key } } target method
        message createdAt startedAt finishedAt durationSeconds rowProgress { stage processed total rowsPerSecond }
        phases { name state startedAt finishedAt durationSeconds } attempt maxAttempts retriesLeft nextAttemptAt isCurrent
        isAborted rowErrorCount""",
        job_type=JobType.EMISSION_RECALC,
        data_entry_type_id=10,
        created_at=created,
        state=JobState.RUNNING,
        started_at=created,
        finished_at=created + timedelta(seconds=4),
        attempts=2,
        run_after=created,
        is_current=True,
        status_message="Recalculating",
        meta={
            "rows_processed": 8,
            "row_errors_count": 3,
            "aborted": True,
            "phases": [
                {"name": "a", "state": "finished", "started_at": "2025-03-01T12:00:00Z", "finished_at": "2025-03-01T12:00:02Z"},
                {"name": "b", "state": "running", "started_at": "not a time", "finished_at": None},
                "nonsense",
            ],
        },
    )

    id = job["jobId"]
    assert job == {
        "id": encode("Job", id),
        "jobId": id,
        "kind": "EMISSION_RECALC",
        "kindRaw": "emission_recalc",
        "scope": {
            "level": "MODULE_PER_YEAR",
            "year": 2025,
            "provider": "DEFAULT",
            "module": {"key": "equipment_electric_consumption"},
            "dataEntryType": {"id": encode("DataEntryType", 10), "typeId": 10, "key": "scientific"},
        },
        "target": "DATA_ENTRIES",
        "method": "COMPUTED",
        "message": "Recalculating",
        "createdAt": "2025-03-01T12:00:00Z",
        "startedAt": "2025-03-01T12:00:00Z",
        "finishedAt": "2025-03-01T12:00:04Z",
        "durationSeconds": 4.0,
        "rowProgress": {"stage": None, "processed": 8, "total": None, "rowsPerSecond": 2.0},
        "phases": [
            {
                "name": "a",
                "state": "finished",
                "startedAt": "2025-03-01T12:00:00Z",
                "finishedAt": "2025-03-01T12:00:02Z",
                "durationSeconds": 2.0,
            },
            {"name": "b", "state": "running", "startedAt": None, "finishedAt": None, "durationSeconds": None},
        ],
        "attempt": 2,
        "maxAttempts": 3,
        "retriesLeft": 1,
        "nextAttemptAt": "2025-03-01T12:00:00Z",
        "isCurrent": True,
        "isAborted": True,
        "rowErrorCount": 3,
    }


async def test_a_bag_of_the_wrong_shape_is_read_as_if_it_were_empty(engine: AsyncEngine):
    job = await _job(
        engine,
        "rowProgress { processed } phases { name } rowErrorCount isAborted meta { targetYear }",
        meta={"progress": "half", "rows_processed": "many", "phases": {"a": 1}, "row_errors_count": None, "aborted": 1},
        config={"target_year": "soon"},
    )

    nothing = {"rowProgress": None, "phases": [], "rowErrorCount": None, "isAborted": False, "meta": {"targetYear": None}}
    assert job == nothing


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"state": JobState.RUNNING}, {"stage": "Reading", "processed": 3, "total": 10}),
        ({"result": JobResult.SUCCESS}, {"stage": None, "processed": 8, "total": None}),
    ],
)
async def test_the_rows_of_a_finished_job_are_those_it_ended_with(
    engine: AsyncEngine, values: dict[str, Any], shown: dict[str, Any]
):
    bag = {"progress": {"phase": "Reading", "processed": 3, "total": 10}, "rows_processed": 8}

    job = await _job(engine, "rowProgress { stage processed total }", meta=bag, **values)

    assert job == {"rowProgress": shown}


async def test_rows_of_a_finished_job_without_its_progress(engine: AsyncEngine):
    job = await _job(engine, "rowProgress { stage processed total }", meta={"rows_processed": 8}, result=JobResult.WARNING)

    assert job == {"rowProgress": {"stage": None, "processed": 8, "total": None}}


async def test_numbers_beyond_an_integer_are_cut(engine: AsyncEngine):
    job = await _job(engine, "rowErrorCount rowProgress { processed }", meta={"row_errors_count": 1e30, "rows_processed": 2.6})

    assert job == {"rowErrorCount": 2**31 - 1, "rowProgress": {"processed": 3}}


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({"meta": {"error": "Traceback"}, "result": JobResult.ERROR}, "Traceback"),
        ({"meta": {"error": "first", "validation_error": "row 3"}, "result": JobResult.ERROR, "status_message": "no"}, "first"),
        ({"meta": {"validation_error": "row 3"}, "result": JobResult.ERROR}, "row 3"),
        ({"status_message": "e" * 600, "result": JobResult.ERROR}, "e" * 600),
        ({"meta": {"error": "old"}, "result": JobResult.SUCCESS}, None),
        ({}, None),
    ],
)
async def test_the_detail_of_an_error_is_in_full(engine: AsyncEngine, values: dict[str, Any], detail: str | None):
    assert await _job(engine, "errorDetail", "operator", **values) == {"errorDetail": detail}


async def test_a_job_of_another_provider_in_a_visible_pipeline_is_not_shown(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        mine = await build.job(connection, pipeline_id)
        await build.job(connection, pipeline_id, provider="TEST")

    nodes = (await Client(engine).query("{ pipelines { nodes { jobs { nodes { jobId } } } } }"))["pipelines"]["nodes"]

    assert nodes == [{"jobs": {"nodes": [{"jobId": mine}]}}]


async def test_the_detail_of_an_error_is_looked_for_where_a_job_has_failed(engine: AsyncEngine):
    async with engine.begin() as connection:
        well, badly = await build.pipeline(connection), await build.pipeline(connection)
        for pipeline_id, result in ((well, JobResult.SUCCESS), (badly, JobResult.SUCCESS), (badly, JobResult.ERROR)):
            await build.job(connection, pipeline_id, result=result, status_message="text")
    query = "query ($id: UUID!) { pipeline(by: {pipelineId: $id}) { jobs { nodes { errorDetail } } } }"

    counts: list[int] = []
    for pipeline_id in (well, badly):
        with statements(engine) as executed:
            await Client(engine).query(query, id=str(pipeline_id))
        counts.append(len([each for each in executed if "detail" in each]))

    assert counts == [0, 1]


async def test_a_principal_reads_the_jobs_of_their_unit_but_not_what_only_operators_may(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, unit_institutional_id="A", entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        await build.job(connection, pipeline_id, result=JobResult.ERROR, locked_at=datetime.now(UTC))

    answer = await Client(engine, "principal", unit="A").execute(
        "{ pipelines { nodes { jobs { nodes { state lockedAt errorDetail scope { unit { id institutionalId } } } } } } }"
    )

    [job] = answer["data"]["pipelines"]["nodes"][0]["jobs"]["nodes"]
    unit = {"id": encode("Unit", "A"), "institutionalId": "A"}
    assert job == {"state": "FINISHED", "lockedAt": None, "errorDetail": None, "scope": {"unit": unit}}
    assert [entry["coordinate"] for entry in answer["extensions"]["redactions"]] == ["Job.errorDetail", "Job.lockedAt"]


async def test_jobs_of_a_span_are_those_its_events_name_through_their_index(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        ids = [await build.job(connection, pipeline_id) for _ in range(4)]
        await build.job(connection, await build.pipeline(connection))
        await build.job(connection, pipeline_id, provider="TEST")
        await connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        await connection.execute(text("TRUNCATE events"))
        events = [(1, ids[0]), (2, ids[3]), (3, None), (4, ids[1]), (5, ids[3]), (6, ids[2])]
        insert = text("INSERT INTO events (seq, pipeline_key, job_id) VALUES (:seq, :key, :job)")
        await connection.execute(insert, [{"seq": seq, "key": pipeline_id, "job": job} for seq, job in events])
        noise = "INSERT INTO events (seq, pipeline_key) SELECT 10 + i, gql_uuid7() FROM generate_series(1, 5000) AS i"
        await connection.execute(text(noise))

    async with engine.connect() as connection:
        found = await jobs_by_event_span(connection, viewer("operator"), [(pipeline_id, (1, 5)), (pipeline_id, (5, 5))])
        await connection.execute(text("ANALYZE events"))
        plan = await connection.scalars(
            text("EXPLAIN SELECT job_id FROM events WHERE pipeline_key = :key AND seq > 1 AND seq <= 5"), {"key": pipeline_id}
        )

    assert [[row.job_id for row in rows] for rows in found.values()] == [[ids[1], ids[3]], []]
    assert "ix_events_pipeline" in "\n".join(plan)
