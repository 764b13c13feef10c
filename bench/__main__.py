"""`python -m bench [name …]` measures what is named, by default everything."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from bench import console, execution, indexes, ingest, jobs, latency, live, loop, scale
from bench.database import fresh
from bench.rivals import compare
from bench.rivals.ledger import kept
from gql_server import logs

BENCHMARKS: dict[str, Callable[[str], Awaitable[None]]] = {
    "latency": latency.run,
    "jobs": jobs.run,
    "ingest": ingest.run,
    "scale": scale.run,
    "console": console.run,
    "indexes": indexes.run,
    "live": live.run,
    "loop": loop.run,
    "execution": execution.run,
    "graph": compare.run,
}
KEPT_PIPELINES = int(os.environ.get("GQL_BENCH_PIPELINES", "200000"))
"""Of the ledger that is kept between runs: about five jobs each."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    logs.configure("ERROR", json=False)
    for name in names:
        with _database(name) as dsn:
            asyncio.run(BENCHMARKS[name](dsn))  # pyright: ignore[reportArgumentType]


def _database(name: str) -> AbstractContextManager[str]:
    return kept(KEPT_PIPELINES) if name in ("graph", "indexes") else fresh()


if __name__ == "__main__":
    main()
