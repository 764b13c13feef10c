"""`python -m bench [name …]` measures what is named, by default everything."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from bench import console, execution, filters, hostile, indexes, ingest, jobs, latency, live, loop, page, picture, rows, scale
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
    "hostile": hostile.run,
    "graph": compare.run,
}
NAMED: dict[str, Callable[[str], Awaitable[None]]] = {
    "ratios": compare.check,
    "page": page.run,
    "picture": picture.run,
    "filters": filters.run,
    "rows": rows.run,
    "memory": rows.memory,
}
"""Measured when named only: ratios end the program where something is slower, page and its parts need Chromium and
`make frontend`."""
KNOWN = {**BENCHMARKS, **NAMED}
LARGE = 200_000
KEPT_PIPELINES = {**dict.fromkeys(("graph", "console", "indexes", "page", "filters"), LARGE), "ratios": 5_000}
"""Of the ledgers that are kept between runs: about five jobs each."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(KNOWN))
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - KNOWN.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(KNOWN)}")
    logs.configure("ERROR", json=False)
    for name in names:
        with _database(name) as dsn:
            asyncio.run(KNOWN[name](dsn))  # pyright: ignore[reportArgumentType]


def _database(name: str) -> AbstractContextManager[str]:
    if name not in KEPT_PIPELINES:
        return fresh()
    return kept(int(os.environ.get("GQL_BENCH_PIPELINES", KEPT_PIPELINES[name])))


if __name__ == "__main__":
    main()
