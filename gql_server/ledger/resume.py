"""Resuming: what a root job left, and the steps of its pipeline that failed, for a new root that does only those again."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnyRow, Column
from gql_server.db.models import RECALCULATIONS, JobResult, JobType
from gql_server.ledger.endings import has_failed, has_landed
from gql_server.ledger.job import ChildJob, Outcome, RejectedRow
from gql_server.ledger.serving import serves

RESUMED = "resume_of_job_id"
"""In the configuration of a root job: the root whose data landed, and whose pipeline's failed steps are its work."""

OF_ONE_RUN = ("created_by", "phases", "progress", "status_history")
"""Keys of a job's meta that tell of that run alone."""

J, S = models.Job, aliased(models.Job)


def has_failed_steps(pipeline_id: Column, root_id: Column) -> ColumnElement[bool]:
    """The pipeline has a failed job beside its root, or one of another pipeline that did its work failed."""
    return or_(*(select(S.id).where(each, *_failed(root_id)).exists() for each in _works_for(pipeline_id)))


async def resumed(connection: AsyncConnection, root_id: int) -> Outcome:
    """The outcome of that root once more, with the failed steps of its pipeline as children."""
    columns = (J.pipeline_id, J.job_type, J.module_type_id, J.year, J.result, J.status_message, J.meta, J.affected_module_ids)
    root = (await connection.execute(select(*columns).where(J.id == root_id))).one()
    return Outcome(
        result=JobResult(root.result),
        message=root.status_message,
        meta={name: value for name, value in root.meta.items() if name not in OF_ONE_RUN},
        affected_module_ids=None if root.affected_module_ids is None else await _affected(connection, root.pipeline_id),
        row_errors=await _row_errors(connection, root_id),
        children=_children(root, await _failed_steps(connection, root.pipeline_id, root_id)),
    )


def _works_for(pipeline_id: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Jobs of the pipeline, and jobs of others that serve it."""
    return S.pipeline_id == pipeline_id, serves(pipeline_id, S)


def _failed(root_id: Any) -> tuple[ColumnElement[bool], ...]:
    return S.id != root_id, has_failed(S), S.job_type.is_not(None)


async def _failed_steps(connection: AsyncConnection, pipeline_id: UUID, root_id: int) -> Sequence[AnyRow]:
    columns = [getattr(S, name) for name in ChildJob.__dataclass_fields__]
    works_for = _works_for(literal(pipeline_id, Uuid()))
    found = union_all(*(select(S.id, *columns).where(each, *_failed(root_id)) for each in works_for))
    return (await connection.execute(found.order_by("id"))).all()


def _children(root: AnyRow, steps: Sequence[AnyRow]) -> list[ChildJob]:
    """The steps, without the aggregations that follow from a recalculation anyway."""
    recalculated = {(job.module_type_id, job.year) for job in (root, *steps) if job.job_type in RECALCULATIONS}
    return [
        _child(step)
        for step in steps
        if step.job_type != JobType.AGGREGATION or (step.module_type_id, step.year) not in recalculated
    ]


def _child(step: AnyRow) -> ChildJob:
    given: dict[str, Any] = {name: getattr(step, name) for name in ChildJob.__dataclass_fields__}
    return ChildJob(**{name: value for name, value in given.items() if value is not None})


async def _affected(connection: AsyncConnection, pipeline_id: UUID) -> list[int]:
    """Report modules that anything of the pipeline that landed has changed: their totals may not be computed yet."""
    rows = await connection.scalars(select(J.affected_module_ids).where(J.pipeline_id == pipeline_id, has_landed()))
    return sorted({module for modules in rows for module in modules or ()})


async def _row_errors(connection: AsyncConnection, job_id: int) -> list[RejectedRow]:
    row = models.RowError
    rows = await connection.execute(
        select(row.row, row.reason, row.column, row.value).where(row.job_id == job_id).order_by(row.id)
    )
    return [RejectedRow(*each) for each in rows]
