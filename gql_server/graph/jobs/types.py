"""Jobs as a client sees them."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import strawberry
from strawberry import UNSET

from gql_server.graph.connections import CountedConnection
from gql_server.graph.context import Info
from gql_server.graph.diagnosis import diagnosis_of
from gql_server.graph.failures import FailureGroup
from gql_server.graph.fields import ChildField, access, access_sentence, child, embedded, guarded
from gql_server.graph.jobs.row_errors import RowErrorConnection, row_errors
from gql_server.graph.nodes import Node, global_id, integer_key
from gql_server.graph.pipelines.graph import JobDependencyFields
from gql_server.graph.pipelines.runs import JobHistoryFields
from gql_server.graph.pipelines.timeline import JobTimelineField
from gql_server.graph.pipelines.viewer_can import JobCapabilities
from gql_server.graph.scalars import JSON
from gql_server.graph.scopes import StatusTone, WorkScope, scope
from gql_server.graph.selection import load, made_of
from gql_server.instants import recorded
from gql_server.reads.diagnosis.queries import reasons_by_job
from gql_server.reads.failures.queries import groups_by_fingerprint
from gql_server.reads.fleet.workers import workers_by_pod_id
from gql_server.reads.jobs import queries
from gql_server.reads.jobs.meta import ALLOWED, VALUE_MAX_BYTES, allowed, omission
from gql_server.reads.jobs.queries import MetaRow
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.queries import pipelines_by_key

if TYPE_CHECKING:
    from gql_server.graph.diagnosis import Diagnosis
    from gql_server.graph.fleet.workers import Worker
    from gql_server.graph.pipelines.types import Pipeline


@strawberry.enum(description="Lifecycle state of a job.")
class JobState(Enum):
    NOT_STARTED = strawberry.enum_value("NOT_STARTED", description="Waits to be claimed.")
    QUEUED = strawberry.enum_value("QUEUED", description="Waits to be claimed; this server does not write it.")
    RUNNING = strawberry.enum_value("RUNNING", description="A worker holds it.")
    FINISHED = strawberry.enum_value("FINISHED", description="Ended; read `result`.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Not recorded, or a value this server does not know.")


@strawberry.enum(description="Outcome of a finished job; null before that.")
class JobResult(Enum):
    SUCCESS = strawberry.enum_value("SUCCESS", description="Everything landed.")
    WARNING = strawberry.enum_value("WARNING", description="It landed, but something was left out.")
    ERROR = strawberry.enum_value("ERROR", description="Nothing of it landed.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know.")


@strawberry.enum(description="Kind of work. `OTHER` means: read `kindRaw`.")
class JobKind(Enum):
    CSV_INGEST = strawberry.enum_value("CSV_INGEST", description="Reads an uploaded file into data entries.")
    API_INGEST = strawberry.enum_value("API_INGEST", description="Reads another system into data entries.")
    FACTOR_INGEST = strawberry.enum_value("FACTOR_INGEST", description="Reads an uploaded file into emission factors.")
    REFERENCE_INGEST = strawberry.enum_value("REFERENCE_INGEST", description="Reads an uploaded file into reference data.")
    UNIT_SYNC = strawberry.enum_value("UNIT_SYNC", description="Brings units and people in, and prepares a year.")
    ROLE_SYNC = strawberry.enum_value("ROLE_SYNC", description="Brings roles in.")
    EMISSION_RECALC = strawberry.enum_value("EMISSION_RECALC", description="Recomputes the emissions of one entry type.")
    MODULE_EMISSION_RECALC = strawberry.enum_value("MODULE_EMISSION_RECALC", description="Recomputes those of a module.")
    AGGREGATION = strawberry.enum_value("AGGREGATION", description="Rolls emissions up per module, unit and year.")
    OTHER = strawberry.enum_value("OTHER", description="A kind this server does not know.")


@strawberry.enum(description="How the data arrived.")
class IngestionMethod(Enum):
    API = strawberry.enum_value("API", description="From another system.")
    CSV = strawberry.enum_value("CSV", description="In an uploaded file.")
    MANUAL = strawberry.enum_value("MANUAL", description="By hand.")
    COMPUTED = strawberry.enum_value("COMPUTED", description="Computed from what is there.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know.")


@strawberry.enum(description="What the job writes.")
class TargetType(Enum):
    DATA_ENTRIES = strawberry.enum_value("DATA_ENTRIES", description="Data entries and what is computed from them.")
    FACTORS = strawberry.enum_value("FACTORS", description="Emission factors.")
    REDUCTION_OBJECTIVES = strawberry.enum_value("REDUCTION_OBJECTIVES", description="Goals of a year.")
    REFERENCE_DATA = strawberry.enum_value("REFERENCE_DATA", description="Units, people and other reference data.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know.")


@strawberry.type(description="Row-level progress of one job.")
class RowProgress:
    rows_stage: str | None = strawberry.field(name="stage", description="What it is doing with the rows.")
    rows_processed: int = strawberry.field(name="processed", description="Rows handled so far.")
    rows_total: int | None = strawberry.field(name="total", description="Rows to handle; null when not known.")
    rows_per_second: float | None = strawberry.field(description="Mean rate since the job started.")


@strawberry.type(description="One named stage of a staged job.")
class JobPhase:
    name: str = strawberry.field(description="Stable name, such as `fetch_units`.")
    state: str = strawberry.field(description="As the job wrote it: running, finished or failed.")
    started_at: datetime | None = strawberry.field(description="When the stage began.")
    finished_at: datetime | None = strawberry.field(description="When the stage ended.")

    @strawberry.field(description="Seconds from its begin to its end; null before the end.")
    def duration_seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "JobPhase":
        """From the JSON of the job's bag."""
        return cls(
            name=str(raw.get("name", "")),
            state=str(raw.get("state", "")),
            started_at=recorded(raw.get("started_at")),
            finished_at=recorded(raw.get("finished_at")),
        )


@strawberry.type(description="One allow-listed key of the bag.")
class MetaEntry:
    key: str = strawberry.field(description="Name of the key.")
    value: JSON = strawberry.field(description="What the job wrote.")


@strawberry.enum(description="Why a metadata key was not shipped.")
class OmissionReason(Enum):
    TOO_LARGE = strawberry.enum_value("TOO_LARGE", description=f"It may be shown, but is over {VALUE_MAX_BYTES} bytes.")
    NOT_ALLOW_LISTED = strawberry.enum_value("NOT_ALLOW_LISTED", description="It is not among the keys that may be shown.")
    PERMISSION = strawberry.enum_value("PERMISSION", description="As NOT_ALLOW_LISTED, and you may not read it elsewhere.")


@strawberry.type(description="One key that was left out.")
class OmittedMeta:
    key: str = strawberry.field(description="Name of the key.")
    approximate_bytes: int = strawberry.field(description="Length of its value as JSON text.")
    reason: OmissionReason = strawberry.field(description="Why it was left out.")


class NoMeta(NamedTuple):
    """The bag of a pipeline without jobs."""

    job_id: None = None
    provider_name: None = None
    filters: None = None
    target_year: None = None


@strawberry.type(description="The job's JSON bag, typed where it can be and allow-listed where it cannot.")
class Meta:
    provider_name: str | None = strawberry.field(description="Class that did the work.")
    filters: JSON | None = strawberry.field(description="Filters the run was started with.")
    target_year: int | None = strawberry.field(description="Year a global job was started for.")

    @strawberry.field(description="Named keys of the bag, as far as they may be shown and the bag has them; see `omitted`.")
    @staticmethod
    async def entries(
        root: strawberry.Parent[MetaRow | NoMeta],
        info: Info,
        keys: Annotated[
            list[str] | None, strawberry.argument(description=f"Some of: {', '.join(ALLOWED)}. Null means all of them.")
        ] = UNSET,
    ) -> list[MetaEntry]:
        names = allowed(None if keys is UNSET else keys)
        if root.job_id is None:
            return []
        found = await info.context.load(queries.meta_entries_by_job, root.job_id, names=names) or dict[str, Any]()
        return [MetaEntry(key=name, value=found[name]) for name in names if name in found]

    @strawberry.field(
        description="What `entries` leaves out and why, so that nobody wonders whether it exists.",
        graphql_type=list[OmittedMeta],
    )
    @staticmethod
    async def omitted(root: strawberry.Parent[MetaRow | NoMeta], info: Info) -> list[OmittedMeta]:
        if root.job_id is None:
            return []
        sizes = await info.context.load(queries.meta_omissions_by_job, root.job_id) or dict[str, int]()
        reasons = {key: omission(info.context.viewer, key) for key in sizes}
        return [OmittedMeta(key=key, approximate_bytes=sizes[key], reason=OmissionReason(reasons[key].value)) for key in sizes]

    raw: JSON | None = guarded(
        "Meta.raw",
        "The whole bag, with the configuration of the job under `config`. Kilobytes a job.",
        ChildField(queries.meta_raw_by_job, "job_id"),
        present="job_id",
    )


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
        ChildField(queries.error_detail_by_job, "job_id"),
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

    @strawberry.field(
        description="Checklist of named stages (unit sync and other staged jobs).", metadata=made_of(JobRow.phases_raw)
    )
    @staticmethod
    def phases(root: strawberry.Parent[JobRow]) -> list[JobPhase]:
        return [JobPhase.of(cast(dict[str, Any], raw)) for raw in root.phases_raw or () if isinstance(raw, dict)]


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
    @strawberry.field(description="One job, by whatever name you have; null when absent or not visible.")
    async def job(self, info: Info, by: Annotated[JobBy, strawberry.argument(description="Its name.")]) -> Job | None:
        return await load(info, queries.jobs_by_id, by.key())
