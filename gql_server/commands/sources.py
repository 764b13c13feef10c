"""Handing out the file that a job has read."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import INTEGER_MAX
from gql_server.errors import Forbidden, NotFound
from gql_server.policy import OPERATIONS_EDIT, UPLOAD, Viewer, job_clause, permits

J, P, U = models.Job, models.Pipeline, models.Upload


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A kept file, and what it was called when it was uploaded."""

    upload_id: UUID
    filename: str


async def source_of(connection: AsyncConnection, viewer: Viewer, job_id: int) -> SourceFile:
    """The file that the job has read, for those who could have uploaded it. Raises NotFound, or Forbidden."""
    statement = (
        select(J.module_type_id, P.unit_institutional_id, U.id, U.filename, U.pruned_at)
        .select_from(J.__table__.outerjoin(P.__table__, J.pipeline_id == P.id).outerjoin(U.__table__, J.upload_id == U.id))
        .where(J.id == job_id, job_clause(viewer))
    )
    job = (await connection.execute(statement)).one_or_none() if job_id <= INTEGER_MAX else None
    if job is None:
        raise NotFound("no such job", jobId=job_id)
    if not permits(viewer, UPLOAD, job):
        raise Forbidden("you may not have the file of this job", permission=OPERATIONS_EDIT)
    if job.id is None or job.pruned_at is not None:
        raise NotFound("the job has read no file, or that is not kept any more", jobId=job_id)
    return SourceFile(job.id, job.filename)
