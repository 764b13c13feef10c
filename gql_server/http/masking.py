"""Errors as clients may see them: a message and a code, never a stack trace, never SQL."""

import re
from collections.abc import Iterable
from uuid import uuid4

import structlog
from graphql import GraphQLEnumType, GraphQLError, GraphQLSchema, GraphQLSyntaxError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from gql_server.db.outages import is_outage, is_pool_full
from gql_server.errors import ErrorCode, PublicError
from gql_server.logs import NAMES
from gql_server.metrics import ERRORS, OTHER

CODES = frozenset(code.value for code in ErrorCode)
REQUEST_ERRORS = (CannotGetOperationTypeError, InvalidOperationTypeError, MissingQueryError)
BUSY = "Every connection to the database is in use: try again in a moment, and ask for less at a time."
UNAVAILABLE = "The database cannot be reached, or took too long: try again in a moment."
MESSAGE_LENGTH = 1000
ERRORS_MAX = 100
"""Errors that an answer tells, and one that counts the others."""
INTERNAL = "Something went wrong here. Quote the request id when you report it."
PYTHON_WORDS = ("<strawberry.", "Maybe[")
UNKNOWN_MEMBER = re.compile(r"does not exist in '(\w+)' enum\.")

log = structlog.get_logger(__name__)

for each in (*CODES, OTHER):
    ERRORS.labels(each)  # 0 from the start: an increase from nothing is none to Prometheus


def masked(errors: Iterable[GraphQLError], schema: GraphQLSchema) -> list[GraphQLError]:
    """The errors as the client sees them, the first hundred; what is hidden is logged with its request id."""
    found = [*errors]
    told = [_cut(_masked(error, schema)) for error in found[:ERRORS_MAX]]
    return counted([*told, *_left_out(told, len(found) - len(told))])


def _left_out(told: list[GraphQLError], count: int) -> list[GraphQLError]:
    """The error that stands for those that are not told, with the code of the last that is."""
    extensions = {"code": (told[-1].extensions or {}).get("code"), "omitted": count} if count else {}
    return [GraphQLError(f"{count} more errors are left out.", extensions=extensions)] if count else []


def counted(errors: list[GraphQLError]) -> list[GraphQLError]:
    """The errors, counted by their codes: each goes through here once, on its way to a client."""
    for error in errors:
        count_code((error.extensions or {}).get("code"))
    return errors


def count_code(code: object) -> None:
    """Count an error of that code."""
    ERRORS.labels(str(code) if code in CODES else OTHER).inc()


def _cut(error: GraphQLError) -> GraphQLError:
    """The error without what a client has sent at length."""
    if len(error.message) <= MESSAGE_LENGTH:
        return error
    extensions = dict(error.extensions or {})
    code = ErrorCode(str(extensions.pop("code")))
    return _with(error, f"{error.message[: MESSAGE_LENGTH - 1]}…", code, **extensions)


def _masked(error: GraphQLError, schema: GraphQLSchema) -> GraphQLError:
    cause = error.original_error
    if isinstance(cause, PublicError) or (error.extensions or {}).get("code") in CODES:
        return _named_members(error, schema)
    if isinstance(error, GraphQLSyntaxError):
        return _with(error, error.message, ErrorCode.GRAPHQL_PARSE_FAILED)
    before_execution = error.path is None and isinstance(cause, GraphQLError | None)
    if before_execution or isinstance(cause, REQUEST_ERRORS):
        return _named_members(_with(error, error.message, ErrorCode.BAD_USER_INPUT), schema)
    return concealed(cause or error, error)


def concealed(cause: BaseException, error: GraphQLError | None = None) -> GraphQLError:
    """The public face of an exception that was not meant for the client: the database is away, or nobody expected it."""
    if is_outage(cause):
        message = BUSY if is_pool_full(cause) else UNAVAILABLE
        log.warning("request.unavailable", error=repr(cause), path=error and error.path)
        return _with(error or GraphQLError(message), message, ErrorCode.UNAVAILABLE)
    return internal(cause, error)


def internal(cause: BaseException, error: GraphQLError | None = None) -> GraphQLError:
    """The public face of an exception nobody expected, which is logged."""
    request_id = NAMES.get().get("request_id") or uuid4().hex
    log.error("request.failed", request_id=request_id, path=error and error.path, exc_info=cause)
    return _with(error or GraphQLError(INTERNAL), INTERNAL, ErrorCode.INTERNAL, requestId=request_id)


def public(error: PublicError) -> GraphQLError:
    """A public error that was raised outside the execution."""
    return GraphQLError(error.message, extensions=error.extensions)


def refusal(message: str, code: ErrorCode = ErrorCode.BAD_USER_INPUT) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code.value})


def _named_members(error: GraphQLError, schema: GraphQLSchema) -> GraphQLError:
    """Completes the complaint about an unknown member of an enum with those there are, and hides Python's own words."""
    if any(word in error.message for word in PYTHON_WORDS):
        return _with(error, "`null` is not a value here: leave the field out instead.", ErrorCode.BAD_USER_INPUT)
    found = UNKNOWN_MEMBER.search(error.message)
    enum = schema.type_map.get(found[1]) if found else None
    if not isinstance(enum, GraphQLEnumType):
        return error
    message = f"{error.message} Its members are {', '.join(enum.values)}."
    return _with(error, message, ErrorCode.BAD_USER_INPUT)


def _with(error: GraphQLError, message: str, code: ErrorCode, **extensions: object) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"code": code.value, **extensions},
    )
