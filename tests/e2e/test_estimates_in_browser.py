"""The time that a running pipeline will still take, as the console tells it: of runs whose ends are known, by a set clock."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import db
from gql_server.db.models import JobResult, JobState
from tests import build
from tests.e2e.servers import AUTHORITY, Ledgers, aside
from tests.e2e.test_console_in_browser import row, sign_in

pytestmark = pytest.mark.browser

TOOK = [timedelta(minutes=minutes) for minutes in range(30, 41)]
"""Durations of runs that landed: half of them at most 35 minutes, nine of ten at most 39."""
SAID = {
    3: "about 30 min left",
    10: "about 25 min left",
    26.5: "about 9 min left",
    34.5: "less than a minute left",
    36: "should end soon, rarely later than in 3 min",
    39: "takes longer than usual",
}
"""Minutes after the start, and the text then."""


async def runs(dsn: str, started_at: datetime) -> UUID:
    """The key of a pipeline that runs since then, after others of its kind that have landed."""
    engine = db.create_engine(dsn, application="estimates", pool_size=1)
    ended = started_at - timedelta(days=1)
    async with engine.begin() as connection:
        for took in TOOK:
            await run(connection, result=JobResult.SUCCESS, started_at=ended - took, finished_at=ended)
        running = await run(connection, state=JobState.RUNNING, started_at=started_at)
    await engine.dispose()
    return running


async def run(connection: AsyncConnection, **job: Any) -> UUID:
    """A pipeline with this one job."""
    pipeline = await build.pipeline(connection)
    await build.job(connection, pipeline, **job)
    await build.settle(connection, pipeline)
    return pipeline


def clock(instant: datetime) -> str:
    return f"{instant:%I:%M:%S %p}".removeprefix("0")


def test_the_rest_of_a_run_is_told_as_its_time_goes_by_with_the_grounds(browser: Browser, ledgers: Ledgers) -> None:
    started_at = datetime.now(UTC).replace(microsecond=0)
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="UTC")
    page = context.new_page()
    with ledgers.cloned() as dsn, ledgers.serving(GQL_DATABASE_URL=dsn) as origin:
        running = aside(runs(dsn, started_at))
        page.clock.set_fixed_time(started_at)
        page.goto(f"{origin}/pipelines?lang=en")
        sign_in(page, AUTHORITY.mint("operator", lifetime=timedelta(hours=8)))
        estimate = row(page, str(running)).locator("[data-estimate]")
        for minutes, text in SAID.items():
            page.clock.set_fixed_time(started_at + timedelta(minutes=minutes))

            expect(estimate).to_have_text(text, timeout=30_000)

        half, most = (clock(started_at + timedelta(minutes=minutes)) for minutes in (35, 39))
        grounds = f"Of 11 past runs like it, half would have ended by {half}, nine of ten by {most}"
        assert (estimate.get_attribute("title") or "").replace("\u202f", " ") == grounds
        assert (estimate.get_attribute("aria-label") or "").replace("\u202f", " ") == f"takes longer than usual. {grounds}"
        expect(page.locator("[data-estimate]")).to_have_count(1)
    context.close()
