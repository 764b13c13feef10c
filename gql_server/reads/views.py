"""Reads of saved views."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.expressions import AnySelect, among
from gql_server.db.models import TriageView
from gql_server.policy import Viewer, view_clause
from gql_server.reads.jobs.row import actor
from gql_server.reads.rows import Column, Row

V = TriageView
MOST = 1000


class ViewRow(Row):
    """A saved view."""

    node_type = "TriageView"
    view_id = Column(V.id)
    name = Column(V.name)
    description = Column(V.description)
    document_id = Column(V.document_id)
    document = Column(V.document)
    variables = Column(V.variables)
    is_shared = Column(V.is_shared)
    is_mine = Column(lambda viewer: V.owner_subject == viewer.identity)
    actor_kind, actor_name, actor_email = actor(V.owner)


EVERY = ViewRow.every()


def _views(viewer: Viewer) -> AnySelect:
    return select(*EVERY.select(viewer)).where(view_clause(viewer))


async def views(connection: AsyncConnection, viewer: Viewer) -> list[ViewRow]:
    """The viewer's own views and the shared ones, by name."""
    return EVERY.rows(await connection.execute(_views(viewer).order_by(V.name, V.id).limit(MOST)))


async def views_by_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, ViewRow]:
    """Saved views by their id; one that is absent, or of somebody else and not shared, is left out."""
    rows = EVERY.rows(await connection.execute(_views(viewer).where(among(V.id, keys))))
    return {row.view_id: row for row in rows}
