"""Reads of whole pipelines as graphs."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, exists, false, func, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.policy import OPERATIONS_VIEW, Viewer, job_clause, pipeline_clause
from gql_server.reads.jobs.queries import JOB_DURATION, JOB_KIND, JOBS, SHARED, in_pipelines, shared_in
from gql_server.reads.jobs.row import PIPELINE_KEY
from gql_server.reads.pipelines.graph.graph import Graph

J, P = models.Job, models.Pipeline
JOBS_MAX = 1_000
"""Jobs of a pipeline that its graph holds, lowest ids first."""


async def graph_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, Graph]:
    """The graph of each pipeline: of a thousand jobs at most, its own before those of others, and how many it leaves out."""
    own = select(*_facts(PIPELINE_KEY, is_shared=False)).select_from(JOBS)
    shared = select(*_facts(P.id, is_shared=True)).select_from(SHARED).where(shared_in(keys, viewer), _is_seen(viewer))
    every = union_all(own.where(in_pipelines(keys), job_clause(viewer, by_key=True)), shared).subquery("every")
    key, count = every.c.pipeline_key, func.count().over(partition_by=every.c.pipeline_key)
    place = func.row_number().over(partition_by=key, order_by=(every.c.is_shared, every.c.job_id)).label("place")
    facts = select(every, place, count.label("job_count")).subquery()
    rows: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in await connection.execute(select(facts).where(facts.c.place <= JOBS_MAX)):
        rows[row.pipeline_key].append(row)
    return {key: Graph.of(of_key, omitted_jobs=of_key[0].job_count - len(of_key)) for key, of_key in rows.items()}


def _facts(pipeline_key: Any, *, is_shared: bool) -> list[ColumnElement[Any]]:
    return [
        pipeline_key.label("pipeline_key"),
        (true() if is_shared else false()).label("is_shared"),
        J.id.label("job_id"),
        J.parent_job_id.label("parent_job_id"),
        JOB_KIND.label("kind"),
        J.job_type.label("kind_raw"),
        cast(J.state, Text).label("state"),
        cast(J.result, Text).label("result"),
        J.module_type_id.label("module_type_id"),
        J.year.label("year"),
        JOB_DURATION.label("duration_seconds"),
    ]


def _is_seen(viewer: Viewer) -> ColumnElement[bool]:
    """The job's own pipeline is one that the viewer may see."""
    if viewer.may(OPERATIONS_VIEW):
        return true()
    return exists(select(P.id).where(P.id == J.pipeline_id, pipeline_clause(viewer)).correlate(J))
