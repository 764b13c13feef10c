from random import Random
from uuid import UUID

import pytest

from gql_server.feed.held import HELD_MAX, Held, digest
from gql_server.feed.members import Members, Place
from gql_server.reads.pipelines.filter import PipelineCriteria

LIST = digest(PipelineCriteria(is_orphan=False))


def key(number: int) -> UUID:
    """A UUIDv7 of that millisecond."""
    return UUID(int=number << 80 | 7 << 76 | 2 << 62 | Random(number).getrandbits(62))


@pytest.mark.parametrize("count", [0, 1, 7, HELD_MAX])
@pytest.mark.parametrize("are_all", [True, False])
def test_what_is_held_is_the_same_after_its_journey(count: int, are_all: bool):
    held = Held.of(LIST, [key(1000 + 61 * number) for number in range(count)], are_all=are_all)

    assert Held.unpack(held.pack()) == held


def test_a_full_token_is_not_long():
    held = Held.of(LIST, [key(1_764_000_000_000 + 60_000 * number) for number in range(HELD_MAX)], are_all=False)

    assert len(held.pack()) < 6 * HELD_MAX


def test_of_a_whole_list_everything_is_known_and_of_a_part_what_is_above_its_last():
    whole, part = [Held.of(LIST, [key(20), key(30)], are_all=are_all) for are_all in (True, False)]

    assert [whole.has(key(number)) for number in (10, 20, 25, 30, 40)] == [False, True, False, True, False]
    assert [part.has(key(number)) for number in (10, 20, 25, 30, 40)] == [None, True, False, True, False]


def test_what_is_told_is_held_until_it_leaves_also_below_a_page():
    held = Held.of(LIST, [key(20), key(30)], are_all=False).with_(key(10)).with_(key(10))

    assert held.has(key(10)) is True
    assert held.without(key(10)).has(key(10)) is None


def test_the_oldest_are_let_go():
    held = Held.of(LIST, map(key, range(1, HELD_MAX + 2)), are_all=True)

    assert (held.has(key(1)), held.has(key(2)), held.has(key(3))) == (None, True, True)
    assert held.with_(key(1000)).has(key(2)) is None


def test_members_know_between_whom_a_key_belongs():
    members = Members([key(20), key(40)], are_all=True)

    assert members.add(key(30)) == Place(False, key(40), key(20))
    assert members.add(key(50)) == Place(True, None, key(40))
    assert members.add(key(10)) == Place(False, key(20), None)
    members.remove(key(30))
    assert [members.has(key(number)) for number in (10, 30, 50)] == [True, False, True]


def test_below_what_is_known_nothing_is_said():
    members = Members([key(20)], are_all=False)

    assert members.has(key(10)) is None
    assert members.add(key(10)) == Place()
    assert Members(are_all=False).add(key(10)) == Place()


def test_of_more_members_than_are_kept_the_oldest_are_let_go_and_nothing_is_known_below(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gql_server.feed.members.MEMBERS_KEPT", 2)
    members = Members(are_all=True)
    for number in range(10, 60, 10):
        members.add(key(number))

    assert [members.has(key(number)) for number in (10, 30, 40, 45, 50)] == [None, None, True, False, True]
    assert members.newest(2) == ([key(40), key(50)], False)
