"""Times at which people work: bursts of one module and year within minutes, in office hours, most of them on the newest
year."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

YEARS = 5
NEWEST_SHARE = 0.7
IN_ITS_OWN_YEAR = 0.6
BURST = (3, 8)
PAUSE_SECONDS = 90
MODULES = {5: 45, 4: 28, 1: 13, 2: 7, 3: 2, 6: 1.5, 7: 1.5, 8: 2}
"""Weights of the modules, by id."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Moment at which a story begins, with the reporting year and the module that it is about."""

    at: datetime
    year: int
    module_type_id: int


def reporting_years(until: datetime) -> range:
    """The five newest reporting years."""
    return range(until.year - YEARS + 1, until.year + 1)


def occasions(random: Random, count: int, until: datetime) -> list[Occasion]:
    """So many occasions before `until`, oldest first."""
    found: list[Occasion] = []
    while len(found) < count:
        found += _burst(random, until)
    return sorted(found[:count], key=lambda occasion: occasion.at)


def _burst(random: Random, until: datetime) -> Iterator[Occasion]:
    year = _year(random, until)
    module = random.choices([*MODULES], [*MODULES.values()])[0]
    at = _office_hour(random, year, until)
    for _ in range(random.randint(*BURST)):
        if at < until:
            yield Occasion(at, year, module)
        at += timedelta(seconds=random.expovariate(1 / PAUSE_SECONDS))


def _year(random: Random, until: datetime) -> int:
    years = reporting_years(until)
    if random.random() < NEWEST_SHARE:
        return years[-1]
    return random.choices(years[:-1], range(1, len(years)))[0]


def _office_hour(random: Random, year: int, until: datetime) -> datetime:
    """A moment of a working day of the reporting year, or of the year after it."""
    worked = year if year == until.year or random.random() < IN_ITS_OWN_YEAR else year + 1
    start = datetime(worked, 1, 5, tzinfo=UTC)
    end = min(datetime(worked, 12, 23, tzinfo=UTC), until)
    days = max((end - start).total_seconds() / 86_400, 0.1)
    day = start + timedelta(days=int(random.random() * days))
    if day.weekday() > 4 and random.random() < 0.95:
        day -= timedelta(days=2)
    hour = min(max(random.gauss(9.5, 2) if random.random() < 0.5 else random.gauss(14, 2), 6), 18) + random.random() / 2
    return min(day + timedelta(hours=hour), until - timedelta(seconds=1 + random.random() * 3600))
