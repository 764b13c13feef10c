"""Capabilities of a viewer, and the reasons of those that are missing."""

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Stable reasons why something is not allowed."""

    MISSING_PERMISSION = "MISSING_PERMISSION"
    WRONG_STATE = "WRONG_STATE"
    NOT_AVAILABLE = "NOT_AVAILABLE"
    SUPERSEDED = "SUPERSEDED"


DEPENDS_ON_OBJECT = "DEPENDS_ON_OBJECT"


@dataclass(frozen=True, slots=True)
class Capability:
    """Permission to do something, or the reason against it: a code, with a sentence fit for a tooltip."""

    allowed: bool
    code: str | None = None
    message: str | None = None


ALLOWED = Capability(allowed=True)


def refused(reason: Refusal, message: str) -> Capability:
    """It is not allowed, for that reason; the message is one sentence for a person."""
    return Capability(allowed=False, code=reason.value, message=message)


def missing(permission: str) -> Capability:
    """The viewer lacks that permission."""
    return refused(Refusal.MISSING_PERMISSION, f"You need the permission `{permission}`.")


def depends(permission: str) -> Capability:
    """The viewer holds that permission for some objects."""
    return Capability(
        allowed=True, code=DEPENDS_ON_OBJECT, message=f"Only for some objects: each needs the permission `{permission}`."
    )
