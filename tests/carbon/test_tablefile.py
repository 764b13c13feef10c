"""Files of people's spreadsheet programs are read as they see them, and other files are named for what they are."""

import io
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from gql_server.carbon.formats import ENTRY_FORMATS, open_rows
from gql_server.carbon.numbers import COMMA
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.workbook import output_of
from tests.carbon.workbooks import workbook

HEADER = "unit_institutional_id,category,subcategory,quantity,note\n"
ROW = {
    "unit_institutional_id": "10208",
    "category": "CO2",
    "subcategory": "Glace carbonique",
    "quantity": "100",
    "note": "x",
}
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def read(path: Path, **options: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    with open_rows(path, ENTRY_FORMATS["process_emissions"], **options) as table:
        return [cells for _, cells in table], table.reading


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(FileRefused) as refused:
        read(path, **options)
    return refused.value.message


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (HEADER + "10208,CO2,Glace carbonique,100,x\n", {}),
        ("\ufeff\ufeff" + HEADER + "10208,CO2,Glace carbonique,100,x\n", {}),
        ('\ufeff\ufeff"unit_institutional_id",' + HEADER.partition(",")[2] + "10208,CO2,Glace carbonique,100,x\n", {}),
        ("\u200b" + HEADER + "10208,CO2,Glace carbonique,100,x\n", {}),
        ("sep=,\n" + HEADER + "10208,CO2,Glace carbonique,100,x\n", {}),
        ("\ufeffsep=;\r\n" + HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;100;x\n", {}),
        ('"sep=|"\n' + HEADER.replace(",", "|") + "10208|CO2|Glace carbonique|100|x\n", {}),
        (HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;100,5;x\n", {"quantity": "100.5"}),
        (HEADER.replace(",", "\t") + "10208\tCO2\tGlace carbonique\t100\tx\n", {}),
        (HEADER.replace(",", "\t") + "10208\tCO2\tGlace carbonique\t1 234,5\tx\n", {"quantity": "1234.5"}),
        (HEADER + "10208,CO2,Glace carbonique,1'000,x\n", {"quantity": "1000"}),
        (HEADER + "10208,CO2,Glace carbonique,1\u00a0000,x\n", {"quantity": "1000"}),
        (HEADER + '10208,CO2,Glace carbonique,"1,234.50",x\n', {"quantity": "1234.50"}),
        (HEADER + "10208,CO2,Glace carbonique,1_000,x\n", {"quantity": "1_000"}),
        (HEADER + "10208,CO2,Glace carbonique,1.234,x\n", {"quantity": "1.234"}),
        (HEADER + "10208.0,CO2,Glace carbonique,100,x\n", {}),
        (HEADER + '"=""10208""",CO2,Glace carbonique,100,x\n', {}),
        (HEADER + '10208,CO2,He\u0301lium,"=""100""",x\n', {"subcategory": "Hélium"}),
        (HEADER.strip() + ",,,\n10208,CO2,Glace carbonique,100,x,,,\n", {}),
    ],
)
def test_an_export_lands_as_a_person_reads_it(write: Write, content: str, changed: dict[str, str]) -> None:
    assert read(write(content))[0] == [ROW | changed]


def test_what_was_inferred_is_told(write: Write) -> None:
    content = HEADER.replace(",", ";") + '10208.0;CO2;a;7;\n="10209";CO2;b;1\'000,5;\n10209;CO2;b;1,250;\n'

    rows, reading = read(write(content))

    assert [row["quantity"] for row in rows] == ["7", "1000.5", "1.250"]
    assert reading == {
        "format": "csv",
        "separator": "semicolon",
        "separator_from": "header",
        "decimal": "comma",
        "decimal_from": "row 2, column quantity",
        "respelled": {"ids_without_decimals": 1, "text_formulas": 1, "numbers": 2},
    }


@pytest.mark.parametrize(
    "titles",
    [
        "Émissions 2025\n",
        "Émissions 2025;;;;\n\n",
        "\n\nÉmissions, unité 10208\nExport du 3.2.2025;par Zoé\n",
        "Gaz;;Quantités;;\n",
    ],
)
def test_lines_above_the_header_are_left_out_and_counted(write: Write, titles: str) -> None:
    content = titles + HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;1,5;x\n;;;;\n10209;CO2;a;2,5;\n"

    with open_rows(write(content), ENTRY_FORMATS["process_emissions"]) as table:
        rows = list(table)

    assert rows[0] == (1, ROW | {"quantity": "1.5"})
    assert [(number, cells["quantity"]) for number, cells in rows] == [(1, "1.5"), (3, "2.5")]
    assert table.reading["lines_above_header"] == len(titles.strip().splitlines()) + titles.endswith("\n\n")
    assert table.reading["separator"] == "semicolon"
    assert table.reading["decimal_from"] == "row 1, column quantity"


def test_a_workbook_may_have_a_title(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    rows = [["Émissions 2025"], [], HEADER.strip().split(","), ["10208", "CO2", "Glace carbonique", 100, "x"]]
    workbook(path, {"Gaz": rows})

    found, reading = read(path)

    assert (found, reading["lines_above_header"]) == ([ROW], 2)


def test_a_header_below_a_title_is_refused_for_what_it_lacks_itself(write: Write) -> None:
    title = "Émissions 2025\n"

    assert refusal(write(title + HEADER.replace("quantity", "quantitiy"))) == (
        "missing column quantity — “quantitiy” of the file looks like quantity"
    )
    assert refusal(write(title + "a,b\n1,2\n")) == "missing columns unit_institutional_id, category, quantity"


def test_a_file_whose_numbers_have_two_readings_is_refused_until_its_sender_says_which(write: Write) -> None:
    path = write(HEADER.replace(",", ";") + "10208;CO2;a;12;\n10208;CO2;b;1,234;\n")

    assert refusal(path) == (
        "“1,234” in row 2, column quantity, is 1234 with a decimal point or 1.234 with a decimal comma: "
        "say which with decimalMark, POINT or COMMA"
    )
    assert [row["quantity"] for row in read(path, decimal=COMMA)[0]] == ["12", "1.234"]
    assert read(path, decimal=COMMA)[1]["decimal_from"] == "parameter"


def test_a_header_with_two_readings_is_refused_with_both(write: Write) -> None:
    assert refusal(write("unit;note,category\n1;2,3\n")) == (
        "the columns can be read as unit;note | category (comma) or unit | note,category (semicolon): "
        "say what separates them in a first line like sep=,"
    )
    assert refusal(write("sep=x\na\n1\n")).startswith("the first line says that “x” separates the cells; what can is: comma,")


def test_text_columns_keep_their_commas_and_points(write: Write) -> None:
    content = HEADER.replace(",", ";") + "10208;CO2;1.234;1,5;1,234\n"

    assert read(write(content))[0] == [ROW | {"subcategory": "1.234", "quantity": "1.5", "note": "1,234"}]


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n1 0 obj\n", "a PDF document"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><title>Login</title>", "an HTML page"),
        (b"<table><tr><td>1</td></tr></table>", "an HTML page"),
        (b'<?xml version="1.0"?><Workbook/>', "an XML document"),
        (b'[\n {"unit": 1}]', "a JSON document"),
        (b'{"unit": 1}', "a JSON document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "an old Excel workbook (.xls), or one with a password"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"\x89PNG\r\n", "an image"),
        (zipped("data.csv"), "a zip archive"),
        (zipped("word/document.xml"), "a Word document"),
        (zipped("xl/workbook.bin"), "a binary Excel workbook (.xlsb)"),
        (zipped("mimetype", "content.xml"), "an OpenDocument file (.ods)"),
    ],
)
def test_what_is_no_table_is_named_for_what_it_is(write: Write, content: bytes, kind: str) -> None:
    assert refusal(write(content)) == (
        f"the file is {kind}, not a table: save the table as “CSV UTF-8” or as an Excel workbook (.xlsx)"
    )


CELLS = HEADER.strip().split(",")


def test_a_workbook_lands_as_a_person_sees_it(tmp_path: Path) -> None:
    rows = [
        CELLS,
        [10208, "CO2", "Glace carbonique", 1.234, "typed"],
        ["10208", "CO2", "He\u0301lium", "1'000,5", "text"],
        [10208, "CO2", None, 0.1 + 0.2, True],
        [],
        [10209, "CO2", None, 1e12, date(2025, 3, 1)],
    ]
    path = workbook(tmp_path / "upload", {"Feuil1": rows, "Feuil2": []})

    found, reading = read(path)

    assert [(row["unit_institutional_id"], row["quantity"]) for row in found] == [
        ("10208", "1.234"),
        ("10208", "1000.5"),
        ("10208", "0.3"),
        ("10209", "1000000000000"),
    ]
    assert [row.get("subcategory") for row in found] == ["Glace carbonique", "Hélium", None, None]
    assert reading == {
        "format": "xlsx",
        "sheet": "Feuil1",
        "sheet_from": "only one",
        "decimal": "comma",
        "decimal_from": "row 2, column quantity",
        "respelled": {"numbers": 1},
    }


def test_of_several_sheets_the_sender_says_which(tmp_path: Path) -> None:
    sheets = {name: [CELLS, [10208, "CO2", "", amount, ""]] for name, amount in (("Labo", 1), ("Été", 2), ("Secret", 3))}
    path = workbook(tmp_path / "upload", sheets, hidden=["Secret"])

    assert refusal(path) == "the workbook has several sheets: say which with sheet, one of “Labo”, “Été”"
    assert read(path, sheet="Été")[0][0]["quantity"] == "2"
    assert read(path, sheet="Secret")[1]["sheet_from"] == "parameter"
    assert (
        refusal(path, sheet="Autre") == "the workbook has no sheet Autre: say which with sheet, one of “Labo”, “Été”, “Secret”"
    )


def test_a_hidden_sheet_is_not_read_unasked(tmp_path: Path) -> None:
    path = workbook(tmp_path / "upload", {"Data": [CELLS, [10208, "CO2", "", 1, ""]], "Lists": [["a"]]}, hidden=["Lists"])

    assert read(path)[1]["sheet"] == "Data"


def test_a_csv_file_has_no_sheets(write: Write) -> None:
    assert refusal(write(HEADER), sheet="Data") == "the file is CSV and has no sheets, so none is called Data"


@pytest.mark.parametrize("rows", [[], [CELLS]])
def test_a_workbook_without_rows_is_refused(tmp_path: Path, rows: list[list[str]]) -> None:
    assert refusal(workbook(tmp_path / "upload", {"Data": rows})) in ("the file is empty", "the file has no data rows")


def test_a_small_workbook_that_would_fill_the_memory_is_refused_and_takes_no_worker_with_it(tmp_path: Path) -> None:
    rows = [CELLS, [10208, "CO2", "", 1, ""]]
    path = workbook(tmp_path / "upload", {"Data": [*rows, *[[]] * 1_048_573, [None] * 16_383 + [1]]})

    assert path.stat().st_size < 10_000
    assert refusal(path) == "the workbook needs too much memory, or is damaged: save its sheet as “CSV UTF-8”"


def test_a_workbook_cut_short_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "upload", {"Data": [CELLS, [10208, "CO2", "", 1, ""]]})
    path.write_bytes(path.read_bytes()[:-100])

    assert refusal(path) == "the file is a damaged workbook or zip archive: save it again"


def test_the_process_that_reads_a_workbook_ends_when_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    path = workbook(tmp_path / "upload", {"Data": [CELLS]})
    Timer(0.2, path.unlink).start()
    began = time.monotonic()

    with pytest.raises(FileRefused):
        output_of([sys.executable, "-c", "import time; time.sleep(60)"], path)

    assert time.monotonic() - began < 30
