"""Costs of a claim, a beat, a recovery, a look at the backlog and a sweep beside years of finished jobs."""

import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import empty
from bench.database import connected
from bench.history import grow
from bench.jobs import submit
from bench.plans import recorded, sequential_scans
from bench.report import table
from gql_server import ledger
from gql_server.ledger import claims
from gql_server.worker import Registry
from gql_server.worker.sweep import sweep

WAITING = 8
WORKER = "bench"

Chore = Callable[[AsyncEngine], Awaitable[object]]


async def run(dsn: str, *, sizes: Sequence[int] = (10_000, 100_000, 1_000_000), times: int = 50) -> None:
    """Let one ledger grow from size to size; print the median of each statement, and its ratio to the smallest ledger."""
    registry = empty.registry()
    costs: dict[str, list[float]] = {name: [] for name in chores(registry)}
    async with connected(dsn) as engine:
        await submit(engine, WAITING)
        for size, before in zip(sizes, (0, *sizes), strict=False):
            await grow(engine, size - before)
            for name, chore in chores(registry).items():
                costs[name].append(await _milliseconds(engine, chore, times))
        scans = {name: await scanned(engine, chore) for name, chore in chores(registry).items()}
    rows = [
        (
            name,
            *(f"{cost:.2f}" for cost in costs[name]),
            f"{costs[name][-1] / costs[name][0]:.2f}",
            ", ".join(scans[name]) or "none",
        )
        for name in costs
    ]
    columns = ("ms", *(f"{size:,} jobs" for size in sizes), "ratio", "sequential scans")
    table(f"scale: finished jobs in the ledger, {WAITING} waiting", columns, rows)


def chores(registry: Registry) -> dict[str, Chore]:
    """Chores of workers, each rolled back, so that it can be done again."""

    async def claim(connection: AsyncConnection) -> object:
        return await claims.claim(connection, WORKER, registry.names, 4)

    async def beat(connection: AsyncConnection) -> object:
        return await ledger.beat(connection, WORKER, {1: 1, 2: 1, 3: 1, 4: 1})

    async def recover(connection: AsyncConnection) -> object:
        return await ledger.recover(connection)

    async def backlog(connection: AsyncConnection) -> object:
        return await claims.backlog(connection, registry.names)

    async def one_sweep(engine: AsyncEngine) -> object:
        return await sweep(engine, registry)

    undone = {verb.__name__: _undone(verb) for verb in (claim, beat, recover, backlog)}
    return {**undone, "sweep": one_sweep}


async def scanned(engine: AsyncEngine, chore: Chore) -> list[str]:
    """The ledger's tables that any statement of the chore would read from end to end."""
    with recorded(engine) as executed:
        await chore(engine)
    async with engine.connect() as connection:
        return [relation for statement in executed for relation in await sequential_scans(connection, statement)]


def _undone(verb: Callable[[AsyncConnection], Awaitable[object]]) -> Chore:
    async def chore(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            return await verb(connection)

    return chore


async def _milliseconds(engine: AsyncEngine, chore: Chore, times: int) -> float:
    spent: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await chore(engine)
        spent.append(time.perf_counter() - started)
    return median(spent) * 1000
