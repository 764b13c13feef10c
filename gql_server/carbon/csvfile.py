"""Reads a stranger's CSV file record by record: at most one in memory, and a single kind of error whatever its bytes are."""

import csv
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self, TextIO

from gql_server.carbon.encodings import SAVE_AS, Encoding, encoding_of
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.texts import INVISIBLE, column_name

MAX_ROW_CHARS = 65_536
SEPARATORS: Mapping[str, str] = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
INFERRED = ",;\t"
"""Separators that a header can show; the others need a `sep=` line."""
TITLES_MAX = 20
"""Lines below a title among which the header is looked for."""

_SEP = re.compile(r'"?sep=(?P<separator>.)"?[,;\t|]*', re.IGNORECASE)
_BLANK = "".join(SEPARATORS) + INVISIBLE + ' \r\n"'


class _Lines:
    """Physical lines of a file, knowing how much of it the current row has used."""

    def __init__(self, file: TextIO, encoding: Encoding) -> None:
        self.file = file
        self.encoding = encoding.name or "UTF-8"
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
            raise FileRefused(f"line {self.number} contains NUL bytes: the file is not {self.encoding} text")
        return line

    def _read(self) -> str:
        try:
            line = self.file.readline(MAX_ROW_CHARS + 1)
        except UnicodeDecodeError as error:
            raise FileRefused(f"the file is damaged {self.encoding} text: {SAVE_AS}") from error
        # A quote is only one at the very beginning of a cell: what cannot be seen before it has to go first.
        return line if self.number > 1 else line.lstrip(INVISIBLE)


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A text file, with or without byte order marks, and what separates its cells. Iterate as often as you like."""

    path: Path
    encoding: Encoding
    separator: str
    told_by: str
    skipped: int

    @property
    def reading(self) -> dict[str, str]:
        """Reading of the file: what was inferred and what was told."""
        return {
            "format": "csv",
            **self.encoding.reading,
            "separator": SEPARATORS[self.separator],
            "separator_from": self.told_by,
        }

    @property
    def others(self) -> "Sequence[CsvFile]":
        """The file as other separators would have it, if a header alone told which one it is."""
        separators = INFERRED.replace(self.separator, "") if self.told_by == "header" else ""
        return [replace(self, separator=separator) for separator in separators]

    def __iter__(self) -> Generator[list[str]]:
        """Records, the header first. Close the iterator when not reading to the end. Raises FileRefused."""
        with _opened(self.path, self.encoding) as file:
            lines = _Lines(file, self.encoding)
            for _ in range(self.skipped):
                next(lines)
            reader = csv.reader(lines, delimiter=self.separator)
            while (record := _record(reader, lines)) is not None:
                yield record


def read_csv(path: Path) -> CsvFile:
    """Finds out how the cells are separated. Raises FileRefused; a file that cannot be opened raises OSError."""
    encoding = encoding_of(path)
    with _opened(path, encoding) as file:
        lines = _Lines(file, encoding)
        for line in lines:
            if told := _SEP.fullmatch(line.rstrip("\r\n")):
                return CsvFile(path, encoding, _allowed(told["separator"]), "sep=", lines.number)
            if line.strip(_BLANK):
                return CsvFile(path, encoding, _separator_of(line) or _separator_below(lines), "header", 0)
            lines.start_row()
    raise FileRefused("the file is empty")


def _separator_below(lines: _Lines) -> str:
    """Separator of the first line below one that has none, which may be a title."""
    with suppress(FileRefused):
        for line in islice(lines, TITLES_MAX):
            lines.start_row()
            if separator := _separator_of(line):
                return separator
    return INFERRED[0]


def _opened(path: Path, encoding: Encoding) -> TextIO:
    return path.open(encoding=encoding.codec, newline="")


def _record(reader: Iterator[list[str]], lines: _Lines) -> list[str] | None:
    lines.start_row()
    try:
        record = next(reader, None)
    except csv.Error as error:
        raise FileRefused(f"line {lines.number}: {error}") from error
    if record is not None and lines.ended:
        raise FileRefused(f"a quote opened in the row at line {lines.row_started} is never closed")
    return record


def _allowed(separator: str) -> str:
    if separator not in SEPARATORS:
        known = ", ".join(SEPARATORS.values())
        raise FileRefused(f"the first line says that “{separator}” separates the cells; what can is: {known}")
    return separator


def _separator_of(header: str) -> str | None:
    """Separator that makes the most columns of the header; None when none makes several. Raises FileRefused when two do."""
    columns = {separator: _columns(header, separator) for separator in INFERRED}
    most = max(map(len, columns.values()))
    best = [separator for separator in INFERRED if len(columns[separator]) == most]
    if most <= 1:
        return None
    if len(best) > 1:
        ways = " or ".join(f"{' | '.join(columns[separator])} ({SEPARATORS[separator]})"[:200] for separator in best)
        raise FileRefused(f"the columns can be read as {ways}: say what separates them in a first line like sep={best[0]}")
    return best[0]


def _columns(header: str, separator: str) -> list[str]:
    return [name for cell in next(csv.reader([header], delimiter=separator), []) if (name := column_name(cell))]
