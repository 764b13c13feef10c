"""Reads of year configurations, and of how far the jobs of a year are. A key is a provider and a year."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, select, tuple_
from sqlalchemy.dialects.postgresql import array, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import PURCHASE, entry_types_of
from gql_server.carbon.lacks import Lack
from gql_server.carbon.rates import shipped_rates
from gql_server.db import models
from gql_server.db.expressions import AnyRow, AnySelect, integer
from gql_server.db.models import LIVE_STATES, JobType, Provider
from gql_server.db.models.carbon import DataEntry, ReferenceData
from gql_server.policy import Viewer, year_clause
from gql_server.reads.jobs.row import PIPELINE_KEY
from gql_server.reads.rows import Column, Row, derived
from gql_server.reads.values import known_or_other
from gql_server.reads.years.blockers import UnitSync
from gql_server.reads.years.readiness import ModuleReadiness, readiness

E = DataEntry
J = models.Job
Y = models.YearConfiguration
YearKey = tuple[str, int]
Pointer = tuple[str, ...]


def _is_known(at: datetime | None) -> bool:
    return at is not None


class YearRow(Row):
    """A reporting year of one provider."""

    node_type = "YearConfiguration"
    year = Column(Y.year)
    _provider: Column[str] = Column(cast(Y.provider, Text))
    provider = derived(known_or_other(Provider, "OTHER"), _provider)
    is_started = Column(Y.is_started)
    provisioned_at = Column(Y.configuration_completed)
    is_provisioned = derived(_is_known, provisioned_at)
    updated_at = Column(Y.updated_at)


EVERY = YearRow.every()


def _years(viewer: Viewer) -> AnySelect:
    return select(*EVERY.select(viewer)).where(year_clause(viewer))


async def years(connection: AsyncConnection, viewer: Viewer) -> list[YearRow]:
    """Years the viewer may see, newest first."""
    return EVERY.rows(await connection.execute(_years(viewer).order_by(Y.year.desc())))


async def years_by_key(connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]) -> dict[YearKey, YearRow]:
    """Years by provider and number; one that is absent or not visible is left out."""
    rows = EVERY.rows(await connection.execute(_years(viewer).where(_named(keys))))
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


async def current_jobs_by_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]
) -> dict[YearKey, list[AnyRow]]:
    """The jobs that represent their combination of module, entry type, target and method in each year."""
    statement = select(
        cast(J.provider, Text).label("provider"),
        J.year,
        J.id.label("job_id"),
        J.entity_type,
        J.module_type_id,
        J.data_entry_type_id,
        J.target_type,
        J.ingestion_method,
        J.state,
        J.result,
    )
    found: defaultdict[YearKey, list[AnyRow]] = defaultdict(list)
    for row in await connection.execute(statement.where(J.is_current, _in_years(viewer, keys)).order_by(J.id)):
        found[row.provider, row.year].append(row)
    return found


async def readiness_by_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]
) -> dict[YearKey, dict[int, ModuleReadiness]]:
    """The modules in the settings of each year, by their number, and what they lack."""
    years = await connection.execute(
        select(
            cast(Y.provider, Text).label("provider"),
            Y.year,
            Y.config,
            _has_uploaded_rates().label("has_rates"),
            _lacks_rates().label("lacks_rates"),
        ).where(_named(keys), year_clause(viewer))
    )
    jobs: dict[YearKey, Any] = {**await current_jobs_by_year(connection, viewer, keys)}
    return {
        (row.provider, row.year): {
            module.module_type_id: module
            for module in readiness(
                row.config,
                jobs.get((row.provider, row.year), []),
                has_exchange_rates=not row.lacks_rates and (row.has_rates or bool(shipped_rates(row.year).per_eur)),
            )
        }
        for row in years
    }


def _has_uploaded_rates() -> ColumnElement[bool]:
    """True if exchange rates of the year were uploaded."""
    R = ReferenceData
    of_purchases = and_(
        R.provider == Y.provider, R.year == Y.year, R.module_type_id == PURCHASE, R.data_entry_type_id.is_(None)
    )
    return exists().where(of_purchases, R.data.has_all(array(["per_eur", "source"])))


def _lacks_rates() -> ColumnElement[bool]:
    """A purchase of the year has no emission, because nobody said at which rate its currency is converted."""
    of_purchases = E.data_entry_type_id.in_(entry_types_of(PURCHASE))
    return exists().where(E.provider == Y.provider, E.year == Y.year, of_purchases, E.lack == Lack.MISSING_EXCHANGE_RATE)


async def unit_sync_by_year(connection: AsyncConnection, viewer: Viewer, keys: Sequence[YearKey]) -> dict[YearKey, UnitSync]:
    """The newest unit sync of each year."""
    year = func.coalesce(integer(J.config["target_year"]), J.year)
    rows = await connection.execute(
        select(year.label("year"), PIPELINE_KEY.label("key"), J.state.in_(LIVE_STATES).label("is_live"))
        .where(J.job_type == JobType.UNIT_SYNC, J.provider == viewer.provider, year.in_([year for _, year in keys]))
        .order_by(year, J.id.desc())
        .ext(distinct_on(year))
    )
    return {(viewer.provider, row.year): UnitSync(row.key, row.is_live is True) for row in rows}


def _in_years(viewer: Viewer, keys: Sequence[YearKey]) -> ColumnElement[bool]:
    """Jobs of these years, as far as the viewer may see the years."""
    return tuple_(J.provider, J.year).in_(select(Y.provider, Y.year).where(_named(keys), year_clause(viewer)))


def _named(keys: Sequence[YearKey]) -> Any:
    return tuple_(cast(Y.provider, Text), Y.year).in_(keys)
