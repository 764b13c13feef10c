"""Reads of year configurations. A key is a provider and a year."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, cast, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import models
from gql_server.models import Provider
from gql_server.policy import Viewer, year_clause
from gql_server.sql import AnyRow, AnySelect, constant, member

Y = models.YearConfiguration
YearKey = tuple[str, int]
Pointer = tuple[str, ...]


def _years(viewer: Viewer) -> AnySelect:
    return select(
        constant("YearConfiguration").label("node_type"),
        Y.year,
        member(Y.provider, Provider, "OTHER").label("provider"),
        Y.is_started,
        Y.configuration_completed.is_not(None).label("is_provisioned"),
        Y.configuration_completed.label("provisioned_at"),
        Y.updated_at,
    ).where(year_clause(viewer))


async def years(connection: AsyncConnection, viewer: Viewer) -> Sequence[AnyRow]:
    """Years the viewer may see, newest first."""
    return (await connection.execute(_years(viewer).order_by(Y.year.desc()))).all()


async def years_by_key(connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]) -> dict[YearKey, AnyRow]:
    rows = await connection.execute(_years(viewer).where(_named(keys)))
    return {(row.provider, row.year): row for row in rows}


async def config_by_key(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey], *, pointers: tuple[Pointer, ...] | None
) -> dict[YearKey, Any]:
    """The settings of each year; given pointers, only those parts, in that order."""
    parts = [Y.config] if pointers is None else [Y.config[list(pointer)] for pointer in pointers]
    columns = [part.label(f"part_{index}") for index, part in enumerate(parts)]
    rows = await connection.execute(
        select(cast(Y.provider, Text).label("provider"), Y.year, *columns).where(_named(keys), year_clause(viewer))
    )
    return {(row.provider, row.year): row[2:] for row in rows}


def _named(keys: Sequence[YearKey]) -> Any:
    return tuple_(cast(Y.provider, Text), Y.year).in_(keys)
