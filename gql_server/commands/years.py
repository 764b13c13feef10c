"""Creating, changing, opening and closing a reporting year."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.year_configuration import default_config, patched
from gql_server.commands import audit
from gql_server.commands.checks import check_year, creator, lock_year, not_provisioned
from gql_server.db.models import NOW, EntityType, IngestionMethod, JobType, TargetType, YearConfiguration
from gql_server.errors import Conflict, Forbidden, RefusalReason
from gql_server.ledger import NewJob, Submitted, submit
from gql_server.policy import CONFIGURATION_EDIT, Viewer
from gql_server.policy.years import refuse_open
from gql_server.worker import Registry


async def create_year(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    year: int,
    *,
    config: Mapping[str, Any] | None = None,
    is_started: bool = False,
) -> Submitted:
    """Create a year of the viewer's provider and submit its unit sync. Raises Forbidden, BadInput, or Conflict.

    `config` says where the year differs from the default settings. A new year cannot be open: its unit sync is still to come.
    """
    _authorize(viewer)
    check_year(year)
    settings = patched(default_config(), config or {}, year)
    created = await connection.scalar(
        insert(YearConfiguration)
        .values(year=year, provider=viewer.provider, config=settings)
        .on_conflict_do_nothing()
        .returning(YearConfiguration.year)
    )
    if created is None:
        raise Conflict(f"year {year} exists already", reason=RefusalReason.YEAR_EXISTS, year=year)
    if is_started:
        message = f"a new year cannot be open: create {year} without that, and open it once its unit sync has succeeded"
        raise Conflict(message, reason=RefusalReason.YEAR_NOT_PROVISIONED, year=year)
    changes = audit.difference({}, {"config": settings, "is_started": False})
    await audit.record(connection, viewer, "create_year", {"year": year}, changes)
    sync = unit_sync(viewer, year)
    return await submit(connection, sync, registry[sync.job_type].locks(sync))


async def update_year(
    connection: AsyncConnection,
    viewer: Viewer,
    year: int,
    *,
    config: Mapping[str, Any] | None = None,
    is_started: bool | None = None,
    expected_updated_at: datetime | None = None,
) -> None:
    """Merge `config` into the settings of a year, and open or close it; None leaves either as it is.

    Raises Forbidden, NotFound, BadInput with the path of what is refused, or Conflict: the year changed since
    `expected_updated_at`, or is to be opened though its unit sync has not succeeded. The year is locked first, so that patches
    of different keys at once all survive.
    """
    _authorize(viewer)
    before = await lock_year(connection, viewer, year)
    if expected_updated_at is not None and before.updated_at != expected_updated_at:
        raise Conflict(f"year {year} changed since you read it", reason=RefusalReason.CHANGED, year=year)
    if is_started and not before.is_provisioned:
        raise not_provisioned(year)
    after = {
        "config": patched(before.config, config or {}, year),
        "is_started": before.is_started if is_started is None else is_started,
    }
    await connection.execute(
        update(YearConfiguration)
        .where(YearConfiguration.year == year, YearConfiguration.provider == viewer.provider)
        .values(**after, updated_at=NOW)
    )
    changes = audit.difference({"config": before.config, "is_started": before.is_started}, after)
    await audit.record(connection, viewer, "update_year", {"year": year}, changes)


async def open_year(connection: AsyncConnection, viewer: Viewer, year: int) -> None:
    """Show the year to everyone. Raises Forbidden, NotFound, or Conflict when it is open already, or its unit sync has not
    succeeded."""
    _authorize(viewer)
    before = await lock_year(connection, viewer, year)
    refusal = refuse_open(is_started=before.is_started, is_provisioned=before.is_provisioned)
    if refusal is RefusalReason.YEAR_IS_OPEN:
        raise Conflict(f"year {year} is open already", reason=RefusalReason.YEAR_IS_OPEN, year=year)
    await update_year(connection, viewer, year, is_started=True)


async def close_year(connection: AsyncConnection, viewer: Viewer, year: int) -> None:
    """Hide the year from everyone but the back office. Raises Forbidden or NotFound."""
    await update_year(connection, viewer, year, is_started=False)


def unit_sync(viewer: Viewer, year: int) -> NewJob:
    """The job that provisions a year."""
    return NewJob(
        job_type=JobType.UNIT_SYNC,
        provider=viewer.provider,
        entity_type=EntityType.GLOBAL_PER_YEAR,
        ingestion_method=IngestionMethod.API,
        target_type=TargetType.REFERENCE_DATA,
        year=year,
        config={"target_year": year},
        created_by=creator(viewer),
    )


def _authorize(viewer: Viewer) -> None:
    if not viewer.may(CONFIGURATION_EDIT):
        raise Forbidden("you may not configure years", permission=CONFIGURATION_EDIT)
