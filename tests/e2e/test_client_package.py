"""The client package in another page: what its README shows, in Chromium, at the demo."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from bench.embedded import answer, built
from tests.e2e.servers import operator_of
from tests.e2e.test_console_in_browser import upload

pytestmark = pytest.mark.browser

README = Path(__file__).parents[2] / "frontend" / "client" / "README.md"
EXAMPLE = re.compile(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
LINES = 10
GRAPH = """<script setup>
import { PipelineGraph, PipelineTable, usePipelines } from '@gql-server/client/vue';
import { ref } from 'vue';
const { rows } = usePipelines({ size: 5 });
const open = ref();
</script>
<template><PipelineTable :rows="rows" :open="open" @open="open = $event"><template #open="{ pipeline }">
  <PipelineGraph :pipeline="pipeline.id" :updated-at="pipeline.updatedAt" />
</template></PipelineTable></template>
"""

MANY = """<script setup>
import { PipelineTable, usePipelines } from '@gql-server/client/vue';
import { computed, ref } from 'vue';
const { rows } = usePipelines({ size: 25 });
const count = ref(Number(new URLSearchParams(location.search).get('count') ?? 1000));
const shown = computed(() => rows.value.find((row) => row.status === 'SUCCESS'));
const many = computed(() => Array.from({ length: shown.value ? count.value : 0 }, (_, index) => (
  { ...shown.value, id: `row-${index}`, pipelineId: `${index}`, message: `number ${index}` }
)));
const table = ref();
const open = ref();
globalThis.table = table;
globalThis.count = count;
</script>
<template><PipelineTable ref="table" :rows="many" :open="open" @open="open = $event"><template #open="{ pipeline }">
  <p style="height: 400px">Opened {{ pipeline.message }}</p>
</template></PipelineTable></template>
"""


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    return dict(EXAMPLE.findall(README.read_text("utf-8")))


@pytest.fixture
def visitor(page: Page, origin: str) -> Iterator[Page]:
    """A page that holds a token of the demo's operator; fails the test on an error in its console."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    token = operator_of(origin)["Authorization"].removeprefix("Bearer ")
    page.add_init_script(f"localStorage.setItem('token', '{token}')")
    yield page
    assert said == []


def show(page: Page, origin: str, dist: Path, query: str = "") -> list[str]:
    """Opens the built page at the server's origin; the names of its files, as they are asked for."""
    asked: list[str] = []

    def fulfil(route: Route) -> None:
        asked.append(route.request.url.rpartition("/")[2])
        body, content_type = answer(dist, route.request.url)
        route.fulfill(body=body, content_type=content_type)

    page.route("**/embedded/**", fulfil)
    page.goto(f"{origin}/embedded/{query}")
    return asked


def test_the_readme_s_ten_lines_are_a_list_that_is_live(visitor: Page, origin: str, example: dict[str, str]) -> None:
    written = [line for content in example.values() for line in content.splitlines() if line.strip()]
    assert set(example) == {"main.js", "Pipelines.vue"}
    assert len(written) <= LINES
    show(visitor, origin, built("readme", example))
    rows = visitor.locator("tr.pipeline")
    expect(rows.first).to_be_visible(timeout=30_000)
    newest = rows.first.get_attribute("data-pipeline")
    assert newest is not None

    entered = upload(origin, "process_emissions_2025.csv", "process_emissions")

    expect(rows.first).to_have_attribute("data-pipeline", entered, timeout=30_000)
    expect(rows.nth(1)).to_have_attribute("data-pipeline", newest)
    expect(rows.first.locator(".col-status")).to_have_text("Done", timeout=30_000)


def test_the_table_and_the_graph_are_placed_in_another_page_in_its_colours_and_the_graph_comes_when_it_is_opened(
    visitor: Page, origin: str, example: dict[str, str]
) -> None:
    pipeline = upload(origin, "equipment_2025.csv", "equipment_electric_consumption")
    visitor.emulate_media(color_scheme="dark")
    asked = show(visitor, origin, built("graph", {**example, "Pipelines.vue": GRAPH}))
    row = visitor.locator(f"tr.pipeline[data-pipeline='{pipeline}']")
    expect(row).to_be_visible(timeout=30_000)
    assert visitor.evaluate("getComputedStyle(document.querySelector('.pipelines')).backgroundColor") == "rgb(23, 27, 33)"
    assert [name for name in asked if "PipelineGraph" in name and name.endswith(".js")] == []

    row.click()

    expect(visitor.locator(".vue-flow__node")).to_have_count(5, timeout=30_000)
    assert len([name for name in asked if "PipelineGraph" in name and name.endswith(".js")]) == 1


def test_of_many_rows_those_in_sight_are_drawn_and_what_is_held_stays(
    visitor: Page, origin: str, example: dict[str, str]
) -> None:
    dist = built("many", {**example, "Pipelines.vue": MANY})
    show(visitor, origin, dist)
    rows, table = visitor.locator("tr.pipeline"), visitor.locator("table")
    expect(table).to_have_attribute("aria-rowcount", "1001", timeout=30_000)
    expect(rows.first).to_contain_text("number 0")
    assert 20 < rows.count() < 80
    height = table.bounding_box()["height"]  # pyright: ignore[reportOptionalSubscript]
    assert 28_000 < height < 42_000

    rows.first.focus()
    visitor.evaluate("scrollTo(0, document.documentElement.scrollHeight)")

    expect(rows.last).to_contain_text("number 999")
    expect(rows.last).to_have_attribute("aria-rowindex", "1001")
    expect(rows.first).to_be_focused()
    assert rows.count() < 80

    visitor.evaluate("table.value.move(1)")

    expect(visitor.locator("[data-row=row-1]")).to_be_focused()
    expect(visitor.locator("[data-row=row-1]")).to_be_in_viewport()

    visitor.keyboard.press("Enter")
    expect(visitor.get_by_text("Opened number 1", exact=True)).to_be_visible()
    for _ in range(60):
        visitor.evaluate("table.value.move(1)")

    expect(visitor.locator("[data-row=row-61]")).to_be_focused()
    expect(visitor.locator("[data-row=row-61]")).to_be_in_viewport()
    expect(visitor.get_by_text("Opened number 1", exact=True)).to_have_count(1)

    button = visitor.locator("[data-row=row-63] button")
    button.focus()
    visitor.evaluate("scrollTo(0, document.documentElement.scrollHeight)")

    expect(rows.last).to_contain_text("number 999")
    expect(visitor.locator("[data-row=row-70]")).to_have_count(0)
    expect(button).to_be_focused()

    visitor.evaluate("count.value = 80")

    expect(rows).to_have_count(80)
    assert table.get_attribute("aria-rowcount") is None

    show(visitor, origin, dist, "?count=90")
    expect(rows.last).to_contain_text("number 29")
    assert table.bounding_box()["height"] > 2_500  # pyright: ignore[reportOptionalSubscript]

    visitor.keyboard.press("Control+f")

    expect(rows).to_have_count(90)
