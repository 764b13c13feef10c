"""Workbooks as Excel writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xlsxwriter


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]], hidden: Sequence[str] = ()) -> Path:
    """A workbook of these sheets of rows, in which numbers are numbers and texts are texts."""
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, value in enumerate(row):
                    sheet.write_string(number, column, value) if isinstance(value, str) else sheet.write(number, column, value)
            if name in hidden:
                sheet.hide()
    return path
