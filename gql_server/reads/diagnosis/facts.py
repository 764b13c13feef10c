"""What the rules know of jobs, pipelines and workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What there is to know of the workers; None where the viewer may not know it."""

    live_workers: int | None
    revisions: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What is read of a job.

    `blocked_by` is the pipeline of a running job that must end first; `given_up` means that its worker fell silent in its last
    attempt; `claims_success` that it does so although nothing landed.
    """

    id: int
    job_type: str | None
    state: str | None
    result: str | None
    message: str | None
    failure_class: str | None
    year: int | None
    attempts: int
    max_attempts: int
    created_at: datetime
    run_after: datetime | None
    locked_at: datetime | None
    finished_at: datetime | None
    worker_id: str | None
    lease_is_over: bool
    worker_is_lost: bool
    blocked_by: UUID | None
    is_aborted: bool
    given_up: bool
    claims_success: bool
    year_is_provisioned: bool
    pipeline_key: UUID
    is_orphan: bool
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFacts:
    """What is read of a pipeline beside its jobs. `taken_over_by` is the pipeline that does, or did, work of this one, and
    `shared` are the jobs there that do."""

    status: str | None
    owes_aggregation: bool
    taken_over_by: UUID | None
    jobs: Sequence[JobFacts] = field(default_factory=tuple)
    shared: Sequence[JobFacts] = field(default_factory=tuple)
