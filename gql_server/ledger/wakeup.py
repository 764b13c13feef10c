"""Wake-ups. No write depends on one: workers and feeds also poll, so a lost NOTIFY costs a moment, never an event."""

import asyncio
from collections.abc import Mapping, Sequence
from secrets import token_hex

import orjson
import structlog
from sqlalchemy import Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import FAILURES, DirectStatement, direct

JOBS_CHANNEL = "gql_jobs"
EVENTS_CHANNEL = "gql_events"
CANCELLED_AT_ONCE = 500

log = structlog.get_logger(__name__)


def _json(event: Mapping[str, object]) -> str:
    return orjson.dumps(event).decode()


# The shapes PgQueuer's listener reads. The time says nothing: the first only ever means "look at the ledger".
_EVENT = {"channel": JOBS_CHANNEL, "sent_at": "1970-01-01T00:00:00Z"}
_LOOK = {**_EVENT, "type": "table_changed_event", "operation": "insert", "table": "data_ingestion_jobs"}
LOOK = _json(_LOOK)

_WAKE_ALL = DirectStatement(
    text("SELECT pg_notify(:jobs, :look), pg_notify(:events, '')").bindparams(
        bindparam("jobs", JOBS_CHANNEL), bindparam("look", type_=Text), bindparam("events", EVENTS_CHANNEL)
    )
)
_WAKE_FEED = DirectStatement(text("SELECT pg_notify(:events, '')").bindparams(events=EVENTS_CHANNEL))
_CANCEL = DirectStatement(
    text("SELECT pg_notify(:jobs, :event)").bindparams(bindparam("jobs", JOBS_CHANNEL), bindparam("event", type_=Text))
)


class Waker:
    """Wakes everybody for one worker: those who ask while a wake-up is on its way share the next one.

    By `look` the worker knows its own, which tells it nothing: it looks for jobs when it is done with one.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.look = _json({**_LOOK, "sender": token_hex(8)})
        self._wanted = False
        self._turn = asyncio.Lock()

    async def wake_all(self) -> None:
        """Wake everybody; returns once a wake-up has been sent after this call, or tried."""
        self._wanted = True
        async with self._turn:
            if self._wanted:
                self._wanted = False
                try:
                    await wake_all(self.engine, self.look)
                except asyncio.CancelledError:
                    self._wanted = True  # the next in turn sends it
                    raise


async def cancel_jobs(engine: AsyncEngine, job_ids: Sequence[int]) -> None:
    """Tell the workers that run these jobs to stop. One that does not hear it finds out when it next writes."""
    for start in range(0, len(job_ids), CANCELLED_AT_ONCE):
        event = {**_EVENT, "type": "cancellation_event", "ids": list(job_ids[start : start + CANCELLED_AT_ONCE])}
        await _send(engine, _CANCEL, event=_json(event))


async def wake_all(engine: AsyncEngine, look: str = LOOK) -> None:
    """Wake workers and feeds, after a commit that made jobs claimable or changed what a viewer sees. Never raises for want of a
    database: a failure is logged."""
    await _send(engine, _WAKE_ALL, look=look)


async def wake_feed(engine: AsyncEngine) -> None:
    """Wake feeds, after a commit that changed only what a viewer sees. Never raises for want of a database, as `wake_all`."""
    await _send(engine, _WAKE_FEED)


async def _send(engine: AsyncEngine, statement: DirectStatement, **values: str) -> None:
    try:
        async with direct(engine).connect() as connection:
            await connection.fetch(statement, values)
    except FAILURES as error:
        log.warning("wakeup.failed", error=str(error))
