"""The generic loader: a feature contributes only a query function, which answers many keys at once."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any

from aiodataloader import DataLoader

from gql_server.db.outages import retry_on_outage
from gql_server.policy import Viewer
from gql_server.reads.lanes import Reading
from gql_server.reads.rows import Columns
from gql_server.reads.timings import timed

ReadPolicy = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Way of reading: once, or until the database is there."""
RETRY_FOR_SECONDS = 30.0

Query = Callable[..., Awaitable[Mapping[Any, Any]]]
"""`(connection, viewer, keys, **arguments) -> {key: value}`; a key left out has the value None."""


async def once(read: Callable[[], Awaitable[Any]]) -> Any:
    """The read of a query, whose client may ask again."""
    return await read()


async def retried_on_outage(read: Callable[[], Awaitable[Any]]) -> Any:
    """The read of an event, which its client cannot ask for again. Raises an outage only when it lasts."""
    return await retry_on_outage(read, patience_seconds=RETRY_FOR_SECONDS)


@cache
def every(query: Callable[..., Any]) -> Columns[Any] | None:
    """The columns that a query reads unless it is told which; None for one that cannot be told."""
    parameter = signature(query).parameters.get("columns")
    return parameter and parameter.default


class Loader(DataLoader[Any, Any]):
    """Collects the keys of one tick and answers them with one statement on one short connection."""

    def __init__(
        self, engine: Reading, viewer: Viewer, query: Query, arguments: Mapping[str, Any], reading: ReadPolicy = once
    ) -> None:
        self._futures: dict[Hashable, asyncio.Future[Any]] = {}
        super().__init__(cache_map=self._futures)
        self._engine, self._viewer, self._query, self._arguments = engine, viewer, query, arguments
        self._reading = reading
        self._batches: dict[Hashable, asyncio.Task[Mapping[Any, Any]]] = {}
        self._gathered: dict[Hashable, None] = {}

    async def batch_load_fn(self, keys: list[Any]) -> list[Any]:
        found = await self._reading(lambda: self._read(keys))
        return [found.get(key) for key in keys]

    async def _read(self, keys: list[Any]) -> Mapping[Any, Any]:
        with timed(self._query, len(keys)):
            async with self._engine.connect() as connection:
                return await self._query(connection, self._viewer, keys, **self._arguments)

    def load(self, key: Hashable) -> "asyncio.Future[Any]":
        """Shielded: graphql-core cancels the siblings of a failed field, and a key is shared by many fields."""
        if key in self._batches:
            return asyncio.ensure_future(self._one(key))
        return asyncio.shield(super().load(key))

    async def values(self, keys: Sequence[Hashable]) -> list[Any]:
        """The values of many keys, in their order, without a future for each."""
        asked = dict.fromkeys(keys)
        known = self._futures.keys() & asked.keys() if self._futures else ()
        found = {key: await self.load(key) for key in known} if known else {}
        for batch in self._batches_of({key: None for key in asked if key not in found} if found else asked):
            loaded = await asyncio.shield(batch)
            found = {**found, **loaded} if found else loaded
        return list(map(found.get, keys))

    async def _one(self, key: Hashable) -> Any:
        return (await asyncio.shield(self._batches[key])).get(key)

    def _batches_of(self, keys: dict[Hashable, None]) -> Iterable["asyncio.Task[Mapping[Any, Any]]"]:
        """The batches that have these keys: of those in none yet, that of this tick. A dictionary is made of one without
        hashing its keys again, which are UUIDs."""
        known = self._batches.keys() & keys.keys() if self._batches else ()
        new = {key: None for key in keys if key not in known} if known else keys
        batches = {self._batches[key] for key in known}
        if new and not self._gathered:
            self._batch = asyncio.create_task(self._together())
        if new:
            self._gathered.update(new)
            self._batches.update(dict.fromkeys(new, self._batch))
            batches.add(self._batch)
        return batches

    async def _together(self) -> Mapping[Any, Any]:
        keys, self._gathered = [*self._gathered], {}
        return await self._reading(lambda: self._read(keys))


class Loaders:
    """The loaders of one operation or one event, made as they are needed: one for each query, its arguments and columns."""

    def __init__(self, engine: Reading, viewer: Viewer, reading: ReadPolicy = once) -> None:
        self._engine, self._viewer, self._reading = engine, viewer, reading
        self._loaders: defaultdict[Hashable, list[tuple[Columns[Any] | None, Loader]]] = defaultdict(list)

    def load(self, query: Query, key: Hashable, **arguments: Any) -> "asyncio.Future[Any]":
        """The value of the query for this key; arguments must be hashable."""
        return self._of(query, **arguments).load(key)

    async def values(self, query: Query, keys: Sequence[Hashable], **arguments: Any) -> Sequence[Any]:
        """The values of the query for all these keys, in their order; arguments must be hashable."""
        return await self._of(query, **arguments).values(keys)

    def _of(self, query: Query, *, columns: Columns[Any] | None = None, **arguments: Any) -> Loader:
        """The loader that reads these columns of rows, all unless given, or more."""
        columns = columns or every(query)
        loaders = self._loaders[query, *sorted(arguments.items())]
        for known, loader in loaders:
            if columns is None or known is None or known >= columns:
                return loader
        asked = arguments if columns is None else {**arguments, "columns": columns}
        loader = Loader(self._engine, self._viewer, query, asked, self._reading)
        loaders.append((columns, loader))
        return loader


class SharedLoaders:
    """Loaders for live operations of equal viewers: what several of them read because of the same events is read once.

    They are as old as the newest events at most, and serve a moment only: durations go on without events.
    """

    MOMENT_SECONDS = 0.05

    def __init__(self, engine: Reading, generation: Callable[[], int]) -> None:
        self._engine, self._generation = engine, generation
        self._current: dict[Viewer, tuple[int, float, Loaders]] = {}

    def of(self, viewer: Viewer) -> Loaders:
        """The loaders of this moment."""
        generation, now = self._generation(), time.monotonic()
        known = self._current.get(viewer)
        if known is None or known[0] != generation or now - known[1] > self.MOMENT_SECONDS:
            self._forget(now)
            known = self._current[viewer] = (generation, now, Loaders(self._engine, viewer, retried_on_outage))
        return known[2]

    def _forget(self, now: float) -> None:
        for viewer in [viewer for viewer, (_, since, _) in self._current.items() if now - since > self.MOMENT_SECONDS]:
            del self._current[viewer]
