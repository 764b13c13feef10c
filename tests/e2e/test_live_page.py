"""The live example's page in Chromium, through a restart of the server."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.servers import Ledgers, free_port, operator_of, running_demo

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
EQUIPMENT = ROOT / "examples" / "data" / "equipment_2025.csv"
EMISSIONS = ROOT / "examples" / "data" / "process_emissions_2025.csv"


def upload(origin: str, headers: dict[str, str], file: Path, module: str) -> str:
    """The id of the pipeline that ingests the file."""
    parameters = {"module": module, "year": "2025", "target": "data", "filename": file.name}
    answer = httpx.post(f"{origin}/uploads", params=parameters, headers=headers, content=file.read_bytes(), timeout=30)
    return answer.raise_for_status().json()["pipelineId"]


def is_shown(page: Page, pipeline: str, status: str) -> None:
    row = page.locator("tbody tr").filter(has_text=pipeline)
    expect(row.locator("td:nth-child(3)")).to_have_text(status, timeout=60_000)


def test_the_page_lives_through_a_restart_and_has_missed_nothing(page: Page, ledgers: Ledgers, played: str) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    port = free_port()
    with ledgers.cloned(played) as dsn:
        with running_demo(port, GQL_DATABASE_URL=dsn) as origin:
            headers = operator_of(origin)
            page.goto(f"{origin}/live/")
            page.get_by_label("Token").fill(headers["Authorization"].removeprefix("Bearer "))
            page.get_by_role("button", name="Go live").click()
            expect(page.locator("#state")).to_have_text("live")
            seen = upload(origin, headers, EMISSIONS, "process_emissions")
            is_shown(page, seen, "SUCCESS")
            interrupted = upload(origin, headers, EQUIPMENT, "equipment_electric_consumption")
        expect(page.locator("#state")).to_contain_text("connection lost")
        with running_demo(port, GQL_DATABASE_URL=dsn):
            expect(page.locator("#state")).to_have_text("live", timeout=60_000)
            is_shown(page, interrupted, "SUCCESS")
            page.get_by_role("button", name="Was anything missed?").click()

            expect(page.locator("#proof")).to_have_text(f"nothing was missed: {page.locator('tbody tr').count()} pipelines")
            is_shown(page, upload(origin, headers, EMISSIONS, "process_emissions"), "SUCCESS")
            page.evaluate("document.querySelector('#proof').textContent = ''")
            page.get_by_role("button", name="Was anything missed?").click()
            expect(page.locator("#proof")).to_contain_text("nothing was missed")

    assert complaints == []
