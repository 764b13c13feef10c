"""Tallies are shown as prometheus_client shows its own counters and histograms."""

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest

from gql_server.tallies import Counts, Times

BOUNDS = (0.001, 0.5, 1, 10)
SECONDS = (0.0, 0.001, 0.0011, 0.5, 0.7, 1.0, 10.0, 10.1, 4000)


@pytest.fixture
def counts() -> Iterator[Counts]:
    made = Counts("gql_made", "Things made.", ["what", "how"])
    yield made
    REGISTRY.unregister(made)


@pytest.fixture
def times() -> Iterator[Times]:
    made = Times("gql_made_seconds", "Time to make them.", ["what"], bounds=BOUNDS)
    yield made
    REGISTRY.unregister(made)


def shown(*collectors: object) -> str:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)  # type: ignore[arg-type]
    return generate_latest(registry).decode()


def test_a_counter_is_shown_as_any_other_and_what_was_never_counted_not_at_all(counts: Counts) -> None:
    theirs = Counter("gql_made", "Things made.", ["what", "how"], registry=None)
    empty = shown(counts)
    for labels, amount in {("a", "x"): 1, ("a", 'y"\n'): 2.5}.items():
        counts.of(*labels).value += amount
        theirs.labels(*labels).inc(amount)
    counts.of("b", "z")
    theirs.labels("b", "z")

    assert "gql_made_total{" not in empty
    assert shown(counts) == shown(theirs)
    assert counts.of("a", "x") is counts.of("a", "x")


def test_a_histogram_is_shown_as_any_other_also_at_its_bounds(times: Times) -> None:
    theirs = Histogram("gql_made_seconds", "Time to make them.", ["what"], buckets=BOUNDS, registry=None)
    for seconds in SECONDS:
        times.of("a").add(seconds)
        theirs.labels("a").observe(seconds)
    times.of("b")
    theirs.labels("b")

    assert shown(times) == shown(theirs)


def test_the_metrics_of_a_process_show_them(counts: Counts) -> None:
    counts.of("a", "x").value += 3

    assert REGISTRY.get_sample_value("gql_made_total", {"what": "a", "how": "x"}) == 3
