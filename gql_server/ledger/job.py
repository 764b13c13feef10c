"""A job as its handler sees it, the children it chains, and its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from gql_server.db.models import EntityType, IngestionMethod, JobResult, TargetType


@dataclass(frozen=True, slots=True)
class ClaimedJob:
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
    serves: list[UUID] = field(default_factory=list[UUID])

    @property
    def pipeline_ids(self) -> set[UUID]:
        """The pipelines that it works for: its own, and those whose work was merged into it."""
        return {*self.serves, *([self.pipeline_id] if self.pipeline_id else [])}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildJob:
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
class RejectedRow:
    """One rejected input row; `row` is the 1-based data row."""

    row: int | None
    reason: str
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of a handler. ERROR rolls back everything the handler wrote; children are chained only otherwise."""

    result: JobResult = JobResult.SUCCESS
    message: str = "Success"
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    affected_module_ids: Sequence[int] | None = None
    row_errors: Sequence[RejectedRow] = ()
    children: Sequence[ChildJob] = ()
