"""Money is converted at the rate of its own year, or not at all."""

import pytest

from gql_server.carbon.rates import ExchangeRates, RateMissing, shipped_rates

RATES = ExchangeRates(2031, {"chf": 0.8, "usd": 1.6}, frozenset({"treasury"}))


@pytest.mark.parametrize(
    ("spent", "wanted", "rate"), [("chf", "eur", 1.25), ("eur", "chf", 0.8), ("chf", "usd", 2.0), ("jpy", "jpy", 1.0)]
)
def test_a_rate_is_between_any_two_currencies_of_the_year(spent: str, wanted: str, rate: float):
    assert RATES.rate(spent, wanted) == rate


def test_a_currency_without_a_rate_is_named_with_its_year():
    with pytest.raises(RateMissing, match="there is no exchange rate of jpy for 2031"):
        RATES.rate("jpy", "eur")


@pytest.mark.parametrize("year", [2023, 2025, 2026])
def test_a_year_without_rates_says_so_rather_than_use_those_of_another(year: int):
    rates = shipped_rates(year)

    assert rates.rate("eur", "eur") == rates.rate("chf", "chf") == 1.0
    with pytest.raises(RateMissing, match=f"there are no exchange rates for {year}: upload them as reference data of purchase"):
        rates.rate("chf", "eur")


def test_the_rates_that_ship_are_of_2024_and_say_their_source():
    rates = shipped_rates(2024)

    assert rates.sources == {"European Central Bank, average of 2024, rounded"}
    assert rates.per_eur == {
        "aud": 1.64,
        "cad": 1.48,
        "chf": 0.95,
        "cny": 7.79,
        "gbp": 0.847,
        "jpy": 163.9,
        "sek": 11.43,
        "usd": 1.08,
    }
