"""A comparison as a client sees it."""

from asyncio import gather
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.graph.context import Info
from gql_server.graph.failures.types import GROUPS_MAX, FailureGroup
from gql_server.graph.jobs.enums import JobKind
from gql_server.graph.nodes import uuid_key
from gql_server.graph.scopes import DataEntryType
from gql_server.graph.selection import load, made_of
from gql_server.reads.failures.queries import groups_by_fingerprint
from gql_server.reads.pipelines.comparison.comparison import Comparison, Delta
from gql_server.reads.pipelines.comparison.queries import comparisons_by_pipeline
from gql_server.reads.pipelines.row import PipelineRow

if TYPE_CHECKING:
    from gql_server.graph.pipelines.types import Pipeline


@strawberry.type(description="Duration change of one step.")
class JobDelta:
    kind: JobKind = strawberry.field(description="Kind of the jobs.")
    delta_seconds: float = strawberry.field(description="How much longer they took, together.")

    @strawberry.field(description="Kind of data entry they are about; null when all of the module are meant.")
    @staticmethod
    def data_entry_type(root: strawberry.Parent[Delta]) -> DataEntryType | None:
        return DataEntryType.of(root.data_entry_type_id)


@strawberry.type(description="What changed against a baseline run.")
class PipelineComparison:
    baseline: Annotated["Pipeline", strawberry.lazy("gql_server.graph.pipelines.types")] = strawberry.field(
        description="The run that this one is compared with."
    )
    duration_delta_seconds: float | None = strawberry.field(description="How much longer it took; null until both have ended.")
    rows_delta: int | None = strawberry.field(description="How many rows more it wrote; null unless both said how many.")
    slowest_jobs: list[JobDelta] = strawberry.field(
        description="Steps of both runs that took longer, the largest slow-down first; at most 5."
    )

    @strawberry.field(description=f"Failures that the baseline had not, at most {GROUPS_MAX}.")
    @staticmethod
    async def new_failures(root: strawberry.Parent[Comparison], info: Info) -> list[FailureGroup]:
        return await _groups(info, root.new_fingerprints)

    @strawberry.field(description=f"Failures of the baseline that it has not, at most {GROUPS_MAX}.")
    @staticmethod
    async def fixed_failures(root: strawberry.Parent[Comparison], info: Info) -> list[FailureGroup]:
        return await _groups(info, root.fixed_fingerprints)


@strawberry.type
class ComparisonFields:
    """Field of a pipeline."""

    @strawberry.field(
        description="Difference to another run; without `with`, to the last successful one before it of the same kind on the "
        "same scope. Null when there is no such run, or it is not visible.",
        metadata=made_of(PipelineRow.key),
    )
    @staticmethod
    async def comparison(
        root: strawberry.Parent[PipelineRow],
        info: Info,
        baseline: Annotated[
            strawberry.ID | None, strawberry.argument(name="with", description="Global id of the pipeline to compare with.")
        ] = UNSET,
    ) -> PipelineComparison | None:
        key = None if baseline is UNSET or baseline is None else uuid_key("Pipeline", baseline)
        return await load(info, comparisons_by_pipeline, root.key, baseline=key)


async def _groups(info: Info, fingerprints: Sequence[str]) -> Any:
    groups = await gather(*(load(info, groups_by_fingerprint, fingerprint) for fingerprint in fingerprints[:GROUPS_MAX]))
    return [group for group in groups if group is not None]
