"""The advisory locks: which jobs exclude each other."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.ledger import locks
from gql_server.ledger.locks import Lock


class WorkScope(NamedTuple):
    provider: str
    module_type_id: int | None
    year: int | None


def scope(module: int | None = 8, year: int | None = 2025, provider: str = "ACCRED") -> WorkScope:
    return WorkScope(provider, module, year)


def test_c14_the_categories_are_distinct() -> None:
    assert (locks.REPORTS_OF_YEAR, locks.MODULE_OF_YEAR, locks.UNITS) == (1236, 1237, 1239)


def test_a_module_of_a_year_has_one_key() -> None:
    assert locks.module_of_year(scope()) == (Lock(1237, 802025),)
    assert locks.module_of_year(scope(provider="DEFAULT")) == (Lock(1237, 10_802_025),)


def test_c12_a_unit_sync_takes_the_units_first_and_shares_the_year_with_aggregations() -> None:
    assert locks.units_and_reports_of_year(scope()) == (Lock(1239), Lock(1236, 2025))
    assert locks.reports_of_year(scope()) == (Lock(1236, 2025),)


def test_without_a_scope_there_is_nothing_to_lock() -> None:
    assert locks.module_of_year(scope(module=None)) == ()
    assert locks.reports_of_year(scope(year=None)) == ()


def test_a_lock_survives_being_written_down() -> None:
    for lock in (Lock(1239), Lock(1236, 2025), Lock(1237, 802025)):
        assert Lock.parse(str(lock)) == lock


async def test_c11_c12_a_held_lock_is_not_waited_for(engine: AsyncEngine) -> None:
    async with engine.begin() as first, engine.begin() as second:
        assert await locks.try_acquire(first, locks.units_and_reports_of_year(scope())) is True

        assert await locks.try_acquire(second, locks.reports_of_year(scope())) is False
        assert await locks.try_acquire(second, locks.reports_of_year(scope(year=2026))) is True
        assert await locks.try_acquire(second, locks.units_and_reports_of_year(scope(year=2024))) is False
