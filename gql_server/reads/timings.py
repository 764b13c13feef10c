"""Reads of an operation while they go on: counted, traced, and kept for an operator who asks how long each took."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

from gql_server import tracing
from gql_server.metrics import LOADER_BATCHES, LOADER_KEYS, LOADER_SECONDS
from gql_server.tallies import Count

KEPT = 200


class Timing(NamedTuple):
    """A read that has ended: its query, how many keys it answered, when it began on the process's clock, how long it took."""

    query: str
    keys: int
    began: float
    seconds: float


TIMINGS: ContextVar[list[Timing] | None] = ContextVar("timings", default=None)
"""Reads of this operation so far, if somebody asks for them."""


class timed:
    """Times the reading of a query, for so many keys."""

    __slots__ = ("_began", "_keys", "_query", "_span")

    def __init__(self, query: Callable[..., Any], keys: int) -> None:
        self._query, self._keys = query, keys

    def __enter__(self) -> None:
        recorded = tracing.is_on()
        name = f"load {self._query.__name__}" if recorded else ""
        self._span = tracing.child(name, loader__keys=self._keys) if recorded else tracing.UNRECORDED
        self._span.__enter__()
        self._began = time.perf_counter()

    def __exit__(self, *failure: Any) -> None:
        took = time.perf_counter() - self._began
        self._span.__exit__(*failure)
        name, batches, keys, seconds = _counts(self._query)
        batches.value += 1
        keys.value += self._keys
        seconds.value += took
        if (kept := TIMINGS.get()) is not None and len(kept) < KEPT:
            kept.append(Timing(name, self._keys, self._began, took))


@cache
def _counts(query: Callable[..., Any]) -> tuple[str, Count, Count, Count]:
    """The query's label, and what is counted of it: its reads, their keys, and the seconds that they took."""
    name = f"{query.__module__.removeprefix('gql_server.reads.')}.{query.__name__}"
    return name, LOADER_BATCHES.of(name), LOADER_KEYS.of(name), LOADER_SECONDS.of(name)
