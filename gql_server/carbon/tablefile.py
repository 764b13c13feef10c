"""Reads the table in a stranger's file, CSV or workbook, row by row, with what had to be inferred to read it."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from gql_server.carbon.columns import FileColumns, FileKind, Header
from gql_server.carbon.csvfile import TITLES_MAX, CsvFile, read_csv
from gql_server.carbon.filekinds import START_BYTES, ZIP_MARK, kind_of, not_a_table
from gql_server.carbon.numbers import Numbers, numbers_of
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.texts import clean, column_name
from gql_server.carbon.workbook import read_workbook

MAX_COLUMNS = 100
KNOWN_MIN = 2
"""Columns that must be known of one that is not in the first line."""
OUTSIDE = ""
"""Key of a cell that has no named column above it."""

_FORMULA = re.compile(r'="(?P<text>[^"]*)"')
_WHOLE = re.compile(r"(?P<id>\d+)\.0+", re.ASCII)

Cell = str | float


class Records(Protocol):
    """A file as records, the header first: texts, or numbers where the file itself tells that they are."""

    @property
    def reading(self) -> dict[str, str]: ...

    def __iter__(self) -> Iterator[list[Any]]: ...


class FileTable:
    """The rows of a table. Iterate once; use as a context manager, which closes the file.

    Cells of the columns `numbers` are written as computers do where they have one reading, and those of `ids` without the
    zeros that spreadsheets put behind a point. `decimal` is the decimal mark, when the sender has said which. `expected` are
    the columns that the file is read for; without them every column is read. A file that is rather of another of the `kinds` is
    refused.
    """

    def __init__(
        self,
        records: Records,
        *,
        numbers: Collection[str] = (),
        ids: Collection[str] = (),
        decimal: str | None = None,
        expected: FileColumns | None = None,
        kinds: Sequence[FileKind] = (),
    ) -> None:
        self._source = records
        self._respelled = Counter[str]()
        self._opened = self._numbered()
        try:
            self._read_header(expected, kinds)
            self._read_numbers(numbers, ids, decimal)
        except FileRefused:
            self.close()
            raise

    def _read_header(self, expected: FileColumns | None, kinds: Sequence[FileKind]) -> None:
        first, record = next(self._opened, (0, None))
        if record is None:
            raise FileRefused("the file is empty")
        self._above, header = first, _names(record)
        if expected and not expected.count(header):
            self._above, header = self._below_titles(expected, header)
        _check(header)
        self.header = expected.of(header, kinds) if expected else Header(header)
        self.columns = self.header.names

    def _below_titles(self, expected: FileColumns, first: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        """Place and names of the header: the record near the top that has most of the expected columns, where the first has
        none; the file is then opened anew below it."""
        below = [(place, _names(record)) for place, record in islice(self._opened, TITLES_MAX)]
        place, header = max([(0, first), *below], key=lambda each: expected.count(each[1]))
        if expected.count(header) < min(KNOWN_MIN, len(expected.known)):
            place, header = 0, first
        self._opened.close()
        self._opened = self._numbered()
        for _ in range(place + 1):
            next(self._opened)
        return place, header

    def _read_numbers(self, numbers: Collection[str], ids: Collection[str], decimal: str | None) -> None:
        self._number_columns = [(index, column) for index, column in enumerate(self.columns) if column in numbers]
        self._total = 0
        self._numbers = self._numbers_of(decimal) if self._number_columns else None
        self._spell = [self._speller(column, column in numbers, column in ids) for column in self.columns]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        # A thread whose caller was cancelled may be reading: it ends by itself.
        with suppress(ValueError):
            self._opened.close()

    @property
    def total(self) -> int | None:
        """The number of rows, if the file had to be looked through to read its numbers."""
        return self._total or None

    @property
    def reading(self) -> dict[str, Any]:
        """Notes on what was inferred, with counts of the cells so far that were not taken letter by letter."""
        numbers = self._numbers
        decimal = {"decimal": numbers.decimal, "decimal_from": numbers.because} if numbers else {}
        header = self.header
        titles = {"lines_above_header": self._above} if self._above else {}
        unread = {"unread_columns": [column[:100] for column in header.unread]} if header.unread else {}
        read_as = {"respelled_columns": dict(header.respelled)} if header.respelled else {}
        return {**self._source.reading, **titles, **decimal, "respelled": dict(self._respelled), **read_as, **unread}

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Row number, from 1 below the header, and non-blank cells by column. Blank rows are numbered but left out."""
        kept = 0
        for place, record in self._opened:
            number = place - self._above
            if cells := self._cells(record):
                kept += 1
                yield number, cells
        if not kept:
            raise FileRefused("the file has no data rows")

    def _numbered(self) -> Generator[tuple[int, list[Cell]]]:
        """Records with their places from 0 on: blank ones before the first are left out."""
        number = 0
        for record in self._source:
            if number or any(column_name(_text(cell)) for cell in record):
                yield number, record
                number += 1

    def _numbers_of(self, decimal: str | None) -> Numbers:
        separated = self._source.reading.get("separator") == "comma"
        return numbers_of(self._doubtful(), decimal=decimal, comma_separated=separated)

    def _doubtful(self) -> Iterator[tuple[int, str, str]]:
        """Cells that hold a mark which may be a decimal one. Counts the rows on the way."""
        for place, record in islice(self._numbered(), self._above + 1, None):
            number = self._total = place - self._above
            for index, column in self._number_columns:
                cell = record[index] if index < len(record) else ""
                if isinstance(cell, str) and ("," in cell or "." in cell):
                    yield number, column, self._without_formula(clean(cell))
        self._respelled.clear()

    def _cells(self, record: list[Cell]) -> dict[str, str]:
        spelled = zip(self.columns, self._spell, record, strict=False)
        cells = {column: text for column, spell, cell in spelled if (text := spell(cell))}
        outside = " ".join(map(_text, record[len(self.columns) :])).strip()
        return {**cells, OUTSIDE: outside} if outside else cells

    def _speller(self, column: str, is_number: bool, is_id: bool) -> Callable[[Cell], str]:
        numbers = self._numbers if is_number else None

        def spell(cell: Cell) -> str:
            if not isinstance(cell, str):
                return _text(cell)
            text = clean(cell)
            if text.startswith('="'):
                text = self._without_formula(text)
            if numbers is not None and not text.isdigit() and (plain := numbers.plain(text)) is not None:
                if plain != text:
                    self._respelled["numbers"] += 1
                return plain
            return self._whole(text) if is_id else text

        return spell

    def _without_formula(self, text: str) -> str:
        if (formula := _FORMULA.fullmatch(text)) is None:
            return text
        self._respelled["text_formulas"] += 1
        return clean(formula["text"])

    def _whole(self, text: str) -> str:
        if (whole := _WHOLE.fullmatch(text)) is None:
            return text
        self._respelled["ids_without_decimals"] += 1
        return whole["id"]


def _names(record: Sequence[Cell]) -> tuple[str, ...]:
    """Names of the columns, those at the end that have none left out."""
    columns = tuple(column_name(_text(cell)) for cell in record)
    while columns and not columns[-1]:
        columns = columns[:-1]
    return columns


def _check(header: tuple[str, ...]) -> None:
    if len(header) > MAX_COLUMNS:
        raise FileRefused(f"the file has {len(header)} columns, at most {MAX_COLUMNS} are read")
    named = [column for column in header if column]
    if twice := next((column for column in named if named.count(column) > 1), None):
        raise FileRefused(f"the column {twice[:100]} appears twice")


def open_table(
    path: Path,
    *,
    numbers: Collection[str] = (),
    ids: Collection[str] = (),
    sheet: str | None = None,
    decimal: str | None = None,
    expected: FileColumns | None = None,
    kinds: Sequence[FileKind] = (),
) -> FileTable:
    """Opens a CSV file or a sheet of an .xlsx workbook. Raises FileRefused, or OSError without such a file."""
    records = _records(path, sheet)
    if isinstance(records, CsvFile) and expected:
        records = _told_by_header(records, expected)
    return FileTable(records, numbers=numbers, ids=ids, decimal=decimal, expected=expected, kinds=kinds)


def _told_by_header(file: CsvFile, expected: FileColumns) -> CsvFile:
    """The file as it is separated below a title that is separated otherwise, or has the separator for a comma."""
    if _known(file, expected):
        return file
    best = max(file.others, key=lambda other: _known(other, expected), default=file)
    return best if _known(best, expected) >= KNOWN_MIN else file


def _known(file: CsvFile, expected: FileColumns) -> int:
    """Columns that are known of the line near the top of which most are."""
    records = iter(file)
    with suppress(FileRefused), closing(records):
        return max((expected.count(_names(record)) for record in islice(records, 1 + TITLES_MAX)), default=0)
    return 0


def _records(path: Path, sheet: str | None) -> Records:
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if start.startswith(ZIP_MARK):
        return read_workbook(path, sheet)
    if (kind := kind_of(start)) is not None:
        raise FileRefused(not_a_table(kind))
    if sheet is not None:
        raise FileRefused(f"the file is CSV and has no sheets, so none is called {sheet}")
    return read_csv(path)


def _text(cell: Cell) -> str:
    """A cell as text; a number to the 15 digits that a spreadsheet shows of it."""
    return clean(cell) if isinstance(cell, str) else f"{cell:.15g}"
