"""A unit sync provisions its year: all of it, or nothing."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.directory import Directory
from gql_server.handlers.units import BundledDirectory
from tests.handlers.conftest import SmallDirectory, World


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


async def test_a_sync_that_fails_halfway_leaves_no_unit_and_shows_where_it_stopped(engine: AsyncEngine) -> None:
    class Broken(SmallDirectory):
        async def pages(self) -> AsyncIterator[Directory]:
            async for page in super().pages():
                yield page
                yield Directory(page.units * 2, ())

    world = World(engine)

    pipeline_id = await world.create_year(sources={"ACCRED": Broken()})

    [job] = await world.jobs(pipeline_id)
    assert job.result == "ERROR"
    assert job.meta["phases"][-1]["name"] == "upsert_units_and_users"
    assert job.meta["phases"][-1]["state"] == "failed"
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
