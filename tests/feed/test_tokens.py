import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_server.errors import BadInput
from gql_server.feed.tokens import Position


@given(epoch=st.from_regex(r"[0-9]+\.[0-9]+", fullmatch=True), sequence=st.integers(0, 2**63 - 1))
def test_a_token_gives_back_its_position(epoch: str, sequence: int):
    position = Position(epoch, sequence)

    assert Position.from_token(position.token()) == position


@pytest.mark.parametrize("token", ["", "nonsense", "Zg==", "é", "MTox!", "OjE", "MTo", "MTot"])
def test_what_is_no_token_is_refused(token: str):
    with pytest.raises(BadInput):
        Position.from_token(token)


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
