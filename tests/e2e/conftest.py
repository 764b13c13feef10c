"""A demo server in a process of its own, and Debian's Chromium to look at it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from gql_server.processes.operating_day import DAY

CHROMIUM = "/usr/bin/chromium"
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
DEMO = [sys.executable, "-c", "from gql_server.cli import main; main()", "demo"]
START_SECONDS = 300
ENDED = "{ pipelines(first: 50, filter: { isActive: false }) { nodes { id } } }"


@contextmanager
def demo_server() -> Generator[str]:
    """`gql-server demo` on a free port, its day played to the end; yields its origin."""
    with tempfile.TemporaryDirectory(prefix="gql-demo-") as data_dir, running_demo(free_port(), data_dir) as origin:
        yield origin


@contextmanager
def running_demo(port: int, data_dir: str) -> Generator[str]:
    """The same on that port, with what an earlier one left in its data directory."""
    origin = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([*DEMO, "--port", str(port)], env={**os.environ, "GQL_DATA_DIR": data_dir})
    try:
        _wait_until(process, lambda: _has_played(origin))
        yield origin
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


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
def played() -> Iterator[Path]:
    """A data directory in which the demo's day was played to the end, and which nobody uses."""
    with tempfile.TemporaryDirectory(prefix="gql-demo-") as data_dir:
        with running_demo(free_port(), data_dir):
            pass
        yield Path(data_dir)


@contextmanager
def copied(played: Path) -> Generator[str]:
    """A data directory of one's own with the same in it."""
    with tempfile.TemporaryDirectory(prefix="gql-demo-") as folder:
        subprocess.run(["cp", "-a", played, f"{folder}/data"], check=True)
        yield f"{folder}/data"


@pytest.fixture(scope="session")
def origin(played: Path) -> Iterator[str]:
    with copied(played) as data_dir, running_demo(free_port(), data_dir) as origin:
        yield origin


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A visitor nobody has seen before: a page in a context of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def operator_of(origin: str) -> dict[str, str]:
    """Headers of the operator whom the GraphiQL page acts as."""
    return _headers(httpx.get(f"{origin}/graphiql").raise_for_status().text)


def _headers(page: str) -> dict[str, str]:
    return json.loads(re.findall(r"window.__GQL__ = (.*)</script>", page)[0])["viewers"][0]["headers"]


def _has_played(origin: str) -> bool:
    """True if each file of the day, and the year before them, has a pipeline that ended."""
    try:
        page = httpx.get(f"{origin}/graphiql").raise_for_status().text
    except httpx.TransportError:
        return False
    answer = httpx.post(f"{origin}/graphql", json={"query": ENDED}, headers=_headers(page))
    return len(answer.json()["data"]["pipelines"]["nodes"]) > len(DAY)


def _wait_until(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the demo did not start, or did not play its day")
        time.sleep(0.2)
