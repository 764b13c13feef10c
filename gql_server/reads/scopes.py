"""Units, as far as the graph names them."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.expressions import AnyRow, among
from gql_server.db.models import carbon as carbon_tables
from gql_server.policy import Viewer, may_see_unit


async def units_by_institutional_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[str]) -> dict[str, AnyRow]:
    """Units of the viewer's provider that they may know of."""
    visible = [key for key in keys if may_see_unit(viewer, key)]
    unit = carbon_tables.Unit
    rows = await connection.execute(
        select(unit.institutional_id.label("unit_institutional_id")).where(
            unit.provider == viewer.provider, among(unit.institutional_id, visible)
        )
    )
    return {row.unit_institutional_id: row for row in rows}
