"""Mutations of jobs: putting one whose worker fell silent back in the queue."""

from typing import Annotated
from uuid import UUID

import strawberry

from gql_server.commands import pipelines as pipeline_commands
from gql_server.graph.context import Info
from gql_server.graph.jobs.types import Job, job_key
from gql_server.graph.mutations.resolver import about, argument, idempotency_key, mutation, resolve, still_visible
from gql_server.graph.problems import Problems
from gql_server.reads.jobs.queries import jobs_by_id


@strawberry.input(description="Put a job whose worker fell silent back in the queue.")
class RecoverJobInput:
    id: strawberry.ID = strawberry.field(description="Global id of the job.")
    idempotency_key: UUID | None = idempotency_key()

    def key(self) -> int:
        with about("id"):
            return job_key(self.id)


@strawberry.type(description="The job waits in the queue, with all its attempts.")
class RecoverJobPayload:
    job: Job = strawberry.field(description="The job, as the recovery left it; a worker may have claimed it since.")


RecoverJobResult = Annotated[
    RecoverJobPayload | Problems, strawberry.union("RecoverJobResult", description="Outcome of `recoverJob`.")
]


@strawberry.type
class JobMutation:
    @mutation("Mutation.recoverJob", "Requeue one job whose worker fell silent.")
    async def recover_job(
        self, info: Info, input: Annotated[RecoverJobInput, argument("Which job.")]
    ) -> RecoverJobResult | None:
        context = info.context

        async def payload(_: object) -> RecoverJobPayload:
            return RecoverJobPayload(job=still_visible(await context.load(jobs_by_id, input.key())))

        return await resolve(
            info,
            input,
            lambda connection: pipeline_commands.recover_job(connection, context.viewer, input.key()),
            payload,
        )
