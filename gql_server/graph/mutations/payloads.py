"""Payloads of mutations that start work."""

from typing import Any
from uuid import UUID

from gql_server.commands.execution import Command
from gql_server.graph.context import Context, Info
from gql_server.graph.mutations.resolver import Input, resolve
from gql_server.reads.pipelines.queries import pipelines_by_key

PIPELINE = "Null only for who may start it but not see it."


async def resolve_start(info: Info, input: Input, command: Command, payload: Any) -> Any:
    """Run a command that submits a job; the payload shows its pipeline."""

    async def submitted(outcome: Any) -> Any:
        return payload(pipeline=await started_pipeline(info.context, outcome))

    return await resolve(info, input, command, submitted)


async def started_pipeline(context: Context, outcome: Any) -> Any:
    """The pipeline that a submit minted, as the viewer sees it."""
    return await context.load(pipelines_by_key, UUID(outcome["pipeline_id"]))
