"""Prices and limits as a client sees them."""

import hashlib
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Annotated, Any, cast

import strawberry
from graphql import GraphQLSchema
from strawberry.schema_directive import Location

from gql_server.db.models import EVENT_RETENTION
from gql_server.graph import document_limits
from gql_server.graph.context import Info
from gql_server.graph.cost.budgets import Bill
from gql_server.graph.cost.deprecations import deprecations
from gql_server.graph.scalars import SchemaCoordinate


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.ARGUMENT_DEFINITION, Location.INPUT_FIELD_DEFINITION, Location.OBJECT],
    name="cost",
    description="Static weight used by the cost limit (IBM cost specification). Without it an object weighs 1, a leaf nothing.",
)
class Cost:
    weight: str = strawberry.field(description="A whole number, as text.")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="listSize",
    description="How list size is derived for the cost limit (IBM cost specification). "
    "Without it a list of objects counts as 10.",
)
class ListSize:
    assumed_size: int | None = strawberry.field(default=strawberry.UNSET, description="Length when no argument says it.")
    slicing_arguments: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Arguments that say the length; the largest counts."
    )
    sized_fields: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Fields that are the list, when the field itself is a page."
    )
    require_one_slicing_argument: bool = strawberry.field(
        default=True, description="Exactly one of the slicing arguments must be given."
    )


@strawberry.type(description="Price of the current operation.")
class QueryCost:
    estimated: int = strawberry.field(description="Cost of this operation before execution, the same for every viewer.")
    limit: int = strawberry.field(description="What one operation may cost; above it, the code is COST_LIMIT_EXCEEDED.")
    budget_remaining: int = strawberry.field(
        description="What this viewer may still spend until `resetAt`; an operation that costs more gets RATE_LIMITED."
    )
    reset_at: datetime = strawberry.field(description="When the budget is full again.")


@strawberry.type(description="Published limits; every one is also an error code.")
class ApiLimits:
    max_page_size: int = strawberry.field(description="Largest `first` or `last`.")
    max_depth: int = strawberry.field(description="Deepest selection.")
    max_fields: int = strawberry.field(description="Fields in an operation, its fragments spread out.")
    max_root_fields: int = strawberry.field(description="Fields at the root of an operation, its fragments spread out.")
    max_aliases: int = strawberry.field(description="Aliases in an operation, its fragments spread out.")
    max_tokens: int = strawberry.field(description="Longest document.")
    max_cost: int = strawberry.field(description="Dearest operation.")
    max_subscriptions_per_connection: int = strawberry.field(description="Operations at a time on one socket.")
    request_timeout_seconds: int = strawberry.field(
        description="How long an operation over HTTP may take; its statement is cancelled with it."
    )
    budget_per_minute: int = strawberry.field(description="What a viewer may spend in a minute at this process.")


@strawberry.type(description="One planned removal.")
class Deprecation:
    coordinate: SchemaCoordinate = strawberry.field(description="What will go.")
    reason: str = strawberry.field(description="Why, and what to use instead.")
    removed_after: datetime = strawberry.field(description="It stays until then.")


@strawberry.type(description="Facts about this API.")
class ApiInfo:
    version: str = strawberry.field(description="Release of the server.")
    schema_hash: str = strawberry.field(description="SHA-256 of the schema definition, in hex: it changes with the schema.")
    limits: ApiLimits = strawberry.field(description="What is refused.")
    feed_retention_seconds: int = strawberry.field(description="How long a feed token stays good.")
    deprecations: list[Deprecation] = strawberry.field(description="Planned removals, soonest first.")


DryRun = Annotated[bool | None, strawberry.argument(description="Execute nothing else.")]


@strawberry.type
class CostQuery:
    @strawberry.field(
        description="Price of this operation, free of charge. With `dryRun: true` nothing else in the operation is executed: "
        "the answer holds only `cost`, however dear the rest would be.",
        graphql_type=QueryCost,
    )
    def cost(self, info: Info, dry_run: DryRun = False) -> Bill:
        return info.context.budgets.bill(info.context.viewer, info.context.estimated)

    @strawberry.field(description="Version and limits.")
    def api(self, info: Info) -> ApiInfo:
        schema, context = cast(Any, info.schema), info.context
        return ApiInfo(
            version=version("gql-server"),
            schema_hash=_hash(schema.executable),
            limits=ApiLimits(
                max_page_size=context.paging.size_max,
                max_depth=document_limits.LIMITS.depth,
                max_fields=document_limits.LIMITS.fields,
                max_root_fields=document_limits.LIMITS.root_fields,
                max_aliases=document_limits.LIMITS.aliases,
                max_tokens=document_limits.MAX_TOKENS,
                max_cost=context.budgets.limit,
                max_subscriptions_per_connection=document_limits.SUBSCRIPTIONS_PER_SOCKET,
                request_timeout_seconds=document_limits.REQUEST_SECONDS,
                budget_per_minute=context.budgets.per_minute,
            ),
            feed_retention_seconds=int(EVENT_RETENTION.total_seconds()),
            deprecations=[
                Deprecation(coordinate=SchemaCoordinate(each.coordinate), reason=each.reason, removed_after=each.removed_after)
                for each in deprecations(schema.executable)
            ],
        )


@lru_cache(maxsize=2)
def _hash(schema: GraphQLSchema) -> str:
    return hashlib.sha256(cast(Any, schema)._strawberry_schema.as_str().encode()).hexdigest()
