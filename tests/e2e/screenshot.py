"""Takes the pictures of the documents: `python -m tests.e2e.screenshot docs/graphiql.png docs/console.png`, and with an address
of a Prometheus that scrapes `demo --replay`, `python -m tests.e2e.screenshot docs/monitoring.png http://127.0.0.1:9091`."""

import json
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, expect

from tests.e2e.conftest import chromium
from tests.e2e.servers import free_port, running_demo
from tests.e2e.test_graphiql_in_browser import ANSWER, EQUIPMENT, VARIABLES, open_tab, upload, visit, write

DASHBOARD = Path(__file__).parents[2] / "examples" / "monitoring" / "dashboard.json"
DRAWN = ("Pipelines by status", "Failures by class", "Jobs finished, per minute", "Job duration, p95")


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


def take_monitoring(browser: Browser, prometheus: str, picture: Path) -> None:
    """Writes a PNG of panels of the example's dashboard, as Prometheus draws what they ask for."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    asked = {panel["title"]: panel["targets"][0]["expr"] for panel in panels if panel.get("targets")}
    graphs = [f"g{n}.expr={quote(asked[title].replace('$provider', '.*'))}&g{n}.tab=0" for n, title in enumerate(DRAWN)]
    page = browser.new_page(viewport={"width": 1200, "height": 2200})
    page.goto(f"{prometheus}/classic/graph?{'&'.join(f'{graph}&g{n}.range_input=15m' for n, graph in enumerate(graphs))}")
    for graph in range(len(DRAWN)):
        expect(page.locator(".graph_container svg, .graph svg").nth(graph)).to_be_visible()
    page.add_style_tag(content=".navbar { display: none }")
    page.screenshot(path=picture, animations="disabled", full_page=True)


def main() -> None:
    if sys.argv[2].startswith("http"):
        with chromium() as browser:
            take_monitoring(browser, sys.argv[2], Path(sys.argv[1]))
        return
    with running_demo(free_port()) as origin, chromium() as browser:
        take_console(browser, origin, Path(sys.argv[2]))
        take(browser, origin, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
