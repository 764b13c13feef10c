"""Exchange rates of a year: those that were uploaded for it, else the ones that ship with the server, else none."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from gql_server.carbon.rows import ExchangeRateRow


class RateMissing(ValueError):
    """Money cannot be converted: nobody said at which rate in that year."""


@dataclass(frozen=True, slots=True)
class ExchangeRates:
    """Units of each currency for one euro in a year, and who says so."""

    year: int
    per_eur: Mapping[str, float]
    sources: frozenset[str] = frozenset()

    def rate(self, spent: object, wanted: object) -> float:
        """Amount of the wanted currency for one unit of the spent one. Raises RateMissing; another year's never apply."""
        return 1.0 if spent == wanted else self._per_eur(str(wanted)) / self._per_eur(str(spent))

    def _per_eur(self, currency: str) -> float:
        if currency == "eur":
            return 1.0
        if not self.per_eur:
            raise RateMissing(f"there are no exchange rates for {self.year}: upload them as reference data of purchase")
        if currency not in self.per_eur:
            raise RateMissing(
                f"there is no exchange rate of {currency} for {self.year}: upload the rates of the year again, with it"
            )
        return self.per_eur[currency]


def rates_of(year: int, rows: Mapping[str, Mapping[str, Any]]) -> ExchangeRates:
    """The rates that reference data says, by currency."""
    return ExchangeRates(
        year,
        {currency: row["per_eur"] for currency, row in rows.items()},
        frozenset(row["source"] for row in rows.values()),
    )


def shipped_rates(year: int) -> ExchangeRates:
    """The rates of a year that ship with the server; empty for most."""
    return rates_of(year, {row.currency: row.model_dump() for row in _shipped().get(year, ())})


@lru_cache(1)
def _shipped() -> dict[int, list[ExchangeRateRow]]:
    years: dict[int, list[ExchangeRateRow]] = {}
    text = files("gql_server.carbon").joinpath("data", "exchange_rates.csv").read_text(encoding="utf-8")
    for cells in csv.DictReader(text.splitlines()):
        years.setdefault(int(cells["year"]), []).append(ExchangeRateRow.model_validate(cells))
    return years
