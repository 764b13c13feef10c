"""Media types: of what a client sends, and the one it is answered in."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache, wraps
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from cross_web import HTTPException

from gql_server.http.head import Head
from gql_server.http.refusals import Refusal

KEPT, KEPT_BYTES_MAX = 256, 1024
P = ParamSpec("P")
R = TypeVar("R")


class Media(StrEnum):
    """Media types of answers."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"


class Range(NamedTuple):
    """Media range of an `Accept` header."""

    type: str
    quality: float

    def matches(self, media: Media) -> bool:
        return self.type in (media.value, f"{media.partition('/')[0]}/*", "*/*")


class Accepted(NamedTuple):
    """Media that the client takes: the best for one answer, if any, and event streams."""

    json: Media | None
    events: bool


def _once(read: Callable[Concatenate[bytes, P], R]) -> Callable[Concatenate[bytes, P], R]:
    """The function of a header, which reads once what many send alike. A long header is not kept: anybody may send it."""
    kept = lru_cache(maxsize=KEPT)(read)

    @wraps(read)
    def of(header: bytes, *arguments: P.args, **named: P.kwargs) -> R:
        return (kept if len(header) <= KEPT_BYTES_MAX else read)(header, *arguments, **named)

    return of


@_once
def accepted(accept: bytes) -> Accepted:
    """Media types for an `Accept` header. Without one it is JSON. Raises HTTPException (406) if it takes none of ours."""
    ranges = [*_ranges(accept.decode("latin-1"))] or [Range(Media.JSON, 1)]
    qualities = {media: _quality(ranges, media) for media in Media}
    events = any(range.type == Media.EVENTS and range.quality > 0 for range in ranges)
    named = any(range.type == Media.RESPONSE for range in ranges)
    best = Media.RESPONSE if named and qualities[Media.RESPONSE] >= qualities[Media.JSON] else Media.JSON
    if not qualities[best]:
        best = Media.RESPONSE
    json = best if qualities[best] else None
    if json is None and not events:
        raise Refusal(406, f"The answer is {', '.join(Media)}: the request's `Accept` takes none of these.")
    return Accepted(json, events)


@_once
def takes(accept_encoding: bytes, coding: str) -> bool:
    """True if an `Accept-Encoding` header takes this coding (RFC 9110, 12.5.3). Without one nothing is compressed."""
    qualities = {range.type: range.quality for range in _ranges(accept_encoding.decode("latin-1"))}
    return qualities.get(coding, qualities.get("*", 0)) > 0


def check_body(head: Head, max_bytes: int) -> None:
    """Raises HTTPException for a body that is not JSON in UTF-8 as it is, within the limit."""
    _check_type(head.get(b"content-type", b""))
    if is_encoded(head):
        raise Refusal(415, "Send the body as it is, without `Content-Encoding`.", {"Accept-Encoding": "identity"})
    length = head.get(b"content-length", b"0")
    if length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


@_once
def _check_type(content_type: bytes) -> None:
    type, _, parameters = content_type.decode("latin-1").partition(";")
    if type.strip().lower() != Media.JSON:
        raise HTTPException(415, "Send the operation as `Content-Type: application/json`.")
    charset = _parameter(parameters, "charset")
    if charset not in (None, "utf-8", "utf8"):
        raise HTTPException(415, "Send the operation as UTF-8.")


def is_encoded(head: Head) -> bool:
    """True for a compressed body: how large it is would be known only once it is unpacked."""
    coding = head.get(b"content-encoding")
    return coding is not None and coding.strip().lower() not in (b"", b"identity")


def too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"The request body is larger than {max_bytes} bytes.")


def _quality(ranges: Sequence[Range], media: Media) -> float:
    """The quality of the most specific range that matches."""
    matching = [range for range in ranges if range.matches(media)]
    return max(matching, key=lambda range: 2 - range.type.count("*"), default=Range("", 0)).quality


def _ranges(accept: str) -> Iterator[Range]:
    for part in accept.split(","):
        type, _, parameters = part.partition(";")
        if type.strip():
            yield Range(type.strip().lower(), _number(_parameter(parameters, "q")))


def _number(text: str | None) -> float:
    try:
        return 1 if text is None else float(text)
    except ValueError:
        return 1


def _parameter(parameters: str, name: str) -> str | None:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"').lower()
    return None
