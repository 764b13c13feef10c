"""Any bytes become rows or one clear refusal."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_server.carbon.csvfile import MAX_ROW_CHARS
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.tablefile import MAX_COLUMNS, OUTSIDE, open_table

Rows = list[tuple[int, dict[str, str]]]


def read(path: Path) -> Rows:
    with open_table(path) as rows:
        return list(rows)


@pytest.fixture
def csv_file(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "upload.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def refusal(path: Path) -> str:
    with pytest.raises(FileRefused) as refused:
        read(path)
    return refused.value.message


def test_cells_are_stripped_and_blank_ones_left_out(csv_file):
    path = csv_file(" Unit ,NOTE\n 10208 ,\n10209,  été\n")

    assert read(path) == [(1, {"unit": "10208"}), (2, {"unit": "10209", "note": "été"})]


def test_a_byte_order_mark_is_not_part_of_the_first_column(csv_file):
    assert read(csv_file("unit\n1\n".encode("utf-8-sig"))) == [(1, {"unit": "1"})]


def test_blank_rows_are_numbered_but_left_out(csv_file):
    assert read(csv_file("a,b\n1,2\n\n , \n3,4\n")) == [(1, {"a": "1", "b": "2"}), (4, {"a": "3", "b": "4"})]


def test_quoted_cells_may_hold_commas_quotes_and_line_breaks(csv_file):
    assert read(csv_file('a,b\n"un, deux","dit ""oui""\net non"\n')) == [(1, {"a": "un, deux", "b": 'dit "oui"\net non'})]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_are_read(csv_file, end: str):
    assert read(csv_file(end.join(["a", "1", "2"]))) == [(1, {"a": "1"}), (2, {"a": "2"})]


def test_a_short_row_has_blank_cells_and_a_long_one_says_so(csv_file):
    assert read(csv_file("a,b\n1\n1,2,3\n1,2,,\n")) == [
        (1, {"a": "1"}),
        (2, {"a": "1", "b": "2", OUTSIDE: "3"}),
        (3, {"a": "1", "b": "2"}),
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b" , \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(csv_file, content: bytes):
    assert refusal(csv_file(content)) == "the file is empty"


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\n\n,\n"])
def test_a_file_without_data_rows_is_refused(csv_file, content: str):
    assert refusal(csv_file(content)) == "the file has no data rows"


def test_utf_32_is_refused(csv_file):
    assert refusal(csv_file("unit,note\n1,2\n".encode("utf-32"))) == "line 1 contains NUL bytes: the file is not UTF-16 text"


def test_a_spreadsheet_is_refused_by_name(csv_file):
    assert refusal(csv_file(b"PK\x03\x04rest")) == "the file is a damaged workbook or zip archive: save it again"


def test_nul_bytes_are_refused(csv_file):
    assert refusal(csv_file("a\n1\x00\n")).startswith("line 2 contains NUL bytes")


def test_a_quote_left_open_is_refused_at_its_row(csv_file):
    assert refusal(csv_file('a,b\n1,2\n3,"open\n4,5\n')) == "a quote opened in the row at line 3 is never closed"


def test_a_quote_that_would_swallow_the_file_is_refused_without_reading_on(csv_file):
    path = csv_file('a,b\n1,"open\n' + "3,4\n" * 100_000)

    assert refusal(path) == f"the row at line 2 is longer than {MAX_ROW_CHARS} characters: is a quote left open?"


def test_an_endless_line_is_refused(csv_file):
    assert "longer than" in refusal(csv_file("a\n" + "x" * (MAX_ROW_CHARS + 1)))


def test_the_longest_row_allowed_is_read(csv_file):
    cell = "x" * (MAX_ROW_CHARS - 1)

    assert read(csv_file(f"a\n{cell}\n")) == [(1, {"a": cell})]


def test_too_many_columns_are_refused(csv_file):
    header = ",".join(f"c{number}" for number in range(MAX_COLUMNS + 1))

    assert refusal(csv_file(f"{header}\n1\n")) == "the file has 101 columns, at most 100 are read"


def test_a_column_named_twice_is_refused(csv_file):
    assert refusal(csv_file("note,a,Note\n1,2,3\n")) == "the column note appears twice"


def test_a_file_that_is_not_there_is_not_the_senders_fault(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        open_table(tmp_path / "missing.csv")


def test_leaving_the_context_closes_the_file(csv_file):
    before = open_files()
    with open_table(csv_file("a\n1\n2\n")) as rows:
        assert next(iter(rows)) == (1, {"a": "1"})
        assert open_files() == before + 1

    assert open_files() == before


PIECES = st.sampled_from(
    [b'"', b",", b"\n", b"\r", b"\x00", b"a", b";", b" ", b"\xc3\xa9", b"\xff", b"\xef\xbb\xbf", b"PK\x03\x04"]
)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=60).map(b"".join)))
def test_arbitrary_bytes_give_rows_or_a_refusal_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "arbitrary.csv"
    path.write_bytes(content)
    try:
        rows = read(path)
    except FileRefused:
        return
    assert rows
    assert all(cells and all(cells.values()) for _, cells in rows)
    assert [number for number, _ in rows] == sorted({number for number, _ in rows})


CELL = st.text("aé€🙂 ,;\"'\n\t0", min_size=1, max_size=20).filter(lambda text: text == text.strip())


@settings(deadline=None)
@given(st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=8))
def test_what_was_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]):
    quoted = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in table)
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(f"a,b\n{quoted}".encode())

    assert read(path) == [(number, {"a": row[0], "b": row[1]}) for number, row in enumerate(table, start=1)]
