"""Pages, tabs, dialogs, lists of the console: accessible in each theme and language, fit for each screen, kept as pictures."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.servers import AUTHORITY, Ledgers
from tests.e2e.test_console_in_browser import CREATE, ROOT, refused, row, upload, visit

pytestmark = pytest.mark.browser

AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
AXE_RUN = "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => `${v.id}: ${v.nodes[0].html}`))"
SIDEWAYS = """[...document.querySelectorAll('.stacked, .stacked *')]
  .filter((each) => ['auto', 'scroll'].includes(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth)
  .map((each) => each.className)"""
AT_ONCE = "*, ::before, ::after { transition: none !important }"
"""No colour of the theme of before is seen any more: one that is inherited takes a frame at each level."""
TWO_FRAMES = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
PICTURES = ROOT / "build" / "screenshots"
PAGES = ["/pipelines", "/failures", "/years", "/years/2025", "/years/2025?tab=settings", "/fleet"]
WIDTHS = (360, 768, 1280, 1440, 2560)
THEMES, LANGUAGES = ("light", "dark"), ("en", "fr")
TABS = ("jobs", "graph", "timeline", "comparison")
CHOICES = ("pipeops_clause_who", "pipeops_filter_state", "pipeops_filter_conditions")


def picture(folder: str, name: str) -> Path:
    """The path at which a picture of that name is kept."""
    (PICTURES / folder).mkdir(parents=True, exist_ok=True)
    return PICTURES / folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower().strip('/'))}.png"


class Reader:
    """A browser page of the console in one language, seen in both themes."""

    def __init__(self, browser: Browser, origin: str, language: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", bypass_csp=True)
        self.page, self.origin, self.language, self.themes = self.context.new_page(), origin, language, THEMES
        locale = ROOT / "frontend" / "console" / "src" / "locales" / f"{language}.json"
        self.texts: dict[str, str] = json.loads(locale.read_text("utf-8"))

    def at(self, path: str) -> Page:
        visit(self.page, self.origin, f"{path}{'&' if '?' in path else '?'}lang={self.language}")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def text(self, key: str) -> re.Pattern[str]:
        """The text of a key, in any of its forms, whatever its values."""
        forms = [re.sub(r"\\\{\w+\\\}", ".+", re.escape(form.strip())) for form in self.texts[key].split("|")]
        return re.compile(f"^(?:{'|'.join(forms)})$")

    def press(self, key: str) -> None:
        self.page.get_by_role("button", name=self.text(key)).first.click()

    def escape(self) -> None:
        self.page.keyboard.press("Escape")
        expect(self.page.locator(".q-dialog, .q-menu")).to_have_count(0)

    def complaints(self, name: str) -> list[str]:
        """Complaints of axe about the state in each theme, of which a picture is kept."""
        kind = name.split("-")[0]
        shown = self.page.locator(f".q-{kind}" if kind in {"dialog", "menu"} else "body")
        expect(shown).to_be_visible()
        expect(shown.locator(".q-skeleton")).to_have_count(0, timeout=30_000)
        if not self.page.evaluate("'axe' in window"):
            self.page.add_script_tag(path=AXE)
            self.page.add_style_tag(content=AT_ONCE)
        assert self.page.evaluate("document.documentElement.lang") == self.language
        self.themes = self.themes[::-1]  # the one that it stands in comes first: a change has the whole page drawn anew
        return [f"{theme} {name}: {complaint}" for theme in self.themes for complaint in self._complaints(name, theme)]

    def _complaints(self, name: str, theme: Any) -> list[str]:
        self.page.emulate_media(color_scheme=theme)
        expect(self.page.locator(f"body.body--{theme}")).to_have_count(1)
        self.page.evaluate(TWO_FRAMES)
        self.page.screenshot(path=picture(f"{self.language}-{theme}", name))
        return self.page.evaluate(AXE_RUN)


def of_choices(reader: Reader, *choices: Locator) -> Iterator[str]:
    for choice in choices:
        choice.click()
        expect(reader.page.get_by_role("option").first).to_be_visible()
        yield f"menu-of-{choice.get_attribute('aria-label')}"
        reader.escape()


def of_a_pipeline(reader: Reader, failed: str, good: str) -> Iterator[str]:
    for tab in TABS:
        reader.at(f"/pipelines/{good}?tab={tab}")
        if tab == "graph":
            expect(reader.page.locator(".vue-flow__node").first).to_be_visible(timeout=30_000)
        yield f"pipeline-{tab}"
    reader.at(f"/pipelines/{failed}")
    reader.press("pipeops_rows_rejected")
    expect(reader.page.locator("[data-row-error]").first).to_be_visible()
    reader.press("pipeops_meta")
    expect(reader.page.locator("[data-meta]")).to_be_visible()
    yield "pipeline-failed"
    reader.press("pipeops_action_retry")
    yield "dialog-retry"


def of_the_list(reader: Reader, failed: str) -> Iterator[str]:
    page = reader.at("/pipelines?status=FAILED")
    row(page, failed).click()
    expect(page.locator("[data-diagnosis]").first).to_be_visible()
    yield "list-row"
    reader.press("pipeops_filter_more")
    yield "list-filters"
    choices = page.locator(".filters")
    yield from of_choices(reader, *(choices.get_by_role("combobox", name=reader.text(label)) for label in CHOICES))
    page.locator("tr.pipeline .message").first.click()
    yield "dialog-message"
    reader.escape()
    page.locator("[data-views]").click()
    yield "menu-views"
    page.get_by_text(reader.text("pipeops_view_save")).click()
    yield "dialog-view"
    reader.escape()
    for item, name in (("pipeops_bulk_retry_these", "retry"), ("pipeops_bulk_abort_these", "abort")):
        page.locator("[data-bulk-menu]").click()
        page.locator(".q-menu").get_by_text(reader.text(item)).click()
        yield f"dialog-bulk-{name}"
        reader.escape()
    for button, name in (("[data-bulk-menu]", "bulk"), (".lang", "language")):
        page.locator(button).click()
        yield f"menu-{name}"
        reader.escape()
    reader.press("pipeops_viewer")
    yield "menu-viewer"
    reader.escape()
    page.keyboard.press("?")
    yield "dialog-help"


def of_failures_and_years(reader: Reader) -> Iterator[str]:
    page = reader.at("/failures")
    reader.press("pipeops_take")
    yield "dialog-take"
    page = reader.at("/years/2025")
    yield from of_choices(reader, *page.locator(".upload").get_by_role("combobox").all())
    page = reader.at("/years/2025?tab=settings")
    page.locator("[data-settings=purchase]").get_by_role("checkbox").nth(1).click()
    yield "year-settings"
    yield from of_choices(reader, page.locator("[data-settings=purchase]").get_by_role("combobox"))
    reader.press("pipeops_settings_preview")
    yield "dialog-settings"
    page = reader.at("/years/2025")
    page.get_by_role("button", name=reader.text("pipeops_year_open")).or_(
        page.get_by_role("button", name=reader.text("pipeops_year_close"))
    ).click()
    yield "dialog-year"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_in_each_theme_and_language(browser: Browser, origin: str, path: str, language: str) -> None:
    reader = Reader(browser, origin, language)
    reader.at(path)

    assert reader.complaints(f"page-{path}") == []
    reader.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_tab_list_and_dialog_is_accessible(browser: Browser, origin: str, language: str) -> None:
    failed = refused(origin)
    good = upload(origin, "process_emissions_2025.csv", "process_emissions")
    refused(origin)
    reader = Reader(browser, origin, language)

    complaints = [
        complaint
        for each in (of_a_pipeline(reader, failed, good), of_the_list(reader, failed), of_failures_and_years(reader))
        for name in each
        for complaint in reader.complaints(name)
    ]

    assert complaints == []
    reader.context.close()


def test_signing_in_and_aborting_are_accessible(browser: Browser, ledgers: Ledgers) -> None:
    with ledgers.serving() as origin:
        headers = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin')}"}
        created = httpx.post(f"{origin}/graphql", json={"query": CREATE}, headers=headers, timeout=30).json()["data"]
        pipeline = created["createYearConfiguration"]["pipeline"]["pipelineId"]
        complaints: list[str] = []
        for language in LANGUAGES:
            reader = Reader(browser, origin, language)
            page = reader.page
            page.goto(f"{origin}/pipelines?lang={language}")
            expect(page.get_by_role("dialog")).to_be_visible()
            complaints += reader.complaints("dialog-signin")
            page.get_by_label(reader.text("pipeops_signin_token")).fill(AUTHORITY.mint("operator"))
            page.get_by_role("button", name=reader.text("pipeops_signin")).click()
            expect(page.get_by_role("dialog")).to_have_count(0)
            row(page, pipeline).get_by_role("button", name=reader.text("pipeops_action_abort")).click()
            expect(page.get_by_role("dialog")).to_be_visible()
            complaints += reader.complaints("dialog-abort")
            reader.context.close()

        assert complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_every_screen(browser: Browser, origin: str, path: str) -> None:
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    visit(page, origin, path)
    page.wait_for_load_state("networkidle")
    expect(page.locator(".q-skeleton")).to_have_count(0, timeout=30_000)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(TWO_FRAMES)
        page.screenshot(path=picture(".", f"{path}-{width}"), full_page=True)

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(SIDEWAYS) == []
    context.close()
