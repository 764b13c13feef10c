"""Runs commands: one transaction, once for an idempotency key, and the wake-ups that its commit asks for."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.commands.idempotency import Key, remember, remembered
from gql_server.commands.ingestion import ApiSource
from gql_server.db import dumps
from gql_server.db.outages import sqlstate
from gql_server.ledger.wakeup import cancel_jobs, wake_all
from gql_server.policy import Viewer
from gql_server.reads.lanes import Lanes
from gql_server.worker import Registry

Command = Callable[[AsyncConnection], Awaitable[object]]
ATTEMPTS = 3
AT_ONCE = 2
"""Commands and uploads of one viewer that have a connection: a quarter of those there are. The others wait for their turn."""
STEPS_AT_ONCE = 2
"""Connections that bulk aborts use, however many there are: each waits for its turn with every step."""
LOST_A_RACE = ("40001", "40P01")
"""Serialization failure, deadlock: nothing was written, and the same again may succeed."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Resources of commands beside a viewer: `api_sources` name what can be ingested without a file, `lanes` keep connections
    for others, `running` are the bulk aborts that this process works on, and `steps` is held for each step of theirs."""

    engine: AsyncEngine
    registry: Registry
    api_sources: Collection[ApiSource] = ()
    lanes: Lanes = field(default_factory=lambda: Lanes(AT_ONCE))
    running: dict[UUID, asyncio.Task[None]] = field(default_factory=dict[UUID, asyncio.Task[None]])
    steps: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STEPS_AT_ONCE))

    async def run(self, viewer: Viewer, command: Command, key: Key | None = None) -> Any:
        """Commit the command and return its outcome as JSON; under a key that was used before, the outcome of that time.

        Raises what the command raises, and BadInput when the key was used with another input. A refused command leaves
        nothing behind, not even its key.
        """
        async with self.lanes.turns(viewer):
            return await self._persistently(viewer, command, key)

    async def step(self, viewer: Viewer, command: Command) -> Any:
        """The same of a step of a bulk abort, of which few are done at a time, whoever began them."""
        async with self.lanes.turns(viewer), self.steps:
            return await self._persistently(viewer, command, None)

    @asynccontextmanager
    async def begin(self, viewer: Viewer) -> AsyncGenerator[AsyncConnection]:
        """A transaction in the viewer's turn."""
        async with self.lanes.turns(viewer), self.engine.begin() as connection:
            yield connection

    async def _persistently(self, viewer: Viewer, command: Command, key: Key | None) -> Any:
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._attempt(viewer, command, key)
            except DBAPIError as error:
                if sqlstate(error) not in LOST_A_RACE:
                    raise
        return await self._attempt(viewer, command, key)

    async def _attempt(self, viewer: Viewer, command: Command, key: Key | None) -> Any:
        async with self.engine.begin() as connection:
            if key and (earlier := await remembered(connection, viewer, key)):
                return earlier.outcome
            outcome = orjson.loads(dumps(await command(connection)))
            if key:
                await remember(connection, viewer, key, outcome)
        await self.announce(outcome["aborted_job_ids"] if isinstance(outcome, dict) and "aborted_job_ids" in outcome else [])
        return outcome

    async def announce(self, aborted_job_ids: list[int]) -> None:
        """After a commit: stop the workers of these jobs, and let everybody look at the ledger."""
        await cancel_jobs(self.engine, aborted_job_ids)
        await wake_all(self.engine)
