"""Locks as a client sees them."""

import asyncio

import strawberry

from gql_server.graph.context import Info
from gql_server.graph.fields import Experimental, access, access_sentence, child, may_read
from gql_server.graph.jobs.types import Job
from gql_server.graph.selection import load
from gql_server.reads.fleet import locks as queries
from gql_server.reads.fleet.lock_graph import HeldLock
from gql_server.reads.jobs.queries import jobs_by_id


@strawberry.type(description="A lock that work on the same data excludes itself with, and the jobs around it.")
class AdvisoryLock:
    category: str = strawberry.field(description="What sort of work excludes each other here, in words.")
    scope: str = strawberry.field(description="Which data, in words.")
    holder: Job | None = child(
        jobs_by_id, key="holder_id", description="The running job that holds it; null when you may not see it."
    )
    held_for_seconds: float | None = strawberry.field(
        description="How long it has been held; null when you may not see the holder."
    )

    @strawberry.field(description="Jobs that are due but wait for it, oldest first, of those you may see.")
    @staticmethod
    async def waiters(root: strawberry.Parent[HeldLock], info: Info) -> list[Job]:
        found = await asyncio.gather(*(load(info, jobs_by_id, job_id) for job_id in root.waiter_ids))
        return [job for job in found if job is not None]


@strawberry.type
class LockQuery:
    @strawberry.field(
        description=f"Who waits for whom: the locks that are held. {access_sentence('Query.locks')}",
        directives=[*access("Query.locks"), Experimental(since="0.1")],
        graphql_type=list[AdvisoryLock] | None,
    )
    async def locks(self, info: Info) -> "list[HeldLock] | None":
        if not may_read("Query.locks", self, info):
            return None
        return list(await info.context.read(queries.held_locks))
