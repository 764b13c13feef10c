"""Everything that `viewerCan` says of a pipeline and its jobs is what the commands do, for every person in every state."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import handlers
from gql_server.commands.failures import acknowledge
from gql_server.commands.pipelines import abort_pipeline, recover_job
from gql_server.commands.retry import retry_pipeline
from gql_server.commands.sources import source_of
from gql_server.db import models
from gql_server.db.models import JobResult, JobState
from gql_server.errors import PublicError
from gql_server.graph.nodes import uuid_key
from gql_server.handlers.api import entry_sources
from gql_server.policy import Viewer
from gql_server.worker import registry
from tests import build
from tests.graph.pipelines.viewer_can.test_capabilities import SPECIFIC, upload
from tests.graphql import Client, viewer

assert handlers.__all__
PERSONAS = [("superadmin", None), ("operator", None), ("principal", "A"), ("principal", "B"), ("standard", None)]
YEARS: dict[str, dict[str, Any]] = {
    "unprovisioned": {"configuration_completed": None},
    "prepared": {},
    "open": {"is_started": True},
}
PIPELINES = """{ pipelines(first: 50) { nodes { id isOrphan
  failures { id fingerprint } jobs { nodes { jobId viewerCan { recover { allowed } downloadSource { allowed } } } }
  viewerCan { abort { allowed } retry { allowed } retryReplacingNewer { allowed } acknowledge { allowed } } } } }"""
GROUP = {"provider": "DEFAULT", "fingerprint": "f" * 32, "failure_class": "VALIDATION", "title": "x", "cause": "", "rule": "x"}
Command = Callable[[AsyncConnection], Awaitable[object]]


async def ledger(connection: AsyncConnection) -> None:
    """Pipelines of one unit and of the whole year in each state, with and without file or job, and a job of no pipeline."""
    await build.worker(connection, "alive", lease=timedelta(hours=1))
    await build.unit(connection, "A")
    silent = {"state": JobState.RUNNING, "locked_by": "gone", "locked_at": datetime.now(UTC) - timedelta(hours=1)}
    held = {"state": JobState.RUNNING, "locked_by": "alive", "locked_at": datetime.now(UTC)}
    ended = [{"result": result} for result in JobResult]
    failing = {"failure_class": "VALIDATION", "failure_fingerprint": "f" * 32}
    for scope in (SPECIFIC, {"module_type_id": 8}):
        await build.pipeline(connection, **scope)
        for values in ({}, silent, held, *ended):
            for pruned_at in (None, datetime.now(UTC)):
                pipeline_id = await build.pipeline(connection, **scope)
                file = {"upload_id": await upload(connection, pruned_at=pruned_at)}
                failed = failing if values.get("result") in (JobResult.ERROR, JobResult.WARNING) else {}
                await build.job(connection, pipeline_id, module_type_id=8, **file, **values, **failed)
                await build.settle(connection, pipeline_id)
    await build.job(connection, result=JobResult.ERROR, **failing)
    await connection.execute(insert(models.FailureGroup).values(GROUP))


async def allows(engine: AsyncEngine, command: Command) -> bool:
    async with engine.connect() as connection:
        try:
            await command(connection)
        except PublicError:
            return False
    return True


def of_pipeline(who: Viewer, shown: dict[str, Any]) -> dict[str, Command]:
    key = uuid_key("Pipeline", shown["id"])

    def retry(*, replace_newer: bool) -> Command:
        return lambda connection: retry_pipeline(connection, registry, who, key, entry_sources, replace_newer=replace_newer)

    commands: dict[str, Command] = {
        "abort": lambda connection: abort_pipeline(connection, registry, who, key),
        "retry": retry(replace_newer=False),
        "retryReplacingNewer": retry(replace_newer=True),
    }
    fingerprint = shown["failures"][0]["fingerprint"] if shown["failures"] else "none"
    return {**commands, "acknowledge": lambda connection: acknowledge(connection, who, fingerprint)}


def of_job(who: Viewer, job_id: int) -> dict[str, Command]:
    return {
        "recover": lambda connection: recover_job(connection, who, job_id),
        "downloadSource": lambda connection: source_of(connection, who, job_id),
    }


@pytest.mark.parametrize(("role", "unit"), PERSONAS)
@pytest.mark.parametrize("year", YEARS)
async def test_what_a_viewer_is_told_that_they_can_do_is_what_the_commands_do(
    engine: AsyncEngine, role: str, unit: str | None, year: str
) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025, **YEARS[year])
        await ledger(connection)
    who = viewer(role, unit)

    shown = (await Client(engine, role, unit=unit).query(PIPELINES))["pipelines"]["nodes"]

    seen = {"superadmin": 27, "operator": 27, "principal": 13 if unit == "A" else 0, "standard": 0}
    assert len(shown) == seen[role]
    for pipeline in shown:
        for name, command in of_pipeline(who, pipeline).items():
            assert pipeline["viewerCan"][name]["allowed"] is await allows(engine, command), (name, pipeline)
        for job in pipeline["jobs"]["nodes"]:
            for name, command in of_job(who, job["jobId"]).items():
                assert job["viewerCan"][name]["allowed"] is await allows(engine, command), (name, job)
