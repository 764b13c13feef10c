"""The operations console in Chromium, on the demo's day."""

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect

from gql_server.graph.nodes import encode
from tests.databases import execute
from tests.e2e.servers import AUTHORITY, Ledgers, aside, free_port, operator_of, running_demo

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"
LIVE = "[data-live][data-state=live]"
JAVASCRIPT_MAX = 300_000
SCRIPT_BYTES = """performance.getEntriesByType('resource').filter(({name}) => name.endsWith('.js'))
  .reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0)"""
REQUESTS_MAX = 3
FRENCH = "**/assets/french-*.js"
FRENCH_OF_THE_SERVER = "**/assets/server.fr-*.js"
FIRST_PAINT = "first-contentful-paint"
CREATE = """mutation {
  createYearConfiguration(input: { year: 2025 }) { ... on CreateYearConfigurationPayload { pipeline { pipelineId } } }
}"""
MORE_JOBS = """INSERT INTO data_ingestion_jobs
  (provider, job_type, entity_type, state, result, status_message, pipeline_id, year, started_at, finished_at)
SELECT provider, 'aggregation', entity_type, 'FINISHED', 'SUCCESS', 'Success', pipeline_id, year, now(), now()
FROM data_ingestion_jobs, generate_series(1, 1500)"""
ENDED = "query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { isTerminal } }"


def visit(page: Page, origin: str, path: str = "/") -> None:
    """Opens a page and waits until it is live."""
    page.goto(f"{origin}{path}")
    expect(page.locator(LIVE)).to_be_visible(timeout=30_000)


def upload(origin: str, file: str, module: str) -> str:
    """The id of the pipeline that ingests the file."""
    parameters = {"module": module, "year": "2025", "filename": file}
    content = (DATA / file).read_bytes()
    answer = httpx.post(f"{origin}/uploads", params=parameters, headers=operator_of(origin), content=content, timeout=30)
    return answer.raise_for_status().json()["pipelineId"]


def refused(origin: str) -> str:
    """The id of a pipeline that ended because every row was rejected."""
    return ended(origin, b"unit_institutional_id,category,quantity\n99999,x,1\n99998,y,2\n")


def ended(origin: str, content: bytes) -> str:
    """The id of a pipeline that has read a file of that content to its end."""
    parameters = {"module": "process_emissions", "year": "2025", "filename": "refused.csv"}
    answer = httpx.post(f"{origin}/uploads", params=parameters, headers=operator_of(origin), content=content, timeout=30)
    pipeline = answer.raise_for_status().json()["pipelineId"]
    asked = {"query": ENDED, "variables": {"id": pipeline}}
    deadline = time.monotonic() + 60
    while not httpx.post(f"{origin}/graphql", json=asked, headers=operator_of(origin)).json()["data"]["pipeline"]["isTerminal"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return pipeline


def operation_of(request: Request) -> str:
    return request.post_data_json["operationName"]  # type: ignore[index]


def asks_for_counts(route: Route) -> bool:
    return operation_of(route.request) == "PipelineCounts"


def let_go(page: Page, held: list[Route]) -> None:
    """Let a request that is held go on, once it is there."""
    while not held:
        page.wait_for_timeout(50)
    held.pop().continue_()


def sign_in(page: Page, token: str) -> None:
    """Signs in by a token, and waits until the dialog has closed: what is opened next is a dialog, too."""
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=30_000)


def choose_language(page: Page, name: str) -> None:
    page.locator(".lang").click()
    page.locator(".q-menu").get_by_text(name).click()
    expect(page.locator(".q-menu")).to_have_count(0)


def row(page: Page, pipeline: str) -> Locator:
    return page.locator(f"tr[data-pipeline='{pipeline}']")


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """Messages of the page's console and exceptions, of which there shall be none."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield said
    assert said == []


def test_the_root_opens_on_the_pipelines_signed_in_and_live(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin)

    expect(page).to_have_url(f"{origin}/pipelines")
    expect(page.get_by_role("heading", name="Pipelines")).to_be_visible()
    expect(page.get_by_label("Signed in as Operator")).to_be_visible()
    expect(page.locator("tr.pipeline").first).to_be_visible()


FRAMED = """
window.framed = [];
const plain = window.fetch;
window.fetch = (...asked) => { framed.push(document.querySelector('.frame') !== null); return plain(...asked); };
"""


def test_a_page_is_painted_with_little_from_here_alone(page: Page, origin: str, complaints: list[str]) -> None:
    asked: list[str] = []
    operations: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(FRAMED)
    page.on("request", lambda request: operations.append(operation_of(request)) if request.url == f"{origin}/graphql" else None)
    page.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))

    visit(page, origin)

    assert [url for url in asked if not url.startswith(f"{origin}/")] == []
    of_the_first_page = [operation for operation in operations if operation != "Estimates"]  # those of what runs come later
    assert sorted(of_the_first_page) == ["PipelineCounts", "Pipelines", "Shell"]
    assert len(of_the_first_page) <= REQUESTS_MAX
    assert page.evaluate("framed[0]"), "the rows are asked for before the page is drawn"
    assert len([url for url in asked if url.endswith(".css")]) == 1, "another sheet has all elements matched anew"
    assert 0 < page.evaluate(SCRIPT_BYTES) <= JAVASCRIPT_MAX


def test_rows_do_not_wait_for_their_counts_and_what_was_known_stays_until_they_are_counted_again(
    page: Page, origin: str, complaints: list[str]
) -> None:
    held: list[Route] = []
    page.route("**/graphql", lambda route: held.append(route) if asks_for_counts(route) else route.continue_())
    counter, total = page.locator("[data-alert=FAILED] .alert-count"), page.locator("[data-total]")
    visit(page, origin)
    expect(page.locator("tr.pipeline").first).to_be_visible()
    expect(counter).to_have_text("…")
    expect(total).to_have_text("")

    let_go(page, held)

    expect(total).to_have_text(re.compile(r"^\d+ pipelines?$"))
    expect(counter).to_have_text(re.compile(r"^\d+$"))
    known = total.inner_text(), counter.inner_text()
    page.get_by_role("button", name="Refresh").click()
    expect(total).to_have_attribute("aria-busy", "true")
    assert (total.inner_text(), counter.inner_text()) == known
    let_go(page, held)
    expect(total).to_have_attribute("aria-busy", "false")


def test_rows_stay_though_they_could_not_be_counted(page: Page, origin: str, complaints: list[str]) -> None:
    refused = {"errors": [{"message": "It took too long"}]}
    page.route("**/graphql", lambda route: route.fulfill(json=refused) if asks_for_counts(route) else route.continue_())
    visit(page, origin)

    expect(page.locator("[data-total]")).to_contain_text("They could not be counted:")
    expect(page.locator("[data-total]")).to_contain_text("It took too long")
    expect(page.locator("tr.pipeline").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.unroute("**/graphql")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("[data-total]")).to_have_text(re.compile(r"^\d+ pipelines?$"))


@pytest.mark.parametrize(("theme", "ground"), [("light", "rgb(246, 247, 249)"), ("dark", "rgb(15, 19, 23)")])
def test_a_frame_is_painted_before_any_script_has_come_and_says_nothing(
    browser: Browser, origin: str, theme: str, ground: str
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/assets/*.js", hold)
    page.goto(f"{origin}/pipelines", wait_until="commit")

    expect(page.locator(".frame")).to_be_visible(timeout=30_000)
    while not page.evaluate(
        f"performance.getEntriesByName('{FIRST_PAINT}').length"
    ):  # the page's policy forbids a function to wait for
        page.wait_for_timeout(100)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    assert page.locator("#app").aria_snapshot() == ""
    page.route("**/assets/*.js", lambda route: route.continue_())
    for route in held:
        route.continue_()
    expect(page.locator("tr.pipeline").first).to_be_visible(timeout=30_000)
    expect(page.locator(".frame")).to_have_count(0)
    context.close()


def test_a_counter_opens_the_list_that_it_counts(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin)
    counter = page.locator("[data-alert=FAILED]")
    expect(counter.locator(".alert-count")).to_have_text(re.compile(r"^[1-9]"))
    count = int(counter.locator(".alert-count").inner_text())

    counter.click()

    expect(page).to_have_url(re.compile(r"\?status=FAILED$"))
    expect(page.locator("tr.pipeline")).to_have_count(count)
    expect(page.locator("[data-total]")).to_have_text(f"{count} pipelines" if count != 1 else "1 pipeline")
    expect(counter).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".filter-choice").first).to_contain_text("Status: Failed")
    counter.click()
    expect(page).to_have_url(f"{origin}/pipelines")


def test_a_pressed_counter_stays_pressed_though_nothing_is_left_to_count(
    page: Page, origin: str, complaints: list[str]
) -> None:
    visit(page, origin, "/pipelines?status=PARTIAL&year=1999")
    counter = page.locator("[data-alert=PARTIAL]")

    expect(counter.locator(".alert-count")).to_have_text("0")
    expect(counter).to_have_attribute("aria-pressed", "true")
    counter.click()
    expect(page).to_have_url(f"{origin}/pipelines?year=1999")
    expect(counter).to_have_attribute("aria-pressed", "false")
    expect(counter).to_be_disabled()


def test_filters_are_saved_as_a_view_opened_replaced_and_deleted_with_a_way_back(
    page: Page, origin: str, complaints: list[str]
) -> None:
    visit(page, origin, "/pipelines?status=FAILED&year=2025")
    views, menu = page.locator("[data-views]"), page.locator(".views")
    views.click()
    menu.get_by_text("Save these filters as a view").click()
    page.get_by_role("textbox", name="Name").fill("Broken in 2025")
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()

    expect(views).to_have_text("Broken in 2025")
    visit(page, origin, "/pipelines?kind=CSV_INGEST")
    views.click()
    menu.get_by_role("button", name="Broken in 2025", exact=True).click()
    expect(page).to_have_url(re.compile(r"/pipelines\?status=FAILED&year=2025$"))

    visit(page, origin, "/pipelines?status=PARTIAL")
    views.click()
    menu.get_by_label("Replace “Broken in 2025” by the present filters").click()
    expect(menu.locator("[data-view].q-item--active")).to_contain_text("Broken in 2025")
    page.get_by_role("button", name="Undo").click()
    views.click()
    expect(menu.locator("[data-view]")).to_have_count(1)
    expect(menu.locator("[data-view].q-item--active")).to_have_count(0)

    menu.get_by_label("Delete “Broken in 2025”").click()
    expect(menu.locator("[data-view]")).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    views.click()
    expect(menu.locator("[data-view]")).to_have_count(1)
    menu.get_by_label("Rename “Broken in 2025”").click()
    page.get_by_role("textbox", name="Name").fill("Broken")
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    views.click()
    menu.get_by_role("button", name="Broken", exact=True).click()
    expect(page).to_have_url(re.compile(r"/pipelines\?status=FAILED&year=2025$"))


def test_pipelines_are_filtered_by_who_started_them_and_by_what_they_are_not(
    page: Page, origin: str, complaints: list[str]
) -> None:
    visit(page, origin)
    page.get_by_role("button", name="More filters").click()
    page.get_by_label("Started by", exact=True).click()
    somebody = page.get_by_role("option", name="Operator")
    somebody.click()
    expect(page).to_have_url(re.compile(r"\?who="))
    page.keyboard.press("Escape")
    assert set(page.locator("tr.pipeline .col-author").all_inner_texts()) == {"Operator"}

    page.get_by_label("Condition").click()
    page.get_by_role("option", name="not: With errors").click()
    expect(page).to_have_url(re.compile(r"errors=false"))
    page.keyboard.press("Escape")
    page.get_by_label("Status", exact=True).click()
    page.get_by_role("option", name="Success").click()
    expect(page).to_have_url(re.compile(r"status=SUCCESS"))
    page.get_by_role("checkbox", name="All but these").click()
    expect(page).to_have_url(re.compile(r"notStatus=SUCCESS"))
    expect(page.locator("[data-empty]").or_(page.locator("tr.pipeline").first)).to_be_visible()


def test_what_enters_is_offered_and_the_rows_stay_where_they_are(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin)
    before = page.locator("tr.pipeline").evaluate_all("rows => rows.map(row => row.dataset.pipeline)")

    entered = upload(origin, "process_emissions_2025.csv", "process_emissions")

    offer = page.locator("[data-new]")
    expect(offer).to_have_text("1 new pipeline", timeout=30_000)
    assert page.locator("tr.pipeline").evaluate_all("rows => rows.map(row => row.dataset.pipeline)") == before
    offer.click()
    expect(page.locator("tr.pipeline").first).to_have_attribute("data-pipeline", entered)
    expect(row(page, entered).locator(".col-status")).to_contain_text("Done", timeout=30_000)
    expect(offer).to_have_count(0)


def test_what_leaves_the_list_stays_and_says_so(page: Page, origin: str, complaints: list[str]) -> None:
    failed = refused(origin)
    visit(page, origin, "/pipelines?unresolved=true")
    expect(row(page, failed)).to_be_visible(timeout=30_000)
    expect(row(page, failed)).not_to_contain_text("no longer in this list")

    upload(origin, "process_emissions_2025.csv", "process_emissions")

    expect(row(page, failed)).to_contain_text("no longer in this list", timeout=30_000)
    page.get_by_role("button", name="Refresh").click()
    expect(row(page, failed)).to_have_count(0)


def test_a_failure_is_announced_once(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin)
    expect(page.locator("[data-announcement]")).to_have_text("")

    refused(origin)

    expect(page.locator("[data-announcement]")).to_have_text("Failed: File upload, Process emissions 2025", timeout=30_000)


def test_a_row_opens_to_its_jobs_and_a_link_opens_what_its_sender_saw(page: Page, origin: str, complaints: list[str]) -> None:
    failed = refused(origin)
    visit(page, origin, "/pipelines?errors=true&lang=fr")
    expect(row(page, failed).locator(".col-status")).to_contain_text("Échoué", timeout=30_000)
    row(page, failed).click()
    why = page.locator("[data-diagnosis]").first
    expect(why).to_contain_text("Toutes les lignes ont été rejetées : 0 inserted, 2 skipped")
    expect(why).to_contain_text("Voyez ses lignes en erreur, corrigez le fichier et déposez-le à nouveau")
    sent = page.url

    reader = page.context.new_page()
    reader.goto(sent)

    expect(reader.get_by_role("heading", name="Pipelines")).to_be_visible()
    expect(reader.locator("[data-job]")).to_have_count(1)
    expect(reader.get_by_label("Erreurs uniquement")).to_be_checked()
    reader.get_by_role("button", name="2 lignes rejetées").click()
    expect(reader.locator("[data-row-error]")).to_have_count(2)


def test_a_language_that_was_chosen_is_spoken_again_after_a_visit_at_which_it_could_not_be_had(page: Page, origin: str) -> None:
    visit(page, origin)
    choose_language(page, "Français")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.route(FRENCH, lambda route: route.abort())
    visit(page, origin)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.unroute(FRENCH)

    visit(page, origin)

    expect(page.locator("html")).to_have_attribute("lang", "fr")


def test_of_two_languages_the_one_that_was_chosen_last_is_spoken_though_the_other_comes_later(
    page: Page, origin: str, complaints: list[str]
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(FRENCH, hold)
    visit(page, origin)
    choose_language(page, "Français")
    expect(page).to_have_url(re.compile("lang=fr"))
    choose_language(page, "English")
    expect(page).to_have_url(re.compile("lang=en"))

    with page.expect_request(FRENCH_OF_THE_SERVER):
        let_go(page, held)

    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_label("Signed in as Operator")).to_be_visible()


def test_a_click_on_a_message_shows_all_of_it_and_leaves_the_row_closed(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin, "/pipelines?status=FAILED")
    message = page.locator("tr.pipeline .message").first
    text = message.inner_text()

    message.click()

    expect(page.get_by_role("dialog")).to_contain_text(text)
    expect(page.locator(".drill-row")).to_have_count(0)


def test_keys_walk_the_rows_open_them_search_and_help(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin)
    rows = page.locator("tr.pipeline")
    expect(rows.first).to_be_visible()

    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".drill-row")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.get_by_label("Search messages")).to_be_focused()
    page.keyboard.type("emission factors")
    expect(page).to_have_url(re.compile(r"q=emission\+factors"))
    expect(rows.first.locator(".col-message")).to_contain_text("emission factors")


def test_a_principal_sees_nothing_of_others(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin)
    page.get_by_label("Signed in as Operator").click()
    page.get_by_text("principal of unit 10208").click()

    expect(page.get_by_label("Signed in as Principal 10208")).to_be_visible()
    expect(page.locator(LIVE)).to_be_visible()
    expect(page.locator("tr.pipeline").first.or_(page.locator("[data-empty]"))).to_be_visible()
    assert set(page.locator("tr.pipeline .unit").all_inner_texts()) <= {"10208"}
    assert page.locator("tr.pipeline").count() == page.locator("tr.pipeline .unit").count()


def test_the_page_lives_through_a_restart_with_nothing_lost_or_doubled(page: Page, ledgers: Ledgers, played: str) -> None:
    port = free_port()
    with ledgers.cloned(played) as dsn:
        with running_demo(port, GQL_DATABASE_URL=dsn) as origin:
            visit(page, origin)
            count = page.locator("tr.pipeline").count()
        expect(page.locator("[data-live]")).to_contain_text("Not live since")
        assert page.locator("tr.pipeline").count() == count
        with running_demo(port, GQL_DATABASE_URL=dsn) as origin:
            expect(page.locator(LIVE)).to_be_visible(timeout=60_000)
            entered = upload(origin, "process_emissions_2025.csv", "process_emissions")
            expect(page.locator("[data-new]")).to_have_text("1 new pipeline", timeout=60_000)
            page.locator("[data-new]").click()

            expect(row(page, entered)).to_have_count(1)
            expect(row(page, entered).locator(".col-status")).to_contain_text("Done", timeout=30_000)
            expect(page.locator("tr.pipeline")).to_have_count(count + 1)


def test_who_has_no_token_is_asked_for_one_and_who_has_an_old_one_for_another_where_they_are(
    page: Page, ledgers: Ledgers
) -> None:
    with ledgers.serving() as origin:
        page.goto(f"{origin}/pipelines?year=2025&lang=en")
        sign_in(page, AUTHORITY.mint("operator", lifetime=timedelta(seconds=36)))
        expect(page.locator("[data-empty]")).to_contain_text("No pipeline matches these filters.")
        time.sleep(7)  # half a minute before its end a token is as good as none

        page.get_by_role("button", name="Refresh").click()

        expect(page.get_by_role("dialog")).to_contain_text("has expired")
        sign_in(page, AUTHORITY.mint("operator"))
        page.get_by_role("button", name="Clear filters").first.click()
        expect(page.locator("[data-empty]")).to_contain_text("No pipeline yet.")
        kept = page.evaluate("JSON.stringify([Object.entries(localStorage), document.cookie])")
        assert "eyJ" not in kept


def test_the_console_works_where_only_trusted_documents_are_executed(page: Page, ledgers: Ledgers) -> None:
    answers: list[str] = []
    page.on("response", lambda answer: answers.append(answer.text()) if answer.url.endswith("/graphql") else None)
    with ledgers.serving(GQL_TRUSTED_DOCUMENTS_ONLY="true") as origin:
        headers = {"Authorization": f"Bearer {AUTHORITY.mint('principal', unit='10208')}"}
        refused = httpx.post(f"{origin}/graphql", json={"query": "{ viewer { id } }"}, headers=headers)
        assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        page.goto(f"{origin}/pipelines?lang=en")
        sign_in(page, AUTHORITY.mint("principal", unit="10208"))
        expect(page.locator(LIVE)).to_be_visible(timeout=30_000)
        expect(page.locator("[data-empty]")).to_contain_text("No pipeline yet.")
        page.locator("[data-views]").click()
        expect(page.get_by_text("No view yet.")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Years").click()
        expect(page.locator("[data-empty]")).to_contain_text("No year yet.")
    assert answers
    assert [answer for answer in answers if "trusted documents" in answer] == []


def test_a_pipeline_has_a_page_with_its_reason_and_what_to_do(page: Page, origin: str, complaints: list[str]) -> None:
    failed = refused(origin)

    visit(page, origin, f"/pipelines/{failed}")

    expect(page.get_by_role("heading", name="File upload · Process emissions 2025")).to_be_visible()
    expect(page.locator("[data-diagnosis]").first).to_be_visible()
    page.get_by_role("button", name="2 rejected rows").click()
    expect(page.locator("[data-row-error]")).to_have_count(2)
    page.get_by_label("Search reasons and columns").fill("99998")
    expect(page.locator("[data-row-error]")).to_have_count(1)


def test_a_retry_is_confirmed_and_leads_to_the_pipeline_that_it_started(page: Page, origin: str, complaints: list[str]) -> None:
    failed = refused(origin)
    visit(page, origin, f"/pipelines/{failed}")

    page.get_by_role("button", name="Retry").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()

    expect(page).not_to_have_url(f"{origin}/pipelines/{failed}")
    expect(page).to_have_url(re.compile(r"/pipelines/[0-9a-f-]{36}$"))
    expect(page.locator("h1 + .tier")).to_have_text("Failed", timeout=30_000)
    expect(page.get_by_role("link", name="Run before")).to_have_attribute("href", f"/pipelines/{failed}")


def test_the_graph_of_a_pipeline_is_drawn_when_it_is_asked_for(page: Page, origin: str, complaints: list[str]) -> None:
    pipeline = upload(origin, "equipment_2025.csv", "equipment_electric_consumption")
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    visit(page, origin, f"/pipelines/{pipeline}")
    assert [url for url in loaded if "PipelineGraph" in url] == []

    page.get_by_role("tab", name="Graph").click()

    expect(page.locator(".vue-flow__node")).to_have_count(5, timeout=30_000)
    expect(page.locator(".vue-flow__node .tier--success")).to_have_count(5, timeout=30_000)
    assert page.locator(".vue-flow__edge").count() >= 5


def test_an_arrow_of_the_graph_says_how_it_is_known_to_the_pointer_and_the_keyboard(
    page: Page, origin: str, complaints: list[str]
) -> None:
    pipeline = upload(origin, "process_emissions_2025.csv", "process_emissions")
    visit(page, origin, f"/pipelines/{pipeline}?tab=graph")
    expect(page.locator(".vue-flow__edge")).to_have_count(2, timeout=30_000)
    told = page.locator("[data-provenance]")
    expect(told).to_contain_text("Point at an arrow")

    page.locator(".vue-flow__edge").first.focus()
    expect(told).to_have_text(re.compile(r"File upload #\d+ → .+ #\d+: recorded when it was chained"))
    page.locator(".drawing").scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # the graph fits itself into its place
    arrow = page.locator(".vue-flow__edge-interaction").nth(1).bounding_box()
    assert arrow
    page.mouse.move(arrow["x"] + arrow["width"] / 2, arrow["y"])
    expect(told).to_have_text(re.compile(r"→ Aggregation #\d+: recorded when it was chained"))


def test_details_of_a_job_are_told_with_what_is_left_out(page: Page, origin: str, complaints: list[str]) -> None:
    pipeline = upload(origin, "process_emissions_2025.csv", "process_emissions")
    visit(page, origin, f"/pipelines/{pipeline}")

    page.locator("[data-job]").first.get_by_role("button", name="Details").click()

    expect(page.locator("[data-meta]")).to_contain_text("status_history")
    expect(page.locator("[data-meta]")).to_contain_text("Left out")


def test_all_that_failed_in_a_list_is_retried_together_and_each_says_what_came_of_it(
    page: Page, origin: str, complaints: list[str]
) -> None:
    failed = [refused(origin) for _ in range(2)]
    visit(page, origin, "/pipelines?unresolved=true")
    for pipeline in failed:
        expect(row(page, pipeline)).to_be_visible(timeout=30_000)
    page.locator("[data-bulk-menu]").click()
    page.get_by_text("Retry all that failed in this list…").click()
    dialog = page.get_by_role("dialog")
    boxes = dialog.get_by_role("checkbox", name="Retry this one")
    boxes.last.click()
    chosen = boxes.count() - 1

    dialog.get_by_role("button", name=f"Retry {chosen} pipeline").click()

    told = re.compile("|".join(f"{started} started, {chosen - started} refused" for started in range(1, chosen + 1)))
    expect(dialog.get_by_role("status")).to_have_text(told, timeout=60_000)
    expect(dialog.get_by_role("link", name="started").first).to_be_visible()


@pytest.mark.parametrize("answer", [None, {"data": {"retryPipelines": None}, "errors": [{"message": "Too slow."}]}])
def test_a_retry_that_got_no_answer_is_sent_again_as_it_was_and_starts_nothing_twice(
    page: Page, origin: str, answer: dict[str, Any] | None
) -> None:
    pipeline = refused(origin)
    sent: list[Any] = []

    def lose_the_first_answer(route: Route) -> None:
        if "retryPipelines" not in (route.request.post_data or ""):
            return route.continue_()
        sent.append(json.loads(route.request.post_data or "")["variables"]["input"])
        done = route.fetch()
        if len(sent) == 2:
            return route.fulfill(response=done)
        return route.fulfill(json=answer) if answer else route.abort()

    page.route("**/graphql", lose_the_first_answer)
    visit(page, origin, f"/pipelines?unresolved=true&id={encode('Pipeline', UUID(pipeline))}")
    page.locator("[data-bulk-menu]").click()
    page.get_by_text("Retry all that failed in this list…").click()
    dialog = page.get_by_role("dialog")

    dialog.get_by_role("button", name="Retry 1 pipeline").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_role("button", name="Retry 1 pipeline").click()

    expect(dialog.get_by_role("status")).to_have_text("1 started, 0 refused", timeout=60_000)
    assert sent[0] == sent[1]
    expect(dialog.get_by_role("alert")).to_have_count(0)


def test_a_list_without_failures_has_nothing_to_retry(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin, "/pipelines?status=SUCCESS")
    page.locator("[data-bulk-menu]").click()

    page.get_by_text("Retry all that failed in this list…").click()

    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-none]")).to_have_text("Nothing of this list can be retried.")
    expect(dialog.get_by_role("button", name="Retry", exact=True)).to_be_disabled()


def test_running_pipelines_are_aborted_together_once_their_number_is_confirmed(browser: Browser, ledgers: Ledgers) -> None:
    with ledgers.serving() as origin:
        headers = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin')}"}
        for year in (2025, 2026):
            created = httpx.post(
                f"{origin}/graphql", json={"query": CREATE.replace("2025", str(year))}, headers=headers, timeout=30
            )
            assert created.json()["data"]["createYearConfiguration"]["pipeline"]
        page = browser.new_context().new_page()
        page.goto(f"{origin}/pipelines?lang=en")
        sign_in(page, AUTHORITY.mint("operator"))
        page.locator("[data-bulk-menu]").click()
        page.get_by_text("Abort all that run in this list…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("[data-bulk]")).to_have_text("2 unfinished pipelines end:")
        confirm = dialog.get_by_role("button", name="Abort 2 pipelines")
        dialog.get_by_label("Reason").fill("the wrong years")
        expect(confirm).to_be_disabled()
        dialog.get_by_label("Type 2 to confirm").fill("2")

        confirm.click()

        expect(dialog.get_by_role("status")).to_have_text("2 of 2: 2 aborted, 0 left alone", timeout=30_000)
        dialog.get_by_role("button", name="Close").click()
        expect(page.locator("tr.pipeline .tier", has_text="Aborted")).to_have_count(2)
        page.context.close()


def test_of_many_rejected_rows_those_in_sight_are_drawn_and_the_list_goes_on_to_the_last(
    page: Page, origin: str, complaints: list[str]
) -> None:
    rows = "".join(f"{90_000 + number},x,1\n" for number in range(450))
    pipeline = ended(origin, f"unit_institutional_id,category,quantity\n{rows}".encode())
    visit(page, origin, f"/pipelines/{pipeline}")
    page.get_by_role("button", name="450 rejected rows").click()
    drawn = page.locator("[data-row-error]")
    expect(drawn.first).to_contain_text("1")
    assert drawn.count() < 100

    for _ in range(8):
        page.locator(".rejected").evaluate("list => list.scrollTo(0, list.scrollHeight)")
        page.wait_for_timeout(500)

    kept = int(drawn.last.locator("td").first.inner_text())
    assert kept >= 100
    assert drawn.count() < 200


def test_of_thousands_of_jobs_those_in_sight_are_drawn_and_the_list_goes_on_to_the_last(page: Page, ledgers: Ledgers) -> None:
    with ledgers.cloned() as dsn, ledgers.serving(GQL_DATABASE_URL=dsn) as origin:
        headers = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin')}"}
        created = httpx.post(f"{origin}/graphql", json={"query": CREATE}, headers=headers, timeout=30).json()["data"]
        pipeline = created["createYearConfiguration"]["pipeline"]["pipelineId"]
        aside(execute(dsn, MORE_JOBS))
        page.goto(f"{origin}/pipelines/{pipeline}?lang=en")
        sign_in(page, AUTHORITY.mint("operator"))
        read, drawn = page.locator("[data-jobs-read]"), page.locator("[data-job]")
        expect(read).to_contain_text("jobs so far", timeout=30_000)

        for _ in range(40):
            if read.inner_text() == "1,501 jobs":
                break
            page.locator(".jobs--many").evaluate("list => list.scrollTo(0, list.scrollHeight)")
            page.wait_for_timeout(500)

        expect(read).to_have_text("1,501 jobs")
        assert 0 < drawn.count() < 100


def test_a_pipeline_is_copied_as_markdown(page: Page, origin: str, complaints: list[str]) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    failed = refused(origin)
    visit(page, origin, f"/pipelines/{failed}")

    page.get_by_role("button", name="Copy as Markdown").click()

    expect(page.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert failed in copied
    assert "unknown unit 99999" in copied


def test_a_pipeline_that_is_not_there_is_no_error(page: Page, origin: str, complaints: list[str]) -> None:
    page.goto(f"{origin}/pipelines/00000000-0000-7000-8000-000000000000")

    expect(page.locator("[data-empty]")).to_contain_text("This pipeline is not there, or you may not see it.")


def test_of_two_who_abort_one_pipeline_the_second_is_told_and_sees_what_the_first_did(
    browser: Browser, ledgers: Ledgers
) -> None:
    with ledgers.serving() as origin:
        headers = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin')}"}
        created = httpx.post(f"{origin}/graphql", json={"query": CREATE}, headers=headers, timeout=30).json()["data"]
        pipeline = created["createYearConfiguration"]["pipeline"]["pipelineId"]
        contexts = [browser.new_context() for _ in range(2)]
        first, second = (context.new_page() for context in contexts)
        for page, name in ((first, "ada"), (second, "bob")):
            page.goto(f"{origin}/pipelines")
            sign_in(page, AUTHORITY.mint("operator", subject=name))
            row(page, pipeline).get_by_role("button", name="Abort").click()
            expect(page.get_by_role("dialog")).to_contain_text("1 unfinished job ends:")
            page.get_by_label("Reason").fill(f"{name} says so")

        first.get_by_role("dialog").get_by_role("button", name="Abort").click()

        for page in (first, second):
            expect(row(page, pipeline).locator(".col-status")).to_contain_text("Aborted")
        second.get_by_role("dialog").get_by_role("button", name="Abort").click()
        expect(second.get_by_role("alert")).to_contain_text("It was not aborted:")
        for context in contexts:
            context.close()


def test_a_file_is_dropped_on_its_year_and_the_errors_of_its_rows_are_shown(
    page: Page, origin: str, complaints: list[str]
) -> None:
    visit(page, origin, "/years/2025?upload=data&module=process_emissions")
    content = "unit_institutional_id,category,quantity\\n99999,x,1\\n99998,y,2\\n"
    dropped = page.evaluate_handle(f"""() => {{
      const data = new DataTransfer();
      data.items.add(new File(["{content}"], "dropped.csv", {{ type: "text/csv" }}));
      return data;
    }}""")

    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": dropped})
    expect(page.locator("[data-drop]")).to_contain_text("dropped.csv")
    page.get_by_role("button", name="Upload", exact=True).click()

    result = page.locator("[data-result]")
    expect(result.locator(".tier").first).to_have_text("Failed", timeout=30_000)
    result.get_by_role("button", name="2 rejected rows").click()
    expect(result.locator("[data-row-error]")).to_have_count(2)


def test_a_file_that_is_refused_says_why(page: Page, origin: str) -> None:
    visit(page, origin, "/years/2025?module=process_emissions")

    page.set_input_files("input[type=file]", {"name": "empty.csv", "mimeType": "text/csv", "buffer": b""})
    page.get_by_role("button", name="Upload", exact=True).click()

    expect(page.get_by_role("alert")).to_have_text("The file was not taken: the file is empty")


def test_a_year_that_is_not_there_is_no_error(page: Page, origin: str, complaints: list[str]) -> None:
    page.goto(f"{origin}/years/2031")

    expect(page.locator("[data-empty]")).to_contain_text("There is no year 2031 yet.")


def test_a_failure_is_taken_with_a_note_and_opens_its_pipelines(page: Page, origin: str, complaints: list[str]) -> None:
    refused(origin)
    visit(page, origin, "/failures")
    group = page.locator("[data-failure=ALL_ROWS_REJECTED]").first
    expect(group.get_by_role("link", name="unresolved")).to_have_attribute("href", re.compile(r"unresolved=true"))
    group.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill("asked for another file")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()

    expect(group).to_contain_text("Acknowledged by Operator")
    expect(group).to_contain_text("asked for another file")
    group.get_by_role("link", name=re.compile("pipeline")).click()
    expect(page).to_have_url(re.compile(r"/pipelines\?group="))
    expect(page.locator("tr.pipeline .tier").first).to_have_text("Failed")


def test_the_settings_of_a_year_are_changed_after_a_preview_and_put_back(
    page: Page, origin: str, complaints: list[str]
) -> None:
    visit(page, origin, "/years/2025?tab=settings")
    module = page.locator("[data-settings=process_emissions]")
    module.get_by_label("Uncertainty").click()
    page.get_by_role("option", name="high").click()
    module.get_by_label("process emissions: Threshold").fill("12.5")
    page.get_by_role("button", name="Add a goal").click()
    page.get_by_label("Reduction").fill("40")
    page.get_by_role("button", name="Preview 3 changes").click()

    preview = page.get_by_role("dialog")
    expect(preview).to_contain_text("Process emissions · Uncertainty")
    expect(preview).to_contain_text("medium → high")
    expect(preview).to_contain_text("— → 12.5")
    expect(preview).to_contain_text("— → 2030: −40 %")
    preview.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The settings are saved.")).to_be_visible()
    expect(page.get_by_role("button", name="No change")).to_be_disabled()
    page.reload()
    expect(module.get_by_label("process emissions: Threshold")).to_have_value("12.5")
    expect(page.locator("[data-goal]")).to_have_count(1)


def test_a_setting_that_is_refused_is_told_at_its_field_and_nothing_of_the_form_is_lost(page: Page, origin: str) -> None:
    visit(page, origin, "/years/2025?tab=settings")
    page.get_by_role("button", name="Add a goal").click()
    goal = page.locator("[data-goal]").last
    goal.get_by_label("Target year").fill("2030")
    goal.get_by_label("Target year").evaluate("input => input.removeAttribute('min')")
    goal.get_by_label("Target year").fill("2020")
    page.get_by_role("button", name=re.compile("^Preview")).click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()

    expect(goal.get_by_role("alert").or_(goal.locator(".q-field__messages")).first).to_contain_text("must be after 2025")
    expect(goal.get_by_label("Target year")).to_have_value("2020")
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("button", name="No change")).to_be_disabled()


def test_of_two_who_configure_a_year_the_second_is_told_and_keeps_their_changes(browser: Browser, origin: str) -> None:
    contexts = [browser.new_context() for _ in range(2)]
    first, second = (context.new_page() for context in contexts)
    for page, unit in ((first, "high"), (second, "low")):
        visit(page, origin, "/years/2025?tab=settings")
        page.locator("[data-settings=purchase]" if page is first else "[data-settings=headcount]").get_by_label(
            "Uncertainty"
        ).click()
        page.get_by_role("option", name=unit).click()
    for page in (first, second):
        page.get_by_role("button", name="Preview 1 change").click()
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        if page is first:
            expect(page.get_by_text("The settings are saved.")).to_be_visible()

    expect(second.get_by_role("alert").first).to_contain_text("changed since you read it")
    expect(second.get_by_role("dialog")).to_have_count(0)
    second.get_by_role("button", name="Read again, keep my changes").click()
    expect(second.locator("[data-settings=purchase]")).to_contain_text("high")
    second.get_by_role("button", name="Preview 1 change").click()
    expect(second.get_by_role("dialog")).to_contain_text("Headcount · Uncertainty")
    second.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(second.get_by_text("The settings are saved.")).to_be_visible()
    for context in contexts:
        context.close()


def test_a_year_is_closed_and_opened_after_saying_what_that_means(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin, "/years/2025")
    state, dialog = page.locator("h1 + .tag"), page.get_by_role("dialog")
    for verb, question in (("Open for users", "Open 2025 for users?"), ("Close", "Close 2025?")) * 2:
        if state.inner_text() == ("open" if verb == "Open for users" else "not open"):
            continue
        page.get_by_role("button", name=verb, exact=True).click()
        expect(dialog).to_contain_text(question)
        dialog.get_by_role("button", name=verb, exact=True).click()
        expect(dialog).to_have_count(0)
        expect(state).to_have_text("open" if verb == "Open for users" else "not open")


def test_a_module_is_recalculated_from_its_year(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin, "/years/2025")

    page.get_by_role("button", name="Recalculate Process emissions").click()

    expect(page.get_by_text("The recalculation of Process emissions has started.")).to_be_visible()
    visit(page, origin, "/pipelines?kind=MODULE_EMISSION_RECALC")
    expect(page.locator("tr.pipeline").first).to_contain_text("Module recalculation")


def test_the_fleet_shows_its_workers_and_that_all_is_well(page: Page, origin: str, complaints: list[str]) -> None:
    visit(page, origin, "/fleet")

    expect(page.locator("[data-worker]")).to_have_count(1)
    expect(page.get_by_text("Nothing is wrong.")).to_be_visible()


def test_a_year_is_created_and_its_page_follows_the_unit_sync(page: Page, ledgers: Ledgers) -> None:
    with ledgers.serving() as origin:
        page.goto(f"{origin}/years")
        sign_in(page, AUTHORITY.mint("superadmin"))
        expect(page.locator("[data-empty]")).to_have_text("No year yet.")
        page.get_by_label("New year").fill("2026")

        page.get_by_role("button", name="Create").click()

        expect(page).to_have_url(f"{origin}/years/2026")
        expect(page.get_by_role("heading", name="Year 2026")).to_be_visible()
        expect(page.get_by_role("link", name="Unit sync")).to_be_visible()
        expect(page.get_by_role("button", name="Open for users")).to_have_count(0)
        page.goto(f"{origin}/fleet")
        expect(page.get_by_text("No worker is alive.")).to_be_visible()
        expect(page.locator("[data-diagnosis=NO_LIVE_WORKER]")).to_be_visible()
