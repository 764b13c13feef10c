"""Totals of modules in a year, in kg CO2-eq."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, DateTime, Float, Integer, Numeric, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.lacks import Lack
from gql_server.db.expressions import AnyRow
from gql_server.db.models.carbon import CarbonReport, CarbonReportModule, Unit
from gql_server.policy import Viewer, totals_clause

M, R, U = CarbonReportModule, CarbonReport, Unit


@dataclass(frozen=True, slots=True)
class EntriesWithoutEmission:
    """Entries that are in no total, for want of the same."""

    reason: Lack
    entry_count: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum over the units that the viewer may know of, as their last aggregations stored it."""

    kg_co2eq: float
    scope1_kg_co2eq: float
    scope2_kg_co2eq: float
    scope3_kg_co2eq: float
    it_kg_co2eq: float
    entry_count: int
    unit_count: int
    computed_at: datetime
    without_emission: Sequence[EntriesWithoutEmission] = ()

    @property
    def entries_without_emission(self) -> int:
        return sum(each.entry_count for each in self.without_emission)


async def totals_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Totals]:
    """By year and module; nothing of a module that was never aggregated."""
    entries = cast(M.stats["entry_count"].astext, Integer)
    columns = {
        "kg_co2eq": _sum("total"),
        "scope1_kg_co2eq": _sum("scope1"),
        "scope2_kg_co2eq": _sum("scope2"),
        "scope3_kg_co2eq": _sum("scope3"),
        "it_kg_co2eq": _sum("it_total_kg"),
        "entry_count": func.coalesce(func.sum(entries), 0),
        "unit_count": func.count().filter(entries > 0),
        "computed_at": func.max(cast(M.stats["computed_at"].astext, DateTime(timezone=True))),
    }
    lacks = [_lacking(lack).label(f"lacks_{lack}") for lack in Lack]
    rows = await connection.execute(
        select(R.year, M.module_type_id, *(column.label(name) for name, column in columns.items()), *lacks)
        .select_from(M)
        .join(R, R.id == M.carbon_report_id)
        .join(U, U.id == R.unit_id)
        .where(tuple_(R.year, M.module_type_id).in_(keys), M.stats.is_not(None), totals_clause(viewer))
        .group_by(R.year, M.module_type_id)
    )
    return {
        (row.year, row.module_type_id): Totals(
            **{name: getattr(row, name) for name in columns}, without_emission=_without_emission(row)
        )
        for row in rows
    }


def _without_emission(row: AnyRow) -> list[EntriesWithoutEmission]:
    counts = {lack: getattr(row, f"lacks_{lack}") for lack in Lack}
    return [EntriesWithoutEmission(lack, count) for lack, count in counts.items() if count]


def _lacking(lack: Lack) -> ColumnElement[int]:
    return func.coalesce(func.sum(cast(M.stats["without_emission"][lack.value].astext, Integer)), 0)


def _sum(name: str) -> ColumnElement[float]:
    """Summed as numeric, as aggregations do: the total must not depend on the order of the rows."""
    return cast(func.coalesce(func.sum(cast(M.stats[name].astext, Numeric)), 0), Float)
