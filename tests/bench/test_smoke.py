"""Each benchmark runs, at a tiny size: its numbers are for people, and asserted nowhere."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bench import console, indexes, ingest, jobs, latency, live, loop, scale

pytestmark = pytest.mark.slow

TINY: dict[str, Callable[[str], Awaitable[None]]] = {
    "latency": partial(latency.run, wakeups=3, pipelines=2),
    "jobs": partial(jobs.run, count=20, processes=(1, 2), rounds=1),
    "ingest": partial(ingest.run, rows=200, rounds=1, large_mb=1),
    "scale": partial(scale.run, sizes=(100, 500), times=2),
    "console": partial(console.run, pipelines=60, rounds=1, strict=False),
    "indexes": indexes.run,
    "loop": partial(loop.run, jobs=30, rounds=1),
    "live": partial(
        live.run, changes=3, polls=1, crowd=20, pipelines=4, rounds=1, stock_rounds=1, followed=5, rate=20, seconds=1
    ),
}


@pytest.mark.parametrize("name", TINY)
async def test_the_benchmark_measures_and_prints_a_table(name: str, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    await TINY[name](dsn)

    assert any(line.startswith(f"{name}: ") for line in capsys.readouterr().out.splitlines())
