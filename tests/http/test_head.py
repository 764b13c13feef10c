"""Headers of a request, read once for all that look at them."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from cross_web import HTTPException

from gql_server.http.head import head_of, path_of
from gql_server.http.media import accepted, check_body, is_encoded, takes


def scope(*headers: tuple[bytes, bytes], **others: Any) -> dict[str, Any]:
    return {"type": "http", "path": "/graphql", "headers": list(headers), **others}


def test_the_first_of_several_counts_and_one_that_is_not_there_is_empty() -> None:
    head = head_of(scope((b"accept", b"a/b"), (b"x-name", "é".encode("latin-1")), (b"accept", b"c/d")))

    assert (head.text(b"accept"), head.text(b"x-name"), head.text(b"origin")) == ("a/b", "é", "")
    assert b"origin" not in head


def test_it_is_read_once_for_a_request_and_is_no_other_request_s() -> None:
    mine, other = scope((b"authorization", b"Bearer a")), scope((b"authorization", b"Bearer b"))

    assert head_of(mine) is head_of(mine)
    assert head_of(other).text(b"authorization") == "Bearer b"
    assert head_of(mine).text(b"authorization") == "Bearer a"


@pytest.mark.parametrize(("root", "path"), [("", "/gql/graphql"), ("/gql", "/graphql")])
def test_a_path_is_told_below_the_base_path(root: str, path: str) -> None:
    assert path_of(scope(path="/gql/graphql", root_path=root)) == path


@pytest.mark.parametrize(("coding", "is_so"), [(b"", False), (b" Identity ", False), (b"gzip", True), (b"identity, br", True)])
def test_a_body_is_encoded_by_all_but_identity(coding: bytes, is_so: bool) -> None:
    assert is_encoded(head_of(scope((b"content-encoding", coding)))) is is_so
    assert not is_encoded(head_of(scope()))


def test_bytes_that_are_no_ascii_are_no_media_type_of_ours_and_no_failure() -> None:
    with pytest.raises(Exception, match="application/json"):
        check_body(head_of(scope((b"content-type", b"application/js\xe9n"))), 10)
    with pytest.raises(Exception, match="takes none"):
        accepted(b"application/js\xe9n")


@pytest.mark.parametrize(
    "read",
    [
        accepted,
        lambda given: takes(given, "gzip"),
        lambda given: check_body(head_of(scope((b"content-type", b"application/json;" + given))), 10),
    ],
)
def test_of_a_long_header_nothing_is_kept(read: Callable[[bytes], object]) -> None:
    """Anybody may send one, before they say who they are."""
    tracemalloc.start()
    try:
        for number in range(5):
            read(b"*/*," + b"%d" % number + b"x" * 1_000_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 100_000


def test_what_a_header_says_is_the_same_however_long_it_is() -> None:
    padding = b"," * 2000

    assert accepted(b"text/event-stream" + padding) == accepted(b"text/event-stream")
    assert takes(b"gzip;q=0, *" + padding, "gzip") is takes(b"gzip;q=0, *", "gzip") is False
    with pytest.raises(HTTPException):
        check_body(head_of(scope((b"content-type", b"text/plain;" + padding))), 10)
