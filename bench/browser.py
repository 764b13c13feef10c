"""Chromium before a server, as an operator on a machine of some speed, and what it says of itself."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from playwright.async_api import Browser, CDPSession, Page, async_playwright

from bench.servers import Server, server
from gql_server.http.authentication import TokenAuthority
from gql_server.http.console import BUILT
from gql_server.settings import Settings

CHROMIUM = os.environ.get("GQL_BENCH_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
FEATURES = ["--disable-features=LocalNetworkAccessChecks", "--enable-precise-memory-info"]
"""A page that Playwright answers for is from nowhere, and would not be let to a server of this machine."""
SETTLE_MS = 1_500
LOOK_SECONDS = 0.25

WATCH = """
window.seen = { tasks: [], rows: null, table: null, controls: null };
new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({startTime, duration}) => [startTime, duration])))
  .observe({ type: 'longtask', buffered: true });
new MutationObserver(() => {
  if (seen.rows === null && document.querySelector('tr.pipeline')) seen.rows = performance.now();
  if (seen.table === null && document.querySelector('tr.pipeline, [data-empty]')) seen.table = performance.now();
  if (seen.controls === null && document.querySelector('.filters')) seen.controls = performance.now();
}).observe(document, { childList: true, subtree: true });
"""


class Reader:
    """A browser with the token of an operator, before one server."""

    def __init__(self, browser: Browser, server: Server, secret: str) -> None:
        self._browser = browser
        authority = TokenAuthority.of(Settings(jwt_secret=secret))  # pyright: ignore[reportArgumentType]
        self._token = authority.mint("operator", provider="ACCRED")
        self.server = server
        self.origin = f"http://127.0.0.1:{server.port}"

    @asynccontextmanager
    async def page(self, *, slower: int = 1) -> AsyncGenerator[tuple[Page, CDPSession]]:
        """A page of somebody who was never here, on a processor that much slower."""
        context = await self._browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        await context.add_init_script(f"sessionStorage.setItem('gql-server:token', '{self._token}');{WATCH}")
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        await session.send("Performance.enable")
        await session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        try:
            yield page, session
        finally:
            await context.close()


@asynccontextmanager
async def readers(*dsns: str) -> AsyncGenerator[list[Reader]]:
    """One before each of so many databases, in one browser. Raises SystemExit where the console is not built."""
    if not (BUILT / "index.html").is_file():
        raise SystemExit("the console has not been built: run `make frontend`")
    secret = secrets.token_hex(32)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(server("ours", dsn, secret)) for dsn in dsns]
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *FEATURES])
        stack.push_async_callback(browser.close)
        yield [Reader(browser, each, secret) for each in servers]


async def until(session: CDPSession, condition: str, *, within: float = 60.0) -> None:
    """Wait until the expression is true. Unlike Playwright's own waiting it brings no script into the page, which would be
    measured with it."""
    async with asyncio.timeout(within):
        while not (await session.send("Runtime.evaluate", {"expression": condition}))["result"]["value"]:
            await asyncio.sleep(LOOK_SECONDS)


async def metrics(session: CDPSession) -> dict[str, float]:
    """The browser's own measures of the page until now."""
    return {each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]}
