"""Worth of each index of the ledger: cases of the console whose plans use it, and the buffers that these touch without it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bench import console
from bench.cases import cases
from bench.database import connected
from bench.graph import Graph
from bench.plans import Executed, buffers, indexes
from bench.report import table

WORSE = 1.1
GIVEN_UP = 10**9
"""Buffers of a case that is given up after some seconds."""
_INDEXES = text("""
SELECT indexrelname AS name, pg_relation_size(indexrelid) / 1048576 AS size_mb, indisunique AS is_unique
FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
WHERE relname IN ('pipelines', 'data_ingestion_jobs') ORDER BY relname, indexrelname
""")

Statements = Mapping[str, Sequence[Executed]]


class Loss(NamedTuple):
    """Buffers of a case without an index, and with it."""

    without: int
    with_it: int
    case: str


async def run(dsn: str, *, every: int = 1) -> None:
    """Print for each index of a ledger what is asked through it, by all cases or one of `every` so many, and what would get
    worse without it."""
    async with connected(dsn) as engine:
        graph = Graph(engine)
        asked = {case.name: await console.statements(engine, graph, case) for case in [*cases(graph)][::every]}
        await graph.close()
        async with engine.connect() as connection:
            rows = await _rows(connection, asked)
    table("indexes: what the console asks through each", ("", "MB", "cases", "worse without", "the worst"), rows)


async def _rows(connection: AsyncConnection, asked: Statements) -> list[Sequence[str]]:
    await connection.execute(text("SET max_parallel_workers_per_gather = 0"))
    await connection.execute(text("SET statement_timeout = '3s'"))
    used, touched = defaultdict[str, set[str]](set), dict[str, int]()
    for name, executed in asked.items():
        touched[name] = await _touched(connection, executed)
        for each in executed:
            for index in await indexes(connection, each):
                used[index].add(name)
    found = (await connection.execute(_INDEXES)).all()
    await connection.commit()
    return [await _row(connection, index, {name: asked[name] for name in used[index.name]}, touched) for index in found]


async def _row(connection: AsyncConnection, index: Any, asked: Statements, touched: Mapping[str, int]) -> Sequence[str]:
    """The index's row; a unique one is never dropped."""
    losses = [] if index.is_unique or not asked else await _losses(connection, index.name, asked, touched)
    worst = max(losses, default=None)
    said = "unique" if index.is_unique else f"{worst.case}: {worst.with_it:,} to {worst.without:,}" if worst else ""
    return (index.name, str(index.size_mb), str(len(asked)), str(len(losses)), said)


async def _losses(connection: AsyncConnection, name: str, asked: Statements, touched: Mapping[str, int]) -> list[Loss]:
    await connection.execute(text(f"DROP INDEX {name}"))
    without = [Loss(await _touched(connection, executed), touched[case], case) for case, executed in asked.items()]
    await connection.rollback()
    return [loss for loss in without if loss.without > WORSE * loss.with_it]


async def _touched(connection: AsyncConnection, executed: Sequence[Executed]) -> int:
    try:
        async with connection.begin_nested():
            return sum([await buffers(connection, each) for each in executed])
    except DBAPIError:
        return GIVEN_UP
