"""The process behind `workbook`: python -m gql_server.carbon.sheets FILE ROWS [SHEET] writes rows as lines of JSON."""

import resource
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import orjson
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from gql_server.carbon.csvfile import MAX_ROW_CHARS
from gql_server.carbon.filekinds import kind_of_zip, not_a_table
from gql_server.carbon.refusals import FileRefused

MEMORY_BYTES = 1024**3
FILE_BYTES = 2 * 1024**3
CPU_SECONDS = 300
WORKBOOK = "xl/workbook.xml"
NAMES_SHOWN = 20
DAMAGED = "the file is a damaged workbook or zip archive: save it again"


def limit() -> None:
    """Limits memory, file size and CPU time of this process, whatever the file holds."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def convert(path: Path, rows: Path, name: str | None) -> dict[str, str]:
    """Writes the rows of a sheet, and returns which it was and why, or why there is none."""
    try:
        _check_members(path)
        with CalamineWorkbook.from_path(path) as workbook, rows.open("wb") as file:
            sheet = _only(workbook) if name is None else _named(workbook, name)
            file.writelines(_lines(sheet))
        return {"sheet": sheet.name, "told_by": "only one" if name is None else "parameter"}
    except FileRefused as refused:
        return {"refused": refused.message}
    except (CalamineError, zipfile.BadZipFile, NotImplementedError):
        return {"refused": DAMAGED}


def _check_members(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    if WORKBOOK not in members:
        raise FileRefused(not_a_table(kind_of_zip(members)))


def _only(workbook: CalamineWorkbook) -> CalamineSheet:
    """The one sheet that people see cells in."""
    shown = [
        sheet.name
        for sheet in workbook.sheets_metadata
        if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
    ]
    filled: CalamineSheet | None = None
    for name in shown:
        sheet = workbook.get_sheet_by_name(name)
        if sheet.total_height and filled is not None:
            raise FileRefused(f"the workbook has several sheets: say which with sheet, one of {_listed(shown)}")
        filled = sheet if sheet.total_height else filled
    if filled is None:
        raise FileRefused("the file is empty")
    return filled


def _named(workbook: CalamineWorkbook, name: str) -> CalamineSheet:
    if name not in workbook.sheet_names:
        raise FileRefused(f"the workbook has no sheet {name}: say which with sheet, one of {_listed(workbook.sheet_names)}")
    return workbook.get_sheet_by_name(name)


def _listed(names: list[str]) -> str:
    return ", ".join(f"“{name}”" for name in names[:NAMES_SHOWN])


def _lines(sheet: CalamineSheet) -> Iterator[bytes]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = [_cell(value) for value in row]
        if sum(len(cell) for cell in cells if isinstance(cell, str)) > MAX_ROW_CHARS:
            raise FileRefused(f"row {number} of the sheet is longer than {MAX_ROW_CHARS} characters")
        yield orjson.dumps(cells) + b"\n"


def _cell(value: object) -> str | float:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str | int | float) else str(value)


if __name__ == "__main__":
    limit()
    sys.stdout.buffer.write(orjson.dumps(convert(Path(sys.argv[1]), Path(sys.argv[2]), *(sys.argv[3:] or [None]))))
