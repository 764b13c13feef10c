"""The caller as the graph shows it."""

from typing import Annotated, Any, cast

import strawberry
from graphql import GraphQLError, GraphQLSchema, resolve_schema_coordinate

from gql_server import policy
from gql_server.errors import BadInput
from gql_server.graph.context import Info
from gql_server.graph.fields import SemanticNonNull, judged
from gql_server.graph.permission import Permission
from gql_server.graph.scalars import SchemaCoordinate
from gql_server.graph.views.types import SavedViewsField
from gql_server.policy import GUARDS, Guard, Reach
from gql_server.policy.capabilities import ALLOWED, Capability, depends, missing

COORDINATES_MAX = 500


@strawberry.type(description="Whether the viewer may read one coordinate.")
class FieldAccess:
    coordinate: SchemaCoordinate = strawberry.field(description="As it was asked.")
    permission: Capability = strawberry.field(
        graphql_type=Permission, description="Whether they may read it: of every object they see, of some, or of none."
    )


@strawberry.type(description="The caller.")
class Viewer(SavedViewsField):
    subject: strawberry.ID = strawberry.field(name="id", description="Subject of the token.")
    display_name: str | None = strawberry.field(description="Name in the token.")

    @strawberry.field(description="Permission keys, such as `modules.purchase:view@10208`; without a unit they cover all.")
    @staticmethod
    def permissions(root: strawberry.Parent[policy.Viewer]) -> list[str]:
        return sorted(root.permissions)

    @strawberry.field(
        description="Which of these would be redacted for me? Same order and length as `coordinates`. A coordinate that guards "
        "itself by the object, such as `WorkScope.unit`, is allowed as soon as it is for some objects, and says so.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    def field_access(
        root: strawberry.Parent[policy.Viewer],
        info: Info,
        coordinates: Annotated[
            list[SchemaCoordinate],
            strawberry.argument(description=f"Types, fields, or anything else in the schema; at most {COORDINATES_MAX}."),
        ],
    ) -> list[FieldAccess] | None:
        if len(coordinates) > COORDINATES_MAX:
            raise BadInput(f"`coordinates` takes at most {COORDINATES_MAX}.")
        schema = cast(Any, info.schema).executable
        return [FieldAccess(coordinate=each, permission=_access(root, _known(schema, each))) for each in coordinates]


@strawberry.type
class ViewerQuery:
    viewer: Viewer = judged(lambda viewer, _: viewer, description="The caller and what they may see.")


def _known(schema: GraphQLSchema, coordinate: str) -> str:
    """The coordinate. Raises BadInput when there is nothing of that name."""
    try:
        found = resolve_schema_coordinate(schema, coordinate)
    except (GraphQLError, TypeError, ValueError):
        found = None
    if found is None:
        raise BadInput(f"Not a coordinate of this schema: {coordinate!r}.")
    return coordinate


def _access(viewer: policy.Viewer, coordinate: str) -> Capability:
    """By the field's guard, unless no object of its type can be seen at all; an argument goes with its field."""
    field = coordinate.partition("(")[0]
    of_type, of_field = GUARDS.get(field.partition(".")[0]), GUARDS.get(field)
    if of_type and policy.reach(viewer, of_type) is Reach.NONE:
        return missing(of_type.permission)
    return _permission(viewer, of_field) if of_field else ALLOWED


def _permission(viewer: policy.Viewer, guard: Guard) -> Capability:
    match policy.reach(viewer, guard):
        case Reach.EVERY:
            return ALLOWED
        case Reach.SOME:
            return depends(guard.permission)
        case Reach.NONE:
            return missing(guard.permission)
