"""Job types: what runs them, and what they may not overlap with. A team adds its own with one decorated function."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.ledger.job import ClaimedJob, Outcome
from gql_server.ledger.locks import Lock, Scope, no_locks
from gql_server.worker.run import Run

Handler = Callable[[ClaimedJob, AsyncConnection, Run], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A registered job type."""

    name: str
    handler: Handler
    locks: Callable[[Scope], Sequence[Lock]]


class Registry:
    """The job types one process knows."""

    def __init__(self) -> None:
        self._specs: dict[str, JobSpec] = {}

    def job_type(self, name: str, *, locks: Callable[[Scope], Sequence[Lock]] = no_locks) -> Callable[[Handler], Handler]:
        """Register `async def handler(job, connection, run) -> Outcome` under a name.

        Raises ValueError for a name that is taken, and TypeError for a function that is not async or does not take
        exactly three arguments.
        """

        def register(handler: Handler) -> Handler:
            if name in self._specs:
                raise ValueError(f"job type {name!r} is already registered")
            if not inspect.iscoroutinefunction(handler):
                raise TypeError(f"the handler of {name!r} must be an async function")
            if not _takes_three_arguments(handler):
                raise TypeError(f"the handler of {name!r} must take exactly three arguments: job, connection, run")
            self._specs[name] = JobSpec(name, handler, locks)
            return handler

        return register

    def __getitem__(self, name: str) -> JobSpec:
        try:
            return self._specs[name]
        except KeyError:
            raise LookupError(f"no handler is registered for job type {name!r}") from None

    @property
    def names(self) -> list[str]:
        return list(self._specs)


def _takes_three_arguments(handler: Callable[..., object]) -> bool:
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required_keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return len([p for p in parameters if p.kind in positional]) == 3 and not required_keywords


registry = Registry()
job_type = registry.job_type
