"""Lists of jobs: their filter, their orders, and the root field over all of them."""

from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.graph.context import Info
from gql_server.graph.fields import After, Before, First, Last, SemanticNonNull, check_filter, guarded_filter, reading
from gql_server.graph.filters import Direction, TimeRange, given, match, names, range_of
from gql_server.graph.jobs.enums import JobKind, JobResult, JobState
from gql_server.graph.jobs.types import JobConnection
from gql_server.graph.nodes import key_of
from gql_server.policy import Viewer
from gql_server.reads.jobs import list as listing
from gql_server.reads.jobs.filter import JobCriteria


@strawberry.enum(description="Sort keys of a job list. The tie-break is always the job id.")
class JobOrderField(Enum):
    CREATED = strawberry.enum_value("CREATED", description="Job id, which grows as jobs are submitted.")
    STARTED_AT = strawberry.enum_value("STARTED_AT", description="First claim.")
    FINISHED_AT = strawberry.enum_value("FINISHED_AT", description="End.")
    DURATION = strawberry.enum_value("DURATION", description="Seconds from first claim to its end; none before the end.")
    ATTEMPT = strawberry.enum_value("ATTEMPT", description="Number of tries.")


@strawberry.input(description="Sort order of jobs.")
class JobOrder:
    field: JobOrderField = strawberry.field(description="What they are ordered by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


@strawberry.input(description="Exactly one of the two.", one_of=True)
class KindMatch:
    in_: strawberry.Maybe[list[JobKind]] = strawberry.field(name="in", description="It is of one of these kinds.")
    not_in: strawberry.Maybe[list[JobKind]] = strawberry.field(description="It is of none of these kinds.")


@strawberry.input(description="All clauses are ANDed. A clause that you may not use is refused (`FORBIDDEN`).")
class JobFilter:
    kind: KindMatch | None = strawberry.field(default=UNSET, description="Kind of work.")
    state: list[JobState] | None = strawberry.field(default=UNSET, description="Where it is in its life.")
    result: list[JobResult] | None = strawberry.field(
        default=UNSET, description="Outcome; UNKNOWN stands for none, and for one this server does not know."
    )
    is_stuck: bool | None = strawberry.field(
        default=UNSET, description="RUNNING with a lock older than the stale limit, or whose worker's heartbeat is lost."
    )
    is_current: bool | None = strawberry.field(default=UNSET, description="The current one of its combination.")
    worker_id: strawberry.ID | None = guarded_filter("JobFilter.workerId", "This worker holds it, or was the last to.")
    attempt_at_least: int | None = strawberry.field(default=UNSET, description="It has been tried so many times.")
    started_at: TimeRange | None = strawberry.field(default=UNSET, description="First claim.")

    def criteria(self, viewer: Viewer) -> JobCriteria:
        """Criteria that are asked for. Raises Forbidden for a clause that the viewer may not use."""
        return JobCriteria(
            kind=match(self.kind),
            states=names("state", self.state),
            results=names("result", self.result),
            is_stuck=given(self.is_stuck),
            is_current=given(self.is_current),
            worker=worker(viewer, "JobFilter.workerId", self.worker_id),
            attempt_at_least=given(self.attempt_at_least),
            started_at=range_of(self.started_at),
        )


OLDEST_FIRST = JobOrder(field=JobOrderField.CREATED, direction=Direction.ASC)
NEWEST_FIRST = JobOrder(field=JobOrderField.CREATED, direction=Direction.DESC)

JobsWanted = Annotated[JobFilter | None, strawberry.argument(description="Which ones; all without it.")]
JobsOrderedBy = Annotated[JobOrder | None, strawberry.argument(description="In which order.")]


@strawberry.type
class JobListQuery:
    @reading(
        listing.page,
        kind=JobConnection | None,
        description="Jobs across pipelines, e.g. all stuck ones.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    def jobs(
        info: Info,
        filter: JobsWanted = UNSET,
        order_by: JobsOrderedBy = NEWEST_FIRST,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> dict[str, Any]:
        criteria = filter.criteria(info.context.viewer) if filter else JobCriteria()
        window = info.context.window(
            "Query.jobs", first=first, after=after, last=last, before=before, criteria=criteria, **ordering(order_by)
        )
        return {"criteria": criteria, "window": window}


def worker(viewer: Viewer, coordinate: str, global_id: str | None) -> str | None:
    """The worker that a filter names. Raises Forbidden, or BadInput."""
    if not global_id:
        return None
    check_filter(viewer, coordinate)
    return key_of("Worker", global_id)


def ordering(order_by: JobOrder | None) -> dict[str, object]:
    """The order asked for, as a window wants it; without one, by job id."""
    if not order_by:
        return {}
    orders = {name: by.order for name, by in listing.ORDERINGS.items()}
    return {"order": orders.get(order_by.field.name), "descending": order_by.direction is Direction.DESC}
