"""Checks that several commands share."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.errors import BadInput, Conflict
from gql_server.models import YearConfiguration
from gql_server.policy import Viewer

YEARS = range(2000, 2101)


def creator(viewer: Viewer) -> Mapping[str, Any]:
    """How the ledger remembers who asked."""
    return {"user_id": viewer.subject, "email": viewer.email, "name": viewer.display_name}


def check_year(year: int) -> None:
    """Raises BadInput for a year that cannot be meant."""
    if year not in YEARS:
        raise BadInput(f"year must be between {YEARS.start} and {YEARS.stop - 1}", argument="year")


async def year_accepts_uploads(connection: AsyncConnection, provider: str, year: int) -> None:
    """The year gate: raises Conflict unless the year exists and its unit sync has succeeded."""
    row = YearConfiguration
    completed = (
        await connection.execute(select(row.configuration_completed).where(row.year == year, row.provider == provider))
    ).one_or_none()
    if completed is None:
        raise Conflict(f"year {year} has not been created", reason="YEAR_NOT_CREATED", year=year)
    if completed.configuration_completed is None:
        raise Conflict(f"the unit sync of year {year} has not succeeded yet", reason="YEAR_NOT_PROVISIONED", year=year)
