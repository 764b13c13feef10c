"""Reads of whole pipelines as graphs."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs import queries as jobs
from gql_server.reads.pipelines.graph.graph import Graph

J = models.Job


async def graph_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, Graph]:
    """The graph of each pipeline, with all of its jobs."""
    rows = await connection.execute(
        select(*jobs.columns(viewer), J.parent_job_id)
        .select_from(jobs.JOBS)
        .where(jobs.in_pipelines(keys), job_clause(viewer))
        .order_by(J.id)
    )
    of_pipeline: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        of_pipeline[row.pipeline_key].append(row)
    return {key: Graph.of(of_pipeline[key]) for key in keys}
