"""Mutations of saved views."""

from typing import Annotated, Any, cast
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.commands.views import NewView, delete_view, save_view
from gql_server.graph.context import Info
from gql_server.graph.mutations.resolver import about, argument, idempotency_key, members, mutation, resolve, still_visible
from gql_server.graph.nodes import encode, uuid_key
from gql_server.graph.problems import Problems
from gql_server.graph.scalars import JSON
from gql_server.graph.views.document import check_document
from gql_server.graph.views.types import TriageView
from gql_server.policy import OPERATIONS_VIEW
from gql_server.reads.views import views_by_id


@strawberry.input(description="Save an operation, or replace one that you saved.")
class SaveViewInput:
    id: strawberry.ID | None = strawberry.field(default=UNSET, description="Global id of the view to replace; else a new one.")
    name: str = strawberry.field(description="Its name, in 1 to 100 characters.")
    description: str | None = strawberry.field(default=UNSET, description="What it is for, in at most 2000 characters.")
    document: str = strawberry.field(description="One operation that this schema would execute, in at most 16384 characters.")
    variables: JSON | None = strawberry.field(
        default=UNSET, description="Values for the variables that it declares: an object, at most 64 KiB."
    )
    is_shared: bool = strawberry.field(
        default=False, description=f"Show it to everyone of your provider. Needs `{OPERATIONS_VIEW}`."
    )
    idempotency_key: UUID | None = idempotency_key()

    def key(self) -> UUID | None:
        with about("id"):
            return uuid_key("TriageView", self.id) if self.id else None

    def view(self, schema: Any) -> NewView:
        variables = members(self.variables, "variables")
        check_document(schema, self.document, variables)
        return NewView(
            name=self.name,
            description=self.description or None,
            document=self.document,
            variables=variables,
            is_shared=self.is_shared,
        )


@strawberry.type(description="The view was saved.")
class SaveViewPayload:
    view: TriageView = strawberry.field(description="The view, as it was saved.")


SaveViewResult = Annotated[SaveViewPayload | Problems, strawberry.union("SaveViewResult", description="Outcome of `saveView`.")]


@strawberry.input(description="Delete a view that you saved.")
class DeleteViewInput:
    id: strawberry.ID = strawberry.field(description="Global id of the view.")
    idempotency_key: UUID | None = idempotency_key()

    def key(self) -> UUID:
        with about("id"):
            return uuid_key("TriageView", self.id)


@strawberry.type(description="The view was deleted; saved once more it gets another id.")
class DeleteViewPayload:
    deleted_id: strawberry.ID = strawberry.field(description="Global id that the view had.")


DeleteViewResult = Annotated[
    DeleteViewPayload | Problems, strawberry.union("DeleteViewResult", description="Outcome of `deleteView`.")
]


@strawberry.type
class ViewMutation:
    @mutation(
        "Mutation.saveView",
        "Save an operation for yourself or for everyone of your provider. Only its owner may replace a view.",
        experimental_since="0.1",
    )
    async def save_view(self, info: Info, input: Annotated[SaveViewInput, argument("What to save.")]) -> SaveViewResult | None:
        context, schema = info.context, cast(Any, info.schema).executable

        async def payload(view_id: Any) -> SaveViewPayload:
            return SaveViewPayload(view=still_visible(await context.load(views_by_id, UUID(view_id))))

        return await resolve(
            info,
            input,
            lambda connection: save_view(connection, context.viewer, input.view(schema), input.key()),
            payload,
        )

    @mutation("Mutation.deleteView", "Delete a view. Only its owner may.", experimental_since="0.1")
    async def delete_view(
        self, info: Info, input: Annotated[DeleteViewInput, argument("Which view.")]
    ) -> DeleteViewResult | None:
        async def payload(view_id: Any) -> DeleteViewPayload:
            return DeleteViewPayload(deleted_id=strawberry.ID(encode("TriageView", view_id)))

        return await resolve(info, input, lambda connection: delete_view(connection, info.context.viewer, input.key()), payload)
