"""The first picture of the console: what a reader waits for on a slow machine, and what the page asks for it."""

import asyncio
from collections.abc import Mapping
from statistics import median

from bench.browser import SETTLE_MS, Reader, metrics, readers, until
from bench.database import connected
from bench.report import table
from gql_server.generate.load import generate

PIPELINES = 60

SLOWER = 4
"""Factor by which the processor of the reader is slower than this machine's."""
ALLOWED = {"painted": 1_000, "interactive": 2_000, "script": 300_000, "requests": 3}

LIVE = "document.querySelector('tr.pipeline') !== null && document.querySelector('[data-live][data-state=live]') !== null"

FIRST = """() => {
  const entries = performance.getEntriesByType('resource');
  const asked = entries.filter(({name, startTime}) => name.endsWith('/graphql') && startTime <= seen.rows);
  const last = seen.tasks.at(-1);
  return {
    painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    interactive: Math.max(seen.rows, seen.controls, last ? last[0] + last[1] : 0),
    blocked: seen.tasks.reduce((sum, [, duration]) => sum + duration - 50, 0),
    script: entries.filter(({name}) => name.endsWith('.js')).reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0),
    requests: asked.length,
  };
}"""


async def run(dsn: str, *, rounds: int = 5) -> None:
    """Generate a small ledger, and print the first picture of its newest page."""
    async with connected(dsn) as engine, readers(dsn) as [reader]:
        await generate(engine, pipelines=PIPELINES, seed=1, provider="ACCRED")
        await picture(reader, rounds)


async def picture(reader: Reader, rounds: int) -> None:
    """Print the best and the median of so many openings, after one that is not counted."""
    await _opened(reader)
    seen = [await _opened(reader) for _ in range(rounds)]
    rows = [
        (
            name,
            f"{min(each[name] for each in seen):,.0f}",
            f"{median(each[name] for each in seen):,.0f}",
            f"{ALLOWED.get(name, '')}",
        )
        for name in ("painted", "interactive", "blocked", "processor", "script", "requests")
    ]
    table(f"page: the first picture, processor {SLOWER} times slower (ms, bytes)", ("", "best", "median", "allowed"), rows)


async def _opened(reader: Reader) -> Mapping[str, float]:
    async with reader.page(slower=SLOWER) as (page, session):
        await page.goto(f"{reader.origin}/")
        await until(session, LIVE)
        await asyncio.sleep(SETTLE_MS / 1000)
        return {**await page.evaluate(FIRST), "processor": (await metrics(session))["TaskDuration"] * 1000}
