"""Reasons as a client sees them."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from gql_server.graph.fields import child, guarded
from gql_server.graph.scopes import StatusTone
from gql_server.reads.diagnosis.reasons import Code
from gql_server.reads.fleet.workers import workers_by_pod_id
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.pipelines.queries import pipelines_by_key

if TYPE_CHECKING:
    from gql_server.graph.fleet.workers import Worker
    from gql_server.graph.jobs.types import Job
    from gql_server.graph.pipelines.types import Pipeline


def _member(code: Code, description: str) -> Any:
    return strawberry.enum_value(code.value, description=description)


@strawberry.enum(description="Why something is in its state.")
class DiagnosisCode(Enum):
    WAITING_FOR_WORKER = _member(Code.WAITING_FOR_WORKER, "It could start, but no worker is free.")
    NO_LIVE_WORKER = _member(Code.NO_LIVE_WORKER, "No worker is running at all.")
    SCHEDULED_LATER = _member(Code.SCHEDULED_LATER, "It is not to start yet.")
    WAITING_FOR_SIBLINGS = _member(Code.WAITING_FOR_SIBLINGS, "Other jobs of the same pipeline must end first.")
    WAITING_FOR_LOCK = _member(Code.WAITING_FOR_LOCK, "Work on the same data, in another pipeline, must end first.")
    STALE_LOCK = _member(Code.STALE_LOCK, "It runs, but its worker has not renewed its lock.")
    HEARTBEAT_LOST = _member(Code.HEARTBEAT_LOST, "It runs, but its worker has fallen silent altogether.")
    RETRIES_EXHAUSTED = _member(Code.RETRIES_EXHAUSTED, "It has used all its attempts.")
    DEDUPLICATED = _member(Code.DEDUPLICATED, "Work of it is done in another pipeline, which waited for the same.")
    MIXED_WORKER_REVISIONS = _member(Code.MIXED_WORKER_REVISIONS, "Live workers run more than one revision.")
    YEAR_NOT_PROVISIONED = _member(Code.YEAR_NOT_PROVISIONED, "The unit sync of its year has not succeeded.")
    STATUS_OUT_OF_DATE = _member(Code.STATUS_OUT_OF_DATE, "The stored status is not what its jobs say.")
    ORPHAN_NO_PIPELINE = _member(Code.ORPHAN_NO_PIPELINE, "A job without a pipeline.")
    SUCCESS_WITH_ALL_ROWS_FAILED = _member(
        Code.SUCCESS_WITH_ALL_ROWS_FAILED, "It says that it succeeded, but every row was rejected."
    )
    TOO_MANY_ROWS_REJECTED = _member(
        Code.TOO_MANY_ROWS_REJECTED, "A larger share of its rows was rejected than allowed, so nothing was replaced."
    )
    OTHER = _member(Code.OTHER, "Something else: read `message`.")


@strawberry.type(description="One reason, with evidence and the next step.")
class Diagnosis:
    code: DiagnosisCode = strawberry.field(description="Stable name of the reason.")
    severity: StatusTone = strawberry.field(description="How bad it is: DANGER, WARNING, or NEUTRAL for what passes by itself.")
    message: str = strawberry.field(description="One sentence, no jargon.")
    remedy: str | None = strawberry.field(description="What to do next, if there is something.")
    since: datetime | None = strawberry.field(description="Since when, as far as known.")
    job: Annotated["Job", strawberry.lazy("gql_server.graph.jobs.types")] | None = child(
        jobs_by_id, key="job_id", description="The job it is about; null when it is about the whole."
    )
    worker: Annotated["Worker", strawberry.lazy("gql_server.graph.fleet.workers")] | None = guarded(
        "Diagnosis.worker",
        "The worker it is about; null when that is not registered any more.",
        lambda row, info: info.context.load(workers_by_pod_id, row.worker_id),
        present="worker_id",
    )
    blocked_by: Annotated["Pipeline", strawberry.lazy("gql_server.graph.pipelines.types")] | None = child(
        pipelines_by_key, key="blocked_by", description="The pipeline that comes first, if the viewer may see it."
    )
