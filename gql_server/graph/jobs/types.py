"""Jobs as a client sees them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from gql_server.graph.connections import CountedConnection
from gql_server.graph.context import Info
from gql_server.graph.diagnosis import diagnosis_of
from gql_server.graph.failures.types import FailureGroup
from gql_server.graph.fields import ChildField, access, access_sentence, child, computed, embedded, guarded, lookup
from gql_server.graph.jobs.row_errors import RowErrorConnection, row_errors
from gql_server.graph.nodes import Node, global_id, integer_key
from gql_server.graph.pipelines.graph import JobDependencyFields
from gql_server.graph.pipelines.runs import JobHistoryFields
from gql_server.graph.pipelines.timeline import JobTimelineField
from gql_server.graph.pipelines.viewer_can import JobCapabilities
from gql_server.graph.scopes import StatusTone, WorkScope, scope
from gql_server.graph.selection import load
from gql_server.reads.diagnosis.queries import reasons_by_job
from gql_server.reads.failures.queries import groups_by_fingerprint
from gql_server.reads.fleet.workers import workers_by_pod_id
from gql_server.reads.jobs import queries
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.queries import pipelines_by_key

if TYPE_CHECKING:
    from gql_server.graph.diagnosis import Diagnosis
    from gql_server.graph.fleet.workers import Worker
    from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.jobs.enums import IngestionMethod, JobKind, JobResult, JobState, TargetType
from gql_server.graph.jobs.meta import Meta
from gql_server.graph.jobs.progress import JobPhase, RowProgress


@strawberry.type(description=f"One row of work. {access_sentence('Job')}", directives=access("Job"))
class Job(JobDependencyFields, JobHistoryFields, JobTimelineField, Node):
    id: strawberry.ID = global_id("job_id")
    job_id: int = strawberry.field(description="Database key, shown in logs and tickets.")
    pipeline: Annotated["Pipeline", strawberry.lazy("gql_server.graph.pipelines.types")] = child(
        pipelines_by_key, key="pipeline_key", description="Its pipeline; for an orphan, its pipeline of one."
    )
    kind: JobKind = strawberry.field(description="Kind of work.")
    kind_raw: str | None = strawberry.field(description="Stored text of the kind; read it when `kind` is OTHER.")
    state: JobState = strawberry.field(description="Where it is in its life.")
    result: JobResult | None = strawberry.field(description="Outcome; null until it is finished.")
    tone: StatusTone = strawberry.field(description="Colour family of state and result.")
    scope: WorkScope = scope()
    target: TargetType | None = strawberry.field(description="What it writes.")
    method: IngestionMethod | None = strawberry.field(description="How its data arrived.")
    message: str | None = strawberry.field(description="Status message, at most 500 characters.")
    created_at: datetime = strawberry.field(description="When it was submitted.")
    started_at: datetime | None = strawberry.field(description="First claim.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")
    duration_seconds: float | None = strawberry.field(description="Seconds from first claim to its end, or to now.")
    row_progress: RowProgress | None = embedded("Rows handled so far, for kinds that report it.", present="rows_processed")
    attempt: int = strawberry.field(description="1 for the first try; 0 before the first claim.")
    max_attempts: int = strawberry.field(description="Claims it gets before it is given up.")
    retries_left: int = strawberry.field(description="Zero means the next failure is final.")
    next_attempt_at: datetime | None = strawberry.field(description="Not claimable before this time.")
    is_current: bool = strawberry.field(
        description="The job is the current one for its (module, entry type, target, method, year). When a newer one takes its "
        "place, no event of this pipeline says so: follow that of the newer one, or read again."
    )
    is_aborted: bool = strawberry.field(description="An operator stopped it.")
    is_stuck: bool = strawberry.field(
        description="RUNNING, but its lock is older than its worker may be silent, or the heartbeat of its worker is lost."
    )
    worker: Annotated["Worker", strawberry.lazy("gql_server.graph.fleet.workers")] | None = guarded(
        "Job.worker",
        "The worker that holds it, or held it last; null when that is not registered any more.",
        ChildField(workers_by_pod_id, "worker_id"),
        present="worker_id",
    )
    locked_at: datetime | None = guarded("Job.lockedAt", "Last heartbeat of its worker.", "locked_at")
    error_detail: str | None = guarded(
        "Job.errorDetail",
        "Full text of the error. May contain row values and SQL.",
        ChildField(queries.error_detail_by_job, "failed_id"),
    )
    viewer_can: JobCapabilities = embedded("What you may do here, with the reason when you may not.")
    diagnosis: list[Annotated["Diagnosis", strawberry.lazy("gql_server.graph.diagnosis")]] | None = diagnosis_of(
        reasons_by_job, key="job_id"
    )
    failure: FailureGroup | None = child(
        groups_by_fingerprint, key="failure_fingerprint", description="Group its failure belongs to; null if it did not fail."
    )
    row_error_count: int | None = strawberry.field(description="Rejected rows, including those whose detail was not kept.")
    row_errors: RowErrorConnection | None = row_errors()
    meta: Meta = child(queries.meta_by_job, key="job_id", description="Metadata of the job.")
    phases: list[JobPhase] = computed(
        JobPhase.every, JobRow.phases_raw, description="Checklist of named stages (unit sync and other staged jobs)."
    )


@strawberry.type(name="JobConnection", description="A page of jobs.")
class JobConnection(CountedConnection[Job]):
    pass


@strawberry.input(description="Ways to name one job.", one_of=True)
class JobBy:
    id: strawberry.Maybe[strawberry.ID] = strawberry.field(description="Global id.")
    job_id: strawberry.Maybe[int] = strawberry.field(description="Database key.")

    def key(self) -> int:
        """The job's database key. Raises BadInput for an id that is none of a job."""
        if self.job_id is not None:
            return self.job_id.value
        assert self.id is not None
        return job_key(self.id.value)


def job_key(global_id: str) -> int:
    """The database key in a global id. Raises BadInput."""
    return integer_key("Job", global_id)


@strawberry.type
class JobQuery:
    @strawberry.field(
        description="One job, by whatever name you have; null when absent or not visible.",
        metadata=lookup(queries.jobs_by_id, key=JobBy.key, identity="job_id"),
    )
    async def job(self, info: Info, by: Annotated[JobBy, strawberry.argument(description="Its name.")]) -> Job | None:
        return await load(info, queries.jobs_by_id, by.key())
