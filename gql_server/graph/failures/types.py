"""Failure groups as a client sees them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.errors import BadInput
from gql_server.execution import Child
from gql_server.graph.connections import BoundedCount, CountedConnection, CountLimit, own_limit
from gql_server.graph.context import Context, Info
from gql_server.graph.fields import After, ChildField, First, SemanticNonNull, embedded, guarded
from gql_server.graph.jobs.enums import JobKind
from gql_server.graph.nodes import Node, global_id, key_of
from gql_server.graph.scopes import Actor
from gql_server.graph.selection import asked, load, made_of
from gql_server.reads.failures import queries
from gql_server.reads.failures.row import FailureGroupRow

if TYPE_CHECKING:
    from gql_server.graph.pipelines.types import PipelineConnection

BUCKETS_MAX = 200
GROUPS_MAX = 100
"""Failure groups that are listed of one pipeline."""
OF_GROUP = made_of(FailureGroupRow.fingerprint)


@strawberry.enum(description="Shape of a failure, decided by rules published in `FailureGroup.rule`.")
class FailureClass(Enum):
    DEADLOCK = strawberry.enum_value("DEADLOCK", description="Two jobs got in each other's way, and the database ended one.")
    TRANSACTION_POISONED = strawberry.enum_value(
        "TRANSACTION_POISONED", description="Statements were refused because an earlier one in the same transaction had failed."
    )
    TIMEOUT = strawberry.enum_value("TIMEOUT", description="A statement took too long, or a lock was not free in time.")
    CONSTRAINT = strawberry.enum_value("CONSTRAINT", description="The database refused a row that breaks a constraint.")
    ALL_ROWS_REJECTED = strawberry.enum_value("ALL_ROWS_REJECTED", description="No row of the input was accepted.")
    TOO_MANY_ROWS_REJECTED = strawberry.enum_value(
        "TOO_MANY_ROWS_REJECTED",
        description="A larger share of the rows was rejected than the upload allows, so nothing was replaced.",
    )
    SOME_ROWS_REJECTED = strawberry.enum_value(
        "SOME_ROWS_REJECTED", description="The data landed, but rows or entries were left out."
    )
    MISSING_FACTOR = strawberry.enum_value(
        "MISSING_FACTOR", description="There were no emission factors for the data, or none for some of its rows yet."
    )
    MISSING_EXCHANGE_RATE = strawberry.enum_value(
        "MISSING_EXCHANGE_RATE", description="There were no exchange rates of the year for purchases in other currencies."
    )
    UPSTREAM_API = strawberry.enum_value("UPSTREAM_API", description="A system that the data comes from did not answer well.")
    VALIDATION = strawberry.enum_value("VALIDATION", description="The job refused its input and said why.")
    WORKER_LOST = strawberry.enum_value("WORKER_LOST", description="Its workers fell silent in every attempt.")
    ABORTED = strawberry.enum_value("ABORTED", description="An operator stopped it.")
    UNCLASSIFIED = strawberry.enum_value("UNCLASSIFIED", description="No rule of this server applies.")


@strawberry.type(
    description="Someone has taken this; it reopens by itself when `until` passes, or when it happens again after a revision "
    "that no worker had run before began to work."
)
class Acknowledgement:
    by: Actor = embedded("Who has taken it.")
    acknowledged_at: datetime = strawberry.field(name="at", description="When.")
    acknowledged_until: datetime | None = strawberry.field(name="until", description="It holds until then; null means no end.")
    note: str | None = guarded("Acknowledgement.note", "Why, or what is done.", "acknowledged_note")
    reopened_at: datetime | None = strawberry.field(description="When it ended by itself; null while it holds.")


@strawberry.type(description="Occurrences in a time bucket.")
class HistogramBucket:
    from_: datetime = strawberry.field(name="from", description="Its first instant.")
    to: datetime = strawberry.field(description="The first instant after it.")
    count: int = strawberry.field(description="Jobs that failed in it.")


@strawberry.type(
    description="Failures with the same fingerprint, across runs: triage the cause, not the rows. All that it tells is told of "
    "the jobs the viewer may see. A job that another program ended joins its group within a minute."
)
class FailureGroup(Node):
    id: strawberry.ID = global_id("fingerprint")
    fingerprint: str = strawberry.field(description="Hash of the normalised message, job kind and class.")
    failure_class: FailureClass = strawberry.field(name="class", description="Shape of the failure.")
    kind: JobKind = strawberry.field(description="Kind of the jobs that failed.")
    kind_raw: str | None = strawberry.field(description="Stored text of the kind; read it when `kind` is OTHER.")
    title: str = strawberry.field(
        description="What failed; for viewers with operations view, with the error's words, in which values are left out."
    )
    rule: str = strawberry.field(description="Human-readable rule that put failures in this group.")
    sample: str | None = guarded(
        "FailureGroup.sample",
        "One full message, the latest.",
        ChildField(queries.samples, "fingerprint"),
    )
    first_seen_at: datetime = strawberry.field(description="When the first of these jobs ended.")
    last_seen_at: datetime = strawberry.field(description="When the latest of these jobs ended.")
    is_new: bool = strawberry.field(
        description="First seen since the current deployment revision, the one that was the last to begin, began to work. "
        "Always false while only one revision has ever worked."
    )
    acknowledgement: Acknowledgement | None = embedded("Null when nobody has taken it.", present="acknowledged_at")

    @strawberry.field(
        description="Pipelines hit, counted to the end or up to `limit`.", directives=[SemanticNonNull()], metadata=OF_GROUP
    )
    @staticmethod
    async def affected_pipelines(
        root: strawberry.Parent[FailureGroupRow],
        info: Info,
        limit: CountLimit = UNSET,
    ) -> BoundedCount | None:
        return await _bounded(info, queries.affected_pipelines, root.fingerprint, limit)

    @strawberry.field(
        description="Of those, pipelines that failed and that no later run has made good: those of `PipelineFilter` with "
        "`failureGroup` and `unresolved: true`.",
        directives=[SemanticNonNull()],
        metadata=OF_GROUP,
    )
    @staticmethod
    async def unresolved_pipelines(
        root: strawberry.Parent[FailureGroupRow],
        info: Info,
        limit: CountLimit = UNSET,
    ) -> BoundedCount | None:
        return await _bounded(info, queries.unresolved_pipelines, root.fingerprint, limit)

    @strawberry.field(
        description="Jobs hit, counted to the end or up to `limit`.", directives=[SemanticNonNull()], metadata=OF_GROUP
    )
    @staticmethod
    async def affected_jobs(
        root: strawberry.Parent[FailureGroupRow],
        info: Info,
        limit: CountLimit = UNSET,
    ) -> BoundedCount | None:
        return await _bounded(info, queries.affected_jobs, root.fingerprint, limit)

    @strawberry.field(
        description="Occurrences per bucket, oldest first; the last one ends now.",
        directives=[SemanticNonNull()],
        metadata=OF_GROUP,
    )
    @staticmethod
    async def histogram(
        root: strawberry.Parent[FailureGroupRow],
        info: Info,
        buckets: Annotated[int | None, strawberry.argument(description=f"How many, 1 to {BUCKETS_MAX}.")] = 24,
        since: Annotated[
            datetime | None, strawberry.argument(description="Begin of the first bucket; 24 hours ago without it.")
        ] = UNSET,
    ) -> list[HistogramBucket] | None:
        count = _bucket_count(buckets)
        start = _past(since)
        histogram = await info.context.load(queries.histograms, root.fingerprint, buckets=count, since=start)
        width = (histogram.until - histogram.since) / count
        return [
            HistogramBucket(from_=histogram.since + index * width, to=histogram.since + (index + 1) * width, count=found)
            for index, found in enumerate(histogram.counts)
        ]

    @strawberry.field(
        description="Pipelines hit, newest first: those that its jobs are in. Others that such a job did work of show it in "
        "their graphs.",
        directives=[SemanticNonNull()],
        metadata=OF_GROUP,
    )
    @staticmethod
    async def pipelines(
        root: strawberry.Parent[FailureGroupRow],
        info: Info,
        first: First = 20,
        after: After = UNSET,
    ) -> Annotated["PipelineConnection", strawberry.lazy("gql_server.graph.pipelines.types")] | None:
        window = info.context.window("FailureGroup.pipelines", first=first, after=after, descending=True)
        return await load(info, queries.pipelines_by_group, root.fingerprint, window=window)


@strawberry.type(name="FailureGroupConnection", description="A page of failure groups.")
class FailureGroupConnection(CountedConnection[FailureGroup]):
    pass


def failures_of(key: str) -> Any:
    """The distinct failures inside the pipeline whose key that attribute holds."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> list[Any]:
        [groups] = await _failures(info.context, [getattr(root, key)], **_groups_asked(info))
        return groups

    return strawberry.field(
        resolver=resolve,
        description=f"Distinct failures inside this pipeline, the first to happen first, at most {GROUPS_MAX}.",
        metadata={"plan": Child(key, _failures, _groups_asked, is_of_selection=True), **made_of(key)},
    )


def _groups_asked(info: Info) -> dict[str, Any]:
    return {"asked": asked(info, queries.groups_by_fingerprint, {})}


async def _failures(context: Context, keys: Sequence[Any], asked: dict[str, Any]) -> list[list[Any]]:
    """The failure groups of each pipeline."""
    found: Sequence[list[str] | None] = await context.values(queries.fingerprints_by_pipeline, keys)
    shown = [each[:GROUPS_MAX] if each else [] for each in found]
    every = [*dict.fromkeys(chain.from_iterable(shown))]
    loaded = await context.values(queries.groups_by_fingerprint, every, **asked) if every else ()
    groups = {fingerprint: group for fingerprint, group in zip(every, loaded, strict=True) if group is not None}
    return [[groups[fingerprint] for fingerprint in each if fingerprint in groups] for each in shown]


def group_key(global_id: str) -> str:
    """The fingerprint in a global id. Raises BadInput."""
    return key_of("FailureGroup", global_id)


async def _bounded(info: Info, query: Any, fingerprint: str, limit: int | None) -> BoundedCount:
    limit = own_limit(limit, None)
    return BoundedCount.of(await info.context.load(query, fingerprint, limit=limit) or 0, limit)


def _bucket_count(buckets: int | None) -> int:
    count = 24 if buckets is None else buckets
    if not 1 <= count <= BUCKETS_MAX:
        raise BadInput(f"`buckets` must be between 1 and {BUCKETS_MAX}.")
    return count


def _past(since: datetime | None) -> datetime | None:
    if since is None or since is UNSET:
        return None
    if since >= datetime.now(UTC):
        raise BadInput("`since` must be in the past.")
    return since
