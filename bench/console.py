"""Costs of the console on a ledger of a million jobs, in shared buffers: each filter and order, and all its queries."""

import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import queries
from bench.cases import Case, cases, page
from bench.database import connected
from bench.graph import Graph
from bench.plans import Executed, effort, recorded
from bench.report import console, table
from gql_server.generate.load import generate

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


async def run(dsn: str, *, pipelines: int = 200_000, rounds: int = 9, every: int = 1, strict: bool = True) -> None:
    """Generate a ledger, ask each case, or one of `every` so many, `rounds` times in turn, and print buffers and medians.

    Exits with code 1 when `strict` and a case touches more buffers than it may, or reads a table from end to end.
    """
    async with connected(dsn) as engine:
        console.print(f"generating {pipelines:,} pipelines …")
        jobs = await generate(engine, pipelines=pipelines, seed=1, provider="ACCRED")
        costs = await measure(engine, rounds, every)
    table(f"console: first pages of a ledger of {jobs:,} jobs", COLUMNS, [_row(cost) for cost in costs])
    misses = sum(map(_misses, costs))
    console.print(f"more than allowed: {misses} of {len(costs)}")
    if strict and misses:
        raise SystemExit(1)


async def measure(engine: AsyncEngine, rounds: int, every: int = 1) -> list[Cost]:
    """The costs of all cases, or of one of `every` so many; the first page first and page 1,000 second."""
    graph = Graph(engine)
    try:
        first, *others = [*cases(graph)][::every]
        pages = [case async for case in queries.sent(graph)][::every]
        asked = [first, page(f"page {DEEP_PAGE:,}", after=await _deep_cursor(graph)), *others, *pages]
        sent = [await statements(engine, graph, case) for case in asked]
        answers: dict[str, list[float]] = defaultdict(list)
        alone: dict[str, list[float]] = defaultdict(list)
        async with engine.connect() as connection:
            for _ in range(rounds):
                for case, executed in zip(asked, sent, strict=True):
                    answers[case.name].append(await _answer(graph, case))
                    alone[case.name].append(await _alone(connection, executed))
            read = [await _read(connection, executed) for executed in sent]
    finally:
        await graph.close()
    return [
        Cost(case, touched, median(answers[case.name]), median(alone[case.name]), scanned)
        for case, (touched, scanned) in zip(asked, read, strict=True)
    ]


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


async def _read(connection: AsyncConnection, executed: Sequence[Executed]) -> tuple[int, list[str]]:
    """Buffers that the statements touch, and tables that they read from end to end."""
    await connection.exec_driver_sql("SET max_parallel_workers_per_gather = 0")
    efforts = [await effort(connection, each) for each in executed]
    return sum(touched for touched, _ in efforts), sorted({scan for _, scans in efforts for scan in scans})


COLUMNS = ("", "buffers", "allowed", "answer ms", "statements ms", "sequential scans", "")


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
