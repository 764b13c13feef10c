"""A unit sync provisions its year: all of it, or nothing."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.directory import Directory
from gql_server.commands.recalculation import sync_units
from gql_server.commands.years import create_year
from gql_server.db.models import TargetType
from gql_server.errors import Conflict
from gql_server.handlers.units import BundledDirectory
from gql_server.worker import registry
from tests.handlers.conftest import OPERATOR, PROCESS_FACTORS, SmallDirectory, World


async def test_a_sync_brings_units_people_reports_and_modules_and_stamps_the_year(engine: AsyncEngine) -> None:
    world = World(engine)

    pipeline_id = await world.create_year()

    [job] = await world.jobs(pipeline_id)
    assert (job.result, job.status_message) == ("SUCCESS", "Unit sync completed")
    assert [(phase["name"], phase["state"]) for phase in job.meta["phases"]] == [
        ("fetch_units", "finished"),
        ("upsert_units_and_users", "finished"),
        ("create_carbon_reports", "finished"),
        ("ensure_modules", "finished"),
    ]
    counts = await world.query("""SELECT (SELECT count(*) FROM units) AS units, (SELECT count(*) FROM users) AS users,
        (SELECT count(*) FROM unit_users) AS links, (SELECT count(*) FROM carbon_reports) AS reports,
        (SELECT count(*) FROM carbon_report_modules) AS modules""")
    assert tuple(counts[0]) == (3, 1, 1, 3, 24)
    year = await world.query("SELECT is_started, configuration_completed IS NOT NULL AS provisioned FROM year_configuration")
    assert tuple(year[0]) == (False, True)


async def test_a_second_year_shares_the_units(engine: AsyncEngine) -> None:
    world = World(engine)
    await world.create_year(2025)

    pipeline_id = await world.create_year(2026)

    assert (await world.root(pipeline_id)).result == "SUCCESS"
    assert len(await world.query("SELECT id FROM units")) == 3
    assert len(await world.query("SELECT id FROM carbon_reports")) == 6


@pytest.mark.parametrize(("table", "phases"), [
    ("units", ["fetch_units", "upsert_units_and_users"]),
    ("carbon_reports", ["fetch_units", "upsert_units_and_users", "create_carbon_reports"]),
    ("carbon_report_modules", ["fetch_units", "upsert_units_and_users", "create_carbon_reports", "ensure_modules"]),
])  # fmt: skip
async def test_y10_a_sync_that_fails_leaves_nothing_and_shows_where_it_stopped(
    engine: AsyncEngine, table: str, phases: list[str]
) -> None:
    world = World(engine)
    async with engine.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT full_disk CHECK (false)"))

    pipeline_id = await world.create_year()

    [job] = await world.jobs(pipeline_id)
    assert (job.result, await world.status(pipeline_id)) == ("ERROR", "FAILED")
    assert "full_disk" in job.status_message
    shown = [(phase["name"], phase["state"]) for phase in job.meta["phases"]]
    assert shown == [*((name, "finished") for name in phases[:-1]), (phases[-1], "failed")]
    left = """SELECT (SELECT count(*) FROM units), (SELECT count(*) FROM users), (SELECT count(*) FROM carbon_projects),
        (SELECT count(*) FROM carbon_reports), (SELECT count(configuration_completed) FROM year_configuration)"""
    assert tuple((await world.query(left))[0]) == (0, 0, 0, 0, 0)


async def test_y10_a_year_deleted_before_its_sync_ends_is_a_warning_and_no_failure(engine: AsyncEngine) -> None:
    class Slow(SmallDirectory):
        async def pages(self) -> AsyncIterator[Directory]:
            async with engine.begin() as connection:
                await connection.execute(text("DELETE FROM year_configuration"))
            async for page in super().pages():
                yield page

    world = World(engine)

    pipeline_id = await world.create_year(sources={"ACCRED": Slow()})

    job = await world.root(pipeline_id)
    assert (job.result, job.status_message) == ("SUCCESS", "Unit sync completed, but year 2025 no longer exists")
    assert len(await world.query("SELECT id FROM carbon_reports")) == 3
    assert await world.query("SELECT year FROM year_configuration") == []


async def test_y3_uploads_are_refused_until_a_sync_has_succeeded(engine: AsyncEngine) -> None:
    async def refused() -> dict[str, object]:
        with pytest.raises(Conflict) as conflict:
            await world.submit("process_emissions", PROCESS_FACTORS, target=TargetType.FACTORS)
        return conflict.value.details

    world = World(engine)
    async with engine.begin() as connection:
        await create_year(connection, registry, OPERATOR, 2025)
    unfinished = await refused()
    await world.drain(sources={})
    failed = await refused()
    async with engine.begin() as connection:
        await sync_units(connection, registry, OPERATOR, 2025)
    await world.drain()

    pipeline_id = await world.upload("process_emissions", PROCESS_FACTORS, target=TargetType.FACTORS)

    assert unfinished == failed == {"reason": "YEAR_NOT_PROVISIONED", "year": 2025}
    assert await world.status(pipeline_id) == "SUCCESS"


async def test_a_sync_whose_directory_gives_a_unit_twice_leaves_no_unit(engine: AsyncEngine) -> None:
    class Broken(SmallDirectory):
        async def pages(self) -> AsyncIterator[Directory]:
            async for page in super().pages():
                yield page
                yield Directory(page.units * 2, ())

    world = World(engine)

    pipeline_id = await world.create_year(sources={"ACCRED": Broken()})

    [job] = await world.jobs(pipeline_id)
    assert job.result == "ERROR"
    assert await world.query("SELECT id FROM units") == []
    year = await world.query("SELECT configuration_completed FROM year_configuration")
    assert year[0].configuration_completed is None


async def test_a_provider_without_a_source_of_units_fails_with_one_sentence(engine: AsyncEngine) -> None:
    world = World(engine)

    pipeline_id = await world.create_year(sources={})

    assert (await world.root(pipeline_id)).status_message == "provider ACCRED has no source of units"


async def test_the_bundled_directory_has_2231_units_in_23_pages() -> None:
    pages = [page async for page in BundledDirectory().pages()]

    assert (len(pages), sum(len(page.units) for page in pages)) == (23, 2231)
