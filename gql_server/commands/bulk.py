"""Aborting many pipelines, in steps that are transactions of their own: interrupted anywhere, it goes on from there."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands.execution import Commands
from gql_server.commands.pipelines import abort_many, check_reason, may_operate
from gql_server.db.expressions import AnyRow
from gql_server.db.models import NOW, BulkAbort
from gql_server.errors import Conflict, NotFound, RefusalReason
from gql_server.policy import Viewer

log = structlog.get_logger()

STEP = 100
"""Pipelines that one transaction ends: it holds their rows no longer than a moment."""
WAITS_SECONDS = 15.0
"""Time for which a call waits for the end: well below the time that a request may take."""


async def keep_preview(commands: Commands, viewer: Viewer, pipeline_ids: Sequence[UUID]) -> UUID:
    """Remember what the viewer is shown that an abort would end; returns the id of that abort."""
    values = {"provider": viewer.provider, "subject": viewer.subject, "pipeline_ids": list(pipeline_ids)}
    async with commands.begin(viewer) as connection:
        return (await connection.execute(insert(BulkAbort).values(values).returning(BulkAbort.id))).scalar_one()


async def begin_abort(
    connection: AsyncConnection, viewer: Viewer, bulk_id: UUID, reason: str, pipeline_ids: Sequence[UUID] | None
) -> dict[str, str]:
    """Let the abort of these pipelines of a preview begin, unless it has; None will do for one that has.

    Raises BadInput, Forbidden, NotFound, or Conflict for a pipeline that was not in the preview.
    """
    may_operate(viewer)
    check_reason(reason)
    if pipeline_ids is not None:
        await _begin(connection, viewer, bulk_id, pipeline_ids, reason)
    return {"bulk_id": str(bulk_id)}


async def go_on(commands: Commands, viewer: Viewer, bulk_id: UUID) -> None:
    """Do what is left of an abort that has begun. Returns when it has ended, or after a while, and goes on behind: no
    connection is held by who waits. Callers at once share the steps."""
    ended, _ = await asyncio.wait({_running(commands, viewer, bulk_id)}, timeout=WAITS_SECONDS)
    for each in ended:
        each.result()


async def begun_at(commands: Commands, viewer: Viewer, bulk_id: UUID) -> datetime | None:
    """Time at which the abort of that preview began. Raises NotFound."""
    async with commands.begin(viewer) as connection:
        return (await _locked(connection, viewer, bulk_id)).started_at


def _running(commands: Commands, viewer: Viewer, bulk_id: UUID) -> asyncio.Task[None]:
    """Task that does the steps, whoever waits for it: a client that goes away interrupts nothing."""
    if bulk_id not in commands.running:
        task = commands.running[bulk_id] = asyncio.create_task(_steps(commands, viewer, bulk_id))
        task.add_done_callback(lambda ended: _ended(commands, bulk_id, ended))
    return commands.running[bulk_id]


def _ended(commands: Commands, bulk_id: UUID, task: asyncio.Task[None]) -> None:
    """Forget the task; nobody may wait for it any more, so its failure is logged. The call sent again goes on where it was."""
    del commands.running[bulk_id]
    if not task.cancelled() and (error := task.exception()):
        log.error("bulk_abort.failed", bulk_id=str(bulk_id), error=str(error))


async def _steps(commands: Commands, viewer: Viewer, bulk_id: UUID) -> None:
    is_left = True
    while is_left:
        done = await commands.step(viewer, lambda connection: _step(commands, connection, viewer, bulk_id))
        is_left = done["is_left"]


async def _begin(connection: AsyncConnection, viewer: Viewer, bulk_id: UUID, pipeline_ids: Sequence[UUID], reason: str) -> None:
    bulk = await _locked(connection, viewer, bulk_id)
    if bulk.started_at is not None:
        return
    if grown := sorted(set(pipeline_ids) - set(bulk.pipeline_ids), reverse=True):
        message = f"{len(grown)} more pipelines match than in the preview: preview again"
        raise Conflict(message, reason=RefusalReason.SET_GREW, pipelineId=str(grown[0]))
    await _change(connection, bulk_id, pipeline_ids=sorted(pipeline_ids), reason=reason, started_at=NOW)


async def _step(commands: Commands, connection: AsyncConnection, viewer: Viewer, bulk_id: UUID) -> dict[str, Any]:
    """End the next of them, and write down how far that is, or nothing of either."""
    bulk = await _locked(connection, viewer, bulk_id)
    keys = bulk.pipeline_ids[bulk.done : bulk.done + STEP]
    visible, aborted = await abort_many(connection, commands.registry, viewer, keys, bulk.reason)
    ended = {job.pipeline_id for job in aborted}
    done = bulk.done + len(keys)
    is_left = done < len(bulk.pipeline_ids)
    await _change(
        connection,
        bulk_id,
        done=done,
        succeeded=bulk.succeeded + len(ended),
        refused=[*bulk.refused, *(key for key in keys if key in visible and key not in ended)],
        finished_at=bulk.finished_at if is_left else bulk.finished_at or NOW,
    )
    return {"is_left": is_left, "aborted_job_ids": [job.id for job in aborted]}


async def _locked(connection: AsyncConnection, viewer: Viewer, bulk_id: UUID) -> AnyRow:
    mine = (BulkAbort.provider == viewer.provider, BulkAbort.subject == viewer.subject)
    row = select(*BulkAbort.__table__.columns).where(BulkAbort.id == bulk_id, *mine).with_for_update()
    if (found := (await connection.execute(row)).one_or_none()) is None:
        raise NotFound("no such preview")
    return found


async def _change(connection: AsyncConnection, bulk_id: UUID, **values: Any) -> None:
    await connection.execute(update(BulkAbort).where(BulkAbort.id == bulk_id).values(values))
