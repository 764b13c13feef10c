"""Reads of saved views."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.expressions import AnyRow, AnySelect, among, constant
from gql_server.db.models import TriageView
from gql_server.policy import Viewer, view_clause
from gql_server.reads.jobs.queries import creator

V = TriageView
MOST = 1000


def _views(viewer: Viewer) -> AnySelect:
    columns = (V.id.label("view_id"), V.name, V.description, V.document_id, V.document, V.variables, V.is_shared)
    return select(constant("TriageView").label("node_type"), *columns, *creator(V.owner)).where(view_clause(viewer))


async def views(connection: AsyncConnection, viewer: Viewer) -> Sequence[AnyRow]:
    """The viewer's own views and the shared ones, by name."""
    return (await connection.execute(_views(viewer).order_by(V.name, V.id).limit(MOST))).all()


async def views_by_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, AnyRow]:
    rows = await connection.execute(_views(viewer).where(among(V.id, keys)))
    return {row.view_id: row for row in rows}
