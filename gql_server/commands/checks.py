"""Checks that several commands share."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.expressions import AnyRow
from gql_server.db.models import YearConfiguration
from gql_server.errors import BadInput, Conflict, NotFound, RefusalReason
from gql_server.policy import Viewer, year_clause

YEARS = range(2000, 2101)


def creator(viewer: Viewer) -> Mapping[str, Any]:
    """Name, mail and subject of the viewer, as the ledger keeps them."""
    return {"user_id": viewer.subject, "email": viewer.email, "name": viewer.display_name}


def check_year(year: int) -> None:
    """Raises BadInput for a year that cannot be meant."""
    if year not in YEARS:
        raise BadInput(f"year must be between {YEARS.start} and {YEARS.stop - 1}", argument="year")


def not_provisioned(year: int) -> Conflict:
    """Refusal of work in a year whose unit sync has not succeeded."""
    return Conflict(f"the unit sync of year {year} has not succeeded yet", reason=RefusalReason.YEAR_NOT_PROVISIONED, year=year)


async def year_accepts_uploads(connection: AsyncConnection, provider: str, year: int, *, lock: bool = False) -> None:
    """The year gate: raises Conflict unless the year exists and its unit sync has succeeded.

    With `lock`, commands on this year take turns until the caller's transaction ends.
    """
    row = YearConfiguration
    statement = select(row.configuration_completed).where(row.year == year, row.provider == provider)
    completed = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    if completed is None:
        raise Conflict(f"year {year} has not been created", reason=RefusalReason.YEAR_NOT_CREATED, year=year)
    if completed.configuration_completed is None:
        raise not_provisioned(year)


async def lock_year(connection: AsyncConnection, viewer: Viewer, year: int) -> AnyRow:
    """Lock the year and return `is_started`, `is_provisioned`, `config` and `updated_at`. Raises NotFound for one that
    the viewer does not see."""
    row = YearConfiguration
    found = await connection.execute(
        select(row.is_started, row.configuration_completed.is_not(None).label("is_provisioned"), row.config, row.updated_at)
        .where(row.year == year, year_clause(viewer))
        .with_for_update()
    )
    if (locked := found.one_or_none()) is None:
        raise NotFound(f"there is no year {year}", year=year)
    return locked
