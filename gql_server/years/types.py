"""Reporting years as a client sees them."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.cells.queries import Cell
from gql_server.cells.types import ModuleYear, cells_of
from gql_server.context import Info
from gql_server.errors import BadInput
from gql_server.fields import After, First, SemanticNonNull, access, access_sentence, may_read
from gql_server.nodes import DESCRIPTION, Node, encode, key_of
from gql_server.pipelines.queries import active_by_year
from gql_server.pipelines.types import PipelineConnection
from gql_server.scalars import JSON
from gql_server.scopes.types import Provider
from gql_server.years import queries
from gql_server.years.queries import Pointer, YearKey


@strawberry.type(
    description=f"A reporting year as one provider sees it. {access_sentence('YearConfiguration')}",
    directives=access("YearConfiguration"),
)
class YearConfiguration(Node):
    year: int = strawberry.field(description="Reporting year.")
    provider: Provider = strawberry.field(description="Directory it belongs to.")
    is_started: bool = strawberry.field(description="Open to end users.")
    is_provisioned: bool = strawberry.field(
        description="The unit sync for this year finished successfully; uploads are accepted."
    )
    provisioned_at: datetime | None = strawberry.field(description="When the unit sync finished successfully.")
    updated_at: datetime = strawberry.field(description="Last change.")

    @strawberry.field(description=DESCRIPTION)
    def id(self: Any) -> strawberry.ID:
        return strawberry.ID(encode("YearConfiguration", f"{self.provider}:{self.year}"))

    @strawberry.field(description="Unfinished pipelines of this year.", directives=[SemanticNonNull()])
    async def active_pipelines(self: Any, info: Info, first: First = 20, after: After = UNSET) -> PipelineConnection | None:
        window = info.context.window("YearConfiguration.activePipelines", first=first, after=after, descending=True)
        return await info.context.load(active_by_year, self.year, window=window)

    @strawberry.field(
        description="Its modules, as far as you may see them: their totals, emissions, uploads and pipelines. "
        + access_sentence("YearConfiguration.modules"),
        directives=access("YearConfiguration.modules"),
        graphql_type=list[ModuleYear] | None,
    )
    def modules(self: Any, info: Info) -> list[Cell] | None:
        return cells_of(self.year, info) if may_read("YearConfiguration.modules", self, info) else None

    @strawberry.field(
        description="Deep settings; pass JSON Pointers to ship only parts, as an object with a key for each pointer. "
        + access_sentence("YearConfiguration.config"),
        directives=access("YearConfiguration.config"),
    )
    async def config(
        self: Any,
        info: Info,
        paths: Annotated[
            list[str] | None, strawberry.argument(description="JSON Pointers (RFC 6901), such as `/modules/1/enabled`.")
        ] = UNSET,
    ) -> JSON | None:
        if not may_read("YearConfiguration.config", self, info):
            return None
        paths = None if paths is UNSET else paths
        pointers = None if paths is None else tuple(parse_pointer(path) for path in paths)
        parts = await info.context.load(queries.config_by_key, (self.provider, self.year), pointers=pointers)
        if parts is None:
            return None
        return JSON(parts[0] if paths is None else dict(zip(paths, parts, strict=True)))


@strawberry.input(description="Names one year of one provider.")
class YearBy:
    year: int = strawberry.field(description="Reporting year.")
    provider: Provider | None = strawberry.field(
        default=None, description="Directory it belongs to; the viewer's own unless given."
    )


@strawberry.type
class YearQuery:
    @strawberry.field(description="Years visible to the viewer, newest first.", directives=[SemanticNonNull()])
    async def year_configurations(self, info: Info) -> list[YearConfiguration] | None:
        return await info.context.read(queries.years)

    @strawberry.field(description="One year; null when absent or not visible.")
    async def year_configuration(
        self, info: Info, by: Annotated[YearBy, strawberry.argument(description="Its name.")]
    ) -> YearConfiguration | None:
        return await info.context.load(
            queries.years_by_key, (by.provider.name if by.provider else info.context.viewer.provider, by.year)
        )

    @strawberry.field(
        description="Modules of a year in one round trip, as `YearConfiguration.modules`; empty for a year you cannot see.",
        directives=[SemanticNonNull()],
        graphql_type=list[ModuleYear] | None,
    )
    async def freshness(
        self, info: Info, year: Annotated[int, strawberry.argument(description="Reporting year.")]
    ) -> list[Cell] | None:
        visible = await info.context.load(queries.years_by_key, (info.context.viewer.provider, year))
        return cells_of(year, info) if visible else []


def year_key(global_id: str) -> YearKey:
    """Provider and year in a global id. Raises BadInput."""
    provider, _, year = key_of("YearConfiguration", global_id).partition(":")
    if not (provider and year.isascii() and year.isdigit() and int(year) < 2**31):
        raise BadInput(f"Not a global id: {global_id!r}.")
    return provider, int(year)


def parse_pointer(text: str) -> Pointer:
    """The reference tokens of a JSON Pointer (RFC 6901 §4). Raises BadInput."""
    if text and not text.startswith("/"):
        raise BadInput(f"Not a JSON Pointer: {text!r}.")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])
