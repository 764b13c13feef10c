"""Reads of whole pipelines as graphs."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs import queries as jobs
from gql_server.reads.jobs.row import PIPELINE_KEY
from gql_server.reads.pipelines.graph.graph import Graph

J = models.Job
JOBS_MAX = 1_000
"""Jobs of a pipeline that its graph holds, lowest ids first."""


async def graph_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, Graph]:
    """The graph of each pipeline: of a thousand jobs at most, and how many it leaves out."""
    place = func.row_number().over(partition_by=PIPELINE_KEY, order_by=J.id).label("place")
    facts = (
        select(
            PIPELINE_KEY.label("pipeline_key"),
            J.id.label("job_id"),
            J.parent_job_id,
            jobs.KIND.label("kind"),
            J.job_type.label("kind_raw"),
            cast(J.state, Text).label("state"),
            cast(J.result, Text).label("result"),
            J.module_type_id,
            J.year,
            jobs.DURATION.label("duration_seconds"),
            place,
            func.count().over(partition_by=PIPELINE_KEY).label("job_count"),
        )
        .select_from(jobs.JOBS)
        .where(jobs.in_pipelines(keys), job_clause(viewer))
        .subquery()
    )
    rows: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in await connection.execute(select(facts).where(facts.c.place <= JOBS_MAX)):
        rows[row.pipeline_key].append(row)
    return {key: Graph.of(of_key, omitted_jobs=of_key[0].job_count - len(of_key)) for key, of_key in rows.items()}
