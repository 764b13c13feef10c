"""Facts that the rules of the diagnosis read, of jobs, pipelines and workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from gql_server.ledger.progress import JobCounts
from gql_server.policy.retry import RetryRefusal


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPreview:
    """Preview of starting a pipeline again: the refusal, as it is and with `replaceNewer`; the run that has brought newer data
    in place of its own, of all of it or of some of its entry types, the one that has succeeded since, and the newest that has
    since brought another file of the unit."""

    refusal: RetryRefusal | None = None
    refusal_replacing: RetryRefusal | None = None
    superseded_by: UUID | None = None
    is_superseded_wholly: bool = True
    resolved_by: UUID | None = None
    other_file_by: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Facts on the workers; None where the viewer may not know it."""

    live_workers: int | None
    revisions: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosedJob:
    """Columns of a job's row.

    `blocked_by` is the pipeline of a running job that must end first; `given_up` means that its worker fell silent in its last
    attempt; `claims_success` that it does so although nothing landed; `has_exception` that an error ended it which it did not
    expect.

    What has changed since it ended: `redone_by` is the pipeline that does, or did, the same work for at least the same units;
    `reread_by` the newest that has landed the same upload again; `rates_by` the one that brought exchange rates;
    `factors_have_come` for its entry types; rows that it rejected `lack_factors`, and a later file of factors has landed
    (`factors_since`); entries that it was about have no emission now for want of one (`lacks_factor`), or of an exchange rate
    (`lacks_rate`); it `is_settled` when all entries that it was about have their emissions;
    `year_is_syncing` that the year's units are being read.
    """

    id: int
    job_type: str | None
    state: str | None
    result: str | None
    message: str | None
    failure_class: str | None
    year: int | None
    module_type_id: int | None
    data_entry_type_id: int | None
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
    has_exception: bool
    given_up: bool
    claims_success: bool
    year_is_provisioned: bool
    pipeline_key: UUID
    is_orphan: bool
    now: datetime
    is_of_unit: bool = False
    rejected_rows: int | None = None
    ignored_cells: int | None = None
    redone_by: UUID | None = None
    reread_by: UUID | None = None
    rates_by: UUID | None = None
    factors_have_come: bool = False
    lack_factors: bool = False
    factors_since: bool = False
    lacks_factor: bool = False
    lacks_rate: bool = False
    is_settled: bool = False
    year_is_syncing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosedPipeline:
    """Facts on a pipeline: counts of all jobs that work for it, and those of its `jobs`, or of others that do its work, that
    there may be something to say of, the worst first. `taken_over_by` is the pipeline that does, or did, work of this one;
    `again` is what starting it again would meet, if any of it failed."""

    status: str | None
    owes_aggregation: bool
    taken_over_by: UUID | None
    tally: JobCounts
    recalculations: int
    live_recalculations: int
    jobs: Sequence[DiagnosedJob] = field(default_factory=tuple)
    again: RetryPreview = field(default_factory=RetryPreview)
