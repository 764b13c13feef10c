"""The year × module matrix as a client sees it."""

from asyncio import gather
from enum import Enum
from typing import Any, NamedTuple

import strawberry

from gql_server.carbon.catalog import MODULES, entry_types_of
from gql_server.graph.context import Info
from gql_server.graph.fields import access, access_sentence, child, guarded
from gql_server.graph.jobs.types import Job
from gql_server.graph.permission import Permission
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.scopes import DataEntryType, ModuleType
from gql_server.graph.selection import load
from gql_server.graph.years.readiness import DataEntryTypeReadiness, ModuleReadiness
from gql_server.graph.years.totals import ModuleTotals
from gql_server.policy import GUARDS, permits
from gql_server.policy.capabilities import Capability
from gql_server.policy.years import may_recalculate
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.loaders import Query
from gql_server.reads.pipelines.queries import pipelines_by_key
from gql_server.reads.years.aggregations import freshness_by_module_year
from gql_server.reads.years.freshness import EntryTypeRecalculation
from gql_server.reads.years.module_years import (
    ModuleYearKey,
    current_pipeline_by_module_year,
    last_successful_by_module_year,
    live_recalculation_by_module_year,
)
from gql_server.reads.years.queries import readiness_by_year, years_by_key
from gql_server.reads.years.recalculations import recalculations_by_module_year
from gql_server.reads.years.totals import totals_by_module_year


@strawberry.enum(description="State of the totals of a module in a year.")
class Freshness(Enum):
    FRESH = strawberry.enum_value("FRESH", description="The totals show what is there.")
    NO_AGGREGATION_EVER = strawberry.enum_value("NO_AGGREGATION_EVER", description="There are no totals.")
    PENDING_AGGREGATION_STUCK = strawberry.enum_value(
        "PENDING_AGGREGATION_STUCK", description="The newest aggregation has waited or run for too long."
    )
    LAST_AGGREGATION_FAILED = strawberry.enum_value(
        "LAST_AGGREGATION_FAILED",
        description="An aggregation failed, and none has done its work since: one of some units does not do that of all.",
    )
    LAST_RECALCULATION_FAILED = strawberry.enum_value(
        "LAST_RECALCULATION_FAILED",
        description="Emissions are missing: a recalculation failed, and none has done its work since.",
    )
    LAST_AGGREGATION_TOO_OLD = strawberry.enum_value(
        "LAST_AGGREGATION_TOO_OLD", description="Data or factors have changed since, and nothing has followed for too long."
    )
    ENTRIES_WITHOUT_EMISSION = strawberry.enum_value(
        "ENTRIES_WITHOUT_EMISSION",
        description="The totals show what could be computed, which is not all: `totals.withoutEmission` says how many entries "
        "have no emission, and why. `health.staleScopes` does not name it, for computing anew changes nothing.",
    )


def _job(attribute: str, description: str) -> Any:
    """The job whose number the attribute of the parent holds."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Job | None:
        job_id = getattr(root, attribute)
        return None if job_id is None else await load(info, jobs_by_id, job_id)

    return strawberry.field(resolver=resolve, description=description)


def _pipeline(query: Query, description: str) -> Any:
    """The pipeline that the query names for a cell."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Pipeline | None:
        key = await info.context.load(query, root.key)
        return None if key is None else await load(info, pipelines_by_key, key)

    return strawberry.field(resolver=resolve, description=description)


async def _freshness(cell: ModuleYearKey, info: Info) -> Any:
    return await info.context.load(freshness_by_module_year, cell.key, older_than_minutes=cell.older_than_minutes)


async def _state(cell: ModuleYearKey, info: Info) -> Any:
    return (await _freshness(cell, info)).freshness


async def _needs_recalculation(cell: ModuleYearKey, info: Info) -> bool:
    return any(found.needs_recalculation for found in (await _recalculations(cell, info)).values())


async def _recalculations(cell: ModuleYearKey, info: Info) -> dict[int, EntryTypeRecalculation]:
    return await info.context.load(recalculations_by_module_year, cell.key) or {}


async def _module_readiness(cell: ModuleYearKey, info: Info) -> Any:
    modules = await info.context.load(readiness_by_year, (info.context.viewer.provider, cell.year)) or dict[int, Any]()
    return modules.get(cell.module_type_id)


class EntryTypeYearRow(NamedTuple):
    """An entry type in a year: the source of `DataEntryTypeYear`."""

    cell: ModuleYearKey
    data_entry_type_id: int
    recalculation: EntryTypeRecalculation | None

    @property
    def last_factor_job_id(self) -> int | None:
        return self.recalculation and self.recalculation.seen.factor_job_id

    @property
    def last_recalculation_job_id(self) -> int | None:
        return self.recalculation and self.recalculation.seen.recalculation_job_id


async def _entry_type_readiness(entry_type: EntryTypeYearRow, info: Info) -> Any:
    module = await _module_readiness(entry_type.cell, info)
    parts = module.submodules if module else ()
    return next((part for part in parts if part.data_entry_type_id == entry_type.data_entry_type_id), None)


@strawberry.type(description="A data entry type in a year: whether its emissions follow its factors, and what was uploaded.")
class DataEntryTypeYear:
    @strawberry.field(description="Kind of data entry.")
    @staticmethod
    def data_entry_type(root: strawberry.Parent[EntryTypeYearRow]) -> DataEntryType:
        found = DataEntryType.of(root.data_entry_type_id)
        assert found is not None
        return found

    needs_recalculation: bool | None = guarded(
        "DataEntryTypeYear.needsRecalculation",
        "Factors, or a failed recalculation, are newer than the emissions, and it is enabled.",
        lambda row, _: row.recalculation is not None and row.recalculation.needs_recalculation,
    )

    last_factor_job: Job | None = _job(
        "last_factor_job_id", "Newest factors that landed, of its own or common to its module, of those you may see."
    )
    last_recalculation_job: Job | None = _job(
        "last_recalculation_job_id", "Newest recalculation that has begun, of those you may see."
    )

    readiness: DataEntryTypeReadiness | None = guarded(
        "DataEntryTypeYear.readiness",
        "What it lacks for the year to be ready; null when the settings of the year do not name it.",
        _entry_type_readiness,
    )


@strawberry.type(description="What the viewer may do with this module of the year.")
class ModuleYearCapabilities:
    recalculate: Capability = strawberry.field(
        graphql_type=Permission, description="Compute all its emissions anew, with `recalculate`."
    )


async def _viewer_can(cell: strawberry.Parent[ModuleYearKey], info: Info) -> ModuleYearCapabilities:
    viewer = info.context.viewer
    year, running = await gather(
        info.context.load(years_by_key, (viewer.provider, cell.year)),
        info.context.load(live_recalculation_by_module_year, cell.key),
    )
    return ModuleYearCapabilities(
        recalculate=may_recalculate(
            viewer, is_provisioned=year is not None and year.is_provisioned, is_running=running is not None
        )
    )


@strawberry.type(
    description=f"One cell of the year × module matrix. {access_sentence('ModuleYear')}", directives=access("ModuleYear")
)
class ModuleYear:
    year: int = strawberry.field(description="Reporting year.")

    @strawberry.field(description="Module.")
    @staticmethod
    def module(root: strawberry.Parent[ModuleYearKey]) -> ModuleType:
        found = ModuleType.of(root.module_type_id)
        assert found is not None
        return found

    freshness: Freshness | None = guarded(
        "ModuleYear.freshness",
        "Whether its totals show what is there; null while the settings of the year disable it, for it is never stale then.",
        _state,
    )

    totals: ModuleTotals | None = child(
        totals_by_module_year,
        key="key",
        description="What it adds up to, in kilograms; null while nothing you may see was aggregated.",
    )

    @strawberry.field(description="Newest aggregation, of those you may see.")
    @staticmethod
    async def last_aggregation(root: strawberry.Parent[ModuleYearKey], info: Info) -> Job | None:
        job_id = (await _freshness(root, info)).last_aggregation_job_id
        return None if job_id is None else await load(info, jobs_by_id, job_id)

    needs_recalculation: bool | None = guarded(
        "ModuleYear.needsRecalculation",
        "Factors are newer than the emissions computed from them, in an entry type that is enabled.",
        _needs_recalculation,
    )

    @strawberry.field(description="Its kinds of data entry, all of them.", graphql_type=list[DataEntryTypeYear])
    @staticmethod
    async def data_entry_types(root: strawberry.Parent[ModuleYearKey], info: Info) -> list[EntryTypeYearRow]:
        found = await _recalculations(root, info)
        return [EntryTypeYearRow(root, entry_type, found.get(entry_type)) for entry_type in entry_types_of(root.module_type_id)]

    current_pipeline: Pipeline | None = _pipeline(
        current_pipeline_by_module_year, "Newest unfinished pipeline on this cell, of those you may see."
    )
    last_successful: Pipeline | None = _pipeline(
        last_successful_by_module_year, "Newest pipeline on this cell that ended in SUCCESS, of those you may see."
    )
    viewer_can: ModuleYearCapabilities = strawberry.field(
        resolver=_viewer_can, description="What you may do here, with the reason when you may not."
    )
    readiness: ModuleReadiness | None = guarded(
        "ModuleYear.readiness",
        "What it lacks for the year to be ready; null when the settings of the year do not name it.",
        _module_readiness,
    )


def module_years_of(year: int, info: Info) -> list[ModuleYearKey]:
    """The cells of a year that the viewer may see."""
    seen = GUARDS["ModuleYear"]
    return [cell for module in MODULES if permits(info.context.viewer, seen, cell := ModuleYearKey(year, module))]
