"""Counters and histograms that each request adds to: numbers, without the lock and the checks of prometheus_client's own.

Only the event loop adds to them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


class Count:
    """The value of a counter for some labels, to be added to."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Counts(Collector):
    """A counter, by its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._family = (name, documentation, None, labels)
        self._counts: dict[Labels, Count] = {}
        REGISTRY.register(self)

    def of(self, *labels: str) -> Count:
        """The count for these labels, 0 at first."""
        return self._counts.get(labels) or self._counts.setdefault(labels, Count())

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(*self._family)
        for labels, count in [*self._counts.items()]:
            family.add_metric(labels, count.value)
        yield family


class Timer:
    """The times of a histogram for some labels."""

    __slots__ = ("_bounds", "_within", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._within = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count something that took so long."""
        self.seconds += seconds
        self._within[bisect_left(self._bounds, seconds)] += 1

    def cumulated(self) -> list[tuple[str, float]]:
        """The number of those that took no longer than each bound, and of all."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return [*zip(names, map(float, accumulate(self._within)), strict=True)]


class Times(Collector):
    """A histogram of seconds, by its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], *, bounds: Sequence[float]) -> None:
        self._family = (name, documentation, None, None, labels)
        self._bounds = bounds
        self._timers: dict[Labels, Timer] = {}
        REGISTRY.register(self)

    def of(self, *labels: str) -> Timer:
        """The timer for these labels."""
        return self._timers.get(labels) or self._timers.setdefault(labels, Timer(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(*self._family)
        for labels, timer in [*self._timers.items()]:
            family.add_metric(labels, timer.cumulated(), timer.seconds)
        yield family
