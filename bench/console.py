"""Costs of the console on a ledger of a million jobs, in shared buffers: each filter and order, and all its queries."""

import time
from collections.abc import AsyncGenerator, Sequence
from statistics import median
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import queries
from bench.cases import Case, cases, page
from bench.database import connected
from bench.graph import Graph
from bench.plans import Executed, effort, recorded
from bench.report import console, growing

DEEP_PAGE = 1_000
WALK = """query ($after: String, $first: Int) {
  pipelines(first: $first, after: $after) { pageInfo { endCursor hasNextPage } }
}"""


class Cost(NamedTuple):
    """Of one case: shared buffers that its statements touch, free of noise; milliseconds of the whole answer and of the
    statements alone; and the tables that they read from end to end."""

    case: Case
    buffers: int
    answer: float
    statements: float
    scans: Sequence[str]


async def run(dsn: str, *, rounds: int = 3, every: int = 1, strict: bool = True) -> None:
    """Ask each case, or one of `every` so many, `rounds` times, and print its buffers and medians as soon as they are known.

    Exits with code 1 when `strict` and a case touches more buffers than it may, or reads a table from end to end.
    """
    costs: list[Cost] = []
    async with connected(dsn) as engine:
        async with engine.connect() as connection:
            jobs = await connection.scalar(text("SELECT count(*) FROM data_ingestion_jobs"))
        told = growing(f"console: what it asks of a ledger of {jobs:,} jobs", COLUMNS)
        async for cost in measured(engine, rounds, every):
            costs.append(cost)
            told(_row(cost))
    misses = sum(map(_misses, costs))
    console.print(f"more than allowed: {misses} of {len(costs)}")
    if strict and misses:
        raise SystemExit(1)


async def measured(engine: AsyncEngine, rounds: int, every: int = 1) -> AsyncGenerator[Cost]:
    """The costs of all cases, or of one of `every` so many; the first page first and page 1,000 second."""
    graph = Graph(engine)
    try:
        first, *others = [*cases(graph)][::every]
        pages = [case async for case in queries.sent(graph)][::every]
        deep = page(f"page {DEEP_PAGE:,}", after=await _deep_cursor(graph))
        async with engine.connect() as connection:
            await connection.execute(text("SET max_parallel_workers_per_gather = 0"))
            for case in (first, deep, *others, *pages):
                yield await _cost(connection, graph, case, await statements(engine, graph, case), rounds)
    finally:
        await graph.close()


async def _cost(connection: AsyncConnection, graph: Graph, case: Case, sent: Sequence[Executed], rounds: int) -> Cost:
    efforts = [await effort(connection, each) for each in sent]
    times = [(await _answer(graph, case), await _alone(connection, sent)) for _ in range(rounds)]
    answer, alone = map(median, zip(*times, strict=True))
    scans = sorted({scan for _, scanned in efforts for scan in scanned})
    return Cost(case, sum(touched for touched, _ in efforts), answer, alone, scans)


async def _deep_cursor(graph: Graph) -> str | None:
    """Cursor before page 1,000, or before the last page of a small ledger."""
    cursor, left = None, (DEEP_PAGE - 1) * 50
    while left > 0:
        info = (await graph.ask(WALK, {"after": cursor, "first": min(left, 200)}))["pipelines"]["pageInfo"]
        if not info["hasNextPage"]:
            break
        cursor, left = info["endCursor"], left - 200
    return cursor


async def statements(engine: AsyncEngine, graph: Graph, case: Case) -> list[Executed]:
    with recorded(engine) as executed:
        await _ask(graph, case)
    return executed


async def _answer(graph: Graph, case: Case) -> float:
    started = time.perf_counter()
    await _ask(graph, case)
    return (time.perf_counter() - started) * 1000


async def _ask(graph: Graph, case: Case) -> None:
    graph.subject, graph.unit = case.subject, case.unit
    await graph.ask(case.query, case.variables)


async def _alone(connection: AsyncConnection, executed: Sequence[Executed]) -> float:
    started = time.perf_counter()
    for statement, parameters in executed:
        (await connection.exec_driver_sql(statement, tuple(parameters))).all()
    return (time.perf_counter() - started) * 1000


COLUMNS = ("", "buffers", "allowed", "answer ms", "statements ms", "sequential scans", "over")


def _row(cost: Cost) -> tuple[str, ...]:
    return (
        cost.case.name,
        f"{cost.buffers:,}",
        f"{cost.case.limit:,}",
        f"{cost.answer:.1f}",
        f"{cost.statements:.2f}",
        ", ".join(cost.scans) or "none",
        "too much" if _misses(cost) else "",
    )


def _misses(cost: Cost) -> bool:
    return cost.buffers > cost.case.limit or bool(cost.scans)
