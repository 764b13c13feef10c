"""The state of the installation as a client sees it."""

from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from gql_server.graph.context import Info
from gql_server.graph.diagnosis import Diagnosis
from gql_server.graph.fields import After, Before, First, Last, SemanticNonNull, access, access_sentence, may_read, reading
from gql_server.graph.jobs.types import JobConnection
from gql_server.graph.scopes import StatusTone
from gql_server.graph.years.module_years import ModuleYear
from gql_server.policy import GUARDS, permits
from gql_server.reads.fleet import health as queries
from gql_server.reads.fleet.checks import HealthChecks
from gql_server.reads.years.aggregations import stale_aggregations
from gql_server.reads.years.module_years import ModuleYearKey

MINUTES = 60


@strawberry.type(description="One-look state of the whole installation. Workers are everybody's; jobs are those you may see.")
class SystemHealth:
    tone: StatusTone = strawberry.field(description="Worst severity of `diagnosis`; SUCCESS when that is empty.")
    diagnosis: list[Diagnosis] = strawberry.field(description="What is wrong with the installation, worst first.")
    live_workers: int = strawberry.field(description="Workers whose heartbeat is not lost.")
    revisions: list[str] = strawberry.field(description="Revisions that live workers run; more than one is a mixed fleet.")
    oldest_queued_seconds: float | None = strawberry.field(
        description="How long the oldest job that is due has waited to be claimed; null when none waits."
    )
    feed_lag_seconds: float | None = strawberry.field(
        description="How far this API's feed is behind the database; null while it does not follow it."
    )

    @reading(
        queries.stuck_jobs,
        kind=JobConnection | None,
        description="Jobs whose worker has fallen silent, oldest first.",
        directives=[SemanticNonNull()],
    )
    @staticmethod
    def stuck_jobs(
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> dict[str, Any]:
        return {"window": info.context.window("SystemHealth.stuckJobs", first=first, after=after, last=last, before=before)}

    @strawberry.field(
        description="Modules whose totals have to be computed anew: there are data or factors, and the totals are missing, "
        "failed, overdue or older than these. Not those that never had any, nor those that the settings of their year disable. "
        "The tone does not count them.",
        directives=[SemanticNonNull()],
        graphql_type=list[ModuleYear] | None,
    )
    @staticmethod
    async def stale_scopes(
        root: strawberry.Parent[HealthChecks],
        info: Info,
        older_than_minutes: Annotated[
            int | None, strawberry.argument(description="How long totals may be due before they count, in minutes.")
        ] = MINUTES,
    ) -> list[ModuleYearKey] | None:
        minutes = MINUTES if older_than_minutes is None else older_than_minutes
        stale = await info.context.read(stale_aggregations, older_than_minutes=minutes)
        cells = [ModuleYearKey(scope.year, scope.module_type_id, minutes) for scope in stale]
        return [cell for cell in cells if permits(info.context.viewer, GUARDS["ModuleYear"], cell)]


@strawberry.type
class HealthQuery:
    @strawberry.field(
        description=f"One-look state. {access_sentence('Query.health')}",
        directives=access("Query.health"),
        graphql_type=SystemHealth | None,
    )
    async def health(self, info: Info) -> HealthChecks | None:
        if not may_read("Query.health", self, info):
            return None
        return await info.context.read(queries.health_checks, **info.context.hub.health_arguments())
