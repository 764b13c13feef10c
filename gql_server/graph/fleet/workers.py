"""Workers as a client sees them."""

from datetime import datetime
from typing import Annotated

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.fields import access, access_sentence, child_connection, may_read
from gql_server.graph.jobs.types import JobConnection
from gql_server.graph.nodes import Node, global_id
from gql_server.reads.fleet import workers as queries


@strawberry.type(
    description=f"A process that claims jobs, known by its heartbeat. {access_sentence('Worker')}", directives=access("Worker")
)
class Worker(Node):
    id: strawberry.ID = global_id("pod_id")
    pod_id: str = strawberry.field(description="Its name in the ledger, in logs and in the cluster.")
    git_sha: str | None = strawberry.field(
        description="Revision the worker runs: the one that `GQL_GIT_SHA` names, else the version of its build. "
        "Two live values mean mixed revisions."
    )
    version: str | None = strawberry.field(description="Release the worker runs.")
    booted_at: datetime = strawberry.field(description="When the worker process registered.")
    last_heartbeat_at: datetime = strawberry.field(description="When it last said that it is there.")
    heartbeat_age_seconds: float = strawberry.field(description="Seconds since then, on the database's clock.")
    is_live: bool = strawberry.field(description="Heartbeat younger than twice the interval at which this worker beats.")
    claimed_jobs: JobConnection | None = child_connection(
        queries.jobs_by_worker,
        key="pod_id",
        coordinate="Worker.claimedJobs",
        description="Jobs it holds that the viewer may see, oldest first.",
    )


@strawberry.type
class FleetQuery:
    @strawberry.field(
        description=f"Processes that claim jobs, in order of start. {access_sentence('Query.workers')}",
        directives=access("Query.workers"),
    )
    async def workers(
        self,
        info: Info,
        live_only: Annotated[bool, strawberry.argument(description="Leave out those whose heartbeat is lost.")] = True,
    ) -> list[Worker] | None:
        if not may_read("Query.workers", self, info):
            return None
        return await info.context.read(queries.workers, live_only=live_only)
