"""Pipelines as a client sees them."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.execution import Judged, Unplanned
from gql_server.feed.list_reader import held_of
from gql_server.feed.tokens import Position
from gql_server.graph.connections import CountedConnection
from gql_server.graph.context import Context, Info
from gql_server.graph.diagnosis import Diagnosis, diagnosis_of
from gql_server.graph.facets import FacetsField
from gql_server.graph.failures.types import FailureGroup, failures_of
from gql_server.graph.fields import (
    After,
    Before,
    ChildField,
    First,
    Last,
    SemanticNonNull,
    access,
    access_sentence,
    child,
    embedded,
    lookup,
    of_context,
)
from gql_server.graph.jobs.enums import JobKind
from gql_server.graph.jobs.list import OLDEST_FIRST, JobsOrderedBy, JobsWanted, ordering
from gql_server.graph.jobs.meta import Meta, NoMeta
from gql_server.graph.jobs.progress import RowProgress
from gql_server.graph.jobs.types import Job, JobConnection
from gql_server.graph.nodes import Node, global_id, uuid_key
from gql_server.graph.pipelines.comparison import ComparisonFields
from gql_server.graph.pipelines.estimates import EstimateField
from gql_server.graph.pipelines.graph import GraphFields
from gql_server.graph.pipelines.impacts import ImpactFields
from gql_server.graph.pipelines.runs import RunHistoryFields
from gql_server.graph.pipelines.ticket import TicketFields
from gql_server.graph.pipelines.timeline import PipelineTimelineField
from gql_server.graph.pipelines.viewer_can import PipelineCapabilities
from gql_server.graph.scalars import FeedToken
from gql_server.graph.scopes import Actor, StatusTone, WorkScope, scope
from gql_server.graph.selection import load, made_of_rows
from gql_server.reads.diagnosis.queries import reasons_by_pipeline
from gql_server.reads.jobs.filter import JobCriteria
from gql_server.reads.jobs.list import page_by_pipeline
from gql_server.reads.jobs.queries import jobs_by_id, meta_by_job
from gql_server.reads.pagination.pages import Page
from gql_server.reads.pipelines import queries
from gql_server.reads.pipelines.row import PipelineRow


@strawberry.enum(description="Authoritative pipeline status. Clients must tolerate unknown members.")
class PipelineStatus(Enum):
    NOT_STARTED = strawberry.enum_value("NOT_STARTED", description="No job has been claimed yet.")
    RUNNING = strawberry.enum_value("RUNNING", description="A job that works for it is unfinished, or one is still owed.")
    SUCCESS = strawberry.enum_value("SUCCESS", description="Every job that works for it ended without error.")
    PARTIAL = strawberry.enum_value("PARTIAL", description="The root job landed its data but a descendant failed.")
    FAILED = strawberry.enum_value("FAILED", description="The root job failed: the data did not land.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know; read `statusRaw`.")


@strawberry.enum(description="Where `status` came from.")
class StatusSource(Enum):
    STORED = strawberry.enum_value("STORED", description="Read from the pipelines row.")
    DERIVED = strawberry.enum_value("DERIVED", description="No pipelines row exists (orphan); computed from the job.")


@strawberry.enum(description="The three fixed phases of a pipeline.")
class PhaseKey(Enum):
    DATA = strawberry.enum_value("DATA", description="The root job lands its data.")
    EMISSIONS = strawberry.enum_value("EMISSIONS", description="Emissions are recomputed.")
    AGGREGATION = strawberry.enum_value("AGGREGATION", description="Totals are rolled up.")


def _jobs_asked(
    info: Info, filter: JobsWanted = UNSET, order_by: JobsOrderedBy = OLDEST_FIRST, **paging: Any
) -> dict[str, Any]:
    criteria = filter.criteria(info.context.viewer) if filter else JobCriteria()
    window = info.context.window("Pipeline.jobs", **paging, criteria=criteria, **ordering(order_by))
    return {"criteria": criteria, "window": window}


JOBS = ChildField(page_by_pipeline, "key", _jobs_asked)


@strawberry.type(description="How far a pipeline is, computed by the server so that every client agrees on “done”.")
class PipelineProgress(EstimateField):
    phase: PhaseKey = strawberry.field(description="Current phase.")
    phase_index: int = strawberry.field(description="Number of the phase, from 1.")
    phase_count: int = strawberry.field(description="Always 3.")
    fraction: float | None = strawberry.field(
        description="Share of the expected jobs that have ended, 0 to 1; null until these are known."
    )
    finished_jobs: int = strawberry.field(description="Jobs that have ended.")
    expected_jobs: int | None = strawberry.field(
        description="Jobs that there will be, null until the fan-out is known; those that there were, once it has ended."
    )
    rows: RowProgress | None = strawberry.field(description="Rows of the running job, for kinds that report them.")


@strawberry.type(
    description="One run: a root job and everything it chained. A parent that failed before it got a pipeline_id is a pipeline "
    f"of one (`isOrphan: true`, `pipelineId: null`). {access_sentence('Pipeline')}",
    directives=access("Pipeline"),
)
class Pipeline(RunHistoryFields, GraphFields, ImpactFields, ComparisonFields, TicketFields, PipelineTimelineField, Node):
    id: strawberry.ID = global_id("key")
    pipeline_id: UUID | None = strawberry.field(
        description="Null for an orphan. UUID v7, so its order is the order of creation and it is what the cursor pages on."
    )
    is_orphan: bool = strawberry.field(description="No pipelines row exists for it.")
    kind: JobKind = strawberry.field(description="Kind of the root job.")
    kind_raw: str | None = strawberry.field(description="Stored text of the kind; read it when `kind` is OTHER.")
    status: PipelineStatus = strawberry.field(description="Stored status, or computed for an orphan.")
    status_raw: str | None = strawberry.field(description="Stored text of the status; null for an orphan.")
    status_source: StatusSource = strawberry.field(description="Where the status came from.")
    tone: StatusTone = strawberry.field(description="Colour family; a SUCCESS in which a job warned is WARNING.")
    is_terminal: bool = strawberry.field(description="No further change is expected.")
    is_aborted: bool = strawberry.field(description="An operator stopped it.")
    has_warning: bool = strawberry.field(description="A job ended with result WARNING.")
    scope: WorkScope = scope()
    triggered_by: Actor = embedded("Who started it.")
    created_at: datetime = strawberry.field(description="Immutable; default sort key.")
    started_at: datetime | None = strawberry.field(description="First claim of any job.")
    finished_at: datetime | None = strawberry.field(description="Last finish, once terminal.")
    updated_at: datetime = strawberry.field(description="Last change of the pipeline or one of its jobs.")
    queued_seconds: float | None = strawberry.field(description="Seconds from creation to first claim.")
    duration_seconds: float | None = strawberry.field(
        description="Seconds from first claim to finish, or to now while running."
    )
    progress: PipelineProgress = child(queries.progress_by_pipeline, key="key", description="How far it is.")
    message: str | None = strawberry.field(
        description="What went wrong if it is PARTIAL or FAILED; of one that goes on after its root job, that of the job that "
        "is at work or comes next; else that of the root job. At most 500 characters."
    )
    last_error: str | None = strawberry.field(
        description="Message of the first job that failed and said why; at most 500 characters."
    )
    job_count: int = strawberry.field(
        description="Jobs that work for the pipeline now: its own, and those of others that work of it was merged into; grows "
        "while it fans out."
    )
    error_count: int = strawberry.field(description="Of the jobs that work for it, those that finished with result ERROR.")
    failures: list[FailureGroup] = failures_of("key")
    root_job: Job | None = child(jobs_by_id, key="root_id", description="The parent: the lowest job id.")
    viewer_can: PipelineCapabilities = embedded("What you may do here, with the reason when you may not.")
    diagnosis: list[Diagnosis] | None = diagnosis_of(reasons_by_pipeline, key="key")
    feed_token: FeedToken = of_context(
        lambda context, row: context.token(Position.parse(row.feed_position)),
        PipelineRow.feed_position,
        description="Position of the feed when this was read: whatever changes later has a later token.",
    )
    meta: Meta = child(meta_by_job, key="root_id", description="Metadata of the root job.", missing=NoMeta())

    @strawberry.field(
        description="Jobs that work for this pipeline, lowest id first: its own, and those of other pipelines that work of it "
        "was merged into, where the viewer may see these.",
        directives=[SemanticNonNull()],
        metadata={"child": JOBS},
        graphql_type=JobConnection | None,
    )
    @staticmethod
    def jobs(
        root: strawberry.Parent[PipelineRow],
        info: Info,
        filter: JobsWanted = UNSET,
        order_by: JobsOrderedBy = OLDEST_FIRST,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Any:
        return JOBS.load(root, info, filter=filter, order_by=order_by, first=first, after=after, last=last, before=before)


def _known_token(context: Context, page: Page) -> str:
    """The feed's token of a page. Raises Unplanned where the database has to be asked for the position."""
    position = page_position(page) or context.hub.position
    if position is None:
        raise Unplanned
    return _token(context, page, position)


def _token(context: Context, page: Page, position: Position) -> str:
    return context.token(position, held_of(page, context.viewer))


@strawberry.type(description="A page of pipelines.")
class PipelineConnection(CountedConnection[Pipeline], FacetsField):
    @strawberry.field(
        description="Position of the feed when this page was read: subscribe with `after: feedToken`, and nothing is missed.",
        metadata={"computed": Judged(_known_token, ()), **made_of_rows(PipelineRow.feed_position, PipelineRow.key)},
    )
    @staticmethod
    async def feed_token(root: strawberry.Parent[Page], info: Info) -> FeedToken:
        return FeedToken(_token(info.context, root, page_position(root) or await info.context.position()))


def page_position(page: Page) -> Position | None:
    """The oldest position that the rows of a page show; None for one that is empty, and does not say."""
    positions = [Position.parse(row.feed_position) for row in page.nodes]
    if page.position is not None:
        positions.append(Position.parse(page.position))
    return min(positions, key=lambda position: position.sequence, default=None)


@strawberry.input(description="Ways to name one pipeline.", one_of=True)
class PipelineBy:
    id: strawberry.Maybe[strawberry.ID] = strawberry.field(description="Global id.")
    pipeline_id: strawberry.Maybe[UUID] = strawberry.field(description="Its UUID; an orphan has none.")
    job_id: strawberry.Maybe[int] = strawberry.field(description="Database key of any of its jobs.")

    async def key(self, info: Info) -> UUID | None:
        """The key of the pipeline; None when there is no such job for the viewer. Raises BadInput."""
        if self.job_id is not None:
            return await info.context.load(queries.keys_by_job, self.job_id.value)
        return self.known_key()

    def known_key(self) -> UUID:
        """The key of the pipeline, if it is named by that. Raises BadInput, or Unplanned."""
        if self.pipeline_id is not None:
            return self.pipeline_id.value
        if self.id is None:
            raise Unplanned
        return uuid_key("Pipeline", self.id.value)


@strawberry.type
class PipelineQuery:
    @strawberry.field(
        description="One pipeline, by whatever name you have; null when absent or not visible.",
        metadata=lookup(queries.pipelines_by_key, key=PipelineBy.known_key, identity="key"),
    )
    async def pipeline(
        self, info: Info, by: Annotated[PipelineBy, strawberry.argument(description="Its name.")]
    ) -> Pipeline | None:
        key = await by.key(info)
        return None if key is None else await load(info, queries.pipelines_by_key, key)
