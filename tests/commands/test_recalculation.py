"""A recalculation or a unit sync by hand: one at a time, and never in a year that is not provisioned."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers
from gql_server.commands.recalculation import recalculate, sync_units
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound
from gql_server.ledger import Submitted
from gql_server.policy import Viewer
from gql_server.worker import registry
from tests import build
from tests.graphql import viewer
from tests.handlers.conftest import EQUIPMENT_FACTORS, World, world

assert handlers.__all__
assert world
OPERATOR = viewer("operator")
LIVE = (JobState.NOT_STARTED, JobState.QUEUED, JobState.RUNNING)


async def provision(engine: AsyncEngine, **values: Any) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025, **values)


async def start(engine: AsyncEngine, module: int = 8, who: Viewer = OPERATOR, year: int = 2025, **values: Any) -> Submitted:
    async with engine.begin() as connection:
        return await recalculate(connection, registry, who, year, module, **values)


async def sync(engine: AsyncEngine, who: Viewer = OPERATOR, year: int = 2025) -> Submitted:
    async with engine.begin() as connection:
        return await sync_units(connection, registry, who, year)


async def count(engine: AsyncEngine) -> tuple[int, int]:
    """Pipelines and jobs."""
    async with engine.connect() as connection:
        counts = "SELECT (SELECT count(*) FROM pipelines), (SELECT count(*) FROM data_ingestion_jobs)"
        return tuple((await connection.execute(text(counts))).one())


def conflicts(outcomes: list[Any]) -> list[dict[str, Any]]:
    return [outcome.details for outcome in outcomes if isinstance(outcome, Conflict)]


async def test_an_entry_type_is_recalculated_by_one_root_job(engine: AsyncEngine) -> None:
    await provision(engine)

    submitted = await start(engine, 5, data_entry_type_id=60)

    async with engine.connect() as connection:
        columns = (
            "job_type, module_type_id, data_entry_type_id, year, provider, config, target_type, ingestion_method, lock_keys"
        )
        job = (await connection.execute(text(f"SELECT {columns} FROM data_ingestion_jobs WHERE id = {submitted.job_id}"))).one()
        columns = "kind, entity_type, expected_recalc, owes_aggregation, created_by ->> 'user_id'"
        pipeline = (await connection.execute(text(f"SELECT {columns} FROM pipelines"))).one()
    assert tuple(job[:6]) == (JobType.EMISSION_RECALC, 5, 60, 2025, "DEFAULT", {})
    assert tuple(job[6:]) == (TargetType.DATA_ENTRIES, IngestionMethod.COMPUTED, ["1237:10502025"])
    assert tuple(pipeline) == (JobType.EMISSION_RECALC, EntityType.MODULE_PER_YEAR, 1, True, "operator")


async def test_a_module_is_recalculated_and_then_aggregated(world: World) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)
    operator = viewer("operator", provider=Provider.ACCRED)

    submitted = await start(world.engine, 4, operator)
    await world.drain()

    jobs = await world.jobs(submitted.pipeline_id)
    assert [(job.job_type, job.result, job.config) for job in jobs] == [
        ("module_emission_recalc", "SUCCESS", {"data_entry_type_ids": [10, 11, 12], "only_stale": False}),
        ("aggregation", "SUCCESS", {}),
    ]
    assert await world.status(submitted.pipeline_id) == "SUCCESS"


async def test_only_what_is_stale_is_recalculated_and_then_nothing_is(world: World) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)
    operator = viewer("operator", provider=Provider.ACCRED)
    async with world.engine.begin() as connection:
        failed = "job_type = 'emission_recalc' AND data_entry_type_id IN (10, 12)"
        await connection.execute(text(f"UPDATE data_ingestion_jobs SET result = 'ERROR' WHERE {failed}"))

    submitted = await start(world.engine, 4, operator, only_stale=True)
    await world.drain()

    root = await world.root(submitted.pipeline_id)
    assert root.config == {"data_entry_type_ids": [10, 12], "only_stale": True}
    for entry_type in (None, 10):
        with pytest.raises(BadInput) as refused:
            await start(world.engine, 4, operator, data_entry_type_id=entry_type, only_stale=True)
        assert refused.value.message == "nothing of module equipment_electric_consumption needs recalculation in 2025"


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("entry_type", [50, None])
async def test_a_live_recalculation_of_the_same_is_a_conflict_that_names_its_pipeline(
    engine: AsyncEngine, state: JobState, entry_type: int | None
) -> None:
    await provision(engine)
    first = await start(engine, 8, data_entry_type_id=entry_type)
    async with engine.begin() as connection:
        await build.change(connection, first.job_id, state=state, attempts=1)

    with pytest.raises(Conflict) as refused:
        await start(engine, 8, data_entry_type_id=entry_type)

    assert refused.value.details == {"reason": "ALREADY_RUNNING", "pipelineId": str(first.pipeline_id)}
    assert await count(engine) == (1, 1)
    async with engine.begin() as connection:
        await build.finish(connection, first.job_id, JobResult.ERROR)
    assert (await start(engine, 8, data_entry_type_id=entry_type)).job_id > first.job_id


async def test_recalculations_of_something_else_do_not_collide(engine: AsyncEngine) -> None:
    await provision(engine)
    await provision(engine, provider=Provider.TEST)
    async with engine.begin() as connection:
        await build.year(connection, 2026)

    await start(engine, 5, data_entry_type_id=60)
    await start(engine, 5, data_entry_type_id=61)
    await start(engine, 5)
    await start(engine, 4)
    await start(engine, 5, data_entry_type_id=60, year=2026)
    await start(engine, 5, viewer("operator", provider=Provider.TEST), data_entry_type_id=60)

    assert await count(engine) == (6, 6)


@pytest.mark.parametrize("entry_type", [50, None])
async def test_of_fifty_recalculations_at_once_exactly_one_is_accepted(engine: AsyncEngine, entry_type: int | None) -> None:
    await provision(engine)

    outcomes = await asyncio.gather(
        *(start(engine, 8, data_entry_type_id=entry_type) for _ in range(50)), return_exceptions=True
    )

    accepted = [outcome for outcome in outcomes if isinstance(outcome, Submitted)]
    assert len(accepted) == 1
    assert conflicts(outcomes) == [{"reason": "ALREADY_RUNNING", "pipelineId": str(accepted[0].pipeline_id)}] * 49
    assert await count(engine) == (1, 1)


async def test_a_recalculation_that_a_worker_chains_meanwhile_is_a_conflict_too(engine: AsyncEngine) -> None:
    await provision(engine)
    async with engine.connect() as worker:
        pipeline_id = await build.pipeline(worker, module_type_id=8)
        chained = {"job_type": JobType.EMISSION_RECALC, "module_type_id": 8, "data_entry_type_id": 50}
        await build.job(worker, pipeline_id, **chained)
        attempt = asyncio.create_task(start(engine, 8, data_entry_type_id=50))
        async with engine.connect() as observer:
            waiting = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            while not await observer.scalar(waiting):
                assert not attempt.done()
                await observer.rollback()
        await worker.commit()

        with pytest.raises(Conflict) as refused:
            await attempt

    assert refused.value.details == {"reason": "ALREADY_RUNNING", "pipelineId": str(pipeline_id)}
    assert await count(engine) == (1, 1)


@pytest.mark.parametrize(("year", "reason"), [(2025, "YEAR_NOT_PROVISIONED"), (2024, "YEAR_NOT_CREATED")])
async def test_y3_a_year_that_is_not_provisioned_takes_no_recalculation(engine: AsyncEngine, year: int, reason: str) -> None:
    await provision(engine, configuration_completed=None)

    for entry_type in (None, 50):
        with pytest.raises(Conflict) as refused:
            await start(engine, 8, year=year, data_entry_type_id=entry_type)
        assert refused.value.details == {"reason": reason, "year": year}
    assert await count(engine) == (0, 0)


@pytest.mark.parametrize(("module", "values", "message"), [
    (99, {}, "unknown module 99"),
    (8, {"year": 1999}, "year must be between 2000 and 2100"),
    (8, {"data_entry_type_id": 10}, "data entry type 10 is not one of module process_emissions"),
    (8, {"only_stale": True}, "nothing of module process_emissions needs recalculation in 2025"),
])  # fmt: skip
async def test_bad_input_is_named(engine: AsyncEngine, module: int, values: dict[str, Any], message: str) -> None:
    await provision(engine)

    with pytest.raises(BadInput) as refused:
        await start(engine, module, **values)

    assert refused.value.message == message
    assert await count(engine) == (0, 0)


@pytest.mark.parametrize("who", [viewer("standard"), viewer("principal", "10208")])
async def test_only_operators_recalculate_and_synchronise(engine: AsyncEngine, who: Viewer) -> None:
    await provision(engine, is_started=True)

    with pytest.raises(Forbidden):
        await start(engine, 8, who)
    with pytest.raises(Forbidden):
        await sync(engine, who)
    assert await count(engine) == (0, 0)


async def test_a_unit_sync_by_hand_has_its_pipeline_and_provisions_a_year_whose_first_one_failed(engine: AsyncEngine) -> None:
    world = World(engine)
    operator = viewer("operator", provider=Provider.ACCRED)
    failed = await world.create_year(sources={})

    submitted = await sync(engine, operator)
    await world.drain()

    assert [await world.status(pipeline_id) for pipeline_id in (failed, submitted.pipeline_id)] == ["FAILED", "SUCCESS"]
    assert (await world.root(submitted.pipeline_id)).config == {"target_year": 2025}
    year = await world.query("SELECT configuration_completed FROM year_configuration")
    assert year[0].configuration_completed is not None


async def test_of_fifty_unit_syncs_at_once_exactly_one_is_accepted(engine: AsyncEngine) -> None:
    await provision(engine)
    async with engine.begin() as connection:
        await build.year(connection, 2026)
    other = await sync(engine, year=2026)

    outcomes = await asyncio.gather(*(sync(engine) for _ in range(50)), return_exceptions=True)

    accepted = [outcome for outcome in outcomes if isinstance(outcome, Submitted)]
    assert len(accepted) == 1
    assert accepted[0].pipeline_id != other.pipeline_id
    assert conflicts(outcomes) == [{"reason": "ALREADY_RUNNING", "pipelineId": str(accepted[0].pipeline_id)}] * 49
    assert await count(engine) == (2, 2)


async def test_a_unit_sync_without_its_year_is_not_found(engine: AsyncEngine) -> None:
    await provision(engine, provider=Provider.TEST)

    with pytest.raises(NotFound, match="there is no year 2025"):
        await sync(engine)
