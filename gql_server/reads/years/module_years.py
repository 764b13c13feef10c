"""Cells of the year × module matrix, and the pipelines that are and were at work on them.

A key is a year and a module of the viewer's provider. The policy of `ModuleYear` says who may see a cell; its jobs and
pipelines are named by their keys here, and read through their own row clauses.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, and_, func, literal, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import LIVE_STATES, JobType, PipelineStatus
from gql_server.policy import Viewer, pipeline_clause
from gql_server.reads.pipelines.alternatives import OPEN_STATUSES
from gql_server.reads.years.visible_jobs import CellKey

J, P = models.Job, models.Pipeline


class ModuleYearKey(NamedTuple):
    """A module in a year: the source of `ModuleYear`. Totals count as stale when older than so many minutes."""

    year: int
    module_type_id: int
    older_than_minutes: int = 60

    @property
    def key(self) -> CellKey:
        return self.year, self.module_type_id


async def current_pipeline_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, UUID]:
    """The newest unfinished pipeline at work on each cell: where its unfinished jobs are, or itself when it has none."""
    live = and_(J.pipeline_id == P.id, J.provider == viewer.provider, J.state.in_(LIVE_STATES))
    year, module = func.coalesce(J.year, P.year), func.coalesce(J.module_type_id, P.module_type_id)
    rows = await connection.execute(
        select(year.label("year"), module.label("module_type_id"), P.id)
        .select_from(P)
        .outerjoin(J, live)
        .where(pipeline_clause(viewer), P.status.in_(OPEN_STATUSES), tuple_(year, module).in_(keys))
        .order_by(year, module, P.id.desc())
        .ext(distinct_on(year, module))
    )
    return {(row.year, row.module_type_id): row.id for row in rows}


async def live_recalculation_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, int]:
    """The unfinished job that recalculates all of each cell, of which there is one at a time."""
    rows = await connection.execute(
        select(J.year, J.module_type_id, func.min(J.id).label("id"))
        .where(J.provider == viewer.provider, J.job_type == JobType.MODULE_EMISSION_RECALC, J.state.in_(LIVE_STATES))
        .where(J.data_entry_type_id.is_(None), tuple_(J.year, J.module_type_id).in_(keys))
        .group_by(J.year, J.module_type_id)
    )
    return {(row.year, row.module_type_id): row.id for row in rows}


async def last_successful_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, UUID]:
    """The newest pipeline about each cell that ended in SUCCESS."""
    years, modules = ([*part] for part in zip(*keys, strict=True))
    asked = (
        func.unnest(literal(years, ARRAY(Integer)), literal(modules, ARRAY(Integer)))
        .table_valued("year", "module_type_id")
        .render_derived(name="asked")
    )
    last = (
        select(P.id)
        .where(P.year == asked.c.year, P.module_type_id == asked.c.module_type_id)
        .where(P.status == PipelineStatus.SUCCESS, pipeline_clause(viewer))
        .order_by(P.id.desc())
        .limit(1)
        .lateral("last")
    )
    rows = await connection.execute(select(asked.c.year, asked.c.module_type_id, last.c.id).join_from(asked, last, true()))
    return {(row.year, row.module_type_id): row.id for row in rows}
