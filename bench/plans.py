"""Plans of the runner's statements."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

LEDGER = ("data_ingestion_jobs", "pipelines")


class Executed(NamedTuple):
    """A statement as the driver got it."""

    statement: str
    parameters: Any


@contextmanager
def recorded(engine: AsyncEngine) -> Generator[list[Executed]]:
    """Statements that are executed on this engine meanwhile, but for transaction control."""
    executed: list[Executed] = []

    def record(connection: Connection, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            executed.append(Executed(statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", record)
    try:
        yield executed
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", record)


async def sequential_scans(connection: AsyncConnection, executed: Executed) -> list[str]:
    """The ledger's tables that this statement would read from end to end."""
    explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {executed.statement}", tuple(executed.parameters))
    return [node["Relation Name"] for node in _nodes(explained.scalar_one()[0]["Plan"]) if _reads_everything(node)]


async def indexes(connection: AsyncConnection, executed: Executed) -> set[str]:
    """Names of the indexes that this statement would read."""
    explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {executed.statement}", tuple(executed.parameters))
    return {node["Index Name"] for node in _nodes(explained.scalar_one()[0]["Plan"]) if "Index Name" in node}


async def buffers(connection: AsyncConnection, executed: Executed) -> int:
    """The shared buffers that this statement touches, the same in every run: a page that is looked at twice counts twice."""
    return (await effort(connection, executed))[0]


async def effort(connection: AsyncConnection, executed: Executed) -> tuple[int, list[str]]:
    """The shared buffers that this statement touches, and the ledger's tables that it really reads from end to end."""
    options = "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON"
    explained = await connection.exec_driver_sql(f"EXPLAIN ({options}) {executed.statement}", tuple(executed.parameters))
    plan = explained.scalar_one()[0]["Plan"]
    read = [node["Relation Name"] for node in _nodes(plan) if _reads_everything(node) and node["Actual Loops"]]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], read


def _reads_everything(node: Mapping[str, Any]) -> bool:
    return "Seq Scan" in node["Node Type"] and node["Relation Name"] in LEDGER


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
