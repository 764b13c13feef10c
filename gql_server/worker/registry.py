"""Job types: what runs them, and what they may not overlap with. A team adds its own with one decorated function."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.models import EntityType, IngestionMethod, JobResult, TargetType
from gql_server.ledger.locks import Lock, Scope, no_locks

if TYPE_CHECKING:
    from gql_server.worker.run import Run


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job, as its handler sees it. `attempt` counts from 1 and fences every write of this attempt."""

    id: int
    job_type: str
    attempt: int
    max_attempts: int
    pipeline_id: UUID | None
    parent_job_id: int | None
    provider: str
    entity_type: str
    entity_id: int | None
    module_type_id: int | None
    data_entry_type_id: int | None
    year: int | None
    target_type: str | None
    ingestion_method: str
    config: Mapping[str, Any]
    upload_id: UUID | None
    scope_module_ids: list[int] | None
    affected_module_ids: list[int] | None
    lock_keys: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A job to be chained. Provider and pipeline are the parent's, module and year too unless given."""

    job_type: str
    data_entry_type_id: int | None = None
    module_type_id: int | None = None
    year: int | None = None
    entity_type: EntityType = EntityType.MODULE_PER_YEAR
    ingestion_method: IngestionMethod = IngestionMethod.COMPUTED
    target_type: TargetType = TargetType.DATA_ENTRIES
    entity_id: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    scope_module_ids: Sequence[int] | None = None
    affected_module_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class RowError:
    """One rejected input row; `row` is the 1-based data row."""

    row: int | None
    reason: str
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a handler returns. ERROR rolls back everything the handler wrote; children are chained only otherwise."""

    result: JobResult = JobResult.SUCCESS
    message: str = "Success"
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    affected_module_ids: Sequence[int] | None = None
    row_errors: Sequence[RowError] = ()
    children: Sequence[Child] = ()


Handler = Callable[[Job, AsyncConnection, "Run"], Awaitable[Outcome]]


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
