"""Each filter of the console on a million jobs, beside the same on a small ledger."""

import math
from collections.abc import Mapping

from playwright.async_api import TimeoutError

from bench.browser import Reader, readers
from bench.database import another, connected
from bench.picture import PIPELINES
from bench.report import growing
from gql_server.generate.load import generate

GIVEN_UP_MS = 30_000
FILTERS = (
    *("", "status=SUCCESS", "status=FAILED", "status=PARTIAL", "status=FAILED,PARTIAL", "notStatus=SUCCESS", "kind=CSV_INGEST"),
    *("kind=UNIT_SYNC", "year=2026", "year=2022", "module=purchase", "level=GLOBAL_PER_YEAR", "unit=10208", "errors=true"),
    *("orphan=true", "active=true", "aborted=true", "stuck=true", "unresolved=true", "mine=true", "class=ALL_ROWS_REJECTED"),
    *("class=TIMEOUT", "tone=WARNING", "q=success", "q=zqzqzq", "since=2022-03-01T00:00:00Z&until=2022-04-01T00:00:00Z"),
    "status=FAILED&year=2026&module=purchase",
)

ASKED = """() => ({
  table: seen.table,
  answer: performance.getEntriesByType('resource').filter(({name}) => name.endsWith('/graphql'))
    .map(({startTime, responseEnd}) => responseEnd - startTime).sort((one, other) => other - one)[0] ?? 0,
})"""


async def run(dsn: str, *, rounds: int = 2) -> None:
    """Ask each filter of the ledger, and of a small one beside it."""
    async with another() as few:
        async with connected(few) as engine:
            await generate(engine, pipelines=PIPELINES, seed=1, provider="ACCRED")
        async with readers(few, dsn) as [of_few, of_many]:
            await filters(of_few, of_many, rounds)


async def filters(few: Reader, many: Reader, rounds: int) -> None:
    """Print the best of so many openings of each, as soon as it is known."""
    columns = ("", f"answer, {PIPELINES}", "answer, million", f"table, {PIPELINES}", "table, million")
    told = growing("page: each filter, best ms of its slowest answer and until the table is there", columns)
    for asked in FILTERS:
        seen = {reader: [await _filtered(reader, asked) for _ in range(rounds)] for reader in (few, many)}
        figures = [min(each[name] for each in seen[reader]) for name in ("answer", "table") for reader in (few, many)]
        told((asked or "none", *(f"{each:,.0f}" for each in figures)))


async def _filtered(reader: Reader, asked: str) -> Mapping[str, float]:
    async with reader.page() as (page, _):
        await page.goto(f"{reader.origin}/pipelines?{asked}")
        try:
            await page.wait_for_selector("tr.pipeline, [data-empty]", timeout=GIVEN_UP_MS)
            await page.wait_for_load_state("networkidle", timeout=GIVEN_UP_MS)
        except TimeoutError:
            return {"answer": math.inf, "table": math.inf}
        return await page.evaluate(ASKED)
