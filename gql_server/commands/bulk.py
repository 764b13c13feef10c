"""Aborting many pipelines, each in a transaction of its own, so that what refuses one does not keep the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from gql_server.commands.execution import Commands
from gql_server.commands.pipelines import abort_pipeline, check_reason, may_operate
from gql_server.errors import Conflict, NotFound
from gql_server.policy import Viewer


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pipeline that was left alone, and why."""

    pipeline_id: UUID
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class BulkAborted:
    """What became of each pipeline; one that the viewer does not see any more is in neither."""

    succeeded: list[UUID] = field(default_factory=list[UUID])
    refused: list[Refusal] = field(default_factory=list[Refusal])


async def abort_pipelines(commands: Commands, viewer: Viewer, pipeline_ids: Sequence[UUID], reason: str) -> BulkAborted:
    """Abort these pipelines one after the other. Raises BadInput or Forbidden."""
    may_operate(viewer)
    check_reason(reason)
    outcome = BulkAborted()
    for pipeline_id in pipeline_ids:
        await _abort(commands, viewer, pipeline_id, reason, outcome)
    return outcome


async def _abort(commands: Commands, viewer: Viewer, pipeline_id: UUID, reason: str, outcome: BulkAborted) -> None:
    try:
        await commands.run(
            viewer, lambda connection: abort_pipeline(connection, commands.registry, viewer, pipeline_id, reason)
        )
        outcome.succeeded.append(pipeline_id)
    except Conflict as error:
        outcome.refused.append(Refusal(pipeline_id, str(error.details["reason"]), error.message))
    except NotFound:
        pass
