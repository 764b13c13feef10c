"""A number lands as a person reads it, or the file says that it can be read in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_server.carbon.numbers import COMMA, POINT, Numbers, numbers_of, plain
from gql_server.carbon.refusals import FileRefused


def read(*texts: str, decimal: str | None = None, comma_separated: bool = False) -> list[str | None]:
    cells = [(row, "quantity", text) for row, text in enumerate(texts, start=1)]
    numbers = numbers_of(cells, decimal=decimal, comma_separated=comma_separated)
    return [numbers.plain(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100", "100"),
        ("1'000", "1000"),
        ("1’000.5", "1000.5"),
        ("1 000", "1000"),
        ("1\u00a0000", "1000"),
        ("1\u202f234\u202f567", "1234567"),
        ("100,5", "100.5"),
        ("0,125", "0.125"),
        ("1234,567", "1234.567"),
        ("1.234,5", "1234.5"),
        ("1,234.5", "1234.5"),
        ("1,234,567", "1234567"),
        ("1'234,567", "1234.567"),
        ("-2,5", "-2.5"),
        ("1,5E+05", "1.5E+05"),
        (",5", ".5"),
    ],
)
def test_a_number_with_one_reading_is_read_so(text: str, number: str) -> None:
    assert read(text) == [number]


@pytest.mark.parametrize(
    "text",
    ["1_000", "1'00", "1'000 000", "12 34", "1'0000", "100,5,5", "nan", "inf", "1e", "", "-", ".", "٣", "1,2.3", "0x10", "50%"],
)
def test_what_no_person_reads_as_a_number_is_none(text: str) -> None:
    assert read(text) == [None]


@pytest.mark.parametrize("text", ["1,234", "1.234", "12.345", "999,000"])
def test_a_lone_number_with_two_readings_is_refused_with_both(text: str) -> None:
    grouped, decimal = text.replace(",", "").replace(".", ""), text.replace(",", ".")
    point, comma = (decimal, grouped) if "." in text else (grouped, decimal)

    with pytest.raises(FileRefused) as refused:
        read("7", text)

    assert refused.value.message == (
        f"“{text}” in row 2, column quantity, is {point} with a decimal point or {comma} with a decimal comma: "
        "say which with decimalMark, POINT or COMMA"
    )


def test_the_other_numbers_of_the_file_tell_what_a_doubtful_one_is() -> None:
    assert read("1,234", "0,5") == ["1.234", "0.5"]
    assert read("1,234", "0.5") == ["1234", "0.5"]
    assert read("1.234", "0,5") == ["1234", "0.5"]
    assert read("1.234", "0.5") == ["1.234", "0.5"]


def test_when_the_others_disagree_a_doubtful_one_is_refused_and_none_doubtful_are_read_each_for_itself() -> None:
    assert read("0,5", "0.5") == ["0.5", "0.5"]
    with pytest.raises(FileRefused, match="its other numbers have both marks"):
        read("0,5", "0.5", "1,234")


def test_the_sender_may_say_which_mark_is_decimal() -> None:
    assert read("1,234", "1.234", decimal=COMMA) == ["1.234", "1234"]
    assert read("1,234", "1.234", decimal=POINT) == ["1234", "1.234"]
    assert read("0.5", decimal=COMMA) == [None]


def test_where_commas_separate_cells_the_point_is_decimal_and_a_comma_is_not() -> None:
    assert read("1.234", "1'000", "7", comma_separated=True) == ["1.234", "1000", "7"]
    assert read("1,5", comma_separated=True) == [None]
    assert read("1,234", "0.5", comma_separated=True) == ["1234", "0.5"]


@pytest.mark.parametrize("texts", [("1,234",), ("1,234", "0,5"), ("1,234", "0,5", "0.5"), ("1.234", "0,5")])
def test_where_commas_separate_cells_a_comma_that_may_be_decimal_makes_a_doubtful_number_refused(
    texts: tuple[str, ...],
) -> None:
    with pytest.raises(FileRefused, match="with a decimal point or"):
        read(*texts, comma_separated=True)


@given(st.decimals(-(10**9), 10**9, places=4), st.sampled_from(["'", " ", "\u00a0", "\u202f"]))
def test_what_a_french_spreadsheet_shows_is_what_lands(value, group: str) -> None:
    shown = f"{value:,.4f}".replace(",", group).replace(".", ",")

    assert float(Numbers((COMMA,), None).plain(shown) or "nan") == float(value)


@given(st.text("0123456789.,' -+e", max_size=12))
def test_whatever_is_read_is_a_number_of_the_same_digits(text: str) -> None:
    for mark in (POINT, COMMA):
        if (number := plain(text, mark)) is not None:
            float(number)
            assert [c for c in number if c.isdigit()] == [c for c in text if c.isdigit()]
