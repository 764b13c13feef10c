"""Mutations of failure groups: taking one."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.commands.failures import acknowledge
from gql_server.graph.context import Info
from gql_server.graph.failures.types import FailureGroup, group_key
from gql_server.graph.mutations.resolver import about, argument, idempotency_key, mutation, resolve, still_visible
from gql_server.graph.problems import Problems
from gql_server.reads.failures.queries import groups_by_fingerprint


@strawberry.input(description="Take a failure group, or mute it until a time.")
class AcknowledgeFailureInput:
    id: strawberry.ID = strawberry.field(description="Global id of the failure group.")
    until: datetime | None = strawberry.field(default=UNSET, description="It reopens then; left out, it stays taken.")
    note: str | None = strawberry.field(default=UNSET, description="Why, or what is done; at most 2000 characters.")
    idempotency_key: UUID | None = idempotency_key()

    def key(self) -> str:
        with about("id"):
            return group_key(self.id)


@strawberry.type(description="The failure group was taken.")
class AcknowledgeFailurePayload:
    failure_group: FailureGroup = strawberry.field(description="The group, with its acknowledgement.")


AcknowledgeFailureResult = Annotated[
    AcknowledgeFailurePayload | Problems,
    strawberry.union("AcknowledgeFailureResult", description="Outcome of `acknowledgeFailure`."),
]


@strawberry.type
class FailureMutation:
    @mutation("Mutation.acknowledgeFailure", "Take a failure group, or mute it until a time.", experimental_since="0.1")
    async def acknowledge_failure(
        self, info: Info, input: Annotated[AcknowledgeFailureInput, argument("Which group, and for how long.")]
    ) -> AcknowledgeFailureResult | None:
        context = info.context

        async def payload(_: object) -> AcknowledgeFailurePayload:
            group = await context.load(groups_by_fingerprint, input.key())
            return AcknowledgeFailurePayload(failure_group=still_visible(group))

        return await resolve(
            info,
            input,
            lambda connection: acknowledge(
                connection, context.viewer, input.key(), until=input.until or None, note=input.note or None
            ),
            payload,
        )
