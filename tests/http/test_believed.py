"""Values that were read of credentials: believed for a moment, and never against a notice."""

from collections.abc import Callable

import pytest

from gql_server.http import believed
from gql_server.http.believed import Believed


@pytest.fixture
def kept() -> Believed[str]:
    kept = Believed[str]()
    for key in (b"one", b"other"):
        kept.keep(key, key.decode(), kept.notices)
    return kept


def test_a_value_is_believed_for_a_moment_and_remembered_afterwards(kept: Believed[str], monkeypatch: pytest.MonkeyPatch):
    assert (kept.get(b"one"), kept.last(b"one"), kept.get(b"unknown")) == ("one", "one", None)

    monkeypatch.setattr(believed, "BELIEVED_SECONDS", 0.0)

    assert (kept.get(b"one"), kept.last(b"one")) == (None, "one")


@pytest.mark.parametrize("key", [b"one", b"unknown", None])
def test_a_value_that_was_read_before_a_notice_came_is_not_believed(kept: Believed[str], key: bytes | None):
    before = kept.notices
    kept.disbelieve(key)

    kept.keep(b"other", "read before", before)
    kept.keep(b"later", "read after", kept.notices)

    assert (kept.last(b"other"), kept.get(b"later")) == (None, "read after")


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        (lambda kept: kept.disbelieve(b"one"), [None, "other"]),
        (lambda kept: kept.forget(b"one"), [None, "other"]),
        (lambda kept: kept.disbelieve(None), [None, None]),
    ],
)
def test_a_notice_ends_the_belief_in_one_or_all(
    kept: Believed[str], ends: Callable[[Believed[str]], None], left: list[str | None]
):
    ends(kept)

    assert [kept.get(b"one"), kept.get(b"other")] == left


def test_the_oldest_is_forgotten_where_there_are_too_many(kept: Believed[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(believed, "TOKENS_KEPT", 2)
    kept.keep(b"one", "again", kept.notices)

    kept.keep(b"new", "new", kept.notices)

    assert [kept.get(key) for key in (b"one", b"other", b"new")] == ["again", None, "new"]
