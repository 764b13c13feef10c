"""Refusals that a client can act on, as members of the results of mutations."""

from enum import Enum
from typing import Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.errors import BadInput, Conflict, Forbidden, NotFound, PublicError, RefusalReason
from gql_server.graph.context import Context
from gql_server.graph.jobs.types import Job
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.scalars import SchemaCoordinate
from gql_server.graph.years.types import YearConfiguration
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.pipelines.queries import pipelines_by_key
from gql_server.reads.years.queries import years_by_key

REASONS = {
    RefusalReason.ALREADY_INGESTED: "another upload of the same bytes was read for the unit",
    RefusalReason.ALREADY_RUNNING: "the same work waits or runs",
    RefusalReason.CHANGED: "it changed since it was read",
    RefusalReason.ENDED: "the job has ended",
    RefusalReason.FILE_GONE: "the file is not kept any more",
    RefusalReason.FOLLOW_UP_WAITS: "the job's follow-up waits already",
    RefusalReason.NOT_ENDED: "something of it is unfinished",
    RefusalReason.NOT_LANDED: "the job has not landed its data",
    RefusalReason.NOT_LIVE: "nothing of it is unfinished",
    RefusalReason.NOT_REPEATABLE: "nobody can start this by hand",
    RefusalReason.NOT_STALE: "the job is not running, or its worker is alive",
    RefusalReason.NO_PIPELINE: "it is a job without a pipeline",
    RefusalReason.SET_GREW: "more match than in the preview",
    RefusalReason.SUPERSEDED: "a newer pipeline brings the same data",
    RefusalReason.TOO_MANY_VIEWS: "you have saved as many views as one may",
    RefusalReason.YEAR_EXISTS: "the year exists",
    RefusalReason.YEAR_IS_OPEN: "the year is open already",
    RefusalReason.YEAR_NOT_CREATED: "the year does not exist",
    RefusalReason.YEAR_NOT_PROVISIONED: "the unit sync of the year has not succeeded",
}
PASSING = {
    RefusalReason.ALREADY_RUNNING,
    RefusalReason.FOLLOW_UP_WAITS,
    RefusalReason.NOT_ENDED,
    RefusalReason.NOT_STALE,
    RefusalReason.YEAR_NOT_PROVISIONED,
}
"""Reasons that end by themselves."""
ARGUMENTS = {
    "module": {"module": "module", "module_type_id": "moduleTypeId"},
    "entryType": {"data_entry_type": "dataEntryType", "data_entry_type_id": "dataEntryTypeId"},
    "unit": {"unit_institutional_id": "unitInstitutionalId"},
}
"""Fields of inputs by the attributes that they say, where inputs and uploads differ."""


@strawberry.enum(description="Every value that can appear in `errors[].extensions.code`, and in problems.")
class ErrorCode(Enum):
    GRAPHQL_PARSE_FAILED = strawberry.enum_value("GRAPHQL_PARSE_FAILED", description="The document is not GraphQL.")
    GRAPHQL_VALIDATION_FAILED = strawberry.enum_value(
        "GRAPHQL_VALIDATION_FAILED", description="The document does not fit the schema."
    )
    BAD_USER_INPUT = strawberry.enum_value("BAD_USER_INPUT", description="A value was refused.")
    CURSOR_INVALID = strawberry.enum_value("CURSOR_INVALID", description="Not a cursor of this server.")
    CURSOR_FILTER_MISMATCH = strawberry.enum_value(
        "CURSOR_FILTER_MISMATCH", description="The cursor belongs to another list, filter or order."
    )
    FEED_TOKEN_EXPIRED = strawberry.enum_value("FEED_TOKEN_EXPIRED", description="The history after the token is gone.")
    PERSISTED_QUERY_NOT_FOUND = strawberry.enum_value(
        "PERSISTED_QUERY_NOT_FOUND", description="No document of that id: send its text."
    )
    UNAUTHENTICATED = strawberry.enum_value("UNAUTHENTICATED", description="No valid token.")
    FORBIDDEN = strawberry.enum_value("FORBIDDEN", description="Visible, but the viewer lacks a permission.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="No such thing, or not visible.")
    CONFLICT = strawberry.enum_value("CONFLICT", description="The state of something forbids it.")
    COST_LIMIT_EXCEEDED = strawberry.enum_value("COST_LIMIT_EXCEEDED", description="The operation is too dear, whoever asks.")
    RATE_LIMITED = strawberry.enum_value("RATE_LIMITED", description="The viewer has spent what they may have at a time.")
    DEADLINE_EXCEEDED = strawberry.enum_value("DEADLINE_EXCEEDED", description="It took too long, and was given up.")
    UNAVAILABLE = strawberry.enum_value("UNAVAILABLE", description="The database cannot be reached now.")
    INTERNAL = strawberry.enum_value("INTERNAL", description="A mistake of the server.")


@strawberry.interface(description="A refusal that a client can act on.")
class Problem:
    code: ErrorCode = strawberry.field(description="What sort of refusal it is.")
    message: str = strawberry.field(description="What is wrong, in a sentence.")
    retryable: bool = strawberry.field(description="The same input may be accepted later.")


@strawberry.type(description="No such object, or not visible to the viewer (deliberately the same).")
class NotFoundProblem(Problem):
    pass


@strawberry.type(description="The action is not permitted, though what it is about is visible.")
class ForbiddenProblem(Problem):
    permission: str = strawberry.field(description="Permission that is missing.")


@strawberry.type(description="The state of something forbids it; that something is told, as far as the viewer may see it.")
class ConflictProblem(Problem):
    reason: str = strawberry.field(
        description=f"Stable reason: {'; '.join(f'`{reason}`, {meaning}' for reason, meaning in REASONS.items())}."
    )
    current: Pipeline | None = strawberry.field(default=None, description="The pipeline that is in the way, as it is now.")
    current_year: YearConfiguration | None = strawberry.field(
        default=None, description="The year that is in the way, as it is now."
    )
    current_job: Job | None = strawberry.field(default=None, description="The job that is in the way, as it is now.")


@strawberry.type(description="A value was refused; `coordinate` names it.")
class InputProblem(Problem):
    coordinate: SchemaCoordinate = strawberry.field(description="The field of the input, such as `RecalculateInput.onlyStale`.")
    path: str | None = strawberry.field(default=None, description="Where inside a JSON value, as a JSON Pointer (RFC 6901).")


Problems = NotFoundProblem | ForbiddenProblem | ConflictProblem | InputProblem


async def problem(context: Context, error: PublicError, input_name: str, input: object = None) -> Problems:
    """The refusal as the graph shows it, with what blocks as it is now. Raises an error that no client can act on.

    Of two fields that say the same, the one that is given in the `input` is named.
    """
    details: Any = error.details
    common: dict[str, Any] = {"code": error.code.value, "message": error.message, "retryable": False}
    match error:
        case NotFound():
            return NotFoundProblem(**common)
        case Forbidden():
            return ForbiddenProblem(**common, permission=details["permission"])
        case Conflict():
            reason = details["reason"]
            return ConflictProblem(
                **common | {"retryable": reason in PASSING}, reason=reason, **await _blocking(context, error)
            )
        case BadInput():
            return InputProblem(
                **common, coordinate=_coordinate(input_name, details.get("argument"), input), path=details.get("path")
            )
        case _:
            raise error


def _coordinate(input_name: str, argument: str | None, input: object) -> SchemaCoordinate:
    if not argument:
        return SchemaCoordinate(input_name)
    fields = ARGUMENTS.get(argument, {argument: argument})
    told = (name for attribute, name in fields.items() if getattr(input, attribute, None) not in (None, UNSET))
    return SchemaCoordinate(f"{input_name}.{next(told, next(iter(fields.values())))}")


async def _blocking(context: Context, error: Conflict) -> dict[str, Any]:
    pipeline_id, year, job_id = (error.details.get(name) for name in ("pipelineId", "year", "jobId"))
    return {
        "current": pipeline_id and await context.load(pipelines_by_key, UUID(str(pipeline_id))),
        "current_year": year and await context.load(years_by_key, (context.viewer.provider, year)),
        "current_job": job_id and await context.load(jobs_by_id, job_id),
    }
