"""Joins the roots of the features into one schema."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, cast

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_server.errors import BadInput
from gql_server.graph.bulk import BulkQuery, BulkSubscription
from gql_server.graph.context import Info
from gql_server.graph.cost.sdl import DIRECTIVES, show_prices
from gql_server.graph.cost.types import CostQuery
from gql_server.graph.document_limits import bound_validation
from gql_server.graph.executable_schema import Schema
from gql_server.graph.failures.list import FailureQuery
from gql_server.graph.failures.types import group_key
from gql_server.graph.feed.subscriptions import ChangesQuery, PipelineSubscription
from gql_server.graph.feed.types import EVENTS
from gql_server.graph.fields import SemanticNonNull
from gql_server.graph.fleet.health import HealthQuery
from gql_server.graph.fleet.locks import LockQuery
from gql_server.graph.fleet.workers import FleetQuery
from gql_server.graph.jobs.list import JobListQuery
from gql_server.graph.jobs.types import JobQuery, job_key
from gql_server.graph.mutations.bulk import BulkMutation
from gql_server.graph.mutations.bulk_retry import BulkRetryMutation
from gql_server.graph.mutations.failures import FailureMutation
from gql_server.graph.mutations.ingestion import IngestionMutation
from gql_server.graph.mutations.jobs import JobMutation
from gql_server.graph.mutations.pipelines import PipelineMutation
from gql_server.graph.mutations.views import ViewMutation
from gql_server.graph.mutations.years import YearMutation
from gql_server.graph.nodes import Node, decode, integer_key, key_of, uuid_key
from gql_server.graph.pipelines.list import PipelineListQuery
from gql_server.graph.pipelines.types import PipelineQuery
from gql_server.graph.planned import Executor
from gql_server.graph.scalars import SCALARS
from gql_server.graph.scopes import DataEntryType, ModuleType, Unit
from gql_server.graph.selection import check_rows, load
from gql_server.graph.viewer import ViewerQuery
from gql_server.graph.years.types import YearQuery, year_key
from gql_server.reads.failures.queries import groups_by_fingerprint
from gql_server.reads.fleet.workers import workers_by_pod_id
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.pipelines.queries import pipelines_by_key
from gql_server.reads.scopes import units_by_institutional_id
from gql_server.reads.views import views_by_id
from gql_server.reads.years.queries import years_by_key

NODES_MAX = 100
HEADER = "# The graph as clients see it. Printed by `gql-server schema`; do not edit.\n\n"


async def _unit(info: Info, global_id: str) -> Unit | None:
    row = await info.context.load(units_by_institutional_id, decode(global_id)[1])
    return row and Unit.of(row.unit_institutional_id)


async def _constant(value: ModuleType | DataEntryType | None) -> ModuleType | DataEntryType | None:
    return value


NODES: Mapping[str, Callable[[Info, str], Awaitable[Any]]] = {
    "Pipeline": lambda info, id: load(info, pipelines_by_key, uuid_key("Pipeline", id)),
    "Job": lambda info, id: load(info, jobs_by_id, job_key(id)),
    "FailureGroup": lambda info, id: load(info, groups_by_fingerprint, group_key(id)),
    "YearConfiguration": lambda info, id: load(info, years_by_key, year_key(id)),
    "Worker": lambda info, id: load(info, workers_by_pod_id, key_of("Worker", id)),
    "TriageView": lambda info, id: load(info, views_by_id, uuid_key("TriageView", id)),
    "Unit": _unit,
    "ModuleType": lambda _, id: _constant(ModuleType.of(integer_key("ModuleType", id))),
    "DataEntryType": lambda _, id: _constant(DataEntryType.of(integer_key("DataEntryType", id))),
}


async def _fetch(info: Info, global_id: str) -> Any:
    fetch = NODES.get(decode(global_id)[0])
    return fetch and await fetch(info, global_id)


@strawberry.type(description="Reads.")
class Query(
    PipelineListQuery,
    PipelineQuery,
    JobListQuery,
    JobQuery,
    FailureQuery,
    YearQuery,
    FleetQuery,
    HealthQuery,
    LockQuery,
    ViewerQuery,
    ChangesQuery,
    BulkQuery,
    CostQuery,
):
    @strawberry.field(description="Refetch anything by global ID; null when absent or not visible.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")]
    ) -> Node | None:
        return await _fetch(info, id)

    @strawberry.field(
        description=f"Same order and length as `ids`, at most {NODES_MAX}; null for what is absent or not visible, "
        "and with an error for what is no id.",
        directives=[SemanticNonNull()],
    )
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global ids.")]
    ) -> list[Node | None] | None:
        if len(ids) > NODES_MAX:
            raise BadInput(f"`ids` takes at most {NODES_MAX} values.")
        found = await asyncio.gather(*(_fetch(info, id) for id in ids), return_exceptions=True)
        return cast(list[Node | None], found)  # what was raised becomes an error of that one


@strawberry.type(description="Writes. Every result is a union: a payload, or a problem.")
class Mutation(
    PipelineMutation,
    BulkMutation,
    BulkRetryMutation,
    JobMutation,
    FailureMutation,
    YearMutation,
    IngestionMutation,
    ViewMutation,
):
    pass


@strawberry.type(description="Live data.")
class Subscription(PipelineSubscription, BulkSubscription):
    pass


class KnownNames(NameConverter):
    """Names as Strawberry makes them, each once: it asks for those of all arguments whenever a field is resolved."""

    def __init__(self) -> None:
        super().__init__()
        self.apply_naming_config = cache(super().apply_naming_config)


TYPES: Sequence[Any] = [*EVENTS, ModuleType, DataEntryType, Unit, *DIRECTIVES]
"""Types that no field names."""
CONFIG = StrawberryConfig(scalar_map=SCALARS, name_converter=KnownNames())


def create_schema() -> Schema:
    """The executable schema, with bounds on documents and caches for those that come again."""
    bound_validation()
    schema = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=TYPES,
        execution_context_class=Executor,
        config=CONFIG,
    )
    _describe_arguments(schema)
    check_rows(schema.executable)
    show_prices(schema.executable)
    return schema


def _describe_arguments(schema: Schema) -> None:
    """Arguments of directives get the descriptions they were declared with, which Strawberry leaves out."""
    for directive in schema.executable.directives:
        declared = directive.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        for field in declared.fields if declared else ():
            directive.args[schema.config.name_converter.get_graphql_name(field)].description = field.description


def sdl() -> str:
    """The schema definition, as committed in schema.graphql."""
    return f"{HEADER}{create_schema().as_str()}\n"
