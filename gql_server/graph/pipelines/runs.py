"""Fields of a pipeline and a job on the other runs on their scope."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from gql_server.graph.fields import SemanticNonNull, child
from gql_server.reads.pipelines import runs as queries
from gql_server.reads.pipelines.queries import pipelines_by_key

if TYPE_CHECKING:
    from gql_server.graph.jobs.types import Job
    from gql_server.graph.pipelines.types import Pipeline

Run = Annotated["Pipeline", strawberry.lazy("gql_server.graph.pipelines.types")]
OtherJob = Annotated["Job", strawberry.lazy("gql_server.graph.jobs.types")]


@strawberry.type
class RunHistoryFields:
    """Fields of a pipeline."""

    previous: Run | None = child(
        queries.previous_by_pipeline, key="key", description="The last run of the same kind on the same scope before it."
    )
    next: Run | None = child(
        queries.next_by_pipeline, key="key", description="The first run of the same kind on the same scope after it."
    )

    is_resolved: bool | None = child(
        queries.resolving_by_pipeline,
        key="failed_key",
        missing=False,
        then=lambda _, resolving: resolving is not None,
        description="It is PARTIAL or FAILED, and a later run of the same kind succeeded on the same scope, or on all entry "
        "types of its module. Files of a unit add up, so one that FAILED is resolved only by the same file: by the same bytes, "
        "or by a file of the same name, if it has one. Whatever FAILED is resolved also by the same bytes uploaded as "
        "something else, for the same unit or the whole year.",
        directives=[SemanticNonNull()],
    )
    resolved_by: Run | None = child(
        queries.resolving_by_pipeline,
        key="failed_key",
        onward=pipelines_by_key,
        description="The run that resolved it: the first later SUCCESS that did, see `isResolved`.",
    )


@strawberry.type
class JobHistoryFields:
    """Fields of a job: the jobs before and after it, of one kind, module, entry type, target, method and year."""

    supersedes: OtherJob | None = child(
        queries.superseded_by_job,
        key="job_id",
        description="The last job of the same combination before it, in whichever run; null for unit-specific jobs.",
    )
    superseded_by: OtherJob | None = child(
        queries.superseding_by_job, key="job_id", description="The first job of the same combination after it."
    )
