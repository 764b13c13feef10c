import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, WebSocket, expect

pytestmark = pytest.mark.browser

DETAILS = ["WhatBroke", "Unresolved", "WhyStuck", "RowErrors"]
LIVE = ["FollowPipeline", "LiveList", "LiveStrip"]
BOARDS = ["Poll", "YearBoard", "Fleet", "BulkAbortPreview", "PriceFirst", "WhoAmI"]
TABS = ["Console", *DETAILS, *LIVE, *BOARDS]
OPERATION = ".graphiql-query-editor .monaco-editor"
VARIABLES = "section[aria-label=Variables] .graphiql-editor:not(.hidden) .monaco-editor"
HEADERS = "section[aria-label=Headers] .graphiql-editor:not(.hidden) .monaco-editor"
ANSWER = ".graphiql-response .view-lines"
EQUIPMENT = Path(__file__).parents[2] / "examples" / "data" / "equipment_2025.csv"


def visit(page: Page, origin: str) -> None:
    """Opens the page and waits until it has read the schema as its viewer."""
    with page.expect_response(f"{origin}/graphql") as introspection:
        page.goto(f"{origin}/graphiql")
    assert introspection.value.json()["data"]["__schema"]["queryType"]["name"] == "Query"
    expect(page.get_by_role("tab")).to_have_text(TABS, use_inner_text=True)
    expect(page.locator(OPERATION)).to_contain_text(TABS[0])


def open_tab(page: Page, name: str) -> None:
    """Opens a tab and waits until GraphiQL has read its operation, which it does a moment after showing it."""
    page.get_by_role("tab", name=name).click()
    page.wait_for_function("name => localStorage.getItem('graphiql:query')?.includes(name)", arg=name)


def run(page: Page) -> Response:
    """Executes the open tab over HTTP and waits for the answer."""
    with page.expect_response("**/graphql") as answer:
        page.get_by_label("Execute query").click()
    return answer.value


def write(page: Page, editor: str, text: str) -> None:
    page.locator(editor).click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(text)


def act_as(page: Page, label: str) -> None:
    with page.expect_response("**/graphql"):
        page.get_by_label("Act as").select_option(label)
    expect(page.locator(OPERATION)).to_be_visible()


def leave_for(page: Page, tab: str) -> None:
    """Opens another tab and waits until GraphiQL, which writes with a delay, has stored them all."""
    page.evaluate("localStorage.removeItem('graphiql:tabState')")
    open_tab(page, tab)
    page.wait_for_function("() => localStorage.getItem('graphiql:tabState') !== null")


def tokens(page: Page) -> list[str]:
    return [viewer["headers"]["Authorization"] for viewer in page.evaluate("window.__GQL__.viewers")]


def upload(page: Page, origin: str, file: Path, **parameters: str) -> str:
    """Sends a file as the first viewer would; the id of the pipeline that ingests it."""
    headers = {"authorization": tokens(page)[0], "content-type": "text/csv"}
    answer = page.request.post(
        f"{origin}/uploads", params={**parameters, "filename": file.name}, headers=headers, data=file.read_bytes()
    )
    assert answer.status == 202
    return answer.json()["pipelineId"]


def test_a_first_time_visitor_reads_the_latest_pipelines(page: Page, origin: str) -> None:
    visit(page, origin)

    pipelines = run(page).json()["data"]["pipelines"]["nodes"]

    assert pipelines
    expect(page.locator(ANSWER)).to_contain_text(pipelines[0]["pipelineId"])


@pytest.fixture(scope="module")
def tabbed(browser: Browser, origin: str) -> Iterator[Page]:
    """The page with all of its tabs, for who only opens them."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    visit(page, origin)
    yield page
    context.close()


@pytest.mark.parametrize("tab", [*DETAILS, *BOARDS])
def test_every_other_tab_answers_without_errors(tabbed: Page, tab: str) -> None:
    open_tab(tabbed, tab)

    answer = run(tabbed)

    assert answer.status == 200
    assert answer.json().keys() == {"data"}


def test_a_pipeline_is_followed_live_until_it_ends(page: Page, origin: str) -> None:
    frames: list[dict[str, Any]] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(json.loads(frame)))

    page.on("websocket", listen)
    visit(page, origin)
    open_tab(page, "FollowPipeline")
    pipeline = upload(page, origin, EQUIPMENT, module="equipment_electric_consumption", year="2025", target="data")
    write(page, VARIABLES, json.dumps({"by": {"pipelineId": pipeline}}))

    page.get_by_label("Execute query").click()

    expect(page.locator(ANSWER)).to_contain_text('"status": "SUCCESS"', timeout=30_000)
    expect(page.get_by_label("Execute query")).to_be_visible()
    statuses = [frame["payload"]["data"]["pipeline"]["pipeline"]["status"] for frame in frames if frame["type"] == "next"]
    assert frames[0]["type"] == "connection_ack"
    assert frames[-1]["type"] == "complete"
    assert statuses[0] in {"NOT_STARTED", "RUNNING"}
    assert statuses[-1] == "SUCCESS"


def test_nothing_comes_from_elsewhere_and_nothing_goes_wrong(page: Page, origin: str) -> None:
    asked: list[str] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))
    page.on("console", complain)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    visit(page, origin)
    run(page)
    page.get_by_label("Prettify query").click()
    page.get_by_label("Show Documentation Explorer").click()
    page.get_by_text("A GraphQL schema provides a root type for each kind of operation.").wait_for()
    write(page, OPERATION, "{ viewer { dis")
    page.keyboard.press("Control+Space")
    expect(page.locator(".suggest-widget")).to_contain_text("displayName")
    open_tab(page, "FollowPipeline")
    page.get_by_label("Execute query").click()
    expect(page.locator(ANSWER)).to_contain_text('"token"')

    assert f"{origin}/graphql" in asked
    assert [url for url in asked if not url.startswith((f"{origin}/", "data:"))] == []
    assert complaints == []


def test_the_page_acts_as_whom_the_visitor_chooses_and_remembers_it(page: Page, origin: str) -> None:
    visit(page, origin)
    open_tab(page, "WhoAmI")
    first = run(page).json()

    act_as(page, "standard")
    second = run(page).json()
    page.reload()
    expect(page.get_by_label("Act as")).to_have_value("standard")
    expect(page.locator(OPERATION)).to_contain_text("WhoAmI")
    third = run(page).json()

    assert first["data"]["viewer"]["id"] != second["data"]["viewer"]["id"]
    assert third == second


def test_what_the_last_viewer_was_shown_is_gone_for_the_next(page: Page, origin: str) -> None:
    visit(page, origin)
    run(page)
    expect(page.locator(ANSWER)).to_contain_text("pipelineId")

    act_as(page, "standard")

    expect(page.get_by_role("tab")).to_have_text(TABS, use_inner_text=True)
    expect(page.locator(ANSWER)).to_have_text("")


def test_a_header_the_visitor_types_replaces_the_page_s(page: Page, origin: str) -> None:
    visit(page, origin)
    page.get_by_role("button", name="Headers").click()
    write(page, HEADERS, '{"Authorization": "Bearer typed"}')

    answer = run(page)

    assert answer.request.headers["authorization"] == "Bearer typed"


def test_no_token_is_ever_kept_by_the_browser(page: Page, origin: str) -> None:
    visit(page, origin)
    act_as(page, "standard")
    page.get_by_role("button", name="Headers").click()
    write(page, HEADERS, '{"Authorization": "Bearer typed"}')
    leave_for(page, "WhoAmI")
    leave_for(page, "Console")
    run(page)
    leave_for(page, "WhoAmI")

    kept = page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])")
    assert "Console" in kept
    assert [secret for secret in [*tokens(page), "typed"] if secret.removeprefix("Bearer ") in kept] == []
    assert page.context.cookies() == []
