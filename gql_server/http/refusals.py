"""Refusals of requests, and the one table of statuses."""

from collections.abc import Mapping
from types import MappingProxyType

from cross_web import HTTPException

from gql_server.errors import ErrorCode

STATUS: Mapping[ErrorCode, int] = MappingProxyType(
    {
        ErrorCode.GRAPHQL_PARSE_FAILED: 400,
        ErrorCode.GRAPHQL_VALIDATION_FAILED: 400,
        ErrorCode.BAD_USER_INPUT: 400,
        ErrorCode.CURSOR_INVALID: 400,
        ErrorCode.CURSOR_FILTER_MISMATCH: 400,
        ErrorCode.FEED_TOKEN_EXPIRED: 400,
        ErrorCode.COST_LIMIT_EXCEEDED: 400,
        ErrorCode.UNAUTHENTICATED: 401,
        ErrorCode.FORBIDDEN: 403,
        ErrorCode.NOT_FOUND: 404,
        ErrorCode.PERSISTED_QUERY_NOT_FOUND: 404,
        ErrorCode.CONFLICT: 409,
        ErrorCode.RATE_LIMITED: 429,
        ErrorCode.INTERNAL: 500,
        ErrorCode.UNAVAILABLE: 503,
        ErrorCode.DEADLINE_EXCEEDED: 504,
    }
)
"""Status of a request that is answered with this code and nothing else."""


class Refusal(HTTPException):
    """A request that is refused for its form, before anything is executed."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        code: ErrorCode = ErrorCode.BAD_USER_INPUT,
    ) -> None:
        super().__init__(status, message)
        self.headers, self.code = dict(headers or {}), code
