"""Reporting years as a client sees them."""

import asyncio
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.carbon.year_configuration import numbered
from gql_server.errors import BadInput
from gql_server.graph.context import Info
from gql_server.graph.fields import (
    After,
    First,
    SemanticNonNull,
    access,
    access_sentence,
    child,
    guarded,
    may_read,
    no_arguments,
    reading,
)
from gql_server.graph.nodes import DESCRIPTION, Node, encode, key_of
from gql_server.graph.permission import Permission
from gql_server.graph.pipelines.types import Pipeline, PipelineConnection
from gql_server.graph.scalars import JSON
from gql_server.graph.scopes import DataEntryType, ModuleType, Provider
from gql_server.graph.selection import load, made_of
from gql_server.graph.years.module_years import ModuleYear, module_years_of
from gql_server.policy import GUARDS
from gql_server.policy.capabilities import Capability
from gql_server.policy.guards import attributes_of
from gql_server.policy.years import may_open, may_upload
from gql_server.reads.pipelines.queries import active_by_year, pipelines_by_key
from gql_server.reads.years import queries
from gql_server.reads.years.blockers import Blocker, year_readiness
from gql_server.reads.years.module_years import ModuleYearKey
from gql_server.reads.years.queries import Pointer, YearKey, YearRow
from gql_server.reads.years.readiness import ModuleReadiness

OF_YEAR = made_of(YearRow.provider, YearRow.year)


@strawberry.enum(description="Why a year is not ready.")
class YearBlockerCode(Enum):
    NOT_PROVISIONED = strawberry.enum_value("NOT_PROVISIONED", description="Its unit sync has not succeeded.")
    SYNC_IN_FLIGHT = strawberry.enum_value("SYNC_IN_FLIGHT", description="Its unit sync is under way.")
    MISSING_COMMON_FACTOR = strawberry.enum_value(
        "MISSING_COMMON_FACTOR", description="The factors common to the entry types of a module were never uploaded."
    )
    MISSING_FACTOR = strawberry.enum_value("MISSING_FACTOR", description="Factors of an entry type were never uploaded.")
    MISSING_REFERENCE = strawberry.enum_value(
        "MISSING_REFERENCE", description="Reference data of an entry type was never uploaded."
    )
    MISSING_EXCHANGE_RATE = strawberry.enum_value(
        "MISSING_EXCHANGE_RATE",
        description="Nobody said at which rates of the year purchases are converted, or not at that of a currency of some.",
    )


@strawberry.type(description="One missing thing.")
class YearBlocker:
    code: YearBlockerCode = strawberry.field(description="What sort of thing.")
    message: str = strawberry.field(description="One sentence.")
    is_required: bool = strawberry.field(
        description="`openYear` is refused until it is there. What is not required may follow while the year is open; until "
        "then the emissions that depend on it are missing."
    )
    pipeline: Pipeline | None = child(
        pipelines_by_key, key="pipeline_key", description="The unit sync that failed or is under way, if you may see it."
    )

    @strawberry.field(description="Module that lacks it; null when the unit sync does.")
    @staticmethod
    def module(root: strawberry.Parent[Blocker]) -> ModuleType | None:
        return ModuleType.of(root.module_type_id)

    @strawberry.field(description="Entry type that lacks it; null when all of the module do.")
    @staticmethod
    def data_entry_type(root: strawberry.Parent[Blocker]) -> DataEntryType | None:
        return DataEntryType.of(root.data_entry_type_id)


@strawberry.type(
    description="Whether a year has all it needs, and what is missing. Modules and entry types that its settings disable need "
    "nothing; a new year begins with those enabled that this server can read."
)
class YearReadiness:
    ready: bool = strawberry.field(description="Nothing is missing.")
    blockers: list[YearBlocker] = strawberry.field(
        description="What is missing: the unit sync first, then module by module. `openYear` is refused for those that are "
        "required, and for no other."
    )


async def _readiness(year: YearRow, info: Info) -> Any:
    key = (year.provider, year.year)
    modules, sync = await asyncio.gather(
        info.context.load(queries.readiness_by_year, key), info.context.load(queries.unit_sync_by_year, key)
    )
    return year_readiness((modules or dict[int, ModuleReadiness]()).values(), sync, is_provisioned=year.is_provisioned)


@strawberry.type(description="What the viewer may do with this year.")
class YearCapabilities:
    open: Capability = strawberry.field(
        graphql_type=Permission,
        description="Show it to everyone: allowed for one that is not open, once `readiness` has no blocker that `isRequired`.",
    )
    upload: Capability = strawberry.field(
        graphql_type=Permission, description="Upload a file of this year, for some module at least."
    )


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

    @strawberry.field(description=DESCRIPTION, metadata=OF_YEAR)
    @staticmethod
    def id(root: strawberry.Parent[YearRow]) -> strawberry.ID:
        return strawberry.ID(encode("YearConfiguration", f"{root.provider}:{root.year}"))

    @strawberry.field(
        description="Unfinished pipelines of this year.", directives=[SemanticNonNull()], metadata=made_of(YearRow.year)
    )
    @staticmethod
    async def active_pipelines(
        root: strawberry.Parent[YearRow],
        info: Info,
        first: First = 20,
        after: After = UNSET,
    ) -> PipelineConnection | None:
        window = info.context.window("YearConfiguration.activePipelines", first=first, after=after, descending=True)
        return await load(info, active_by_year, root.year, window=window)

    readiness: YearReadiness | None = guarded(
        "YearConfiguration.readiness",
        "What this year still lacks, and what of it keeps it from being opened.",
        _readiness,
        of=["provider", "year", "is_provisioned"],
    )

    @strawberry.field(
        description="Newest unit sync of this year; null when there is none, or you may not see it.", metadata=OF_YEAR
    )
    @staticmethod
    async def provisioning_pipeline(root: strawberry.Parent[YearRow], info: Info) -> Pipeline | None:
        sync = await info.context.load(queries.unit_sync_by_year, (root.provider, root.year))
        return sync and await load(info, pipelines_by_key, sync.pipeline_key)

    @strawberry.field(
        description="What you may do here, with the reason when you may not.",
        metadata=made_of(YearRow.is_started, YearRow.is_provisioned),
    )
    @staticmethod
    def viewer_can(root: strawberry.Parent[YearRow], info: Info) -> YearCapabilities:
        viewer = info.context.viewer
        return YearCapabilities(
            open=may_open(viewer, is_started=root.is_started, is_provisioned=root.is_provisioned),
            upload=may_upload(viewer, is_provisioned=root.is_provisioned),
        )

    @strawberry.field(
        description="Its modules, as far as you may see them: their totals in kilograms, how fresh these "
        "are, what was uploaded and which pipelines are at work. " + access_sentence("YearConfiguration.modules"),
        directives=access("YearConfiguration.modules"),
        metadata=made_of(YearRow.year, *attributes_of(GUARDS["YearConfiguration.modules"])),
        graphql_type=list[ModuleYear] | None,
    )
    @staticmethod
    def modules(root: strawberry.Parent[YearRow], info: Info) -> list[ModuleYearKey] | None:
        return module_years_of(root.year, info) if may_read("YearConfiguration.modules", root, info) else None

    @strawberry.field(
        description="Deep settings, in which modules and entry types stand by number; pass JSON Pointers, with "
        "numbers or keys, to ship only parts, as an object with a key for each pointer. "
        + access_sentence("YearConfiguration.config"),
        directives=access("YearConfiguration.config"),
        metadata=made_of(YearRow.provider, YearRow.year, *attributes_of(GUARDS["YearConfiguration.config"])),
    )
    @staticmethod
    async def config(
        root: strawberry.Parent[YearRow],
        info: Info,
        paths: Annotated[
            list[str] | None, strawberry.argument(description="JSON Pointers (RFC 6901), such as `/modules/headcount/enabled`.")
        ] = UNSET,
    ) -> JSON | None:
        if not may_read("YearConfiguration.config", root, info):
            return None
        paths = None if paths is UNSET else paths
        pointers = None if paths is None else tuple(numbered(parse_pointer(path)) for path in paths)
        parts = await info.context.load(queries.config_by_key, (root.provider, root.year), pointers=pointers)
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
    year_configurations: list[YearConfiguration] | None = reading(
        queries.years,
        kind=list[YearConfiguration] | None,
        description="Years visible to the viewer, newest first.",
        directives=[SemanticNonNull()],
    )(no_arguments)

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
    ) -> list[ModuleYearKey] | None:
        visible = await info.context.load(queries.years_by_key, (info.context.viewer.provider, year))
        return module_years_of(year, info) if visible else []


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
