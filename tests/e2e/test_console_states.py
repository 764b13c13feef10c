"""Tabs, dialogs and lists of the console: accessible in each theme and language, and kept as pictures of the run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.test_console_in_browser import AXE, AXE_RUN, CREATE, ROOT, refused, row, serving, upload, visit

pytestmark = pytest.mark.browser

PICTURES = ROOT / "build" / "screenshots"
THEMES, LANGUAGES = ("light", "dark"), ("en", "fr")
TABS = ("jobs", "graph", "timeline", "comparison")
CHOICES = ("pipeops_clause_who", "pipeops_filter_state", "pipeops_filter_conditions")


def picture(folder: str, name: str) -> Path:
    """The path at which a picture of that name is kept."""
    (PICTURES / folder).mkdir(parents=True, exist_ok=True)
    return PICTURES / folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower().strip('/'))}.png"


class Reader:
    """A browser page of the console in one theme and one language."""

    def __init__(self, browser: Browser, origin: str, language: str, theme: str) -> None:
        options = {"color_scheme": theme, "reduced_motion": "reduce", "bypass_csp": True}
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)  # type: ignore[arg-type]
        self.page, self.origin, self.language, self.theme = self.context.new_page(), origin, language, theme
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
        """Complaints of axe about the state, which is kept as a picture."""
        kind = name.split("-")[0]
        shown = self.page.locator(f".q-{kind}" if kind in {"dialog", "menu"} else "body")
        expect(shown).to_be_visible()
        expect(shown.locator(".q-skeleton")).to_have_count(0, timeout=30_000)
        self.page.screenshot(path=picture(f"{self.language}-{self.theme}", name))
        if not self.page.evaluate("'axe' in window"):
            self.page.add_script_tag(path=AXE)
        return [f"{name}: {complaint}" for complaint in self.page.evaluate(AXE_RUN)]


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


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_tab_list_and_dialog_is_accessible(browser: Browser, origin: str, language: str, theme: str) -> None:
    failed = refused(origin)
    good = upload(origin, "process_emissions_2025.csv", "process_emissions")
    refused(origin)
    reader = Reader(browser, origin, language, theme)

    complaints = [
        complaint
        for each in (of_a_pipeline(reader, failed, good), of_the_list(reader, failed), of_failures_and_years(reader))
        for name in each
        for complaint in reader.complaints(name)
    ]

    assert complaints == []
    reader.context.close()


def test_signing_in_and_aborting_are_accessible(browser: Browser) -> None:
    with serving() as (origin, authority):
        headers = {"Authorization": f"Bearer {authority.mint('superadmin')}"}
        created = httpx.post(f"{origin}/graphql", json={"query": CREATE}, headers=headers, timeout=30).json()["data"]
        pipeline = created["createYearConfiguration"]["pipeline"]["pipelineId"]
        complaints: list[str] = []
        for language in LANGUAGES:
            for theme in THEMES:
                reader = Reader(browser, origin, language, theme)
                page = reader.page
                page.goto(f"{origin}/pipelines?lang={language}")
                expect(page.get_by_role("dialog")).to_be_visible()
                complaints += reader.complaints("dialog-signin")
                page.get_by_label(reader.text("pipeops_signin_token")).fill(authority.mint("operator"))
                page.get_by_role("button", name=reader.text("pipeops_signin")).click()
                expect(page.get_by_role("dialog")).to_have_count(0)
                row(page, pipeline).get_by_role("button", name=reader.text("pipeops_action_abort")).click()
                expect(page.get_by_role("dialog")).to_be_visible()
                complaints += reader.complaints("dialog-abort")
                reader.context.close()

        assert complaints == []


@pytest.mark.parametrize("width", [360, 1280, 2560])
@pytest.mark.parametrize("path", ["/pipelines", "/failures", "/years/2025", "/years/2025?tab=settings", "/fleet"])
def test_pages_are_kept_as_pictures_of_each_width(browser: Browser, origin: str, path: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    visit(page, origin, path)
    page.wait_for_load_state("networkidle")
    kept = picture(".", f"{path}-{width}")

    page.screenshot(path=kept, full_page=True)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert kept.stat().st_size > 0
    context.close()
