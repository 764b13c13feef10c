"""Aggregations refresh their scope, all of the slice, or nothing."""

from typing import Any

import pytest
from sqlalchemy import text

from gql_server import ledger
from gql_server.db.models import IngestionMethod, TargetType
from gql_server.ledger import NewJob
from gql_server.worker import registry
from tests.handlers.conftest import PROCESS_FACTORS, World

PROCESS = "unit_institutional_id,category,subcategory,quantity,note\n10208,CO2,,100,\n10209,CO2,,50,\n"


async def aggregate(world: World, scope: list[int] | None) -> Any:
    """Forget all statistics, run one aggregation with that scope, and return its job."""
    new = NewJob(
        job_type="aggregation",
        provider="ACCRED",
        ingestion_method=IngestionMethod.COMPUTED,
        target_type=TargetType.DATA_ENTRIES,
        module_type_id=8,
        year=2025,
        scope_module_ids=scope,
    )
    async with world.engine.begin() as connection:
        await connection.execute(text("UPDATE carbon_report_modules SET stats = NULL, status = 0"))
        submitted = await ledger.submit(connection, new, registry["aggregation"].locks(new))
    await world.drain()
    return await world.root(submitted.pipeline_id)


@pytest.fixture
async def uploaded(world: World) -> dict[str, int]:
    """Two units with emissions; the module of each unit."""
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", PROCESS)
    rows = await world.query(
        "SELECT u.institutional_id AS unit, m.id FROM carbon_report_modules m "
        "JOIN carbon_reports r ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id WHERE m.module_type_id = 8"
    )
    return {row.unit: row.id for row in rows}


async def test_c10_an_empty_scope_touches_nothing(world: World, uploaded: dict[str, int]) -> None:
    job = await aggregate(world, [])

    assert (job.result, job.meta["modules_refreshed"]) == ("SUCCESS", 0)
    assert await world.totals(8) == {}


async def test_c10_no_scope_is_the_full_slice(world: World, uploaded: dict[str, int]) -> None:
    job = await aggregate(world, None)

    assert job.meta["modules_refreshed"] == 3
    assert {unit: total for unit, (total, _, _) in (await world.totals(8)).items()} == {
        "10208": 150.0,
        "10209": 75.0,
        "10210": 0.0,
    }
    statuses = await world.query("SELECT status, count(*) AS modules FROM carbon_report_modules GROUP BY 1 ORDER BY 1")
    assert [(row.status, row.modules) for row in statuses] == [(0, 22), (1, 2)]


async def test_a_scope_is_refreshed_alone(world: World, uploaded: dict[str, int]) -> None:
    await aggregate(world, [uploaded["10209"]])

    assert list(await world.totals(8)) == ["10209"]
