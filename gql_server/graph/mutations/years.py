"""Mutations of reporting years: creating, configuring, opening and closing one, and synchronising its units."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.commands import recalculation
from gql_server.commands import years as year_commands
from gql_server.commands.execution import Command
from gql_server.graph.context import Context, Info
from gql_server.graph.mutations.payloads import PIPELINE, resolve_start, started_pipeline
from gql_server.graph.mutations.resolver import Input, argument, idempotency_key, members, mutation, resolve, still_visible
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.problems import Problems
from gql_server.graph.scalars import JSON
from gql_server.graph.years.types import YearConfiguration
from gql_server.reads.years.queries import years_by_key

YEAR = "Reporting year; it is the viewer's provider's."


@strawberry.input(description="Create a reporting year, and start the unit sync that provisions it.")
class CreateYearConfigurationInput:
    year: int = strawberry.field(description="Reporting year, of the viewer's provider.")
    config: JSON | None = strawberry.field(
        default=UNSET,
        description="Where its settings differ from the default ones: an object, merged key by key. Modules and entry types go "
        "by key or by number: `{modules: {buildings: {enabled: false}}}`.",
    )
    is_started: bool | None = strawberry.field(
        default=UNSET, description="Open it to end users at once: refused, for a new year is not provisioned yet."
    )
    idempotency_key: UUID | None = idempotency_key()


@strawberry.type(description="The year was created, and its unit sync submitted.")
class CreateYearConfigurationPayload:
    year_configuration: YearConfiguration | None = strawberry.field(
        description="The new year; null only for who may create it but not see it."
    )
    pipeline: Pipeline | None = strawberry.field(description=f"The unit sync that provisions it. {PIPELINE}")


CreateYearConfigurationResult = Annotated[
    CreateYearConfigurationPayload | Problems,
    strawberry.union("CreateYearConfigurationResult", description="Outcome of `createYearConfiguration`."),
]


@strawberry.input(description="Change the settings of a year, or open or close it.")
class UpdateYearConfigurationInput:
    year: int = strawberry.field(description=YEAR)
    config: JSON | None = strawberry.field(
        default=UNSET,
        description="What changes of its settings: an object, merged key by key at every depth; arrays are replaced. Modules "
        "and entry types go by key or by number.",
    )
    is_started: bool | None = strawberry.field(default=UNSET, description="Open it to end users, or close it.")
    expected_updated_at: datetime | None = strawberry.field(
        default=UNSET, description="`YearConfiguration.updatedAt` as you read it: if it changed since, nothing is written."
    )
    idempotency_key: UUID | None = idempotency_key()


@strawberry.input(description="Open a provisioned year to end users.")
class OpenYearInput:
    year: int = strawberry.field(description=YEAR)
    idempotency_key: UUID | None = idempotency_key()


@strawberry.input(description="Close a year to end users.")
class CloseYearInput:
    year: int = strawberry.field(description=YEAR)
    idempotency_key: UUID | None = idempotency_key()


@strawberry.type(description="The year was changed.")
class UpdateYearConfigurationPayload:
    year_configuration: YearConfiguration = strawberry.field(description="The year, as the change left it.")


@strawberry.type(description="The year is open.")
class OpenYearPayload:
    year_configuration: YearConfiguration = strawberry.field(description="The year, now open to end users.")


@strawberry.type(description="The year is closed.")
class CloseYearPayload:
    year_configuration: YearConfiguration = strawberry.field(description="The year, now seen by the back office only.")


UpdateYearConfigurationResult = Annotated[
    UpdateYearConfigurationPayload | Problems,
    strawberry.union("UpdateYearConfigurationResult", description="Outcome of `updateYearConfiguration`."),
]
OpenYearResult = Annotated[OpenYearPayload | Problems, strawberry.union("OpenYearResult", description="Outcome of `openYear`.")]
CloseYearResult = Annotated[
    CloseYearPayload | Problems, strawberry.union("CloseYearResult", description="Outcome of `closeYear`.")
]


@strawberry.input(description="Synchronise the units of a year once more.")
class SyncUnitsInput:
    year: int = strawberry.field(description=YEAR)
    idempotency_key: UUID | None = idempotency_key()


@strawberry.type(description="The unit sync was submitted.")
class SyncUnitsPayload:
    pipeline: Pipeline | None = strawberry.field(description=f"The unit sync. {PIPELINE}")


SyncUnitsResult = Annotated[
    SyncUnitsPayload | Problems, strawberry.union("SyncUnitsResult", description="Outcome of `syncUnits`.")
]


@strawberry.type
class YearMutation:
    @mutation("Mutation.createYearConfiguration", "Create a reporting year, and start its unit sync.")
    async def create_year_configuration(
        self, info: Info, input: Annotated[CreateYearConfigurationInput, argument("Which year.")]
    ) -> CreateYearConfigurationResult | None:
        context = info.context

        async def payload(outcome: Any) -> CreateYearConfigurationPayload:
            year = await _year(context, input.year)
            return CreateYearConfigurationPayload(year_configuration=year, pipeline=await started_pipeline(context, outcome))

        return await resolve(
            info,
            input,
            lambda connection: year_commands.create_year(
                connection,
                context.commands.registry,
                context.viewer,
                input.year,
                config=members(input.config, "config"),
                is_started=bool(input.is_started),
            ),
            payload,
        )

    @mutation("Mutation.updateYearConfiguration", "Change the settings of a year, or open or close it.")
    async def update_year_configuration(
        self, info: Info, input: Annotated[UpdateYearConfigurationInput, argument("What to change of which year.")]
    ) -> UpdateYearConfigurationResult | None:
        def command(connection: Any) -> Any:
            return year_commands.update_year(
                connection,
                info.context.viewer,
                input.year,
                config=members(input.config, "config"),
                is_started=None if input.is_started is UNSET else input.is_started,
                expected_updated_at=input.expected_updated_at or None,
            )

        return await _change(info, input, input.year, command, UpdateYearConfigurationPayload)

    @mutation(
        "Mutation.openYear",
        "Open a year to end users; refused when it is open, and while `readiness` has a blocker that `isRequired`.",
    )
    async def open_year(self, info: Info, input: Annotated[OpenYearInput, argument("Which year.")]) -> OpenYearResult | None:
        viewer = info.context.viewer
        return await _change(
            info, input, input.year, lambda connection: year_commands.open_year(connection, viewer, input.year), OpenYearPayload
        )

    @mutation("Mutation.closeYear", "Close a year to end users.")
    async def close_year(self, info: Info, input: Annotated[CloseYearInput, argument("Which year.")]) -> CloseYearResult | None:
        viewer = info.context.viewer
        return await _change(
            info,
            input,
            input.year,
            lambda connection: year_commands.close_year(connection, viewer, input.year),
            CloseYearPayload,
        )

    @mutation("Mutation.syncUnits", "Synchronise the units of a year once more; a year whose first sync failed needs it.")
    async def sync_units(self, info: Info, input: Annotated[SyncUnitsInput, argument("Which year.")]) -> SyncUnitsResult | None:
        context = info.context
        return await resolve_start(
            info,
            input,
            lambda connection: recalculation.sync_units(connection, context.commands.registry, context.viewer, input.year),
            SyncUnitsPayload,
        )


async def _change(info: Info, input: Input, year: int, command: Command, payload: Any) -> Any:
    async def changed(_: object) -> Any:
        return payload(year_configuration=still_visible(await _year(info.context, year)))

    return await resolve(info, input, command, changed)


async def _year(context: Context, year: int) -> Any:
    return await context.load(years_by_key, (context.viewer.provider, year))
