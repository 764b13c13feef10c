"""The list of pipelines: its filter, its orders, and its root field."""

from enum import Enum
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry import UNSET

from gql_server.errors import BadInput
from gql_server.graph.context import Info
from gql_server.graph.failures.types import FailureClass
from gql_server.graph.fields import After, Before, First, Last, SemanticNonNull, check_filter, guarded_filter, reading
from gql_server.graph.filters import Direction, FloatRange, TimeRange, given, match, names, range_of, text, texts, values
from gql_server.graph.jobs.list import KindMatch, worker
from gql_server.graph.modules import entry_type_numbers, module_numbers
from gql_server.graph.nodes import key_of, uuid_key
from gql_server.graph.pipelines.types import PipelineConnection, PipelineStatus
from gql_server.graph.scopes import ScopeLevel, StatusTone
from gql_server.policy import Viewer
from gql_server.reads.jobs.search import TERM_MAX, TERM_MIN, term
from gql_server.reads.pipelines import queries
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import ORDERINGS


@strawberry.enum(description="Sort keys of a pipeline list. The tie-break is always the pipeline's key.")
class PipelineOrderField(Enum):
    CREATED_AT = strawberry.enum_value(
        "CREATED_AT",
        description="Immutable key, equal to the order of pipeline_id: pages never shift under the reader.",
    )
    STARTED_AT = strawberry.enum_value("STARTED_AT", description="First claim of any job.")
    FINISHED_AT = strawberry.enum_value("FINISHED_AT", description="Last finish; none until terminal.")
    DURATION = strawberry.enum_value("DURATION", description="Seconds from first claim to finish; none until terminal.")
    UPDATED_AT = strawberry.enum_value(
        "UPDATED_AT", description="Mutable key: rows move while they run. Use with the feed, not for exports."
    )
    ERROR_COUNT = strawberry.enum_value("ERROR_COUNT", description="Jobs that failed.")


@strawberry.input(description="Sort order of pipelines.")
class PipelineOrder:
    field: PipelineOrderField = strawberry.field(description="What they are ordered by.")
    direction: Direction = strawberry.field(default=Direction.DESC, description="Which end comes first.")


NEWEST_FIRST = PipelineOrder(field=PipelineOrderField.CREATED_AT, direction=Direction.DESC)


@strawberry.input(description="Exactly one of the two: keep these, or drop these.", one_of=True)
class StatusMatch:
    in_: strawberry.Maybe[list[PipelineStatus]] = strawberry.field(name="in", description="Keep these.")
    not_in: strawberry.Maybe[list[PipelineStatus]] = strawberry.field(description="Drop these.")


class OfUnit(NamedTuple):
    """A unit that is asked for."""

    unit_institutional_id: str


@strawberry.input(
    description="All clauses are ANDed. `kind: {in}`, `modules`, `moduleTypeIds`, `dataEntryTypes`, `dataEntryTypeIds`, "
    "`years`, `startedAt`, `finishedAt`, `failureClass`, `failureGroup`, `workerId` and `search` must hold for one and the "
    "same job of the pipeline; all of its jobs are returned. A job that does work of several pipelines "
    "finds the one that it is in; `status`, `hasErrors` and `unresolved` follow from it in each, and their graphs name it. An "
    "empty list matches nothing. A clause that you may not use is refused (`FORBIDDEN`). A closed set: every clause is backed "
    "by an index."
)
class PipelineFilter:
    ids: list[strawberry.ID] | None = strawberry.field(default=UNSET, description="Global ids, at most 100.")
    status: StatusMatch | None = strawberry.field(
        default=UNSET, description="Stored status. Excludes orphans, which have none."
    )
    tone: list[StatusTone] | None = strawberry.field(
        default=UNSET, description="Colour family: WARNING means PARTIAL, or a success in which a job warned."
    )
    kind: KindMatch | None = strawberry.field(default=UNSET, description="Kind of a job; with `notIn`, of none of its jobs.")
    modules: list[str] | None = strawberry.field(
        default=UNSET, description="Module of a job, by key such as `process_emissions` (`ModuleType.key`)."
    )
    module_type_ids: list[int] | None = strawberry.field(default=UNSET, description="Module of a job, by number.")
    data_entry_types: list[str] | None = strawberry.field(
        default=UNSET, description="Entry type of a job, by key such as `member` (`DataEntryType.key`)."
    )
    data_entry_type_ids: list[int] | None = strawberry.field(default=UNSET, description="Entry type of a job, by number.")
    years: list[int] | None = strawberry.field(default=UNSET, description="Reporting year of a job.")
    level: list[ScopeLevel] | None = strawberry.field(default=UNSET, description="How wide the work reaches.")
    unit_institutional_id: str | None = guarded_filter(
        "PipelineFilter.unitInstitutionalId", "Unit of unit-specific work, in the modules of which you may read it."
    )
    created_at: TimeRange | None = strawberry.field(default=UNSET, description="When it was submitted.")
    started_at: TimeRange | None = strawberry.field(default=UNSET, description="First claim of a job.")
    finished_at: TimeRange | None = strawberry.field(default=UNSET, description="End of a job.")
    duration_seconds: FloatRange | None = strawberry.field(
        default=UNSET, description="Seconds from first claim to finish; only what has finished matches."
    )
    has_errors: bool | None = strawberry.field(
        default=UNSET, description="PARTIAL, FAILED or an orphan that failed; false means the others."
    )
    is_orphan: bool | None = strawberry.field(default=UNSET, description="Jobs without a pipeline, or only pipelines.")
    is_active: bool | None = strawberry.field(default=UNSET, description="NOT_STARTED or RUNNING; false means the others.")
    is_aborted: bool | None = strawberry.field(default=UNSET, description="An operator stopped it.")
    is_stuck: bool | None = strawberry.field(
        default=UNSET,
        description="A job of it runs without a worker that answers for it. That is a matter of time: a live list tells of "
        "it with the next change of the pipeline, `Subscription.facets` within seconds.",
    )
    unresolved: bool | None = strawberry.field(
        default=UNSET,
        description="Failed, and not made good by a later success (`isResolved`); false means the others.",
    )
    failure_class: list[FailureClass] | None = strawberry.field(default=UNSET, description="Shape of the failure of a job.")
    failure_group: strawberry.ID | None = strawberry.field(
        default=UNSET, description="Global id of a `FailureGroup` that a job is in."
    )
    triggered_by: list[str] | None = guarded_filter(
        "PipelineFilter.triggeredBy", "Subjects that started it. You may always name yourself alone."
    )
    triggered_by_me: bool | None = strawberry.field(default=UNSET, description="You started it; false means somebody else did.")
    worker_id: strawberry.ID | None = guarded_filter(
        "PipelineFilter.workerId", "A job of the pipeline is or was held by this worker."
    )
    search: str | None = strawberry.field(
        default=UNSET,
        description=f"Case-insensitive substring of the message of a job, as far as you may read it; {TERM_MIN} to {TERM_MAX} "
        "characters, of which none is a wildcard.",
    )

    def criteria(self, viewer: Viewer) -> PipelineCriteria:
        """Criteria that are asked for. Raises Forbidden for a clause that the viewer may not use."""
        return PipelineCriteria(
            ids=_ids(self.ids),
            status=match(self.status),
            tones=names("tone", self.tone),
            kind=match(self.kind),
            module_type_ids=module_numbers(self.modules, self.module_type_ids),
            data_entry_type_ids=entry_type_numbers(self.data_entry_types, self.data_entry_type_ids),
            years=values("years", self.years),
            levels=names("level", self.level),
            unit=self._unit(viewer),
            created_at=range_of(self.created_at),
            started_at=range_of(self.started_at),
            finished_at=range_of(self.finished_at),
            duration_seconds=range_of(self.duration_seconds),
            has_errors=given(self.has_errors),
            is_orphan=given(self.is_orphan),
            is_active=given(self.is_active),
            is_aborted=given(self.is_aborted),
            is_stuck=given(self.is_stuck),
            unresolved=given(self.unresolved),
            failure_classes=names("failureClass", self.failure_class),
            failure_fingerprint=key_of("FailureGroup", self.failure_group) if self.failure_group else None,
            triggered_by=self._triggered_by(viewer),
            not_triggered_by=viewer.identity if self.triggered_by_me is False else None,
            worker=worker(viewer, "PipelineFilter.workerId", self.worker_id),
            search=term(self.search) if isinstance(self.search, str) else None,
        )

    def _unit(self, viewer: Viewer) -> str | None:
        unit = text("unitInstitutionalId", self.unit_institutional_id)
        if unit is not None:
            check_filter(viewer, "PipelineFilter.unitInstitutionalId", OfUnit(unit))
        return unit

    def _triggered_by(self, viewer: Viewer) -> tuple[str, ...] | None:
        named = texts("triggeredBy", self.triggered_by)
        if named and not {viewer.identity}.issuperset(named):
            check_filter(viewer, "PipelineFilter.triggeredBy")
        if not given(self.triggered_by_me):
            return named
        return (viewer.identity,) if named is None or viewer.identity in named else ()


@strawberry.type
class PipelineListQuery:
    @reading(
        queries.page,
        kind=PipelineConnection | None,
        description="Pipelines the viewer may see, newest first. `around` returns the page that has that pipeline in its "
        "middle; if it is not in the list, the page is the first one.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    def pipelines(
        info: Info,
        filter: Annotated[PipelineFilter | None, strawberry.argument(description="Which ones; all without it.")] = UNSET,
        order_by: Annotated[PipelineOrder | None, strawberry.argument(description="In which order.")] = NEWEST_FIRST,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        around: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Global id of a pipeline to show with its neighbours; goes with `first` alone."),
        ] = UNSET,
    ) -> dict[str, Any]:
        criteria = filter.criteria(info.context.viewer) if filter else PipelineCriteria()
        window = info.context.window(
            "Query.pipelines", first=first, after=after, last=last, before=before, criteria=criteria, **_ordering(order_by)
        )
        if around and (given(after) or given(before) or given(last)):
            raise BadInput("`around` goes with `first` alone.")
        key = uuid_key("Pipeline", around) if around else None
        return {"criteria": criteria, "window": window, "around": key}


def _ordering(order_by: PipelineOrder | None) -> dict[str, Any]:
    if not order_by:
        return {"descending": True}
    by = ORDERINGS.get(order_by.field.name)
    return {"order": by and by.order, "descending": order_by.direction is Direction.DESC}


def _ids(ids: list[strawberry.ID] | None) -> tuple[Any, ...] | None:
    named = values("ids", ids)
    return None if named is None else tuple(sorted({uuid_key("Pipeline", id) for id in named}))
