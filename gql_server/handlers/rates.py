"""The exchange rates of a provider's year."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import PURCHASE
from gql_server.carbon.rates import ExchangeRates, rates_of, shipped_rates
from gql_server.db.models.carbon import ReferenceData


async def exchange_rates(connection: AsyncConnection, provider: str, year: int) -> ExchangeRates:
    """Rates that were uploaded for the year, as a whole, instead of those that ship with the server."""
    table = ReferenceData
    uploaded = await connection.execute(
        select(table.key, table.data).where(
            table.provider == provider,
            table.year == year,
            table.module_type_id == PURCHASE,
            table.data_entry_type_id.is_(None),
        )
    )
    rows = {row.key: row.data for row in uploaded if {"per_eur", "source"} <= row.data.keys()}
    return rates_of(year, rows) if rows else shipped_rates(year)
