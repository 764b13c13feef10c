"""Reads of the runs around a pipeline, and around a job, on the same scope and kind."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, any_, func, select, true, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, among, given_keys, number
from gql_server.policy import Viewer, job_clause, orphan_clause, pipeline_clause, sees_all_jobs
from gql_server.reads.jobs.queries import EVERY_JOB, JOBS, jobs_by_id
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.neighbours import first_successes, nearest_after, nearest_before, succeeded
from gql_server.reads.pipelines.queries import EVERY_PIPELINE, pipelines_by_key
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.rows import Columns
from gql_server.reads.shapes import built_once

J, P = models.Job, models.Pipeline
FIRST, OTHER = aliased(models.Pipeline), aliased(models.Pipeline)


async def previous_by_pipeline(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, columns: Columns[PipelineRow] = EVERY_PIPELINE
) -> dict[UUID, PipelineRow]:
    """The last run on the scope before each pipeline."""
    return await _rows(connection, viewer, columns, await neighbours(connection, viewer, keys, before=True))


async def next_by_pipeline(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, columns: Columns[PipelineRow] = EVERY_PIPELINE
) -> dict[UUID, PipelineRow]:
    """The first run on the scope after each pipeline."""
    return await _rows(connection, viewer, columns, await neighbours(connection, viewer, keys))


async def resolving_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, UUID]:
    """Id of the first run that succeeded after each pipeline, and made it good."""
    return dict(await resolving_statement(viewer.shared()).rows(connection, {"keys": list(keys)}))


@built_once
def resolving_statement(viewer: Viewer) -> AnySelect:
    """A step through an index for each pipeline and way in which it can be made good."""
    keys = given_keys(P.id)
    later: Any = aliased(models.Pipeline)
    rows = [
        select(run_key.label("key"), func.least(*(each.scalar_subquery() for each in firsts)).label("id")).where(*clauses)
        for run_key, firsts, clauses in (
            (P.id, first_successes(viewer, later, P.id, P), (among(P.id, keys), pipeline_clause(viewer))),
            (
                J.time_key,
                first_successes(viewer, later, J.time_key, J),
                (J.pipeline_id.is_(None), among(J.time_key, keys), orphan_clause(viewer)),
            ),
        )
    ]
    found = union_all(*rows).subquery("found")
    return select(found).where(found.c.id.is_not(None))


async def neighbours(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, before: bool = False, successful: bool = False
) -> dict[UUID, UUID]:
    """Id of the nearest run on the scope of each pipeline, after it or before it, of those that succeeded or of all."""
    statement = neighbours_statement(viewer.shared(), before=before, successful=successful)
    return dict(await statement.rows(connection, {"keys": list(keys)}))


@built_once
def neighbours_statement(viewer: Viewer, *, before: bool, successful: bool = False) -> AnySelect:
    """One step through an index for each pipeline."""
    keys = given_keys(P.id)
    asked = union_all(
        select(P.id.label("key"), P.scope_key).where(among(P.id, keys), pipeline_clause(viewer)),
        select(J.time_key, J.scope_key).where(J.pipeline_id.is_(None), among(J.time_key, keys), orphan_clause(viewer)),
    ).subquery("asked")
    seek = nearest_before if before else nearest_after
    found = seek(P, asked.c.scope_key, asked.c.key).where(pipeline_clause(viewer), *([succeeded(P)] if successful else []))
    nearest = found.lateral("nearest")
    return select(asked.c.key, nearest.c.id).join_from(asked, nearest, true())


async def other_files_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, UUID]:
    """The newest run that brought another file of the unit, since the file that each pipeline has read was first read."""
    on_scope = and_(FIRST.scope_key == P.scope_key, FIRST.file_digest == P.file_digest)
    first = select(FIRST.id).where(on_scope).order_by(FIRST.id).limit(1).correlate(P).scalar_subquery()
    newest = (
        select(OTHER.id)
        .where(OTHER.scope_key == P.scope_key, OTHER.id > first, succeeded(OTHER), OTHER.file_digest != P.file_digest)
        .order_by(OTHER.scope_key.desc(), OTHER.id.desc())
        .limit(1)
        .lateral("newest")
    )
    statement = select(P.id.label("key"), newest.c.id).join(newest, true())
    rows = await connection.execute(statement.where(among(P.id, keys), P.file_digest.is_not(None), pipeline_clause(viewer)))
    return {row.key: row.id for row in rows}


async def _rows(
    connection: AsyncConnection, viewer: Viewer, columns: Columns[PipelineRow], found: dict[UUID, UUID]
) -> dict[UUID, PipelineRow]:
    rows = await pipelines_by_key(connection, viewer, list(set(found.values())), columns=columns) if found else {}
    return {key: rows[id] for key, id in found.items() if id in rows}


async def superseded_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, columns: Columns[JobRow] = EVERY_JOB
) -> dict[int, JobRow]:
    """The last job of the same combination before each job."""
    return await _lineage(connection, viewer, columns, keys, before=True)


async def superseding_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, columns: Columns[JobRow] = EVERY_JOB
) -> dict[int, JobRow]:
    """The first job of the same combination after each job."""
    return await _lineage(connection, viewer, columns, keys, before=False)


async def _lineage(
    connection: AsyncConnection, viewer: Viewer, columns: Columns[JobRow], keys: Sequence[int], *, before: bool
) -> dict[int, JobRow]:
    found = dict(await lineage_statement(viewer.shared(), before=before).rows(connection, {"keys": list(keys)}))
    rows = await jobs_by_id(connection, viewer, list(set(found.values())), columns=columns) if found else {}
    return {key: rows[id] for key, id in found.items() if id in rows}


@built_once
def lineage_statement(viewer: Viewer, *, before: bool) -> AnySelect:
    """The nearest job of each one's combination; unit-specific jobs have no scope, and so no lineage.

    For who sees all jobs one step through the index of scopes. Of the many jobs of a scope others see few: theirs are compared
    with all that are asked for at once.
    """
    of_keys = J.id == any_(given_keys(J.id))
    asked = select(J.id, J.scope_key, J.target_type, J.ingestion_method).where(of_keys).cte("asked")
    asked = asked.prefix_with("MATERIALIZED")
    alike = and_(J.ingestion_method == asked.c.ingestion_method, J.target_type.is_not_distinct_from(asked.c.target_type))
    if not sees_all_jobs(viewer):
        beside = and_(J.scope_key == asked.c.scope_key, J.id < asked.c.id if before else J.id > asked.c.id, alike)
        nearest_id = (func.max if before else func.min)(J.id).label("id")
        every = select(asked.c.id.label("key"), nearest_id).select_from(JOBS.join(asked, beside))
        return every.where(job_clause(viewer)).group_by(asked.c.id)
    here, there = tuple_(J.scope_key, J.id), tuple_(asked.c.scope_key, asked.c.id)
    earlier, later = and_(here < there, J.scope_key >= asked.c.scope_key), and_(here > there, J.scope_key <= asked.c.scope_key)
    nearest = (
        select(J.id)
        .select_from(JOBS)
        .where(earlier if before else later, job_clause(viewer), alike)
        .order_by(*((J.scope_key.desc(), J.id.desc()) if before else (J.scope_key, J.id)))
        .limit(number(1))
        .lateral("nearest")
    )
    return select(asked.c.id.label("key"), nearest.c.id).join_from(asked, nearest, true())
