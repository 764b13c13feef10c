"""A year as its operators read it: what it lacks, its unit sync, and what they may do."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.carbon.year_configuration import default_config
from gql_server.commands.checks import year_accepts_uploads
from gql_server.commands.ingestion import Ingestion, authorize
from gql_server.commands.years import open_year
from gql_server.db.models import EntityType, JobResult, JobState, JobType, Provider, TargetType
from gql_server.errors import PublicError
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client, viewer

SYNC = {"kind": JobType.UNIT_SYNC, "entity_type": EntityType.GLOBAL_PER_YEAR, "module_type_id": None}
ONLY_CLOUD = default_config(enables=lambda module, *_: module == 7)
READINESS = """{ yearConfigurations { year
  readiness { ready blockers { code message isRequired module { key } dataEntryType { key } pipeline { pipelineId } } }
  provisioningPipeline { pipelineId status } } }"""


async def sync(connection: AsyncConnection, outcome: JobResult | JobState, year: int = 2025, **values: Any) -> str:
    return str(await build.run(connection, outcome, year=year, **SYNC, **values))


async def test_what_a_year_lacks_is_told_with_the_sync_and_the_modules_that_lack_it(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2027, configuration_completed=None, config=ONLY_CLOUD)
        await build.year(connection, 2026, configuration_completed=None, config={})
        await build.year(connection, 2025, config={})
        await build.year(connection, 2024, config={})
        await sync(connection, JobResult.ERROR, 2027)
        failed = await sync(connection, JobResult.ERROR, 2027)
        await sync(connection, JobResult.SUCCESS, 2026, provider=Provider.TEST)
        running = await sync(connection, JobState.RUNNING, 2025)
        done = await sync(connection, JobResult.SUCCESS, 2024)
        cloud = {"module_type_id": 7, "target_type": TargetType.FACTORS, "is_current": True, "year": 2027}
        await build.job(connection, data_entry_type_id=40, result=JobResult.ERROR, **cloud)

    with statements(engine) as executed:
        found = (await Client(engine, "operator").query(READINESS))["yearConfigurations"]

    lacking = {"message": "external_ai in external_cloud_and_ai lacks factors.", "code": "MISSING_FACTOR", "isRequired": False}
    unprovisioned = {"code": "NOT_PROVISIONED", "message": "The unit sync has not succeeded yet.", "isRequired": True}
    nothing = {"module": None, "dataEntryType": None, "pipeline": None}
    cell = {"module": {"key": "external_cloud_and_ai"}, "dataEntryType": {"key": "external_ai"}, "pipeline": None}
    in_flight = {"code": "SYNC_IN_FLIGHT", "message": "The unit sync is under way.", "isRequired": False}
    assert [year["readiness"] for year in found] == [
        {"ready": False, "blockers": [unprovisioned | nothing | {"pipeline": {"pipelineId": failed}}, lacking | cell]},
        {"ready": False, "blockers": [unprovisioned | nothing]},
        {"ready": False, "blockers": [in_flight | nothing | {"pipeline": {"pipelineId": running}}]},
        {"ready": True, "blockers": []},
    ]
    assert [year["provisioningPipeline"] for year in found] == [
        {"pipelineId": failed, "status": "FAILED"},
        None,
        {"pipelineId": running, "status": "RUNNING"},
        {"pipelineId": done, "status": "SUCCESS"},
    ]
    assert 5 <= len(executed) <= 6


async def test_an_orphan_sync_that_names_its_target_year_provisions_that_year(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        job = {"job_type": JobType.UNIT_SYNC, "entity_type": EntityType.GLOBAL_PER_YEAR, "module_type_id": None}
        job_id = await build.job(connection, year=None, config={"target_year": 2025}, state=JobState.RUNNING, **job)

    query = (
        "{ yearConfiguration(by: { year: 2025 }) { provisioningPipeline { isOrphan rootJob { jobId } } readiness { ready } } }"
    )
    found = (await Client(engine, "operator").query(query))["yearConfiguration"]

    assert found == {"provisioningPipeline": {"isOrphan": True, "rootJob": {"jobId": job_id}}, "readiness": {"ready": False}}


async def test_y5_users_read_no_readiness_and_no_unit_sync(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.year(connection, 2025, is_started=True)
        await sync(connection, JobResult.SUCCESS)

    answer = await Client(engine, "principal", unit="A").execute(READINESS)

    assert answer["data"] == {"yearConfigurations": [{"year": 2025, "readiness": None, "provisioningPipeline": None}]}
    assert [entry["coordinate"] for entry in answer["extensions"]["redactions"]] == ["YearConfiguration.readiness"]


CAPABILITIES = """{ yearConfigurations { readiness { blockers { isRequired } }
  viewerCan { open { allowed code message } upload { allowed code message } } } }"""
PERSONAS = [("superadmin", None), ("operator", None), ("principal", "A"), ("standard", None)]
STATES = {
    "unprovisioned": {"configuration_completed": None},
    "prepared": {},
    "open": {"is_started": True},
    "open by hand": {"is_started": True, "configuration_completed": None},
}


@pytest.mark.parametrize(("role", "unit"), PERSONAS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("syncing", [False, True])
async def test_y3_y9_what_the_viewer_may_do_is_what_the_commands_allow_and_readiness_says(
    engine: AsyncEngine, role: str, unit: str | None, state: str, syncing: bool
):
    async with engine.begin() as connection:
        await build.year(connection, 2025, **{"config": default_config(), **STATES[state]})
        if syncing:
            await sync(connection, JobState.RUNNING)

    years = (await Client(engine, role, unit=unit).query(CAPABILITIES))["yearConfigurations"]
    opens, uploads = await _accepted(engine, role, unit)

    for year in years:
        assert year["viewerCan"]["upload"]["allowed"] is uploads
        assert year["viewerCan"]["open"]["allowed"] is opens
        if role in ("superadmin", "operator") and not STATES[state].get("is_started", False):
            assert opens is not any(blocker["isRequired"] for blocker in year["readiness"]["blockers"])
    assert years or not opens


async def _accepted(engine: AsyncEngine, role: str, unit: str | None) -> tuple[bool, bool]:
    """True for each of: the commands open the year, and take a file for it."""
    who = viewer(role, unit)

    async def opens(connection: AsyncConnection) -> None:
        await open_year(connection, who, 2025)

    async def uploads(connection: AsyncConnection) -> None:
        authorize(who, Ingestion(year=2025, module_type_id=8, unit=unit))
        await year_accepts_uploads(connection, who.provider, 2025)

    accepted: list[bool] = []
    for command in (opens, uploads):
        async with engine.connect() as connection:
            try:
                await command(connection)
            except PublicError:
                accepted.append(False)
            else:
                accepted.append(True)
    return accepted[0], accepted[1]


@pytest.mark.parametrize(("role", "unit", "state", "open_code", "upload_code"), [
    ("operator", None, "unprovisioned", "WRONG_STATE", "WRONG_STATE"),
    ("operator", None, "prepared", None, None),
    ("operator", None, "open", "WRONG_STATE", None),
    ("principal", "A", "open", "MISSING_PERMISSION", "DEPENDS_ON_OBJECT"),
    ("standard", None, "open", "MISSING_PERMISSION", "MISSING_PERMISSION"),
])  # fmt: skip
async def test_a_refusal_says_why(
    engine: AsyncEngine, role: str, unit: str | None, state: str, open_code: str | None, upload_code: str | None
):
    async with engine.begin() as connection:
        await build.year(connection, 2025, **STATES[state])

    [year] = (await Client(engine, role, unit=unit).query(CAPABILITIES))["yearConfigurations"]

    may = year["viewerCan"]
    assert (may["open"]["code"], may["upload"]["code"]) == (open_code, upload_code)
    assert all((answer["message"] is None) is (answer["code"] is None) for answer in may.values())
