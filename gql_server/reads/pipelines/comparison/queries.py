"""Reads of what is compared of two runs."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import integer
from gql_server.policy import Viewer, job_clause
from gql_server.reads.failures.queries import fingerprints_by_pipeline
from gql_server.reads.jobs.queries import JOB_DURATION, JOB_KIND, JOBS, in_pipelines
from gql_server.reads.jobs.row import FINISHED, PIPELINE_KEY
from gql_server.reads.pipelines.comparison.comparison import ComparedJob, Comparison, RunFacts, compare
from gql_server.reads.pipelines.queries import EVERY_PIPELINE, pipelines_by_key
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.pipelines.runs import neighbours
from gql_server.reads.rows import Columns

J = models.Job


async def comparisons_by_pipeline(
    connection: AsyncConnection,
    viewer: Viewer,
    keys: Sequence[UUID],
    *,
    baseline: UUID | None,
    columns: Columns[PipelineRow] = EVERY_PIPELINE,
) -> dict[UUID, Comparison]:
    """Each pipeline against that baseline or, without one, against the last success on its scope before it."""
    if baseline is None:
        baselines = await neighbours(connection, viewer, keys, before=True, successful=True)
    else:
        baselines = dict.fromkeys(keys, baseline)
    if not baselines:
        return {}
    facts = await _facts(connection, viewer, list({*baselines, *baselines.values()}), columns)
    return {key: compare(facts[key], facts[other]) for key, other in baselines.items() if key in facts and other in facts}


async def _facts(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], columns: Columns[PipelineRow]
) -> dict[UUID, RunFacts]:
    """Facts on those of these pipelines that the viewer may see, in three statements."""
    columns |= PipelineRow.columns(["duration_seconds", "is_terminal"]).names
    rows = await pipelines_by_key(connection, viewer, keys, columns=columns)
    fingerprints = await fingerprints_by_pipeline(connection, viewer, list(rows))
    facts = {
        key: RunFacts(row, row.duration_seconds if row.is_terminal else None, fingerprints=fingerprints[key])
        for key, row in rows.items()
    }
    took = func.sum(case((FINISHED, JOB_DURATION)))
    for step in await connection.execute(
        select(
            PIPELINE_KEY.label("key"),
            JOB_KIND.label("step_kind"),
            J.data_entry_type_id,
            took.label("seconds"),
            func.sum(integer(J.meta["inserted"])).label("rows_written"),
        )
        .select_from(JOBS)
        .where(in_pipelines(list(rows)), job_clause(viewer, by_key=True))
        .group_by("key", "step_kind", J.data_entry_type_id)
    ):
        of_run = facts[step.key]
        if step.seconds is not None:
            of_run.seconds[ComparedJob(step.step_kind, step.data_entry_type_id)] = step.seconds
        if step.rows_written is not None:
            of_run.rows_written = (of_run.rows_written or 0) + step.rows_written
    return facts
