"""Reads a stranger's CSV file row by row: at most one row in memory, and a single kind of error whatever its bytes are."""

import csv
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

MAX_ROW_CHARS = 65_536
MAX_COLUMNS = 100
OUTSIDE = ""
"""Key of a cell that has no named column above it."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ZIP_MARK = b"PK\x03\x04"


class FileRefused(Exception):
    """The file as a whole cannot be read; `message` is for its sender."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Lines:
    """Physical lines of a file, knowing how much of it the current row has used."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.number = 0
        self.row_started = 1
        self.row_chars = 0
        self.ended = False

    def start_row(self) -> None:
        self.row_started = self.number + 1
        self.row_chars = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._read()
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.row_chars += len(line)
        if self.row_chars > MAX_ROW_CHARS:
            raise FileRefused(
                f"the row at line {self.row_started} is longer than {MAX_ROW_CHARS} characters: is a quote left open?"
            )
        if "\0" in line:
            raise FileRefused(f"line {self.number} contains NUL bytes: the file is not UTF-8 text, perhaps UTF-16")
        return line

    def _read(self) -> str:
        try:
            return self.file.readline(MAX_ROW_CHARS + 1)
        except UnicodeDecodeError as error:
            raise FileRefused("the file is not UTF-8 text: save it as “CSV UTF-8”") from error


class CsvRows:
    """The rows of an open file. Iterate once; use as a context manager, which closes the file."""

    def __init__(self, file: TextIO) -> None:
        self._lines = _Lines(file)
        self._reader = csv.reader(self._lines)
        self.columns = self._header()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._lines.file.close()

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Row number, from 1 below the header, and non-blank cells by column. Blank rows are numbered but left out."""
        number = kept = 0
        while (record := self._record()) is not None:
            number += 1
            if cells := self._cells(record):
                kept += 1
                yield number, cells
        if not kept:
            raise FileRefused("the file has no data rows")

    def _cells(self, record: list[str]) -> dict[str, str]:
        cells = {column: text for column, cell in zip(self.columns, record, strict=False) if (text := cell.strip())}
        outside = "".join(record[len(self.columns) :]).strip()
        return {**cells, OUTSIDE: outside} if outside else cells

    def _record(self) -> list[str] | None:
        self._lines.start_row()
        try:
            record = next(self._reader, None)
        except csv.Error as error:
            raise FileRefused(f"line {self._lines.number}: {error}") from error
        if record is not None and self._lines.ended:
            raise FileRefused(f"a quote opened in the row at line {self._lines.row_started} is never closed")
        return record

    def _header(self) -> tuple[str, ...]:
        while (record := self._record()) is not None:
            columns = tuple(cell.strip().lower() for cell in record)
            if any(columns):
                return self._checked(columns)
        raise FileRefused("the file is empty")

    @staticmethod
    def _checked(columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(columns) > MAX_COLUMNS:
            raise FileRefused(f"the file has {len(columns)} columns, at most {MAX_COLUMNS} are read")
        named = [column for column in columns if column]
        if twice := next((column for column in named if named.count(column) > 1), None):
            raise FileRefused(f"the column {twice[:100]} appears twice")
        return columns


def open_csv(path: Path) -> CsvRows:
    """Opens a UTF-8 file, with or without byte order mark. Raises FileRefused; a file that cannot be opened raises OSError."""
    _check_signature(path)
    file = path.open(encoding="utf-8-sig", newline="")
    try:
        return CsvRows(file)
    except BaseException:
        file.close()
        raise


def _check_signature(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_UTF16_MARKS) or b"\0" in start[:2]:
        raise FileRefused("the file is UTF-16, not UTF-8: save it as “CSV UTF-8”")
    if start == _ZIP_MARK:
        raise FileRefused("the file is a spreadsheet or a zip archive, not CSV: save it as “CSV UTF-8”")
