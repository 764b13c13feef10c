"""A thousand live rows of the client package in another page: frames, and memory."""

import asyncio
import math
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from playwright.async_api import CDPSession, Page, Route
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import embedded
from bench.browser import SETTLE_MS, Reader, metrics, readers
from bench.changes import Ledger, Running
from bench.database import connected
from bench.report import console, quantile

FRAMES, ROWS, CHANGES = 50, 1_000, 50
SHOWN_WITHIN_SECONDS = 60
SECONDS = float(os.environ.get("GQL_BENCH_SECONDS", "30"))
MINUTES = int(os.environ.get("GQL_BENCH_MINUTES", "10"))

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


class Stretch(NamedTuple):
    """A part of the time in which rows changed."""

    frames: float
    worst_gap: float
    busy: float
    script: float
    layout: float
    heap: float
    nodes: float


async def run(dsn: str, *, seconds: float = SECONDS, stretches: int = 10) -> None:
    """Change rows for so long (`GQL_BENCH_SECONDS`), and print each of so many stretches as it ends."""
    async with connected(dsn) as engine, readers(dsn) as [reader]:
        await rows(reader, engine, seconds, stretches)


async def memory(dsn: str, *, minutes: int = MINUTES) -> None:
    """The same for minutes (`GQL_BENCH_MINUTES`), with the heap after each."""
    await run(dsn, seconds=minutes * 60, stretches=minutes)


async def rows(reader: Reader, engine: AsyncEngine, seconds: float, stretches: int) -> None:
    ledger = Ledger(engine)
    running = await ledger.start(ROWS)
    console.print("building a page of the client package …")
    dist = await asyncio.to_thread(embedded.built, "live", {"main.js": MAIN, "Pipelines.vue": ROWS_VUE})

    async def fulfil(route: Route) -> None:
        body, content_type = embedded.answer(dist, route.request.url)
        await route.fulfill(body=body, content_type=content_type)

    async with reader.page() as (page, session):
        await page.route("**/embedded/**", fulfil)
        await page.goto(f"{reader.origin}/embedded/")
        await page.wait_for_function(f"document.querySelector('[data-count]')?.textContent === '{ROWS}'", timeout=60_000)
        await page.wait_for_timeout(SETTLE_MS)
        before = await reader.server.figures()
        changing = asyncio.create_task(_change(ledger, running, seconds))
        await page.evaluate(COUNT_FRAMES)
        console.print(f"page: {ROWS:,} live rows for {seconds:.0f} s; allowed: {FRAMES} frames a second, heap flat")
        for number in range(1, stretches + 1):
            console.print(_line(number * seconds / stretches, await _stretch(page, session, seconds / stretches)))
        made = await changing
        shown = await _shown_after(page, ledger)
        used = (await reader.server.figures()).cpu_seconds - before.cpu_seconds
    console.print(
        f"{made / seconds:.0f} changes a second, all shown {shown:.1f} s later; server at {used / seconds:.0%} of a core"
    )


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
    before, started = await metrics(session), time.monotonic()
    await asyncio.sleep(seconds)
    lasted, after = time.monotonic() - started, await metrics(session)
    gaps = await page.evaluate(TAKE_FRAMES)
    await session.send("HeapProfiler.collectGarbage")
    held = await metrics(session)

    def share(name: str) -> float:
        return (after[name] - before[name]) / lasted

    layout = share("LayoutDuration") + share("RecalcStyleDuration")
    heap = held["JSHeapUsedSize"] / 1024 / 1024
    return Stretch(
        len(gaps) / lasted, quantile(gaps, 0.99), share("TaskDuration"), share("ScriptDuration"), layout, heap, held["Nodes"]
    )


def _line(until: float, each: Stretch) -> str:
    return (
        f"until {until:4.0f} s: {each.frames:.1f} frames/s, p99 gap {each.worst_gap:.0f} ms, busy {each.busy:.0%} "
        f"(script {each.script:.0%}, layout {each.layout:.0%}), heap {each.heap:.1f} MiB, {each.nodes:,.0f} nodes"
    )


async def _shown_after(page: Page, ledger: Ledger) -> float:
    """Seconds until the rows say what was written of each last, infinite when they never do: nothing is lost."""
    newest = {str(key): f"#{tag}" for tag, (key, _) in sorted(ledger.written.items())}
    started = time.monotonic()
    while (waited := time.monotonic() - started) < SHOWN_WITHIN_SECONDS:
        shown = await page.evaluate("Object.fromEntries(rows.value.map(({ pipelineId, message }) => [pipelineId, message]))")
        if all(shown.get(key) == message for key, message in newest.items()):
            return waited
        await asyncio.sleep(0.2)
    return math.inf
