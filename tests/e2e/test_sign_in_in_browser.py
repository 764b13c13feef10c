"""Sign-in by a real identity provider, in Chromium: GraphiQL and the console on `serve`, and pages of other origins."""

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.e2e.provider import CLIENT, SECRET, Provider, provided
from tests.e2e.servers import AUTHORITY, Ledgers, free_port
from tests.e2e.test_console_in_browser import LIVE
from tests.e2e.test_graphiql_in_browser import ANSWER, OPERATION, open_tab, run

pytestmark = pytest.mark.browser

SECONDS = 6
"""Time for which the provider vouches."""
CREATE = """mutation {
  createYearConfiguration(input: { year: 2025 }) { ... on CreateYearConfigurationPayload { pipeline { pipelineId } } }
}"""
ELSEWHERE = """async ({ url, headers }) => {
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST', credentials: 'include', body: '{"query":"{ __typename }"}',
    headers: { 'content-type': 'application/json', 'graphql-require-preflight': '1', ...headers },
  });
  return answer.json();
}"""
SOCKET = """({ url, payload }) => new Promise((resolve) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  socket.onopen = () => socket.send(JSON.stringify({ type: 'connection_init', payload }));
  socket.onmessage = ({ data }) => { resolve(JSON.parse(data).type); socket.close(); };
  socket.onclose = ({ code }) => resolve(code);
})"""


class Site:
    """A server with its provider, which vouches for seconds alone."""

    def __init__(self, origin: str, provider: Provider) -> None:
        self.origin, self.provider = origin, provider
        self.operator = {"Authorization": f"Bearer {AUTHORITY.mint('operator', provider='ACCRED')}"}


@contextmanager
def served(ledgers: Ledgers, allowed_origin: str) -> Generator[Site]:
    port = free_port()
    with provided(f"http://127.0.0.1:{port}", AccessToken=SECONDS) as provider:
        settings = {
            "GQL_OIDC_ISSUER": provider.issuer,
            "GQL_OIDC_CLIENT_ID": CLIENT,
            "GQL_OIDC_CLIENT_SECRET": SECRET,
            "GQL_OIDC_DIRECTORY": "ACCRED",
            "GQL_OIDC_ROLES": json.dumps({"groups": {"ledger-ada": "operator", "ledger-grace": "superadmin"}}),
            "GQL_ALLOWED_ORIGINS": allowed_origin,
        }
        with ledgers.serving(port, **settings) as origin:
            yield Site(origin, provider)


class Blank(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def page_elsewhere() -> Generator[str]:
    """Origin of a page that is not ours."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def allowed() -> Iterator[str]:
    with page_elsewhere() as origin:
        yield origin


@pytest.fixture(scope="module")
def site(ledgers: Ledgers, allowed: str) -> Iterator[Site]:
    with served(ledgers, allowed) as site:
        yield site


def log_in(page: Page, name: str) -> None:
    """Says at the provider who it is."""
    page.get_by_label("Login").fill(name)
    page.get_by_role("button", name="Continue").click()


def sign_in(page: Page, site: Site, path: str, name: str = "ada") -> None:
    """Signs in from a page of the console, and comes back to it."""
    page.goto(f"{site.origin}{path}")
    page.get_by_role("link", name="Sign in").click()
    log_in(page, name)
    expect(page).to_have_url(f"{site.origin}{path}")
    expect(page.get_by_label(f"Signed in as {name} of the provider")).to_be_visible(timeout=30_000)


def lose_session(page: Page) -> None:
    """Takes the cookie away, and waits until the page has noticed: at the next question, unless its socket is closed before."""
    page.context.clear_cookies()
    with suppress(PlaywrightTimeout):
        page.get_by_role("tab", name="Fleet").click(timeout=2_000)
    expect(page.get_by_text("Your session has ended.")).to_be_visible(timeout=30_000)


def test_somebody_signs_in_for_graphiql_lives_through_rotation_and_expiry_and_signs_out(page: Page, site: Site) -> None:
    page.goto(f"{site.origin}/graphiql")
    page.get_by_role("link", name="Sign in").click()
    log_in(page, "ada")
    expect(page).to_have_url(f"{site.origin}/graphiql")
    expect(page.get_by_text("ada of the provider")).to_be_visible()
    expect(page.locator(OPERATION)).to_contain_text("Console", timeout=30_000)
    open_tab(page, "WhoAmI")
    assert run(page).json()["data"]["viewer"]["displayName"] == "ada of the provider"
    expect(page.locator(ANSWER)).to_contain_text("ada of the provider")

    site.provider.rotate()
    page.wait_for_timeout(1000 * SECONDS)
    assert run(page).json()["data"]["viewer"]["displayName"] == "ada of the provider"

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign out of everything").click()
    expect(page).to_have_url(f"{site.origin}/pipelines")
    assert "gql-session" not in [cookie.get("name") for cookie in page.context.cookies()]
    page.goto(f"{site.origin}/graphiql")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_the_cookie_is_out_of_reach_of_scripts(page: Page, site: Site) -> None:
    sign_in(page, site, "/fleet?lang=en")

    [cookie] = [each for each in page.context.cookies() if each.get("name") == "gql-session"]
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
    assert "gql-session" not in page.evaluate("document.cookie")


def test_the_console_stays_live_through_rotations_and_expiries(page: Page, site: Site) -> None:
    codes: list[str] = []
    page.on("websocket", lambda socket: codes.append(socket.url))
    sign_in(page, site, "/pipelines?lang=en&year=2025")
    expect(page.locator(LIVE)).to_be_visible(timeout=30_000)

    site.provider.rotate()
    page.wait_for_timeout(2500 * SECONDS)
    expect(page.locator(LIVE)).to_be_visible(timeout=30_000)
    httpx.post(f"{site.origin}/graphql", json={"query": CREATE}, headers=site.operator, timeout=30).raise_for_status()

    expect(page.get_by_role("button", name="1 new pipeline")).to_be_visible(timeout=30_000)
    assert len(codes) >= 3
    expect(page).to_have_url(f"{site.origin}/pipelines?lang=en&year=2025")


def test_a_session_that_has_ended_is_begun_again_in_another_window_and_the_page_goes_on(page: Page, site: Site) -> None:
    sign_in(page, site, "/years?lang=en")
    expect(page.get_by_role("heading", name="Years")).to_be_visible()
    lose_session(page)
    address = page.url
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in").click()
    log_in(opened.value, "ada")
    expect(opened.value.get_by_text("You are signed in. Close this window")).to_be_visible()

    expect(page.get_by_text("Your session has ended.")).to_be_hidden()
    expect(page.get_by_label("Signed in as ada of the provider")).to_be_visible()
    expect(page).to_have_url(address)


def test_a_page_that_was_somebody_elses_begins_anew(page: Page, site: Site) -> None:
    sign_in(page, site, "/years?lang=en")
    lose_session(page)
    page.evaluate("window.isTheSame = true")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in").click()
    log_in(opened.value, "grace")

    expect(page.get_by_label("Signed in as grace of the provider")).to_be_visible(timeout=15_000)
    assert page.evaluate("window.isTheSame") is None


def test_the_console_signs_out_here_and_at_the_provider(page: Page, site: Site) -> None:
    sign_in(page, site, "/years?lang=en")

    page.get_by_label("Signed in as ada of the provider").click()
    page.get_by_text("Sign out").click()
    page.get_by_role("button", name="Sign out of everything").click()

    expect(page.get_by_text("Sign in with your company’s account")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_label("Login")).to_be_visible()


@pytest.mark.parametrize("path", ["/years", "/pipelines"])
def test_a_pasted_token_still_does_where_there_is_a_sign_in(page: Page, site: Site, path: str) -> None:
    page.goto(f"{site.origin}{path}?lang=en")
    page.get_by_label("Access token").fill(site.operator["Authorization"])
    page.get_by_role("button", name="Use the token").click()

    expect(page.get_by_label("Signed in as Operator")).to_be_visible()
    expect(page.locator(LIVE)).to_be_visible()


def test_pages_of_other_origins_ask_with_a_token_if_they_are_allowed_and_never_with_the_cookie(
    page: Page, site: Site, allowed: str
) -> None:
    sign_in(page, site, "/years?lang=en")
    bearer = {"authorization": site.operator["Authorization"]}
    with page_elsewhere() as other:
        seen: dict[str, list[object]] = {}
        for origin in (allowed, other):
            page.goto(origin)
            seen[origin] = [
                page.evaluate(
                    f"(given) => ({ELSEWHERE})(given).catch(() => 'blocked')", {"url": site.origin, "headers": bearer}
                ),
                page.evaluate(f"(given) => ({ELSEWHERE})(given).catch(() => 'blocked')", {"url": site.origin, "headers": {}}),
                page.evaluate(SOCKET, {"url": site.origin, "payload": bearer}),
                page.evaluate(SOCKET, {"url": site.origin, "payload": {}}),
            ]

        assert seen[other] == ["blocked", "blocked", 1006, 1006]
        assert seen[allowed] == ["blocked", "blocked", "connection_ack", 4401]
        page.goto(allowed)
        uncredentialed = ELSEWHERE.replace("credentials: 'include'", "credentials: 'omit'")
        answer = page.evaluate(f"(given) => ({uncredentialed})(given)", {"url": site.origin, "headers": bearer})
        assert answer == {"data": {"__typename": "Query"}}
