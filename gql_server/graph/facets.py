"""Facets as a client sees them: counts that drive an alert strip, each with the filter that drills down."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.carbon.catalog import MODULES
from gql_server.graph.connections import BoundedCount, CountPrecision, OwnLimit, own_limit
from gql_server.graph.context import Info
from gql_server.graph.fields import SemanticNonNull
from gql_server.graph.scalars import JSON
from gql_server.reads.facets import Value, facets
from gql_server.reads.pagination.pages import Page


@strawberry.enum(description="Dimensions a pipeline list can be counted by.")
class PipelineFacetKey(Enum):
    STATUS = strawberry.enum_value("STATUS", description="Stored status; an orphan has none.")
    KIND = strawberry.enum_value(
        "KIND",
        description="Kinds of their own jobs, as the filter has it: a pipeline counts for each of them. So it is with modules, "
        "years and failures.",
    )
    MODULE = strawberry.enum_value("MODULE", description="Modules of their jobs.")
    YEAR = strawberry.enum_value("YEAR", description="Reporting years of their jobs.")
    SCOPE = strawberry.enum_value("SCOPE", description="How wide the work reaches.")
    FAILURE_CLASS = strawberry.enum_value("FAILURE_CLASS", description="Shapes of the failures of their jobs.")
    TRIGGERED_BY = strawberry.enum_value(
        "TRIGGERED_BY", description="Who started them. Without `backoffice.users:view`, you alone."
    )
    TONE = strawberry.enum_value("TONE", description="Their colour family (`Pipeline.tone`).")
    ALERT = strawberry.enum_value(
        "ALERT",
        description="What an alert strip shows, where a pipeline may be in several: FAILED, PARTIAL, ORPHAN_FAILED, WARNING "
        "(it went well but for a warning), RUNNING, STUCK and UNRESOLVED. All of them are there, also those that count none. "
        "Ignores all clauses that they set.",
    )


ALERT_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "FAILED": {"status": {"in": ["FAILED"]}},
    "PARTIAL": {"status": {"in": ["PARTIAL"]}},
    "ORPHAN_FAILED": {"isOrphan": True, "hasErrors": True},
    "WARNING": {"tone": ["WARNING"], "hasErrors": False},
    "RUNNING": {"tone": ["PROGRESS"]},
    "STUCK": {"isStuck": True},
    "UNRESOLVED": {"unresolved": True},
}
NO_ALERT = dict.fromkeys(("status", "tone", "hasErrors", "isOrphan", "isActive", "isStuck", "unresolved"))
FILTERS: Mapping[PipelineFacetKey, Callable[[str], Any]] = {
    PipelineFacetKey.STATUS: lambda value: {"status": {"in": [value]}},
    PipelineFacetKey.KIND: lambda value: {"kind": {"in": [value]}},
    PipelineFacetKey.MODULE: lambda value: _of_module(int(value)),
    PipelineFacetKey.YEAR: lambda value: {"years": [int(value)]},
    PipelineFacetKey.SCOPE: lambda value: {"level": [value]},
    PipelineFacetKey.FAILURE_CLASS: lambda value: {"failureClass": [value]},
    PipelineFacetKey.TRIGGERED_BY: lambda value: {"triggeredBy": [value]},
    PipelineFacetKey.TONE: lambda value: {"tone": [value]},
    PipelineFacetKey.ALERT: lambda value: {**NO_ALERT, **ALERT_FILTERS[value]},
}


@strawberry.type(description="One value of a dimension.")
class FacetValue:
    value: str = strawberry.field(description="Name of the enum's member, key of the module, year, or name of the user.")
    count: BoundedCount = strawberry.field(description="Pipelines that have it.")
    filter: JSON = strawberry.field(description="Merge this into the `PipelineFilter` to drill down.")

    @classmethod
    def of(cls, key: PipelineFacetKey, found: Value, limit: int | None = None) -> "FacetValue":
        count = BoundedCount.of(found.count, limit)
        if not found.complete:
            count.precision = CountPrecision.AT_LEAST
        return cls(
            value=_shown(key, found),
            count=count,
            filter=JSON(FILTERS[key](found.value)),
        )


@strawberry.type(description="Counts along one dimension.")
class PipelineFacet:
    key: PipelineFacetKey = strawberry.field(description="The dimension.")
    values: list[FacetValue] = strawberry.field(
        description="Its values that occur, and every alert; most frequent first, at most 100."
    )


Keys = Annotated[list[PipelineFacetKey], strawberry.argument(description="Dimensions to count by.")]


@strawberry.type
class FacetsField:
    @strawberry.field(
        description="Counts per value under the current filter, each facet ignoring its own clause: as many as `totalCount` of "
        "the list that the value's filter opens. Where that is bounded, the newest pipelines that match are looked at, up to "
        "the bound, and if there are more the counts are AT_LEAST. Of a `search` for what many jobs say, alerts and tones are "
        "looked for in the newest of each alone: a value that counts none AT_LEAST may have some.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    async def facets(
        root: strawberry.Parent[Page],
        info: Info,
        keys: Keys,
        limit: OwnLimit = UNSET,
    ) -> list[PipelineFacet] | None:
        limit = own_limit(limit, None)
        asked = list(dict.fromkeys(keys))
        names = tuple(key.name for key in asked)
        found = await info.context.load(facets, root.criteria, names=names, limit=limit)
        return [PipelineFacet(key=key, values=[FacetValue.of(key, value, limit) for value in found[key.name]]) for key in asked]


def _of_module(number: int) -> dict[str, Any]:
    """Of the two clauses, the other one is cleared, lest both be asked for."""
    module = MODULES.get(number)
    return {"modules": [module.key], "moduleTypeIds": None} if module else {"modules": None, "moduleTypeIds": [number]}


def _shown(key: PipelineFacetKey, found: Value) -> str:
    if key is PipelineFacetKey.MODULE:
        module = MODULES.get(int(found.value))
        return module.key if module else found.value
    return found.label or found.value
