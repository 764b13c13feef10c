"""Each benchmark runs, at a tiny size and with some of its cases: its numbers are for people, and asserted nowhere."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain

import pytest
from graphql import OperationDefinitionNode, parse, validate
from graphql.execution.values import get_variable_values
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import console, indexes, ingest, jobs, latency, live, loop, queries, scale
from bench.cases import cases
from bench.database import connected
from bench.graph import Graph
from gql_server.generate.load import generate


async def console_of_few(dsn: str) -> None:
    async with connected(dsn) as engine:
        await generate(engine, pipelines=60, seed=1, provider="ACCRED")
    await console.run(dsn, rounds=1, every=10, strict=False)


TINY: dict[str, Callable[[str], Awaitable[None]]] = {
    "latency": partial(latency.run, wakeups=3, pipelines=2),
    "jobs": partial(jobs.run, count=20, processes=(1, 2), rounds=1),
    "ingest": partial(ingest.run, rows=200, rounds=1, large_mb=1),
    "scale": partial(scale.run, sizes=(100, 500), times=2),
    "console": console_of_few,
    "indexes": partial(indexes.run, every=10),
    "loop": partial(loop.run, jobs=30, rounds=1),
    "live": partial(
        live.run, changes=3, polls=1, crowd=20, pipelines=4, rounds=1, stock_rounds=1, followed=5, rate=20, seconds=1
    ),
}


@pytest.mark.bench
@pytest.mark.parametrize("name", TINY)
async def test_the_benchmark_measures_and_prints_a_table(name: str, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    await TINY[name](dsn)

    assert any(line.startswith(f"{name}: ") for line in capsys.readouterr().out.splitlines())


async def test_every_case_of_the_console_is_an_operation_that_the_schema_takes(engine: AsyncEngine) -> None:
    graph = Graph(engine)
    schema, asked = graph.schema.executable, [*cases(graph)]
    await graph.close()

    assert len(asked) > 150
    for case in asked:
        document = parse(case.query)
        [operation] = document.definitions
        assert validate(schema, document) == [], case.name
        assert isinstance(operation, OperationDefinitionNode)
        given = get_variable_values(schema, operation.variable_definitions or (), dict(case.variables))
        assert not isinstance(given, list), (case.name, given)


def test_every_query_of_the_console_is_one_that_is_asked_of_the_large_ledger() -> None:
    asked = (queries.ALONE, queries.OF_OPERATORS, queries.LISTS, queries.OF_YEAR, queries.OF_PIPELINE, queries.OF_JOB)

    assert set(queries.documents()) == {*chain(*asked, queries.OTHERS, queries.FURTHER)}
