"""A demo server, and Debian's Chromium to look at it: one of each for the session, a visitor of its own for each test."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.servers import Ledgers, free_port, running_demo

CHROMIUM = next(filter(os.path.exists, ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")), "/usr/bin/chromium")
"""The one without windows, where it is installed: it needs little more than half the time for a page."""
# Without these Chromium asks its maker for updates, QUIC hides requests from the page's log, and a page that Playwright answers
# for is not let to a server of this machine.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=LocalNetworkAccessChecks",
]


@contextmanager
def chromium() -> Generator[Browser]:
    """A Chromium without a window that talks to nobody but the pages it is sent to."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _tasks() -> None:  # pyright: ignore[reportUnusedFunction]
    """Overrides that of asynchronous tests: Playwright's own loop runs in this thread, so that no other can."""


@pytest.fixture(scope="session")
def ledgers(postgres: str, template: str) -> Ledgers:
    return Ledgers(postgres, template)


@pytest.fixture(scope="session")
def played(ledgers: Ledgers) -> Iterator[str]:
    """Name of a database in which the demo's day was played to the end, and which nobody uses."""
    with ledgers.cloned() as dsn:
        with running_demo(free_port(), GQL_DATABASE_URL=dsn):
            pass
        yield urlsplit(dsn).path.removeprefix("/")


@pytest.fixture(scope="session")
def origin(ledgers: Ledgers, played: str) -> Iterator[str]:
    with ledgers.cloned(played) as dsn, running_demo(free_port(), GQL_DATABASE_URL=dsn) as origin:
        yield origin


@pytest.fixture(scope="session")
def browser(template: str) -> Iterator[Browser]:
    """Chromium, begun after what needs an event loop of this thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A visitor nobody has seen before: a page in a context of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()
