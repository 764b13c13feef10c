"""Errors a client may see, each with a code. Everything else is masked at the edge."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Every value of `errors[].extensions.code`."""

    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    CURSOR_INVALID = "CURSOR_INVALID"
    CURSOR_FILTER_MISMATCH = "CURSOR_FILTER_MISMATCH"
    FEED_TOKEN_EXPIRED = "FEED_TOKEN_EXPIRED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    COST_LIMIT_EXCEEDED = "COST_LIMIT_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class RefusalReason(StrEnum):
    """Reasons for which the state of something forbids a command: `details["reason"]` of a Conflict."""

    ALREADY_INGESTED = "ALREADY_INGESTED"
    ALREADY_RUNNING = "ALREADY_RUNNING"
    CHANGED = "CHANGED"
    ENDED = "ENDED"
    FILE_GONE = "FILE_GONE"
    FOLLOW_UP_WAITS = "FOLLOW_UP_WAITS"
    NOT_ENDED = "NOT_ENDED"
    NOT_LANDED = "NOT_LANDED"
    NOT_LIVE = "NOT_LIVE"
    NOT_REPEATABLE = "NOT_REPEATABLE"
    NOT_STALE = "NOT_STALE"
    NO_PIPELINE = "NO_PIPELINE"
    SET_GREW = "SET_GREW"
    SUPERSEDED = "SUPERSEDED"
    TOO_MANY_VIEWS = "TOO_MANY_VIEWS"
    YEAR_EXISTS = "YEAR_EXISTS"
    YEAR_IS_OPEN = "YEAR_IS_OPEN"
    YEAR_NOT_CREATED = "YEAR_NOT_CREATED"
    YEAR_NOT_PROVISIONED = "YEAR_NOT_PROVISIONED"


class Stop(Exception):
    """An expected failure of a command: one line for the person at the terminal, and exit code 1."""


class PublicError(Exception):
    """An error whose message is meant for the client."""

    code = ErrorCode.INTERNAL

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def extensions(self) -> dict[str, object]:
        """Code and details, which graphql-core puts into the error's `extensions`."""
        return {"code": self.code.value, **self.details}


class BadInput(PublicError):
    """A value was refused."""

    code = ErrorCode.BAD_USER_INPUT


class CursorInvalid(PublicError):
    """The cursor was not made by this server, or was changed."""

    code = ErrorCode.CURSOR_INVALID


class CursorFilterMismatch(PublicError):
    """The cursor belongs to another list, filter or order."""

    code = ErrorCode.CURSOR_FILTER_MISMATCH


class Unauthenticated(PublicError):
    """No valid token."""

    code = ErrorCode.UNAUTHENTICATED


class Forbidden(PublicError):
    """The viewer lacks a permission for something they may see."""

    code = ErrorCode.FORBIDDEN


class NotFound(PublicError):
    """No such thing, or not for this viewer: deliberately the same."""

    code = ErrorCode.NOT_FOUND


class PersistedQueryNotFound(PublicError):
    """No document of that id: the client may send its text."""

    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND


class Conflict(PublicError):
    """The state of something forbids the command; `details` name the reason and what blocks."""

    code = ErrorCode.CONFLICT

    def __init__(self, message: str, *, reason: RefusalReason, **details: object) -> None:
        super().__init__(message, reason=reason, **details)


class CostLimitExceeded(PublicError):
    """The operation is too dear, whoever asks."""

    code = ErrorCode.COST_LIMIT_EXCEEDED


class RateLimited(PublicError):
    """The viewer has spent this minute's budget."""

    code = ErrorCode.RATE_LIMITED


class DeadlineExceeded(PublicError):
    """The operation took too long, and was given up with everything it had begun."""

    code = ErrorCode.DEADLINE_EXCEEDED


class Unavailable(PublicError):
    """The database, or something behind it, cannot be reached now."""

    code = ErrorCode.UNAVAILABLE
