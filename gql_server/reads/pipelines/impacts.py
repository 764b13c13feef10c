"""Sizes of what pipelines touched. The ids themselves are kilobytes a row and stay in the database."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import distinct, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow, integer
from gql_server.db.models.carbon import CarbonReport, CarbonReportModule
from gql_server.policy import Viewer, job_clause
from gql_server.reads.jobs.queries import JOBS, in_pipelines
from gql_server.reads.jobs.row import PIPELINE_KEY

J = models.Job


async def impact_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, AnyRow]:
    """Distinct report modules and units that the jobs of each pipeline affected, and rows that they wrote; null if unsaid."""
    did = (
        select(
            PIPELINE_KEY.label("key"),
            integer(J.meta["inserted"]).label("inserted"),
            J.affected_module_ids.label("module_ids"),
        )
        .select_from(JOBS)
        .where(in_pipelines(keys), job_clause(viewer, by_key=True))
        .cte("did")
    )
    each = func.unnest(did.c.module_ids).table_valued("id").render_derived(name="each")
    affected = (
        select(
            did.c.key,
            func.count(distinct(each.c.id)).label("modules"),
            func.count(distinct(CarbonReport.unit_id)).label("units"),
        )
        .join_from(did, each, true(), isouter=True)
        .outerjoin(CarbonReportModule, CarbonReportModule.id == each.c.id)
        .outerjoin(CarbonReport, CarbonReport.id == CarbonReportModule.carbon_report_id)
        .where(did.c.module_ids.is_not(None))
        .group_by(did.c.key)
        .subquery("affected")
    )
    written = select(did.c.key, func.sum(did.c.inserted).label("rows")).group_by(did.c.key).subquery("written")
    rows = await connection.execute(
        select(
            written.c.key,
            affected.c.modules.label("affected_module_count"),
            affected.c.units.label("affected_unit_count"),
            written.c.rows.label("rows_written"),
        ).join_from(written, affected, affected.c.key == written.c.key, isouter=True)
    )
    return {row.key: row for row in rows}
