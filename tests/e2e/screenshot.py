"""Takes the README's pictures: `python tests/e2e/screenshot.py docs/graphiql.png docs/console.png`."""

import json
import sys
from pathlib import Path

from conftest import chromium, demo_server
from playwright.sync_api import Browser, expect
from test_graphiql_in_browser import ANSWER, EQUIPMENT, VARIABLES, open_tab, upload, visit, write


def take(browser: Browser, origin: str, picture: Path) -> None:
    """Writes a PNG of a pipeline that is being followed while it runs."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    visit(page, origin)
    open_tab(page, "FollowPipeline")
    pipeline = upload(page, origin, EQUIPMENT, module="equipment_electric_consumption", year="2025", target="data")
    write(page, VARIABLES, json.dumps({"by": {"pipelineId": pipeline}}))
    page.get_by_label("Execute query").click()
    expect(page.locator(ANSWER)).to_contain_text('"status": "RUNNING"')
    page.mouse.move(30, 400)
    page.screenshot(path=picture, animations="disabled")


def take_console(browser: Browser, origin: str, picture: Path) -> None:
    """Writes a PNG of the list of pipelines with one that failed open."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{origin}/pipelines?lang=en")
    page.locator("tr.pipeline").nth(1).click()
    expect(page.locator("[data-job]").first).to_be_visible()
    page.mouse.move(30, 800)
    page.screenshot(path=picture, animations="disabled")


def main() -> None:
    with demo_server() as origin, chromium() as browser:
        take_console(browser, origin, Path(sys.argv[2]))
        take(browser, origin, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
