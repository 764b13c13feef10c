"""Scopes: they let through permissions of a role, and none beside."""

import pytest

from gql_server.policy import POLICY, SCOPES, Reach, Role, Viewer, narrowed, permissions_of, reach

ALL = permissions_of(Role.SUPERADMIN, None)


def test_all_scopes_together_let_through_all_that_may_be_done_but_what_nobody_asks_for() -> None:
    beyond = ALL - narrowed(ALL, SCOPES)

    assert {permission.partition(".")[0] + permission[permission.rindex(":") :] for permission in beyond} == {
        "backoffice:edit",
        "modules:edit",
    }
    assert "backoffice.users:edit" in beyond


@pytest.mark.parametrize("scope", SCOPES)
def test_no_scope_gives_what_the_role_does_not(scope: str) -> None:
    assert narrowed(permissions_of(Role.STANDARD, None), [scope]) == ({"views:edit"} if scope == "views:edit" else frozenset())
    assert narrowed(permissions_of(Role.OPERATOR, None), [scope]) <= permissions_of(Role.OPERATOR, None)


def test_reading_lets_nothing_be_changed() -> None:
    assert {permission.rpartition(":")[2] for permission in narrowed(ALL, ["pipelines:read", "people:read"])} == {"view"}


def test_every_mutation_is_declared_to_need_a_permission_and_scopes_to_read_let_none_of_them_through():
    reads = [scope for scope in SCOPES if scope.endswith(":read")]
    reader = Viewer("service:reader", "ACCRED", narrowed(ALL, reads))
    mutations = POLICY["Mutation"]

    assert (mutations.open, len(reads)) == (frozenset(), 3)
    assert {name for name, guard in mutations.guarded.items() if reach(reader, guard) is not Reach.NONE} == set()


def test_a_unit_stays_with_its_permissions() -> None:
    principal = permissions_of(Role.PRINCIPAL, "10208")

    assert narrowed(principal, ["data:upload"]) == {each for each in principal if each.endswith(":sync@10208")}
    assert narrowed(principal, ["pipelines:operate"]) == frozenset()


def test_scopes_add_up_and_those_of_another_version_let_nothing_through() -> None:
    assert narrowed(ALL, ["schema:read", "made:up"]) == {"backoffice.api:explore"}
    assert narrowed(ALL, []) == frozenset()
    assert narrowed(ALL, ["schema:read", "people:read"]) == {"backoffice.api:explore", "backoffice.users:view"}
