"""What a viewer may do with something, and why not."""

from enum import StrEnum

import strawberry


class Refusal(StrEnum):
    """Stable reasons why something is not allowed."""

    MISSING_PERMISSION = "MISSING_PERMISSION"
    WRONG_STATE = "WRONG_STATE"
    NOT_AVAILABLE = "NOT_AVAILABLE"


DEPENDS_ON_OBJECT = "DEPENDS_ON_OBJECT"


@strawberry.type(description="Whether the viewer may do something, and why not.")
class Permission:
    allowed: bool = strawberry.field(description="They may.")
    code: str | None = strawberry.field(
        default=None,
        description=f"Stable reason when not allowed: {', '.join(f'`{reason}`' for reason in Refusal)}; "
        f"`{DEPENDS_ON_OBJECT}` when allowed for some objects only.",
    )
    message: str | None = strawberry.field(default=None, description="Sentence fit for a tooltip, when there is a code.")


ALLOWED = Permission(allowed=True)


def refused(reason: Refusal, message: str) -> Permission:
    return Permission(allowed=False, code=reason.value, message=message)


def missing(permission: str) -> Permission:
    """The viewer lacks that permission."""
    return refused(Refusal.MISSING_PERMISSION, f"You need the permission `{permission}`.")


def depends(permission: str) -> Permission:
    """The viewer holds that permission for some objects."""
    return Permission(
        allowed=True, code=DEPENDS_ON_OBJECT, message=f"Only for some objects: each needs the permission `{permission}`."
    )
