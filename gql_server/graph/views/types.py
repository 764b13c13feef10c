"""Saved views as a client sees them."""

import strawberry

from gql_server.graph.fields import SemanticNonNull, embedded, no_arguments, reading
from gql_server.graph.nodes import Node, global_id
from gql_server.graph.scalars import JSON
from gql_server.graph.scopes import Actor
from gql_server.reads import views as queries


@strawberry.type(description="A named operation that somebody saved: a tab of GraphiQL, a deep link.")
class TriageView(Node):
    id: strawberry.ID = global_id("view_id")
    name: str = strawberry.field(description="Its name.")
    description: str | None = strawberry.field(description="What it is for.")
    document_id: str = strawberry.field(description="SHA-256 of the document, in hexadecimal.")
    document: str = strawberry.field(description="The operation.")
    variables: JSON | None = strawberry.field(description="Values for its variables: an object.")
    is_shared: bool = strawberry.field(description="Everyone of the provider sees it; else only its owner.")
    owner: Actor | None = embedded("Who saved it.")
    is_mine: bool = strawberry.field(description="You saved it: you may replace and delete it, nobody else.")


@strawberry.type
class SavedViewsField:
    views: list[TriageView] | None = reading(
        queries.views,
        kind=list[TriageView] | None,
        description="The operations that they saved, and those that others of their provider share, by name.",
        directives=[SemanticNonNull()],
    )(no_arguments)
