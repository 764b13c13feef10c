"""Capabilities of viewers are what the commands let them do, and refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import handlers
from gql_server.commands.pipelines import abort_pipeline, recover_job
from gql_server.commands.retry import retry_pipeline
from gql_server.db import models
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, TargetType
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound, PublicError
from gql_server.handlers.api import entry_sources
from gql_server.policy import Viewer
from gql_server.worker import registry
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import SCHEMA, Client, context, viewer

assert handlers.__all__
PIPELINE = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  viewerCan { abort { allowed code } retry { allowed code } viewErrorDetails { allowed code } acknowledge { allowed code } }
} }"""
JOB = """query ($id: Int!) { job(by: { jobId: $id }) {
  viewerCan { recover { allowed code message } viewErrorDetails { allowed code } downloadSource { allowed code } }
} }"""
OPERATOR = viewer("operator")
ALLOWED = {"allowed": True, "code": None}
SPECIFIC = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A", "module_type_id": 8}
Outcome = type[PublicError] | None


def refused(code: str) -> dict[str, Any]:
    return {"allowed": False, "code": code}


async def of_pipeline(engine: AsyncEngine, pipeline_id: UUID, role: str = "operator", **claims: Any) -> dict[str, Any]:
    return (await Client(engine, role, **claims).query(PIPELINE, id=str(pipeline_id)))["pipeline"]["viewerCan"]


async def of_job(engine: AsyncEngine, job_id: int, role: str = "operator", **claims: Any) -> dict[str, Any]:
    return (await Client(engine, role, **claims).query(JOB, id=job_id))["job"]["viewerCan"]


async def outcome(engine: AsyncEngine, command: Any) -> Outcome:
    """Error that the command raises, or None; nothing of it stays."""
    async with engine.connect() as connection:
        try:
            await command(connection)
        except PublicError as error:
            return type(error)
    return None


async def retried(engine: AsyncEngine, pipeline_id: UUID, who: Viewer = OPERATOR) -> Outcome:
    async def retry(connection: AsyncConnection) -> None:
        await retry_pipeline(connection, registry, who, pipeline_id, entry_sources)

    return await outcome(engine, retry)


async def upload(connection: AsyncConnection, **values: Any) -> UUID:
    statement = insert(models.Upload).values(provider="DEFAULT", filename="a.csv", **values).returning(models.Upload.id)
    return (await connection.execute(statement)).scalar_one()


@pytest.mark.parametrize(
    ("states", "stored", "abort"),
    [
        ([JobState.NOT_STARTED], None, ALLOWED),
        ([JobResult.SUCCESS, JobState.RUNNING], None, ALLOWED),
        ([JobResult.SUCCESS], None, refused("WRONG_STATE")),
        ([JobResult.SUCCESS], "RUNNING", refused("WRONG_STATE")),
        ([JobResult.SUCCESS, JobState.QUEUED], "SUCCESS", ALLOWED),
    ],
)
async def test_what_has_a_live_job_can_be_stopped(engine: AsyncEngine, states: list[Any], stored: str | None, abort: Any):
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, *states)
        if stored:
            await connection.execute(update(models.Pipeline).values(status=stored))

    async def stop(connection: AsyncConnection, who: Viewer = OPERATOR) -> None:
        await abort_pipeline(connection, registry, who, pipeline_id)

    assert (await of_pipeline(engine, pipeline_id))["abort"] == abort
    assert await outcome(engine, stop) is (None if abort["allowed"] else Conflict)


async def test_a_pipeline_without_a_job_cannot_be_retried(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, **SPECIFIC)
        hidden = await build.pipeline(connection, **{**SPECIFIC, "unit_institutional_id": "B"})
    query = "{ pipelines { nodes { viewerCan { retry { allowed code message } retryReplacingNewer { code } } } } }"
    sentence = "It has no job that could be started again."

    [shown] = (await Client(engine, "principal", unit="A").query(query))["pipelines"]["nodes"]
    async with engine.connect() as connection:
        with pytest.raises(Conflict) as refusal:
            await retry_pipeline(connection, registry, OPERATOR, pipeline_id, entry_sources)

    assert shown["viewerCan"]["retry"] == {**refused("NOT_AVAILABLE"), "message": sentence}
    assert shown["viewerCan"]["retryReplacingNewer"] == {"code": "NOT_AVAILABLE"}
    assert refusal.value.message == sentence
    assert refusal.value.details == {"reason": "NOT_REPEATABLE", "pipelineId": str(pipeline_id)}
    assert await retried(engine, hidden, viewer("principal", "A")) is NotFound


async def test_a_principal_stops_nothing_and_an_orphan_cannot_be_stopped(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.run(connection, JobState.NOT_STARTED, **SPECIFIC)
        await build.job(connection)
    query = "{ pipelines(filter: { isOrphan: true }) { nodes { viewerCan { abort { allowed code } } } } }"

    async def stop(connection: AsyncConnection) -> None:
        await abort_pipeline(connection, registry, viewer("principal", "A"), pipeline_id)

    assert (await of_pipeline(engine, pipeline_id, "principal", unit="A"))["abort"] == refused("MISSING_PERMISSION")
    assert await outcome(engine, stop) is Forbidden
    [orphan] = (await Client(engine, "operator").query(query))["pipelines"]["nodes"]
    assert orphan["viewerCan"]["abort"] == refused("NOT_AVAILABLE")


@pytest.mark.parametrize(
    ("situation", "retry", "refusal"),
    [
        ("kept", ALLOWED, None),
        ("pruned", refused("NOT_AVAILABLE"), Conflict),
        ("unprovisioned", refused("WRONG_STATE"), Conflict),
    ],
)
async def test_a_file_is_read_again_while_it_is_kept_and_its_year_takes_it(
    engine: AsyncEngine, situation: str, retry: Any, refusal: Outcome
):
    async with engine.begin() as connection:
        await build.unit(connection, "A")
        completed = None if situation == "unprovisioned" else datetime.now(UTC)
        await build.year(connection, 2025, configuration_completed=completed)
        upload_id = await upload(connection, pruned_at=datetime.now(UTC) if situation == "pruned" else None)
        own = await build.pipeline(connection, **SPECIFIC)
        await build.job(connection, own, result=JobResult.ERROR, upload_id=upload_id, module_type_id=8)
        wide = await build.pipeline(connection, module_type_id=8)
        await build.job(connection, wide, result=JobResult.ERROR, upload_id=upload_id, module_type_id=8)
        for pipeline_id in (own, wide):
            await build.settle(connection, pipeline_id)

    for pipeline_id in (own, wide):
        assert (await of_pipeline(engine, pipeline_id))["retry"] == retry
        assert await retried(engine, pipeline_id) is refusal
    assert (await of_pipeline(engine, own, "principal", unit="A"))["retry"] == retry
    assert await retried(engine, own, viewer("principal", "A")) is refusal


@pytest.mark.parametrize(
    "values",
    [
        {"module_type_id": 1},
        {"module_type_id": 8, "unit_institutional_id": "unknown"},
        {"module_type_id": 8, "target_type": TargetType.REDUCTION_OBJECTIVES},
    ],
)
async def test_a_file_that_would_not_be_taken_today_is_not_read_again(engine: AsyncEngine, values: dict[str, Any]):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        of_pipeline_alone = ("unit_institutional_id", "module_type_id")
        pipeline_id = await build.pipeline(connection, **{name: values[name] for name in of_pipeline_alone if name in values})
        job = {name: value for name, value in values.items() if name != "unit_institutional_id"}
        await build.job(connection, pipeline_id, result=JobResult.ERROR, upload_id=await upload(connection), **job)
        await build.settle(connection, pipeline_id)

    assert (await of_pipeline(engine, pipeline_id))["retry"] == refused("NOT_AVAILABLE")
    assert await retried(engine, pipeline_id) is Conflict


async def test_a_file_that_is_being_read_is_not_read_again(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        upload_id = await upload(connection)
        failed, running = [await build.pipeline(connection) for _ in range(2)]
        await build.job(connection, failed, result=JobResult.ERROR, upload_id=upload_id)
        await build.job(connection, running, state=JobState.RUNNING, upload_id=upload_id)
        for pipeline_id in (failed, running):
            await build.settle(connection, pipeline_id)

    for pipeline_id in (failed, running):
        assert (await of_pipeline(engine, pipeline_id))["retry"] == refused("WRONG_STATE")
        assert await retried(engine, pipeline_id) is Conflict


@pytest.mark.parametrize(
    ("busy", "provisioned", "retry", "refusal"),
    [
        (False, True, ALLOWED, None),
        (True, True, refused("WRONG_STATE"), Conflict),
        (False, False, refused("WRONG_STATE"), Conflict),
    ],
)
async def test_a_recalculation_is_repeated_when_the_same_is_not_under_way(
    engine: AsyncEngine, busy: bool, provisioned: bool, retry: Any, refusal: Outcome
):
    recalc = {"job_type": JobType.EMISSION_RECALC, "module_type_id": 5, "data_entry_type_id": 60}
    async with engine.begin() as connection:
        await build.year(connection, 2025, configuration_completed=datetime.now(UTC) if provisioned else None)
        pipeline_id = await build.pipeline(connection, kind=JobType.EMISSION_RECALC, module_type_id=5)
        await build.job(connection, pipeline_id, result=JobResult.SUCCESS, **recalc)
        await build.settle(connection, pipeline_id)
        if busy:
            await build.job(connection, await build.pipeline(connection), **recalc)

    assert (await of_pipeline(engine, pipeline_id))["retry"] == retry
    assert await retried(engine, pipeline_id) is refusal


@pytest.mark.parametrize(("year", "retry", "refusal"), [(2025, ALLOWED, None), (2024, refused("NOT_AVAILABLE"), NotFound)])
async def test_a_unit_sync_is_repeated_for_a_year_that_exists(engine: AsyncEngine, year: int, retry: Any, refusal: Outcome):
    async with engine.begin() as connection:
        await build.year(connection, 2025, configuration_completed=None)
        scope = {"entity_type": EntityType.GLOBAL_PER_YEAR, "module_type_id": None, "year": year}
        pipeline_id = await build.pipeline(connection, kind=JobType.UNIT_SYNC, **scope)
        values = {"job_type": JobType.UNIT_SYNC, "target_type": TargetType.REFERENCE_DATA, "result": JobResult.ERROR}
        await build.job(connection, pipeline_id, ingestion_method=IngestionMethod.API, **values, **scope)
        await build.settle(connection, pipeline_id)

    assert (await of_pipeline(engine, pipeline_id))["retry"] == retry
    assert await retried(engine, pipeline_id) is refusal


@pytest.mark.parametrize("kind", [JobType.AGGREGATION, JobType.API_INGEST, "of_another_version", None])
async def test_some_work_cannot_be_started_by_hand(engine: AsyncEngine, kind: str | None):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        pipeline_id = await build.pipeline(connection, kind=kind)
        await build.job(connection, pipeline_id, job_type=kind, result=JobResult.ERROR)
        await build.settle(connection, pipeline_id)

    assert (await of_pipeline(engine, pipeline_id))["retry"] == refused("NOT_AVAILABLE")
    assert await retried(engine, pipeline_id) in (Conflict, BadInput)


async def test_factors_of_a_unit_are_for_operators_alone(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True)
        pipeline_id = await build.pipeline(connection, kind=JobType.FACTOR_INGEST, **SPECIFIC)
        values = {"job_type": JobType.FACTOR_INGEST, "target_type": TargetType.FACTORS, "module_type_id": 8}
        await build.job(connection, pipeline_id, result=JobResult.ERROR, upload_id=await upload(connection), **values)
        await build.settle(connection, pipeline_id)

    assert (await of_pipeline(engine, pipeline_id, "principal", unit="A"))["retry"] == refused("MISSING_PERMISSION")
    assert await retried(engine, pipeline_id, viewer("principal", "A")) is Forbidden


async def test_errors_are_read_and_failures_taken_by_operators_where_there_are_any(engine: AsyncEngine):
    async with engine.begin() as connection:
        failed = await build.run(connection, JobResult.ERROR, **SPECIFIC)
        landed = await build.run(connection, JobResult.SUCCESS, **SPECIFIC)

    found = {
        (name, role): [
            (await of_pipeline(engine, pipeline_id, role, unit=unit))[permission]
            for permission in ("viewErrorDetails", "acknowledge")
        ]
        for name, pipeline_id in (("failed", failed), ("landed", landed))
        for role, unit in (("operator", None), ("principal", "A"))
    }

    assert found == {
        ("failed", "operator"): [ALLOWED, ALLOWED],
        ("landed", "operator"): [refused("NOT_AVAILABLE"), refused("WRONG_STATE")],
        ("failed", "principal"): [refused("MISSING_PERMISSION")] * 2,
        ("landed", "principal"): [refused("MISSING_PERMISSION")] * 2,
    }


@pytest.mark.parametrize(
    ("values", "follow_up", "message"),
    [
        ({"state": JobState.RUNNING, "locked_by": "pod", "locked_at": None}, False, None),
        ({"state": JobState.RUNNING, "locked_by": "pod", "locked_at": None}, True, "A follow-up of it already waits."),
        ({"state": JobState.RUNNING, "locked_by": "pod", "locked_at": 5}, False, "Its worker is still at work on it."),
        ({"state": JobState.RUNNING, "locked_by": "gone", "locked_at": 15}, False, None),
        ({"state": JobState.RUNNING, "locked_by": "patient", "locked_at": 15}, False, "Its worker is still at work on it."),
        ({"state": JobState.NOT_STARTED}, False, "It is not running."),
        ({"result": JobResult.ERROR}, False, "It has ended."),
    ],
)
@pytest.mark.parametrize("kind", [JobType.EMISSION_RECALC, JobType.AGGREGATION])
async def test_a_job_is_recovered_when_its_worker_has_fallen_silent(
    engine: AsyncEngine, kind: JobType, values: dict[str, Any], follow_up: bool, message: str | None
):
    async with engine.begin() as connection:
        await build.worker(connection, "pod", lease=timedelta(seconds=10))
        await build.worker(connection, "patient", lease=timedelta(seconds=60))
        pipeline_id = await build.pipeline(connection)
        if values.get("locked_at"):
            values = values | {"locked_at": datetime.now(UTC) - timedelta(seconds=values["locked_at"])}
        scope = {"job_type": kind, "data_entry_type_id": 10 if kind == JobType.EMISSION_RECALC else None}
        other = {"job_type": kind, "data_entry_type_id": 11 if kind == JobType.EMISSION_RECALC else None, "year": 2024}
        job_id = await build.job(connection, pipeline_id, **scope, **values)
        await build.job(connection, pipeline_id, **(scope if follow_up else other))
        await build.settle(connection, pipeline_id)

    async def recover(connection: AsyncConnection) -> None:
        await recover_job(connection, OPERATOR, job_id)

    code = "WRONG_STATE" if message else None
    assert (await of_job(engine, job_id))["recover"] == {"allowed": message is None, "code": code, "message": message}
    assert await outcome(engine, recover) is (Conflict if message else None)


async def test_who_may_only_look_at_operations_downloads_no_file(engine: AsyncEngine):
    async with engine.begin() as connection:
        job_id = await build.job(connection, await build.pipeline(connection, **SPECIFIC), module_type_id=8)
    looks = Viewer("someone", "DEFAULT", frozenset({"backoffice.pipeline_operations:view"}))

    answer = await SCHEMA.execute(JOB, variable_values={"id": job_id}, context_value=context(engine, looks))

    assert answer.data
    assert answer.data["job"]["viewerCan"]["downloadSource"] == refused("MISSING_PERMISSION")


async def test_what_a_viewer_may_do_with_a_job_takes_no_statement_and_to_retry_one_for_all(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        for _ in range(10):
            await build.run(connection, JobResult.ERROR)
    able = "viewerCan { abort { allowed } viewErrorDetails { allowed } acknowledge { allowed } }"
    jobs = "jobs { nodes { viewerCan { recover { allowed } downloadSource { allowed } } } }"

    counts: dict[str, int] = {}
    for fields in (able, f"{able} {jobs}", f"{able} {jobs} again: viewerCan {{ retry {{ allowed }} }}"):
        with statements(engine) as executed:
            await Client(engine, "operator").query(f"{{ pipelines {{ nodes {{ {fields} }} }} }}")
        counts[fields] = len(executed)

    assert list(counts.values()) == [1, 2, 3]
