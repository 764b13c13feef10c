"""Takes the README's picture of GraphiQL: `python tests/e2e/screenshot.py docs/graphiql.png`."""

import sys
from pathlib import Path

from conftest import chromium, demo_server
from playwright.sync_api import Browser, expect


def take(browser: Browser, origin: str, picture: Path) -> None:
    """Writes a PNG of the first tab with its answer."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{origin}/graphiql")
    expect(page.locator(".graphiql-query-editor .monaco-editor")).to_contain_text("LatestPipelines")
    page.get_by_label("Hide editor tools").click()
    page.get_by_label("Execute query").click()
    expect(page.locator(".graphiql-response .view-lines")).to_contain_text("pipelineId")
    page.mouse.move(30, 400)
    page.screenshot(path=picture, animations="disabled")


def main() -> None:
    with demo_server() as origin, chromium() as browser:
        take(browser, origin, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
