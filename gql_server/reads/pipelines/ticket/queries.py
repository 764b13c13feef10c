"""The step at which pipelines failed."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import JobResult
from gql_server.policy import Viewer
from gql_server.reads.jobs.queries import in_pipelines, select_jobs
from gql_server.reads.jobs.row import FINISHED, PIPELINE_KEY, JobRow

J = models.Job
STEP = JobRow.columns(["pipeline_key", "job_id", "kind", "data_entry_type_id", "attempt", "max_attempts", "message"])
"""Columns of a step that a ticket shows."""
CLAIMS_SUCCESS = func.lower(func.btrim(func.coalesce(J.status_message, ""))) == "success"


async def failed_step_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, JobRow]:
    """The first job of each pipeline that failed and said why, else the first that failed."""
    rows = await connection.execute(
        select_jobs(viewer, STEP)
        .ext(distinct_on(PIPELINE_KEY))
        .where(in_pipelines(keys), FINISHED, J.result == JobResult.ERROR)
        .order_by(PIPELINE_KEY, CLAIMS_SUCCESS, J.id)
    )
    return {row.pipeline_key: row for row in STEP.rows(rows)}
