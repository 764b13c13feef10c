"""The files that can be uploaded: which module and entry types each serves, and which columns it must have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gql_server.carbon.catalog import EQUIPMENT, HEADCOUNT, MEMBER, PROCESS_EMISSIONS, PURCHASE, STUDENT, entry_types_of
from gql_server.carbon.columns import FileColumns, FileKind
from gql_server.carbon.rows import (
    EquipmentFactorRow,
    EquipmentRow,
    FactorRow,
    FileRow,
    HeadcountFactorRow,
    MemberRow,
    ProcessFactorRow,
    ProcessRow,
    PurchaseFactorRow,
    PurchaseRow,
    StudentRow,
)
from gql_server.carbon.tablefile import FileTable, open_table

UNIT_COLUMN = "unit_institutional_id"
OVERRIDE_COLUMN = "kg_co2eq"
ID_COLUMNS = frozenset({UNIT_COLUMN, "user_institutional_id", "sius_code", "equipment_id"})


@dataclass(frozen=True, slots=True)
class EntryFormat:
    """A file of data entries. `needs_factor`: a row is accepted only with a factor, which also tells its entry type; unless
    `keeps_without_factor`: then one whose entry type is known waits for its factor."""

    key: str
    module_id: int
    data_entry_types: tuple[int, ...]
    row: type[FileRow]
    needs_factor: bool = True
    keeps_without_factor: bool = False


@dataclass(frozen=True, slots=True)
class FactorFormat:
    """A file of emission factors."""

    key: str
    module_id: int
    row: type[FactorRow]


_PROCESS = EntryFormat("process_emissions", PROCESS_EMISSIONS, (50,), ProcessRow)
_MEMBER = EntryFormat("headcount_member", HEADCOUNT, (MEMBER,), MemberRow, needs_factor=False)
_STUDENT = EntryFormat("headcount_student", HEADCOUNT, (STUDENT,), StudentRow, needs_factor=False)
_EQUIPMENT = EntryFormat("equipment", EQUIPMENT, entry_types_of(EQUIPMENT), EquipmentRow, keeps_without_factor=True)
_PURCHASE = EntryFormat("purchase", PURCHASE, tuple(range(60, 67)), PurchaseRow, keeps_without_factor=True)

ENTRY_FORMATS: Mapping[str, EntryFormat] = {
    format.key: format for format in (_PROCESS, _MEMBER, _STUDENT, _EQUIPMENT, _PURCHASE)
}
FACTOR_FORMATS: Mapping[int, FactorFormat] = {
    PROCESS_EMISSIONS: FactorFormat("process_emissions_factors", PROCESS_EMISSIONS, ProcessFactorRow),
    EQUIPMENT: FactorFormat("equipment_factors", EQUIPMENT, EquipmentFactorRow),
    HEADCOUNT: FactorFormat("headcount_factors", HEADCOUNT, HeadcountFactorRow),
    PURCHASE: FactorFormat("purchase_factors", PURCHASE, PurchaseFactorRow),
}


def entry_format(module_id: int, data_entry_type_id: int | None = None) -> EntryFormat | None:
    """The format of a module's data file; None when there is none, or when the type is needed to tell (headcount)."""
    formats = [format for format in ENTRY_FORMATS.values() if format.module_id == module_id]
    if data_entry_type_id is not None:
        formats = [format for format in formats if data_entry_type_id in format.data_entry_types]
    return formats[0] if len(formats) == 1 else None


def takes_entries(module_id: int, data_entry_type_id: int | None = None) -> bool:
    """True if this server can read entries of the module, or of one of its entry types."""
    formats = [format for format in ENTRY_FORMATS.values() if format.module_id == module_id]
    return any(data_entry_type_id is None or data_entry_type_id in format.data_entry_types for format in formats)


def factor_format(module_id: int) -> FactorFormat | None:
    """The format of a module's factor file, or None."""
    return FACTOR_FORMATS.get(module_id)


def open_rows(
    path: Path,
    format: EntryFormat | FactorFormat,
    *,
    unit: str | None = None,
    sheet: str | None = None,
    decimal: str | None = None,
    kinds: Sequence[FileKind] = (),
) -> FileTable:
    """Opens a file and checks its header: it needs all mandatory columns, and that of the unit unless it is of one `unit`, and
    may not look like another of the `kinds`.

    Raises FileRefused here, and while the rows are read.
    """
    numbers = format.row.number_columns() | {OVERRIDE_COLUMN}
    expected = columns_of(format, many_units=unit is None)
    return open_table(path, numbers=numbers, ids=ID_COLUMNS, sheet=sheet, decimal=decimal, expected=expected, kinds=kinds)


def columns_of(format: EntryFormat | FactorFormat, *, many_units: bool) -> FileColumns:
    """The columns of a file; that of the unit is mandatory in one of `many_units`."""
    row, required = format.row, format.row.required_columns()
    if isinstance(format, FactorFormat):
        return FileColumns(row.columns(), required, row.other_names, row.descriptive)
    override = (OVERRIDE_COLUMN,) if format.needs_factor else ()
    known, required = (UNIT_COLUMN, *row.columns(), *override), (UNIT_COLUMN, *required) if many_units else required
    return FileColumns(known, required, descriptive=row.descriptive)
