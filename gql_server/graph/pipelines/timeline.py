"""A timeline as a client sees it."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from gql_server.graph.connections import Connection, Edge
from gql_server.graph.fields import child, child_connection, embedded
from gql_server.graph.scopes import Actor
from gql_server.reads.jobs.queries import jobs_by_id
from gql_server.reads.pagination.pages import Page
from gql_server.reads.pipelines.timeline import queries

if TYPE_CHECKING:
    from gql_server.graph.jobs.types import Job


@strawberry.enum(description="Sort of timeline entry.")
class TimelineKind(Enum):
    CREATED = strawberry.enum_value("CREATED", description="It was submitted, or chained by the runner.")
    CLAIMED = strawberry.enum_value("CLAIMED", description="A worker took it.")
    PROGRESS = strawberry.enum_value("PROGRESS", description="It said how far it is.")
    PHASE_STARTED = strawberry.enum_value("PHASE_STARTED", description="A named stage began; the message is its name.")
    PHASE_FINISHED = strawberry.enum_value("PHASE_FINISHED", description="A named stage ended; the message is its name.")
    RETRIED = strawberry.enum_value("RETRIED", description="A worker took it again, after an attempt that was lost.")
    FINISHED = strawberry.enum_value("FINISHED", description="It ended; the message says how.")
    ABORTED = strawberry.enum_value("ABORTED", description="Somebody stopped it; the message is their reason.")
    RECOVERED = strawberry.enum_value("RECOVERED", description="It was put back in the queue, because its worker fell silent.")
    STATUS_CHANGED = strawberry.enum_value("STATUS_CHANGED", description="The pipeline got the status in the message.")
    NOTE = strawberry.enum_value("NOTE", description="Something that this server has no name for; read the message.")


@strawberry.type(description="One thing that happened to a pipeline or job.")
class TimelineEntry:
    at: datetime = strawberry.field(description="When it happened.")
    job: Annotated["Job", strawberry.lazy("gql_server.graph.jobs.types")] | None = child(
        jobs_by_id, key="job_id", description="The job it happened to; null for the pipeline itself."
    )
    actor: Actor | None = embedded("Who did it, where that is known.", present="actor_kind")
    kind: TimelineKind = strawberry.field(description="What happened.")
    message: str | None = strawberry.field(description="In words, at most 500 characters.")


@strawberry.type(name="TimelineEdge", description="A timeline entry and its cursor.")
class TimelineEdge(Edge[TimelineEntry]):
    pass


@strawberry.type(description="A page of a timeline.")
class TimelineConnection(Connection[TimelineEntry]):
    edges: list[TimelineEdge] = strawberry.field(description="Entries with their cursors.")  # type: ignore[assignment]

    @strawberry.field(description="The ledger keeps at most this many entries of a job's history; older ones are gone.")
    @staticmethod
    def truncated_to(root: strawberry.Parent[Page]) -> int | None:
        return queries.ENTRIES_KEPT


@strawberry.type
class PipelineTimelineField:
    """Field of a pipeline."""

    timeline: TimelineConnection | None = child_connection(
        queries.timeline_by_pipeline,
        key="key",
        coordinate="Pipeline.timeline",
        description="Everything that happened to it and to its own jobs, oldest first.",
    )


@strawberry.type
class JobTimelineField:
    """Field of a job."""

    timeline: TimelineConnection | None = child_connection(
        queries.timeline_by_job,
        key="job_id",
        coordinate="Job.timeline",
        description="Everything that happened, oldest first.",
    )
