"""The caller as the graph shows it."""

from typing import Any

import strawberry

from gql_server import policy
from gql_server.context import Info


@strawberry.type(description="The caller.")
class Viewer:
    subject: strawberry.ID = strawberry.field(name="id", description="Subject of the token.")
    display_name: str | None = strawberry.field(description="Name in the token.")

    @strawberry.field(description="Permission keys, such as `modules.purchase:view@10208`; without a unit they cover all.")
    def permissions(self: Any) -> list[str]:
        return sorted(self.permissions)


@strawberry.type
class ViewerQuery:
    @strawberry.field(description="The caller and what they may see.", graphql_type=Viewer)
    def viewer(self, info: Info) -> policy.Viewer:
        return info.context.viewer
