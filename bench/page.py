"""The console in Chromium: its first picture, each filter at a million jobs, and a thousand live rows of the client package.

Beside times, which other work on the machine makes longer, stands what does not depend on it: bytes, requests, and the share of
the time in which the page's main thread was busy.
"""

import asyncio
import math
import os
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import NamedTuple

from playwright.async_api import Browser, CDPSession, Page, Route, TimeoutError, async_playwright
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import embedded
from bench.database import connected, fresh
from bench.live import Ledger, Running
from bench.report import quantile, table
from bench.servers import Server, server
from gql_server.generate.load import generate
from gql_server.http.authentication import TokenAuthority
from gql_server.settings import Settings

CHROMIUM = os.environ.get("GQL_BENCH_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
FEATURES = ["--disable-features=LocalNetworkAccessChecks", "--enable-precise-memory-info"]
"""A page that Playwright answers for is from nowhere, and would not be let to a server of this machine."""
SLOWER = 4
"""Factor by which the processor of the reader is slower than this machine's."""
PAINTED_MS, INTERACTIVE_MS, SCRIPT_BYTES, REQUESTS = 1_000, 2_000, 300_000, 3
FRAMES, ROWS, CHANGES = 50, 1_000, 50
SMALL = 60
SETTLE_MS = 1_500
GIVEN_UP_MS = 30_000
SAMPLES = 10
FILTERS = (
    *("", "status=SUCCESS", "status=FAILED", "status=PARTIAL", "status=FAILED,PARTIAL", "notStatus=SUCCESS", "kind=CSV_INGEST"),
    *("kind=UNIT_SYNC", "year=2026", "year=2022", "module=purchase", "level=GLOBAL_PER_YEAR", "unit=10208", "errors=true"),
    *("orphan=true", "active=true", "aborted=true", "stuck=true", "unresolved=true", "mine=true", "class=ALL_ROWS_REJECTED"),
    *("class=TIMEOUT", "tone=WARNING", "q=success", "q=zqzqzq", "since=2022-03-01T00:00:00Z&until=2022-04-01T00:00:00Z"),
    "status=FAILED&year=2026&module=purchase",
)

WATCH = """
window.seen = { tasks: [], rows: null, table: null };
new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({startTime, duration}) => [startTime, duration])))
  .observe({ type: 'longtask', buffered: true });
new MutationObserver(() => {
  if (seen.rows === null && document.querySelector('tr.pipeline')) seen.rows = performance.now();
  if (seen.table === null && document.querySelector('tr.pipeline, [data-empty]')) seen.table = performance.now();
}).observe(document, { childList: true, subtree: true });
"""
FIRST = """() => {
  const entries = performance.getEntriesByType('resource');
  const asked = entries.filter(({name, startTime}) => name.endsWith('/graphql') && startTime <= seen.rows);
  const last = seen.tasks.at(-1);
  return {
    painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    interactive: Math.max(seen.rows, last ? last[0] + last[1] : 0),
    blocked: seen.tasks.reduce((sum, [, duration]) => sum + duration - 50, 0),
    script: entries.filter(({name}) => name.endsWith('.js')).reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0),
    requests: asked.length,
  };
}"""
ASKED = """() => ({
  table: seen.table,
  answer: performance.getEntriesByType('resource').filter(({name}) => name.endsWith('/graphql'))
    .map(({startTime, responseEnd}) => responseEnd - startTime).sort((one, other) => other - one)[0] ?? 0,
})"""
COUNT_FRAMES = """() => {
  window.frames_ = { count: 0, gaps: [], last: performance.now() };
  const each = (now) => {
    frames_.count += 1;
    frames_.gaps.push(now - frames_.last);
    frames_.last = now;
    requestAnimationFrame(each);
  };
  requestAnimationFrame(each);
}"""
TAKE_FRAMES = "() => { const taken = window.frames_.gaps; window.frames_.gaps = []; return taken; }"

MAIN = """import { gqlServer } from '@gql-server/client/vue';
import '@gql-server/client/style.css';
import { createApp } from 'vue';
import Pipelines from './Pipelines.vue';

const authorization = () => `Bearer ${sessionStorage['gql-server:token']}`;
createApp(Pipelines).use(gqlServer, { url: '/graphql', authorization }).mount('#app');
"""
ROWS_VUE = f"""<script setup>
import {{ PipelineTable, usePipelines }} from '@gql-server/client/vue';
import {{ watch }} from 'vue';
const {{ rows, page, more, error }} = usePipelines({{ filter: {{ isActive: true }}, size: 100 }});
globalThis.rows = rows;
watch(rows, (now) => {{ if (now.length < {ROWS} && page.value.pageInfo.hasNextPage) void more(); }});
</script>
<template><p data-count>{{{{ error ?? rows.length }}}}</p><PipelineTable :rows="rows" /></template>
"""


class Reader:
    """A browser with the token of an operator, before one server."""

    def __init__(self, browser: Browser, origin: str, token: str) -> None:
        self._browser, self._token = browser, token
        self.origin = origin

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


async def run(dsn: str, *, rounds: int = 5, seconds: float = float(os.environ.get("GQL_BENCH_SECONDS", "30"))) -> None:
    """Print all figures, beside what is allowed. `GQL_BENCH_SECONDS=600` is how long the thousand rows live."""
    secret = secrets.token_hex(32)
    token = TokenAuthority.of(Settings(jwt_secret=secret)).mint("operator", provider="ACCRED")  # pyright: ignore[reportArgumentType]
    small = fresh()
    few = await asyncio.to_thread(small.__enter__)
    try:
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(connected(few))
            await generate(engine, pipelines=SMALL, seed=1, provider="ACCRED")
            servers = [await stack.enter_async_context(server("ours", each, secret)) for each in (few, dsn)]
            browser = await stack.enter_async_context(_chromium())
            of_few, of_many = (Reader(browser, _origin(each), token) for each in servers)
            await _first(of_few, rounds)
            await _filters(of_few, of_many, rounds)
            await _live(of_few, engine, servers[0], seconds)
    finally:
        await asyncio.to_thread(small.__exit__, None, None, None)


@asynccontextmanager
async def _chromium() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *FEATURES])
        yield browser
        await browser.close()


def _origin(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


# ── the first picture ──


async def _first(reader: Reader, rounds: int) -> None:
    await _opened(reader)
    seen = [await _opened(reader) for _ in range(rounds)]
    allowed = {"painted": PAINTED_MS, "interactive": INTERACTIVE_MS, "script": SCRIPT_BYTES, "requests": REQUESTS}
    rows = [
        (
            name,
            f"{min(each[name] for each in seen):,.0f}",
            f"{median(each[name] for each in seen):,.0f}",
            f"{allowed.get(name, '')}",
        )
        for name in ("painted", "interactive", "blocked", "processor", "script", "requests")
    ]
    table(f"page: the first picture, processor {SLOWER} times slower (ms, bytes)", ("", "best", "median", "allowed"), rows)


async def _opened(reader: Reader) -> Mapping[str, float]:
    async with reader.page(slower=SLOWER) as (page, session):
        await page.goto(f"{reader.origin}/")
        await page.wait_for_selector("tr.pipeline", timeout=60_000)
        await page.wait_for_selector("[data-live][data-state=live]", timeout=60_000)
        await page.wait_for_timeout(SETTLE_MS)
        return {**await page.evaluate(FIRST), "processor": (await _metrics(session))["TaskDuration"] * 1000}


async def _metrics(session: CDPSession) -> dict[str, float]:
    return {each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]}


# ── filters ──


async def _filters(few: Reader, many: Reader, rounds: int) -> None:
    rows: list[tuple[str, ...]] = []
    for asked in FILTERS:
        seen = {reader: [await _filtered(reader, asked) for _ in range(rounds)] for reader in (few, many)}
        figures = [min(each[name] for each in seen[reader]) for name in ("answer", "table") for reader in (few, many)]
        rows.append((asked or "none", *(f"{each:,.0f}" for each in figures)))
    columns = ("", f"answer, {SMALL}", "answer, million", f"table, {SMALL}", "table, million")
    table("page: each filter, best ms of its slowest answer and until the table is there", columns, rows)


async def _filtered(reader: Reader, asked: str) -> Mapping[str, float]:
    async with reader.page() as (page, _):
        await page.goto(f"{reader.origin}/pipelines?{asked}")
        try:
            await page.wait_for_selector("tr.pipeline, [data-empty]", timeout=GIVEN_UP_MS)
            await page.wait_for_load_state("networkidle", timeout=GIVEN_UP_MS)
        except TimeoutError:
            return {"answer": math.inf, "table": math.inf}
        return await page.evaluate(ASKED)


# ── a thousand live rows ──


class Stretch(NamedTuple):
    """A part of the time in which rows changed."""

    frames: float
    worst_gap: float
    busy: float
    script: float
    layout: float
    heap: float
    nodes: float


async def _live(reader: Reader, engine: AsyncEngine, server: Server, seconds: float) -> None:
    ledger = Ledger(engine)
    running = await ledger.start(ROWS)
    dist = await asyncio.to_thread(embedded.built, "live", {"main.js": MAIN, "Pipelines.vue": ROWS_VUE})

    async def fulfil(route: Route) -> None:
        body, content_type = embedded.answer(dist, route.request.url)
        await route.fulfill(body=body, content_type=content_type)

    async with reader.page() as (page, session):
        await page.route("**/embedded/**", fulfil)
        await page.goto(f"{reader.origin}/embedded/")
        await page.wait_for_function(f"document.querySelector('[data-count]')?.textContent === '{ROWS}'", timeout=60_000)
        await page.wait_for_timeout(SETTLE_MS)
        before = await server.figures()
        changing = asyncio.create_task(_change(ledger, running, seconds))
        await page.evaluate(COUNT_FRAMES)
        stretches = [await _stretch(page, session, seconds / SAMPLES) for _ in range(SAMPLES)]
        made = await changing
        shown = await _is_shown(page, ledger)
        used = (await server.figures()).cpu_seconds - before.cpu_seconds
    title = f"page: {ROWS:,} live rows at {made / seconds:.0f} changes a second for {seconds:.0f} s"
    title = (
        f"{title}; allowed: {FRAMES} frames a second, heap flat (server at {used / seconds:.0%} of a core; all shown: {shown})"
    )
    columns = ("", "frames/s", "p99 gap ms", "busy", "script", "layout", "heap MiB", "nodes")
    table(title, columns, [_row(number, each) for number, each in enumerate(stretches, 1)])


async def _change(ledger: Ledger, running: Sequence[Running], seconds: float) -> int:
    """Change one row after another, as often as asked or as the machine lets; how many were changed."""
    started, made = time.monotonic(), 0
    while (now := time.monotonic() - started) < seconds:
        if made / CHANGES > now:
            await asyncio.sleep(made / CHANGES - now)
        await ledger.change(running[made % len(running)])
        made += 1
    return made


async def _stretch(page: Page, session: CDPSession, seconds: float) -> Stretch:
    await session.send("HeapProfiler.collectGarbage")
    await page.evaluate(TAKE_FRAMES)
    before, started = await _metrics(session), time.monotonic()
    await asyncio.sleep(seconds)
    lasted, after = time.monotonic() - started, await _metrics(session)
    gaps = await page.evaluate(TAKE_FRAMES)
    await session.send("HeapProfiler.collectGarbage")
    held = await _metrics(session)

    def share(name: str) -> float:
        return (after[name] - before[name]) / lasted

    layout = share("LayoutDuration") + share("RecalcStyleDuration")
    heap = held["JSHeapUsedSize"] / 1024 / 1024
    return Stretch(
        len(gaps) / lasted, quantile(gaps, 0.99), share("TaskDuration"), share("ScriptDuration"), layout, heap, held["Nodes"]
    )


def _row(number: int, each: Stretch) -> tuple[str, ...]:
    return (
        f"{number}/{SAMPLES}",
        f"{each.frames:.1f}",
        f"{each.worst_gap:.0f}",
        f"{each.busy:.0%}",
        f"{each.script:.0%}",
        f"{each.layout:.0%}",
        f"{each.heap:.1f}",
        f"{each.nodes:,.0f}",
    )


async def _is_shown(page: Page, ledger: Ledger) -> bool:
    """True if the rows soon say what was written of each last: nothing is lost."""
    newest = {str(key): f"#{tag}" for tag, (key, _) in sorted(ledger.written.items())}
    for _ in range(50):
        shown = await page.evaluate("Object.fromEntries(rows.value.map(({ pipelineId, message }) => [pipelineId, message]))")
        if all(shown.get(key) == message for key, message in newest.items()):
            return True
        await asyncio.sleep(0.2)
    return False
