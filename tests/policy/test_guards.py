from types import SimpleNamespace
from typing import Any

import pytest

from gql_server.policy import GUARDS, Guard, Reach, Viewer, permits, reach
from gql_server.policy.guards import alternatives
from tests.graphql import viewer

PURCHASE, NO_MODULE = 5, 99


def row(module: int | None = None, unit: str | None = None, **facts: Any) -> SimpleNamespace:
    return SimpleNamespace(module_type_id=module, unit_institutional_id=unit, **facts)


def holding(*permissions: str) -> Viewer:
    return Viewer(subject="someone", provider="DEFAULT", permissions=frozenset(permissions))


@pytest.mark.parametrize(
    ("expression", "held", "about", "allowed"),
    [
        ("a.b:view", "a.b:view", None, True),
        ("a.b:view", "a.b:edit", None, False),
        ("a.b:view | c.d:edit", "c.d:edit", row(), True),
        ("a.b:view | c.d:edit", "e.f:edit", row(), False),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync@A", row(PURCHASE, "A"), True),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync", row(PURCHASE, "A"), True),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync@A", row(PURCHASE, "B"), False),
        ("modules.{module}:sync@{unit}", "modules.buildings:sync@A", row(PURCHASE, "A"), False),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync", row(PURCHASE, None), False),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync", row(None, "A"), False),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync", row(NO_MODULE, "A"), False),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync", None, False),
        ("modules.{module}:sync@{unit}", "modules.purchase:sync@*", row(PURCHASE, "*"), True),
        ("modules.{module}:sync@*", "modules.purchase:sync@A", row(PURCHASE), True),
        ("modules.{module}:sync@*", "modules.purchase:view@A", row(PURCHASE), False),
        ("modules.{module}:sync@*", "modules.purchase:sync@A", row(), False),
        ("modules.*:view@{unit}", "modules.purchase:view@A", row(unit="A"), True),
        ("modules.*:view@{unit}", "modules.purchase:view", row(unit="A"), True),
        ("modules.*:view@{unit}", "modules.purchase:view@A", row(unit="B"), False),
        ("modules.*:view@{unit}", "modules.purchase:view@A", row(unit="*"), False),
        ("modules.*:view@{unit}", "modules.purchase:sync@A", row(unit="A"), False),
        ("a.b:view | year.isStarted", "x.y:view", row(is_started=True), True),
        ("a.b:view | year.isStarted", "x.y:view", row(is_started=False), False),
        ("a.b:view | year.isStarted", "x.y:view", row(is_started=None), False),
        ("a.b:view | year.isStarted", "x.y:view", row(), False),
    ],
)
def test_an_expression_holds_when_one_of_its_alternatives_does(expression: str, held: str, about: Any, allowed: bool):
    assert permits(holding(held), Guard(expression), about) is allowed


@pytest.mark.parametrize("expression", ["", "a.b:view |", "a.b:view@{planet}", "year.isClosed", "view"])
def test_what_nobody_can_evaluate_is_no_expression(expression: str):
    with pytest.raises(ValueError, match="Not a permission expression"):
        alternatives(expression)


def test_every_guard_of_the_policy_is_an_expression():
    for guard in GUARDS.values():
        assert alternatives(guard.permission)


@pytest.mark.parametrize(
    ("expression", "role", "unit", "expected"),
    [
        ("backoffice.users:view", "operator", None, Reach.EVERY),
        ("backoffice.users:view", "standard", None, Reach.NONE),
        ("modules.{module}:view@{unit}", "superadmin", None, Reach.EVERY),
        ("modules.{module}:view@{unit}", "principal", "A", Reach.SOME),
        ("modules.{module}:view@{unit}", "operator", None, Reach.NONE),
        ("modules.*:view@{unit}", "principal", "A", Reach.SOME),
        ("modules.{module}:sync@*", "principal", "A", Reach.EVERY),
        ("backoffice.configuration:view | year.isStarted", "operator", None, Reach.EVERY),
        ("backoffice.configuration:view | year.isStarted", "standard", None, Reach.SOME),
    ],
)
def test_how_far_a_guard_lets_a_viewer_reach_is_told_without_a_row(
    expression: str, role: str, unit: str | None, expected: Reach
):
    assert reach(viewer(role, unit), Guard(expression)) is expected


def test_a_permission_on_one_module_reaches_only_some():
    guard = Guard("modules.{module}:sync@*")

    assert reach(holding("modules.purchase:sync@A"), guard) is Reach.SOME
    assert reach(holding("modules.purchase:sync"), guard) is Reach.SOME
