"""Answers over HTTP: the body and the status of a result, and of a refusal."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.responses import Response
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from gql_server.errors import ErrorCode
from gql_server.http.masking import counted
from gql_server.http.media import Media
from gql_server.http.refusals import STATUS

SOON = {"Retry-After": "1"}
VARY = "Accept, Accept-Encoding"


def answer(result: ExecutionResult, media: Media | None, *, is_get: bool) -> Response:
    """The result of a query or a mutation, from rows to bytes in one pass."""
    body = orjson.dumps(payload(result), option=orjson.OPT_UTC_Z)
    headers = {**headers_of(result.errors or ()), **({"Cache-Control": "no-store"} if is_get else {})}
    return Response(body, status_of(result, media), {**headers, "Vary": VARY}, media or Media.JSON)


def failure(error: GraphQLError, media: Media | None, status: int, headers: dict[str, str] | None = None) -> Response:
    """A request of which nothing was executed."""
    body = {"errors": [each.formatted for each in counted([error])]}
    return Response(orjson.dumps(body), status, headers, media or Media.JSON)


def status_of(result: ExecutionResult, media: Media | None) -> int:
    """Status of a result: 200 once it was executed, and to those who take plain JSON always, as the draft has it."""
    if media is Media.JSON or not isinstance(result, PreExecutionError):
        return 200
    return STATUS[_code(result.errors[0])] if result.errors else 200


def payload(result: ExecutionResult) -> dict[str, Any]:
    """The body of a result; one that was not executed has no `data`."""
    body: dict[str, Any] = {} if isinstance(result, PreExecutionError) else {"data": result.data}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def headers_of(errors: Iterable[GraphQLError]) -> dict[str, str]:
    """Headers that say how to ask again: later, or with a token."""
    for error in errors:
        match _code(error):
            case ErrorCode.UNAVAILABLE:
                return SOON
            case ErrorCode.RATE_LIMITED:
                return {"Retry-After": str(_seconds_until((error.extensions or {}).get("resetAt")))}
            case ErrorCode.UNAUTHENTICATED:
                return {"WWW-Authenticate": "Bearer"}
            case _:
                pass
    return {}


def is_syntax_error(result: ExecutionResult) -> bool:
    """True if the document cannot be read."""
    return any(_code(error) is ErrorCode.GRAPHQL_PARSE_FAILED for error in result.errors or ())


def _code(error: GraphQLError) -> ErrorCode:
    return ErrorCode((error.extensions or {}).get("code", ErrorCode.INTERNAL))


def _seconds_until(instant: object) -> int:
    if not isinstance(instant, str):
        return 1
    return max(1, round((datetime.fromisoformat(instant) - datetime.now(UTC)).total_seconds()))
