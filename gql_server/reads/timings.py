"""Reads of an operation while they go on: counted, traced, and kept for an operator who asks how long each took."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

from prometheus_client import Counter

from gql_server import tracing
from gql_server.metrics import LOADER_BATCHES, LOADER_KEYS, LOADER_SECONDS

KEPT = 200


class Timing(NamedTuple):
    """A read that has ended: its query, how many keys it answered, when it began on the process's clock, how long it took."""

    query: str
    keys: int
    began: float
    seconds: float


TIMINGS: ContextVar[list[Timing] | None] = ContextVar("timings", default=None)
"""Reads of this operation so far, if somebody asks for them."""


@contextmanager
def timed(query: Callable[..., Any], keys: int) -> Generator[None]:
    """Meanwhile the query is read, for so many keys."""
    name, batches, answered, seconds = _counters(query)
    began = time.perf_counter()
    try:
        with tracing.child(f"load {query.__name__}", loader__keys=keys):
            yield
    finally:
        took = time.perf_counter() - began
        batches.inc()
        answered.inc(keys)
        seconds.inc(took)
        if (kept := TIMINGS.get()) is not None and len(kept) < KEPT:
            kept.append(Timing(name, keys, began, took))


@cache
def _counters(query: Callable[..., Any]) -> tuple[str, Counter, Counter, Counter]:
    """The query's label, with the counters of its reads, of their keys, and of the seconds that they took."""
    name = f"{query.__module__.removeprefix('gql_server.reads.')}.{query.__name__}"
    return name, LOADER_BATCHES.labels(name), LOADER_KEYS.labels(name), LOADER_SECONDS.labels(name)
