"""Permissions of the viewer as a client sees them."""

import strawberry

from gql_server.policy.capabilities import DEPENDS_ON_OBJECT, Refusal


@strawberry.type(description="Whether the viewer may do something, and why not.")
class Permission:
    allowed: bool = strawberry.field(description="They may.")
    code: str | None = strawberry.field(
        default=None,
        description=f"Stable reason when not allowed: {', '.join(f'`{reason}`' for reason in Refusal)}; "
        f"`{DEPENDS_ON_OBJECT}` when allowed for some objects only.",
    )
    message: str | None = strawberry.field(default=None, description="Sentence fit for a tooltip, when there is a code.")
