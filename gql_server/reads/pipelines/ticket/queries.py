"""The step at which pipelines failed."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow
from gql_server.db.models import JobResult
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs import queries as jobs

J = models.Job
CLAIMS_SUCCESS = func.lower(func.btrim(func.coalesce(J.status_message, ""))) == "success"


async def failed_step_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, AnyRow]:
    """The first job of each pipeline that failed and said why, else the first that failed."""
    rows = await connection.execute(
        select(*jobs.columns(viewer))
        .ext(distinct_on(jobs.PIPELINE_KEY))
        .select_from(jobs.JOBS)
        .where(jobs.in_pipelines(keys), jobs.FINISHED, J.result == JobResult.ERROR, job_clause(viewer))
        .order_by(jobs.PIPELINE_KEY, CLAIMS_SUCCESS, J.id)
    )
    return {row.pipeline_key: row for row in rows}
