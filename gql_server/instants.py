"""Instants as text: RFC 3339, and what a computer can compare."""

import re
from datetime import UTC, datetime

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(value: object) -> datetime | None:
    """The instant of an RFC 3339 text, in UTC; None for any other value, and for instants outside the years 1 to 9999."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        return None
    return _in_utc(value.upper())


def recorded(value: object) -> datetime | None:
    """The instant of an ISO 8601 text with an offset, in UTC, as other writers put it into metadata; None for any other."""
    return _in_utc(value) if isinstance(value, str) else None


def _in_utc(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
