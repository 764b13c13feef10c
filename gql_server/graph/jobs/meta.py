"""The JSON bag of a job as a client sees it: what of it may be shown, and what was left out."""

from enum import Enum
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry import UNSET

from gql_server.graph.context import Info
from gql_server.graph.fields import ChildField, guarded
from gql_server.graph.scalars import JSON
from gql_server.reads.jobs import queries
from gql_server.reads.jobs.meta import ALLOWED, VALUE_MAX_BYTES, allowed, omission
from gql_server.reads.jobs.queries import MetaRow


@strawberry.type(description="One allow-listed key of the bag.")
class MetaEntry:
    key: str = strawberry.field(description="Name of the key.")
    value: JSON = strawberry.field(description="What the job wrote.")


@strawberry.enum(description="Why a metadata key was not shipped.")
class OmissionReason(Enum):
    TOO_LARGE = strawberry.enum_value("TOO_LARGE", description=f"It may be shown, but is over {VALUE_MAX_BYTES} bytes.")
    NOT_ALLOW_LISTED = strawberry.enum_value("NOT_ALLOW_LISTED", description="It is not among the keys that may be shown.")
    PERMISSION = strawberry.enum_value("PERMISSION", description="As NOT_ALLOW_LISTED, and you may not read it elsewhere.")


@strawberry.type(description="One key that was left out.")
class OmittedMeta:
    key: str = strawberry.field(description="Name of the key.")
    approximate_bytes: int = strawberry.field(description="Length of its value as JSON text.")
    reason: OmissionReason = strawberry.field(description="Why it was left out.")


class NoMeta(NamedTuple):
    """The bag of a pipeline without jobs."""

    job_id: None = None
    provider_name: None = None
    filters: None = None
    target_year: None = None


@strawberry.type(description="The job's JSON bag, typed where it can be and allow-listed where it cannot.")
class Meta:
    provider_name: str | None = strawberry.field(description="Class that did the work.")
    filters: JSON | None = strawberry.field(description="Filters the run was started with.")
    target_year: int | None = strawberry.field(description="Year a global job was started for.")

    @strawberry.field(description="Named keys of the bag, as far as they may be shown and the bag has them; see `omitted`.")
    @staticmethod
    async def entries(
        root: strawberry.Parent[MetaRow | NoMeta],
        info: Info,
        keys: Annotated[
            list[str] | None, strawberry.argument(description=f"Some of: {', '.join(ALLOWED)}. Null means all of them.")
        ] = UNSET,
    ) -> list[MetaEntry]:
        names = allowed(None if keys is UNSET else keys)
        if root.job_id is None:
            return []
        found = await info.context.load(queries.meta_entries_by_job, root.job_id, names=names) or dict[str, Any]()
        return [MetaEntry(key=name, value=found[name]) for name in names if name in found]

    @strawberry.field(
        description="What `entries` leaves out and why, so that nobody wonders whether it exists.",
        graphql_type=list[OmittedMeta],
    )
    @staticmethod
    async def omitted(root: strawberry.Parent[MetaRow | NoMeta], info: Info) -> list[OmittedMeta]:
        if root.job_id is None:
            return []
        sizes = await info.context.load(queries.meta_omissions_by_job, root.job_id) or dict[str, int]()
        reasons = {key: omission(info.context.viewer, key) for key in sizes}
        return [OmittedMeta(key=key, approximate_bytes=sizes[key], reason=OmissionReason(reasons[key].value)) for key in sizes]

    raw: JSON | None = guarded(
        "Meta.raw",
        "The whole bag, with the configuration of the job under `config`. Kilobytes a job.",
        ChildField(queries.meta_raw_by_job, "job_id"),
        present="job_id",
    )
