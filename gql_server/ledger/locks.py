"""The three advisory lock categories. They are transaction scoped and taken on the connection that does the job's writes.

A job names its locks when it is submitted, so that a claim passes over jobs whose lock is held: a waiting job holds
nothing. The advisory lock remains the guard that makes it true.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.models import Provider

REPORTS_OF_YEAR = 1236
MODULE_OF_YEAR = 1237
UNITS = 1239

_PROVIDER_NUMBERS = {Provider.ACCRED.value: 0, Provider.DEFAULT.value: 1, Provider.TEST.value: 2}


class Scope(Protocol):
    """Fields that a lock is derived from; a job has them."""

    @property
    def provider(self) -> str: ...
    @property
    def module_type_id(self) -> int | None: ...
    @property
    def year(self) -> int | None: ...


class Locking(Protocol):
    """A job type, as far as its locks are concerned."""

    @property
    def locks(self) -> "Callable[[Scope], Sequence[Lock]]": ...


class JobTypes(Protocol):
    """Job types by name. Raises LookupError for one that no handler is registered for."""

    def __getitem__(self, name: str, /) -> Locking: ...


@dataclass(frozen=True, slots=True)
class Covered:
    """Data that a lock covers; None is everything."""

    provider: str | None = None
    module_type_id: int | None = None
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """One advisory lock; without a key it is the category's global lock, in the one-integer form."""

    category: int
    key: int | None = None

    def __str__(self) -> str:
        return str(self.category) if self.key is None else f"{self.category}:{self.key}"

    @classmethod
    def parse(cls, value: str) -> "Lock":
        """The lock of a text, `category` or `category:key`. Raises ValueError."""
        category, _, key = value.partition(":")
        return cls(int(category), int(key) if key else None)

    @property
    def covered(self) -> Covered:
        """Data that the key stands for, in a category of ours: the reverse of how keys are made below."""
        if self.key is None:
            return Covered()
        number, rest = divmod(self.key, 10_000_000)
        module_type_id, year = divmod(rest, 100_000)
        provider = next((provider for provider, each in _PROVIDER_NUMBERS.items() if each == number), None)
        return Covered(provider, module_type_id or None, year)


def no_locks(scope: Scope) -> Sequence[Lock]:
    """No lock: for work that may overlap with anything."""
    return ()


def module_of_year(scope: Scope) -> Sequence[Lock]:
    """Lock of work that writes entries, factors or emissions of one module in one year."""
    if scope.module_type_id is None or scope.year is None:
        return ()
    return (Lock(MODULE_OF_YEAR, _provider(scope) * 10_000_000 + scope.module_type_id * 100_000 + scope.year),)


def reports_of_year(scope: Scope) -> Sequence[Lock]:
    """Lock of work that rewrites the carbon reports of one year."""
    return () if scope.year is None else (Lock(REPORTS_OF_YEAR, _provider(scope) * 10_000_000 + scope.year),)


def units_and_reports_of_year(scope: Scope) -> Sequence[Lock]:
    """Locks of a unit sync, always in this order: years share the units, and a sync creates the year's reports."""
    return (Lock(UNITS), *reports_of_year(scope))


async def try_acquire(connection: AsyncConnection, locks: Sequence[Lock]) -> bool:
    """Take the locks in order until the transaction ends; False at the first one that somebody else holds."""
    for lock in locks:
        arguments = "CAST(:category AS int)" if lock.key is None else "CAST(:category AS int), CAST(:key AS int)"
        statement = text(f"SELECT pg_try_advisory_xact_lock({arguments})")
        parameters = {"category": lock.category} if lock.key is None else {"category": lock.category, "key": lock.key}
        if not await connection.scalar(statement, parameters):
            return False
    return True


def _provider(scope: Scope) -> int:
    return _PROVIDER_NUMBERS[scope.provider]
