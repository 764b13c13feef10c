"""A file is read in the one encoding that its words can be in, and refused where there are several."""

from pathlib import Path

import pytest

from gql_server.carbon.encodings import CHUNK_BYTES
from gql_server.carbon.formats import ENTRY_FORMATS, open_rows
from gql_server.carbon.refusals import FileRefused

HEADER = "unit_institutional_id\tcategory\tquantity\tnote\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload"


def notes_of(path: Path) -> list[str]:
    with open_rows(path, ENTRY_FORMATS["process_emissions"]) as table:
        return [cells.get("note", "") for _, cells in table]


def reading_of(path: Path) -> tuple[str | None, str | None]:
    with open_rows(path, ENTRY_FORMATS["process_emissions"]) as table:
        return table.reading.get("encoding"), table.reading.get("encoding_from")


def write(path: Path, encoding: str, *notes: str) -> None:
    path.write_bytes((HEADER + "".join(f"10208\tCO2\t1\t{note}\n" for note in notes)).encode(encoding))


def refusal(path: Path) -> str:
    with pytest.raises(FileRefused) as refused:
        notes_of(path)
    return refused.value.message


NOTES = [
    "Hélium à vérifier",
    "Kühlmittel für Zürich",
    "ÉLECTRICITÉ",
    "2ème étage – 10 €",
    "n° 7, œuvre d’été",
    "Bürkle",
    "5 m²",
    "Großküche",
    "créée",
    "1’000",
]


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", (None, None)),
        ("utf-16", ("UTF-16", "byte order mark")),
        ("utf-16-le", ("UTF-16", "zero bytes")),
        ("utf-16-be", ("UTF-16", "zero bytes")),
        ("cp1252", ("Windows-1252", "“Hélium”")),
    ],
)
def test_what_spreadsheets_save_is_read_as_they_show_it(path: Path, encoding: str, told: tuple[str, str]) -> None:
    write(path, encoding, *NOTES)

    assert notes_of(path) == NOTES
    assert reading_of(path) == told


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850"])
def test_what_else_spreadsheets_can_save_is_refused(path: Path, encoding: str) -> None:
    write(path, encoding, "Hélium à vérifier", "Kühlmittel für Zürich")

    assert refusal(path) == "the file is not UTF-8 text, nor in an encoding that can be told: save it as “CSV UTF-8”"


@pytest.mark.parametrize("note", ["Hélium", "vérifié", "Zoé", "Kühlmittel", "Genève", "Français", "Señor", "Große"])
@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp850"])
def test_a_single_word_is_read_where_it_is_windows_and_never_taken_for_it(path: Path, note: str, encoding: str) -> None:
    write(path, encoding, note)

    if encoding == "cp1252":
        assert notes_of(path) == [note]
    else:
        assert refusal(path).startswith("the file is not UTF-8 text")


def test_the_word_that_decides_is_told(path: Path) -> None:
    write(path, "cp1252", "école", "Hélium", "Genève")

    assert reading_of(path) == ("Windows-1252", "“Hélium”")


@pytest.mark.parametrize(
    ("note", "readings"),
    [
        ("école", "“école” in Windows-1252 or “Ècole” in Mac Roman or “Úcole” in MS-DOS (850)"),
        ("É", "“É” in Windows-1252 or “…” in Mac Roman"),
        ("10 €", "“€” in Windows-1252 or “Ä” in Mac Roman or “Ç” in MS-DOS (850)"),
    ],
)
def test_a_word_that_can_be_read_in_two_ways_refuses_the_file_with_both(path: Path, note: str, readings: str) -> None:
    write(path, "cp1252", note)

    assert refusal(path) == f"the file is not UTF-8 text; it has {readings}: save it as “CSV UTF-8”"


@pytest.mark.parametrize("note", ["Kovář", "Łódź", "Łukasz", "Дом", "дом"])
def test_words_of_other_encodings_are_refused(path: Path, note: str) -> None:
    write(path, "cp1251" if note.lower() == "дом" else "cp1250", note)

    assert "not UTF-8 text" in refusal(path)


def test_utf_8_with_a_damaged_byte_is_not_taken_for_something_else(path: Path) -> None:
    content = (HEADER + "10208\tCO2\t1\tHélium\n10208\tCO2\t1\tété\n").encode()
    path.write_bytes(content[:-2] + b"\n")

    assert refusal(path) == ("the file is not UTF-8 text, though parts of it are, and may be damaged: save it as “CSV UTF-8”")


def test_utf_16_that_ends_within_a_character_is_refused(path: Path) -> None:
    write(path, "utf-16", "Hélium")
    path.write_bytes(path.read_bytes()[:-1])

    assert refusal(path) == "the file is damaged UTF-16 text: save it as “CSV UTF-8”"


def test_a_word_across_two_chunks_is_read_as_one(path: Path) -> None:
    start = HEADER + "10208\tCO2\t1\t"
    filler = "10208\tCO2\t1\tx\n"
    lines = (CHUNK_BYTES - len(start) - len("H")) // len(filler)
    rest = CHUNK_BYTES - len(HEADER) - lines * len(filler) - len("10208\tCO2\t1\t") - 1
    text = HEADER + filler * lines + "10208\tCO2\t1\t" + " " * rest + "Hélium\n"
    path.write_bytes(text.encode("cp1252"))

    assert text.encode("cp1252")[CHUNK_BYTES - 1 : CHUNK_BYTES + 1] == b"H\xe9"
    assert notes_of(path)[-1] == "Hélium"
    assert reading_of(path) == ("Windows-1252", "“Hélium”")


@pytest.mark.parametrize(("encoding", "note"), [("iso8859-15", "œuvre"), ("cp1250", "Paweł"), ("cp1250", "Wrocław")])
def test_a_fraction_or_a_power_beside_a_letter_is_no_windows_1252(path: Path, encoding: str, note: str) -> None:
    write(path, encoding, "été", note)
    assert "not UTF-8 text" in refusal(path)


@pytest.mark.parametrize("note", ["Œuvre", "10\u00a0kg", "fiancé"])
def test_lines_of_utf_8_among_others_are_refused_as_damaged(path: Path, note: str) -> None:
    path.write_bytes(HEADER.encode() + f"10208\tCO2\t1\t{note}\n".encode() + "10208\tCO2\t1\tété\n".encode("cp1252"))
    assert "though parts of it are" in refusal(path)


def test_powers_behind_a_unit_of_length_are_read(path: Path) -> None:
    write(path, "cp1252", "été", "12 Nm³", "3 km²")
    assert notes_of(path) == ["été", "12 Nm³", "3 km²"]


def test_a_cell_of_very_many_letters_is_looked_through_once(path: Path) -> None:
    write(path, "cp1252", "été", "x" * 400_000)
    assert "is longer than 65536 characters" in refusal(path)
