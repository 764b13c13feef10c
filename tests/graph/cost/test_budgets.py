"""Budgets: a minute begins with what is paid first, and is over by itself."""

from datetime import UTC, datetime

import pytest

from gql_server.graph.cost import budgets as module
from gql_server.graph.cost.budgets import Budgets
from tests.graphql import viewer

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [START.timestamp()]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    return now


def test_a_minute_is_a_viewer_s_own_and_over_by_itself(clock: list[float]) -> None:
    budgets, who = Budgets(per_minute=10), viewer("operator")
    budgets.charge(who, 7)
    clock[0] += 59.9
    assert not budgets.charge(who, 4)
    assert budgets.bill(who, 4).budget_remaining == 3
    assert budgets.charge(who, 3)
    assert budgets.charge(viewer("superadmin"), 10)
    assert budgets.bill(who, 4).budget_remaining == 0
    assert budgets.bill(who, 4).reset_at == datetime(2026, 3, 1, 0, 1, tzinfo=UTC)
    clock[0] += 0.1
    assert budgets.charge(who, 0)
    assert budgets.bill(who, 4).budget_remaining == 10


def test_what_costs_nothing_opens_no_minute(clock: list[float]) -> None:
    budgets, who = Budgets(per_minute=10), viewer("operator")
    budgets.charge(who, 0)
    clock[0] += 30
    budgets.charge(who, 1)
    assert budgets.bill(who, 0).reset_at == datetime(2026, 3, 1, 0, 1, 30, tzinfo=UTC)


def test_minutes_that_are_over_are_not_kept_for_ever(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MINUTES_KEPT", 2)
    budgets = Budgets(per_minute=10)
    for number in range(20):
        budgets.charge(viewer("principal", str(number)), 1)
        budgets.charge(viewer("operator" if number % 2 else "superadmin"), 1)
        clock[0] += 61
    assert len(budgets._minutes) <= 3
