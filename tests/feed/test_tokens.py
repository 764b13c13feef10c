from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_server.errors import BadInput
from gql_server.feed.events import ResetReason, reset_reason
from gql_server.feed.tokens import NOTHING, NOWHERE, Position, Resume, Tokens
from tests.graphql import viewer

TOKENS, ANN = Tokens(b"a secret"), viewer("operator")


@given(epoch=st.from_regex(r"[0-9]+\.[0-9]+", fullmatch=True), sequence=st.integers(0, 2**63 - 1))
def test_a_token_gives_back_its_position_to_every_process_of_the_secret(epoch: str, sequence: int):
    position = Position(epoch, sequence)

    assert Tokens(b"a secret").open(TOKENS.seal(position, ANN), ANN) == Resume(position)


def test_tokens_of_one_position_differ_and_those_of_two_are_as_long():
    first, again, later = [TOKENS.seal(Position("7.1", sequence), ANN) for sequence in (1, 1, 2**62)]

    assert len({first, again, later}) == 3
    assert len(first) == len(later)


def test_a_token_can_be_neither_read_nor_changed():
    token = TOKENS.seal(Position("733.16384", 4711), ANN)
    raw = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[20] ^= 1
    forged = urlsafe_b64encode(raw).rstrip(b"=").decode()

    assert b"733" not in raw
    assert (4711).to_bytes(8) not in raw
    assert TOKENS.open(forged, ANN) == NOTHING


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(Tokens(b"another secret").seal(Position("1.2", 3), ANN), id="of another key"),
        pytest.param(TOKENS.seal(Position("1.2", 3), viewer("principal", "A")), id="of who may see something else"),
        pytest.param("MS4yOjM", id="of a version that did not seal"),
        pytest.param(NOWHERE, id="of nobody"),
    ],
)
def test_a_token_that_leads_nowhere_is_one_to_begin_anew_from(token: str):
    resume = TOKENS.open(token, ANN)

    assert resume == NOTHING
    assert reset_reason(resume.position, Position("1.2", 9)) == ResetReason.TOKEN_EXPIRED


def test_a_token_fits_all_who_may_see_the_same_however_long_they_are_known():
    position = Position("1.2", 3)
    token = TOKENS.seal(position, ANN)

    assert TOKENS.open(token, replace(ANN, subject="bob", expires_at=datetime.now(UTC))) == Resume(position)


@pytest.mark.parametrize("token", ["", "nonsense", "Zg==", "é", "MTox!", "OjE", "MTo", "MTot", "Ag", "MS4yOjM="])
def test_what_is_no_token_is_refused(token: str):
    with pytest.raises(BadInput):
        TOKENS.open(token, ANN)


def test_positions_of_one_epoch_are_ordered():
    assert Position("1.2", 9) < Position("1.2", 10)


@pytest.mark.parametrize(
    ("before", "now", "span"),
    [
        (Position("1.1", 3), Position("1.1", 5), (3, 5)),
        (Position("1.1", 3), Position("1.1", 3), (3, 3)),
        (Position("1.1", 9), Position("1.1", 5), (0, 5)),
        (Position("1.2", 3), Position("1.1", 5), (0, 5)),
    ],
)
def test_the_span_since_a_position_begins_anew_where_the_numbers_do(before: Position, now: Position, span: tuple[int, int]):
    assert now.span_since(before) == span
