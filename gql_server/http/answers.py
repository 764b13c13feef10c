"""Answers over HTTP: the body and the status of a result, and of a refusal."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from gql_server.errors import ErrorCode
from gql_server.http.envelope import RawHeaders
from gql_server.http.masking import counted
from gql_server.http.media import Media
from gql_server.http.refusals import STATUS

SOON = {"Retry-After": "1"}
TYPES = {media: (b"content-type", (media or Media.JSON).encode()) for media in (None, *Media)}
VARY = (b"vary", b"Accept, Accept-Encoding")
NOT_KEPT = (b"cache-control", b"no-store")


class Answer:
    """A body of JSON with its head, to be sent as it is."""

    __slots__ = ("_body", "_head", "status")

    def __init__(self, body: bytes, media: Media | None, status: int, headers: RawHeaders) -> None:
        self._body, self.status = body, status
        self._head = [TYPES[media], (b"content-length", b"%d" % len(body)), *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self._head})
        await send({"type": "http.response.body", "body": self._body})


def answer(result: ExecutionResult, media: Media | None, *, is_get: bool) -> Answer:
    """The result of a query or a mutation, from rows to bytes in one pass."""
    body = orjson.dumps(payload(result), option=orjson.OPT_UTC_Z)
    headers: RawHeaders = [VARY, NOT_KEPT] if is_get else [VARY]
    if result.errors:
        headers += _raw(headers_of(result.errors))
    return Answer(body, media, status_of(result, media), headers)


def failure(error: GraphQLError, media: Media | None, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
    """A request of which nothing was executed."""
    body = {"errors": [each.formatted for each in counted([error])]}
    return Answer(orjson.dumps(body), media, status, _raw(headers))


def _raw(headers: Mapping[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


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
