"""Reads of bulk aborts: how far they are."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.expressions import AnyRow, among
from gql_server.db.models import BulkAbort
from gql_server.policy import OPERATIONS_VIEW, Viewer

B = BulkAbort
SHOWN = 200
"""Pipelines that an outcome lists of each sort."""


async def bulk_aborts_by_id(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, AnyRow]:
    """Bulk aborts with their progress, for operators."""
    if not viewer.may(OPERATIONS_VIEW):
        return {}
    counts = (func.cardinality(B.pipeline_ids).label("count"), func.cardinality(B.refused).label("refused"))
    columns = (B.id.label("bulk_id"), *counts, B.done, B.succeeded, B.started_at, B.finished_at)
    rows = await connection.execute(select(*columns).where(among(B.id, keys), B.provider == viewer.provider))
    return {row.bulk_id: row for row in rows}


async def outcome_of(connection: AsyncConnection, viewer: Viewer, *, bulk_id: UUID) -> tuple[list[UUID], list[UUID]]:
    """The newest pipelines that it ended, and the newest that it left alone."""
    statement = select(B.pipeline_ids, B.refused, B.done).where(B.id == bulk_id, B.provider == viewer.provider)
    row = (await connection.execute(statement)).one()
    refused = set(row.refused)
    ended = [key for key in row.pipeline_ids[: row.done] if key not in refused]
    return ended[::-1][:SHOWN], row.refused[::-1][:SHOWN]
