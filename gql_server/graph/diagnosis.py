"""Reasons as a client sees them."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.fields import ChildField, SemanticNonNull, child, guarded
from gql_server.graph.scopes import StatusTone
from gql_server.reads.diagnosis.queries import Served
from gql_server.reads.diagnosis.reasons import Action, Code
from gql_server.reads.fleet.workers import workers_by_pod_id
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.loaders import Query
from gql_server.reads.pipelines.queries import pipelines_by_key

if TYPE_CHECKING:
    from gql_server.graph.fleet.workers import Worker
    from gql_server.graph.jobs.types import Job
    from gql_server.graph.pipelines.types import Pipeline


def diagnosis_of(query: Query, *, key: str) -> Any:
    """The field of something that has reasons, by an attribute of the parent row."""
    return child(
        query,
        key=key,
        description="Why it is in this state, worst first, at most 20. Empty when nothing is unusual.",
        directives=[SemanticNonNull()],
        arguments=_served,
    )


def _served(info: Info) -> dict[str, Any]:
    commands = info.context.commands
    return {"served": Served(frozenset(commands.registry.names), frozenset(commands.api_sources))}


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
    ALL_ROWS_REJECTED = _member(Code.ALL_ROWS_REJECTED, "Every row was rejected, so nothing was replaced.")
    SOME_ROWS_REJECTED = _member(Code.SOME_ROWS_REJECTED, "The rest landed, but some rows or entries were left out.")
    MISSING_COLUMN = _member(Code.MISSING_COLUMN, "The file lacks a column; `message` names it.")
    INPUT_REFUSED = _member(Code.INPUT_REFUSED, "The file, or other input, cannot be used; `message` says why.")
    MISSING_FACTOR = _member(Code.MISSING_FACTOR, "There are no emission factors for its data; `remedy` says which are meant.")
    MISSING_EXCHANGE_RATE = _member(Code.MISSING_EXCHANGE_RATE, "Nobody said at which rates of its year money is converted.")
    DEADLOCK = _member(Code.DEADLOCK, "It and other work waited for each other, and the database ended it.")
    TIMEOUT = _member(Code.TIMEOUT, "A statement took too long, or other work held the same data for too long.")
    TRANSACTION_POISONED = _member(Code.TRANSACTION_POISONED, "It went on after an error of the database.")
    CONSTRAINT = _member(Code.CONSTRAINT, "The database refused a row that breaks a constraint.")
    UPSTREAM_API = _member(Code.UPSTREAM_API, "A system that the data comes from did not answer well.")
    ABORTED = _member(Code.ABORTED, "An operator stopped it.")
    UNEXPECTED_ERROR = _member(Code.UNEXPECTED_ERROR, "It broke off with an error that no rule of this server knows.")
    AGGREGATION_OWED = _member(Code.AGGREGATION_OWED, "All is recalculated, but nothing has started to compute the totals.")
    OTHER = _member(Code.OTHER, "Something else: read `message`.")


def _action(action: Action, description: str) -> Any:
    return strawberry.enum_value(action.value, description=description)


@strawberry.enum(description="What can be done about a reason, and is not refused when this is read.")
class DiagnosisAction(Enum):
    RETRY_PIPELINE = _action(Action.RETRY_PIPELINE, "`retryPipeline`: the cause passes by itself, or is elsewhere.")
    REPLACE_NEWER = _action(
        Action.REPLACE_NEWER, "`retryPipeline` with `replaceNewer: true`, if this shall take the place of newer data."
    )
    UPLOAD_FILE = _action(Action.UPLOAD_FILE, "`startIngestion` with the file, corrected as `message` says.")
    UPLOAD_FACTORS = _action(Action.UPLOAD_FACTORS, "`uploadFactors` of what `remedy` names.")
    UPLOAD_EXCHANGE_RATES = _action(
        Action.UPLOAD_EXCHANGE_RATES, "`startIngestion` of the year's exchange rates as reference data of purchase."
    )
    SEE_ROW_ERRORS = _action(Action.SEE_ROW_ERRORS, "Read `Job.rowErrors`, and upload the file again once it is corrected.")
    SEE_ERROR_DETAIL = _action(Action.SEE_ERROR_DETAIL, "Read `Job.errorDetail`, or ask an operator to.")
    SYNC_UNITS = _action(Action.SYNC_UNITS, "`syncUnits` of the year.")
    RECOVER_JOB = _action(Action.RECOVER_JOB, "`recoverJob`, where no live worker does it by itself.")
    ABORT_PIPELINE = _action(Action.ABORT_PIPELINE, "`abortPipeline`: it will not go on.")
    START_WORKER = _action(Action.START_WORKER, "Start a worker: `gql-server worker`.")


@strawberry.type(description="One reason, with evidence and the next step.")
class Diagnosis:
    code: DiagnosisCode = strawberry.field(description="Stable name of the reason.")
    severity: StatusTone = strawberry.field(description="How bad it is: DANGER, WARNING, or NEUTRAL for what passes by itself.")
    message: str = strawberry.field(description="One sentence, no jargon.")
    remedy: str | None = strawberry.field(description="What to do next, if there is something.")
    action: DiagnosisAction | None = strawberry.field(
        description="First step of the remedy that a program can offer, if there is one. A retry only where it would not be "
        "refused."
    )
    since: datetime | None = strawberry.field(description="Since when, as far as known.")
    job: Annotated["Job", strawberry.lazy("gql_server.graph.jobs.types")] | None = child(
        jobs_by_id, key="job_id", description="The job it is about; null when it is about the whole."
    )
    worker: Annotated["Worker", strawberry.lazy("gql_server.graph.fleet.workers")] | None = guarded(
        "Diagnosis.worker",
        "The worker it is about; null when that is not registered any more.",
        ChildField(workers_by_pod_id, "worker_id"),
        present="worker_id",
    )
    blocked_by: Annotated["Pipeline", strawberry.lazy("gql_server.graph.pipelines.types")] | None = child(
        pipelines_by_key, key="blocked_by", description="The pipeline that comes first, if the viewer may see it."
    )
