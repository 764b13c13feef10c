"""Reads of jobs. Labels are the names under which the types read them; JSON is taken apart in the database."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Float, Text, and_, any_, case, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import (
    AnySelect,
    Keys,
    among,
    array,
    at,
    constant,
    given_keys,
    integer,
    number,
    one_of,
    seconds,
    text_at,
)
from gql_server.db.expressions import Column as Sql
from gql_server.db.models import EntityType, JobResult, JobType
from gql_server.ledger.serving import NO_PIPELINES
from gql_server.policy import Viewer, job_clause, pipeline_clause
from gql_server.reads.jobs import meta
from gql_server.reads.jobs.meta import nameless
from gql_server.reads.jobs.row import ROWS_PROCESSED, ROWS_STAGE, ROWS_TOTAL, JobRow
from gql_server.reads.rows import Column, Columns, Row, mentions
from gql_server.reads.shapes import built_once

J, P, U = models.Job, models.Pipeline, models.Upload
JOBS = J.__table__.outerjoin(P.__table__, J.pipeline_id == P.id)
EVERY_JOB = JobRow.every()


def kind_of(job_type: Sql) -> ColumnElement[str]:
    """Name of the kind, OTHER for job types this version does not know."""
    return case((one_of(job_type, tuple(JobType)), func.upper(job_type)), else_=constant("OTHER"))


JOB_KIND = kind_of(J.job_type)
JOB_DURATION = seconds(J.started_at, func.coalesce(J.finished_at, func.now()))
ROW_PROGRESS = (
    ROWS_STAGE.label("rows_stage"),
    ROWS_PROCESSED.label("rows_processed"),
    ROWS_TOTAL.label("rows_total"),
    (cast(ROWS_PROCESSED, Float) / func.nullif(JOB_DURATION, number(0))).label("rows_per_second"),
)


def error_text(viewer: Viewer) -> ColumnElement[str | None]:
    """Full text of the error of a job, as this viewer may know it."""
    of_error = (text_at(J.meta, key) for key in ("error", "validation_error"))
    return func.coalesce(*of_error, nameless(viewer, J.status_message), type_=Text())


def select_jobs(
    viewer: Viewer,
    columns: Columns[JobRow],
    given: Mapping[str, ColumnElement[Any]] | None = None,
    *,
    are_pipelines_seen: bool = False,
) -> AnySelect:
    """These columns of the jobs that the viewer may see, to be found by key; of pipelines that are known to be seen, without
    another look."""
    clause = job_clause(viewer, by_key=True, are_pipelines_seen=are_pipelines_seen)
    selected = columns.select(viewer, given=given)
    tables = JOBS if mentions([*selected, clause], P.__table__) else J.__table__
    return select(*selected).select_from(tables).where(clause)


def in_pipeline(key: Sql) -> ColumnElement[bool]:
    """Jobs of the pipeline of that key: of an orphan, itself."""
    return or_(J.pipeline_id == key, and_(J.pipeline_id.is_(None), J.time_key == key))


def in_pipelines(keys: Keys) -> ColumnElement[bool]:
    """Jobs of any of these pipelines."""
    return or_(among(J.pipeline_id, keys), and_(J.pipeline_id.is_(None), among(J.time_key, keys)))


SHARED = J.__table__.join(P.__table__, P.id == any_(J.serves))
"""Jobs with each of the pipelines whose work was merged into them: those, not their own, are `P` here."""


def shared_in(keys: Keys, viewer: Viewer) -> ColumnElement[bool]:
    """`SHARED` of these pipelines: what works for a pipeline is known to whoever may see that one."""
    asked = and_(J.serves.overlap(array(P.id, keys)), J.serves != NO_PIPELINES, among(P.id, keys))
    return and_(asked, J.pipeline_id.is_distinct_from(P.id), one_of(J.provider, [viewer.provider]), pipeline_clause(viewer))


async def jobs_by_id(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, columns: Columns[JobRow] = EVERY_JOB
) -> dict[int, JobRow]:
    """Jobs by their database key; one that is absent or not visible is left out."""
    columns |= ["job_id"]
    found = await _jobs_by_id(viewer.shared(), columns).rows(connection, {"keys": list(keys)})
    return {row.job_id: row for row in columns.rows(found)}


@built_once
def _jobs_by_id(viewer: Viewer, columns: Columns[JobRow]) -> AnySelect:
    return select_jobs(viewer, columns).where(J.id == any_(given_keys(J.id)))


class MetaRow(Row):
    """The small, typed part of the bag."""

    job_id = Column(J.id)
    provider_name: Column[str | None] = Column(meta.small(at(J.meta, "provider_name"), shown=text_at(J.meta, "provider_name")))
    filters: Column[Any] = Column(meta.small(at(J.meta, "filters")))
    target_year: Column[int | None] = Column(
        func.coalesce(integer(at(J.config, "target_year")), case((J.entity_type == EntityType.GLOBAL_PER_YEAR, J.year)))
    )


OF_META = MetaRow.every()


async def meta_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, MetaRow]:
    """The typed part of the bag of each job; nothing of one that is absent or not visible."""
    statement = select(*OF_META.select(viewer)).select_from(JOBS).where(among(J.id, keys), job_clause(viewer, by_key=True))
    return {row.job_id: row for row in OF_META.rows(await connection.execute(statement))}


async def meta_entries_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, names: tuple[str, ...]
) -> dict[int, dict[str, Any]]:
    """Allow-listed keys of the bag that it has, unless they are too large."""
    rows = await connection.execute(
        select(J.id, meta.projection(viewer, meta.allowed(names)).label("entries"))
        .select_from(JOBS)
        .where(among(J.id, keys), job_clause(viewer, by_key=True))
    )
    return {row.id: {name: value for name, value in row.entries.items() if value is not None} for row in rows}


async def meta_omissions_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, dict[str, int]]:
    """Keys of the bag that are not shown, with the bytes of their JSON, by name."""
    rows = await connection.execute(
        select(J.id, meta.omissions().label("sizes"))
        .select_from(JOBS)
        .where(among(J.id, keys), job_clause(viewer, by_key=True))
    )
    return {row.id: dict(sorted((row.sizes or dict[str, int]()).items())) for row in rows}


async def meta_raw_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The whole bag, as this viewer may know it."""
    rows = await connection.execute(
        select(J.id, meta.raw(viewer).label("meta")).select_from(JOBS).where(among(J.id, keys), job_clause(viewer, by_key=True))
    )
    return {row.id: row.meta for row in rows}


async def error_detail_by_job(connection: AsyncConnection, viewer: Viewer, keys: Sequence[int]) -> dict[int, str | None]:
    """Full text of the error of failed jobs."""
    return dict(await _error_details(viewer.shared()).rows(connection, {"keys": list(keys)}))


@built_once
def _error_details(viewer: Viewer) -> AnySelect:
    failed = (J.id == any_(given_keys(J.id)), one_of(J.result, [JobResult.ERROR]))
    return select(J.id, error_text(viewer).label("detail")).select_from(JOBS).where(*failed, job_clause(viewer, by_key=True))
