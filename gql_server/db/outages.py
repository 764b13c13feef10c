"""Tells a database that is away, or too slow, from a mistake of ours, and waits for it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

OUTAGE_CLASSES = ("08", "53", "57", "58")
"""SQLSTATE classes: connection exception, insufficient resources, operator intervention, system error."""
LOST_CLASSES = ("08", "57P", "53300")
"""Connection exception, operator intervention, too many connections."""
LOCK_NOT_AVAILABLE = "55P03"
INSUFFICIENT_PRIVILEGE = "42501"
UNDEFINED_TABLE = "42P01"
_LOST = re.compile(
    r"connection (is|was) closed|released back to the pool|pool is clos|not connected"
    r"|another operation (\(\d+\) )?is (in progress|cancelling)|cannot switch to |unknown protocol state|unexpected state"
    r"|waiter is|statement is None|unknown error in protocol|result is not a list|first message is not"
)
"""Messages of asyncpg on the client's side when a connection went away under it; its other errors are of our use of it."""
FIRST_RETRY_SECONDS, RETRY_SECONDS = 0.05, 1.0
T = TypeVar("T")

log = structlog.get_logger(__name__)


async def retry_on_outage(read: Callable[[], Awaitable[T]], *, patience_seconds: float = inf) -> T:
    """The result of `read`, however long the database is away. Raises the outage when it lasts longer than the patience."""
    until, pause = time.monotonic() + patience_seconds, FIRST_RETRY_SECONDS
    while True:
        try:
            return await read()
        except Exception as error:
            if not may_pass(error) or time.monotonic() > until:
                raise
            log.warning("feed.read_retried", error=repr(error), retry_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, RETRY_SECONDS)


def is_outage(error: BaseException | None) -> bool:
    """True if trying again later may help: no connection, no free connection, a statement cut off by its time limit."""
    return any(map(_is_outage, _causes(error)))


def is_pool_full(error: BaseException | None) -> bool:
    """True if the database is there, and every connection to it in use."""
    return any(isinstance(each, PoolTimeout) for each in _causes(error))


def may_pass(error: BaseException | None) -> bool:
    """True if waiting for the database helps: an outage, or a table that is missing while a dump is restored."""
    return is_outage(error) or any(sqlstate(each) == UNDEFINED_TABLE for each in _causes(error))


def is_connection_lost(error: BaseException) -> bool:
    """True if the database went away under a transaction, so that nobody knows whether it was committed.

    A server's farewell that arrives between two statements confuses asyncpg: whatever is tried next, and the rollback after it,
    fails as if another operation were in progress.
    """
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if any(isinstance(each, asyncpg.InternalClientError) and _tells_of_loss(each) for each in _history(error)):
        return True
    return sqlstate(error).startswith(LOST_CLASSES) or isinstance(error, PoolTimeout) or _tells_of_loss(error)


def sqlstate(error: BaseException) -> str:
    """The five-character SQLSTATE of a database error, wrapped by SQLAlchemy or not; empty for any other."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return sqlstate(error) == LOCK_NOT_AVAILABLE or sqlstate(error).startswith(OUTAGE_CLASSES)
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, (OSError, PoolTimeout)) or _tells_of_loss(error)


def _tells_of_loss(error: BaseException) -> bool:
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return True
    return isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)) and bool(_LOST.search(str(error)))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or getattr(error, "orig", None)


def _history(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and what was being handled when these were raised."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        if (each := rest.pop()) is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            rest += [each.__cause__, each.__context__, getattr(each, "orig", None)]
