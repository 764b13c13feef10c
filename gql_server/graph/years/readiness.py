"""Readiness of the modules of a year, and of their entry types, as a client sees it."""

from enum import Enum
from typing import Any

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.jobs.types import Job
from gql_server.graph.selection import load
from gql_server.reads.jobs.queries import jobs_by_id


@strawberry.enum(description="What a data entry type lacks.")
class IncompleteReason(Enum):
    MISSING_FACTOR = strawberry.enum_value(
        "MISSING_FACTOR", description="No factor file of its own, and none for the whole module, was uploaded."
    )
    MISSING_REFERENCE = strawberry.enum_value("MISSING_REFERENCE", description="No reference file was uploaded.")


def _current(attribute: str, description: str) -> Any:
    """The current job that the attribute of the parent holds."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Job | None:
        current = getattr(root, attribute)
        return None if current is None else await load(info, jobs_by_id, current.job_id)

    return strawberry.field(resolver=resolve, description=f"{description}; null as well when you may not see it.")


@strawberry.type(
    description="What a data entry type has and lacks for its year to be ready: nothing while it or its module is disabled. A "
    "failed upload counts as uploaded: that it failed is shown by its job."
)
class DataEntryTypeReadiness:
    enabled: bool = strawberry.field(name="isEnabled", description="The settings of the year use it.")
    incomplete: bool = strawberry.field(name="isIncomplete", description="Something mandatory was never uploaded.")
    incomplete_reasons: list[IncompleteReason] = strawberry.field(description="What was never uploaded.")
    current_data_job: Job | None = _current("latest_data_job", "Newest file of data for all units")
    current_api_data_job: Job | None = _current("latest_api_data_job", "Newest data from another system")
    current_factor_job: Job | None = _current("latest_factor_job", "Newest factors of its own, failed ones included")
    current_reference_job: Job | None = _current("latest_reference_job", "Newest reference data")


@strawberry.type(description="What a module has and lacks for its year to be ready: nothing while it is disabled.")
class ModuleReadiness:
    enabled: bool = strawberry.field(name="isEnabled", description="The settings of the year use it.")
    incomplete: bool = strawberry.field(
        name="isIncomplete",
        description="It lacks the factors common to its entry types, or the exchange rates of the year, or an entry type is "
        "incomplete.",
    )
    current_common_data_job: Job | None = _current("latest_common_data_job", "Newest file of data for all its entry types")
    current_common_factor_job: Job | None = _current(
        "latest_common_factor_job", "Newest factors for all its entry types, failed ones included"
    )
