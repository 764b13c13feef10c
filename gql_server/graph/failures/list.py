"""Lists of failure groups: their filter, their order, and the root field over all of them."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.graph.context import Info
from gql_server.graph.failures.types import FailureClass, FailureGroupConnection
from gql_server.graph.fields import After, First, SemanticNonNull, reading
from gql_server.graph.filters import Direction, TimeRange
from gql_server.graph.modules import module_numbers
from gql_server.ledger.failures import rules
from gql_server.reads.failures import queries
from gql_server.reads.failures.filter import FailureCriteria, FailureOrder
from gql_server.reads.pagination.cursors import SortValue

PARSERS = {
    FailureOrder.LAST_SEEN: datetime.fromisoformat,
    FailureOrder.FIRST_SEEN: datetime.fromisoformat,
    FailureOrder.PIPELINE_COUNT: int,
}


@strawberry.enum(description="Sort keys of failure groups. The tie-break is the fingerprint.")
class FailureGroupOrderField(Enum):
    LAST_SEEN = strawberry.enum_value("LAST_SEEN", description="Latest occurrence. It moves while failures happen.")
    FIRST_SEEN = strawberry.enum_value("FIRST_SEEN", description="First occurrence.")
    PIPELINE_COUNT = strawberry.enum_value("PIPELINE_COUNT", description="Pipelines hit.")


@strawberry.input(
    description="All clauses are ANDed. `seenAt`, `years`, `modules` and `moduleTypeIds` must hold for the same failed job of "
    "the group."
)
class FailureGroupFilter:
    failure_class: list[FailureClass] | None = strawberry.field(name="class", default=UNSET, description="Any of these.")
    seen_at: TimeRange | None = strawberry.field(default=UNSET, description="It happened then.")
    years: list[int] | None = strawberry.field(default=UNSET, description="Reporting year of a job.")
    modules: list[str] | None = strawberry.field(
        default=UNSET, description="Module of a job, by key such as `process_emissions` (`ModuleType.key`)."
    )
    module_type_ids: list[int] | None = strawberry.field(default=UNSET, description="Module of a job, by number.")
    acknowledged: bool | None = strawberry.field(
        default=UNSET, description="Somebody has taken it and it has not reopened; false means the others."
    )
    is_new: bool | None = strawberry.field(default=UNSET, description="First seen on the current revision, or before.")

    def criteria(self) -> FailureCriteria:
        seen_from, seen_to = self.seen_at.bounds()[:2] if self.seen_at else (None, None)
        classes = None if self.failure_class is UNSET else self.failure_class
        return FailureCriteria(
            classes=tuple(sorted({rules.FailureClass[each.name] for each in classes}))
            if classes is not UNSET and classes is not None
            else None,
            seen_from=seen_from,
            seen_to=seen_to,
            years=_values(self.years),
            module_type_ids=module_numbers(self.modules, self.module_type_ids),
            acknowledged=None if self.acknowledged is UNSET else self.acknowledged,
            is_new=None if self.is_new is UNSET else self.is_new,
        )


@strawberry.input(description="Sort order of failure groups.")
class FailureGroupOrder:
    field: FailureGroupOrderField = strawberry.field(description="By what.")
    direction: Direction = strawberry.field(default=Direction.DESC, description="Which way.")


@strawberry.type
class FailureQuery:
    @reading(
        queries.page,
        kind=FailureGroupConnection | None,
        description="What is broken, by cause; the latest first.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    def failure_groups(
        info: Info,
        filter: Annotated[FailureGroupFilter | None, strawberry.argument(description="Which ones; all without it.")] = UNSET,
        order_by: Annotated[FailureGroupOrder | None, strawberry.argument(description="The latest first without it.")] = UNSET,
        first: First = 25,
        after: After = UNSET,
    ) -> dict[str, Any]:
        criteria = filter.criteria() if filter else FailureCriteria()
        order = FailureOrder[order_by.field.name] if order_by else FailureOrder.LAST_SEEN
        window = info.context.window(
            "Query.failureGroups",
            first=first,
            after=after,
            criteria=criteria,
            order=SortValue(order.name, PARSERS[order]),
            descending=not order_by or order_by.direction is Direction.DESC,
        )
        return {"criteria": criteria, "order": order, "window": window}


def _values(values: list[int] | None) -> tuple[int, ...] | None:
    return tuple(sorted(set(values))) if values is not UNSET and values is not None else None
