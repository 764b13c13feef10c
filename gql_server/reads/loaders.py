"""The generic loader: a feature contributes only a query function, which answers many keys at once."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any

from aiodataloader import DataLoader

from gql_server.db.outages import retry_on_outage
from gql_server.policy import Viewer
from gql_server.reads.batches import Borrowed, KeyBatch, Queue, ReadPolicy
from gql_server.reads.lanes import Reading
from gql_server.reads.rows import Columns
from gql_server.reads.timings import timed

RETRY_FOR_SECONDS = 30.0

Query = Callable[..., Awaitable[Mapping[Any, Any]]]
"""`(connection, viewer, keys, **arguments) -> {key: value}`; a key left out has the value None."""
KeylessQuery = Callable[..., Awaitable[Any]]
"""`(connection, viewer, **arguments) -> result`."""


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
    """Collects the keys of one tick and answers them with one statement."""

    def __init__(self, reads: Queue, viewer: Viewer, query: Query, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self._reads, self._viewer, self._query, self._arguments = reads, viewer, query, arguments
        self._batches: dict[Hashable, KeyBatch] = {}
        self._newest: KeyBatch | None = None

    def load(self, key: Hashable) -> "asyncio.Future[Any]":
        """The value of a key. Shielded: graphql-core cancels the siblings of a failed field, and a key is shared by many."""
        self._batches_of({key: None})
        return asyncio.shield(super().load(key))

    async def batch_load_fn(self, keys: list[Any]) -> list[Any]:
        return await self.values(keys)

    def values(self, keys: Sequence[Hashable]) -> "asyncio.Future[list[Any]]":
        """The values of many keys, in their order, without a future for each. They are asked for at once, before somebody
        waits for them."""
        batches = self._batches_of(dict.fromkeys(keys))
        if len(batches) == 1:
            return next(iter(batches)).asked(lambda found: list(map(found.get, keys)))
        return asyncio.ensure_future(_values(keys, [batch.asked(_everything) for batch in batches]))

    def prepare(self, keys: Sequence[Hashable]) -> None:
        """Ask for the values of keys, for whoever will want them."""
        self._batches_of(dict.fromkeys(keys))

    def _batches_of(self, keys: dict[Hashable, None]) -> set[KeyBatch]:
        """The batches that have these keys: of those in none yet, that of this tick. A dictionary is made of one without
        hashing its keys again, which are UUIDs."""
        known = self._batches.keys() & keys.keys() if self._batches else ()
        known = {key for key in known if not self._batches[key].is_abandoned}
        new = {key: None for key in keys if key not in known} if known else keys
        batches = {self._batches[key] for key in known}
        if new:
            batch = self._gathering()
            batch.keys.update(new)
            self._batches.update(dict.fromkeys(new, batch))
            batches.add(batch)
        return batches

    def _gathering(self) -> KeyBatch:
        """The batch of this tick."""
        if self._newest is None or self._newest.is_begun or self._newest.is_abandoned:
            self._newest = KeyBatch(self._read)
            self._reads.add(self._newest)
        return self._newest

    async def _read(self, borrowed: Borrowed, keys: list[Any]) -> Mapping[Any, Any]:
        with timed(self._query, len(keys)):
            return await borrowed.read(lambda connection: self._query(connection, self._viewer, keys, **self._arguments))


async def _values(keys: Sequence[Hashable], batches: Sequence[Awaitable[Mapping[Any, Any]]]) -> list[Any]:
    found: dict[Any, Any] = {}
    for batch in await asyncio.gather(*batches):
        found.update(batch)
    return list(map(found.get, keys))


def _everything(found: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return found


class Loaders:
    """The loaders of one operation or one event, made as they are needed: one for each query, its arguments and columns."""

    def __init__(self, engine: Reading, viewer: Viewer, reading: ReadPolicy = once) -> None:
        self._queue, self._viewer = Queue(engine, reading), viewer
        self._loaders: defaultdict[Hashable, list[tuple[Columns[Any] | None, Loader]]] = defaultdict(list)

    def load(self, query: Query, key: Hashable, **arguments: Any) -> "asyncio.Future[Any]":
        """The value of the query for this key; arguments must be hashable."""
        return self._of(query, **arguments).load(key)

    def values(self, query: Query, keys: Sequence[Hashable], **arguments: Any) -> "asyncio.Future[list[Any]]":
        """The values of the query for all these keys, in their order, asked for at once; arguments must be hashable."""
        return self._of(query, **arguments).values(keys)

    def prepare(self, query: Query, keys: Sequence[Hashable], **arguments: Any) -> None:
        """Ask for the values of the query for all these keys, for whoever will want them with the same arguments."""
        self._of(query, **arguments).prepare(keys)

    def alone(self, query: KeylessQuery, **arguments: Any) -> "asyncio.Future[list[Any]]":
        """The result of a query that has no key, as the only value; asked for at once."""

        async def read(borrowed: Borrowed, _: Sequence[Any]) -> Mapping[Any, Any]:
            with timed(query, 1):
                return {None: await borrowed.read(lambda connection: query(connection, self._viewer, **arguments))}

        batch = KeyBatch(read)
        self._queue.add(batch)
        return batch.asked(lambda found: [found[None]])

    def _of(self, query: Query, *, columns: Columns[Any] | None = None, **arguments: Any) -> Loader:
        """The loader that reads these columns of rows, all unless given, or more."""
        columns = columns or every(query)
        loaders = self._loaders[query, *sorted(arguments.items())]
        for known, loader in loaders:
            if columns is None or known is None or known >= columns:
                return loader
        asked = arguments if columns is None else {**arguments, "columns": columns}
        loader = Loader(self._queue, self._viewer, query, asked)
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
