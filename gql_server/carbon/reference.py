"""Reference data as a file gives it: a key a row, with what is known under it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gql_server.carbon.catalog import PURCHASE, entry_types_of, needs_reference
from gql_server.carbon.columns import FileColumns, FileKind
from gql_server.carbon.readers import RowRejected, explained, said
from gql_server.carbon.rows import ExchangeRateRow, FileRow
from gql_server.carbon.tablefile import OUTSIDE, FileTable, open_table


@dataclass(frozen=True, slots=True)
class ReferenceFormat:
    """A file of reference data. Without a `row` its other cells are kept as they are; `affects` are the entry types whose
    emissions follow from it."""

    key_column: str = "key"
    row: type[FileRow] | None = None
    affects: tuple[int, ...] = ()

    @property
    def columns(self) -> FileColumns:
        """The columns of the file: any beside the key, unless its rows have a form."""
        if self.row is None:
            return FileColumns((self.key_column,), (self.key_column,), open=True)
        return FileColumns(self.row.columns(), self.row.required_columns())

    def data(self, cells: dict[str, str]) -> dict[str, Any]:
        """The cells of a row as they are stored. Raises ValidationError."""
        return dict(cells) if self.row is None else self.row.model_validate(cells).model_dump()


_ANY = ReferenceFormat()
_FORMATS: Mapping[int, ReferenceFormat] = {PURCHASE: ReferenceFormat("currency", ExchangeRateRow, entry_types_of(PURCHASE))}
"""By module, what its reference data is, where that is known: of purchases the exchange rates."""


def reference_format(module_id: int) -> ReferenceFormat:
    """The format of a module's reference file."""
    return _FORMATS.get(module_id, _ANY)


def takes_reference(module_id: int) -> bool:
    """True if reference data of the module is of use."""
    return module_id in _FORMATS or any(needs_reference(module_id, type) for type in entry_types_of(module_id))


def is_of_whole_module(module_id: int) -> bool:
    """Its reference data is not of one entry type."""
    return module_id in _FORMATS


def open_reference(
    path: Path,
    format: ReferenceFormat,
    *,
    sheet: str | None = None,
    decimal: str | None = None,
    kinds: Sequence[FileKind] = (),
) -> FileTable:
    """Opens a file and checks its header. Raises FileRefused here, and while the rows are read."""
    numbers = format.row.number_columns() if format.row else ()
    return open_table(path, numbers=numbers, sheet=sheet, decimal=decimal, expected=format.columns, kinds=kinds)


class ReferenceReader:
    """Turns the rows of one file into keys with their data. A blank or repeated key rejects the row."""

    def __init__(self, format: ReferenceFormat) -> None:
        self._format = format
        self._seen: set[str] = set()

    def read(self, row: int, cells: dict[str, str]) -> tuple[str, dict[str, Any]] | RowRejected:
        column = self._format.key_column
        if OUTSIDE in cells:
            return RowRejected(row, None, f"the row has a cell outside the named columns: {said(cells[OUTSIDE])}", None)
        if column not in cells:
            return RowRejected(row, column, f"{column} is blank", None)
        try:
            data = self._format.data(cells)
        except ValidationError as error:
            return RowRejected(row, *explained(error, cells))
        key = data.pop(column)
        if key in self._seen:
            return RowRejected(row, column, f"the file gives this {column} twice: {said(key)}", cells[column][:200])
        self._seen.add(key)
        return key, data
