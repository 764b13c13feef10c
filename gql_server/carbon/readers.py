"""Reads each row of an upload into an entry, a factor, or a rejection with a reason."""

import re
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import ValidationError

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES, PURCHASE, entry_type_by_key
from gql_server.carbon.confusables import difference, garbled
from gql_server.carbon.emissions import OVERRIDE_KEY, parse_override
from gql_server.carbon.factors import (
    KIND_COLUMNS,
    NO_FACTOR_KEY,
    AmbiguousFactor,
    Factor,
    FactorIndex,
    FactorInvalid,
    ParsedFactor,
    no_factor_yet,
    parsed_factors,
)
from gql_server.carbon.formats import OVERRIDE_COLUMN, UNIT_COLUMN, EntryFormat, FactorFormat
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.tablefile import OUTSIDE

MEMBER_COLUMN = "user_institutional_id"
ADDITIONAL_CODE = "purchase_additional_code"
SAID_LENGTH = 60
NO_FACTOR = "no matching factor for "
"""Beginning of the reason of a row that is rejected although nothing need be wrong with it."""
OTHER_TYPE = "its factor is of "
"""Beginning of the reason of a row that is rejected because its factor is of another entry type than the row."""
ALL_HAVE_ONE = "all factors of its kind have one"
"""End of the reason of a row that names a factor's kind and not its subkind."""
ONE_OF_OTHERS = ", but there is one of "
"""Words between an entry without a factor and the other entry types that have one."""

_COMMA = re.compile(r"-?\d+,\d+", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ParsedEntry:
    """An accepted row. `data` is JSON; `warnings` tell of cells that were ignored, with their columns, `lack` of a factor
    that is still to come, with the column that names it."""

    unit_institutional_id: str
    data_entry_type_id: int
    data: dict[str, object]
    warnings: tuple[tuple[str, str], ...] = ()
    lack: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RowRejected:
    """A row that was left out; `row` counts from 1 below the header, `value` is the cell as sent, shortened."""

    row: int
    column: str | None
    reason: str
    value: str | None


class EntryReader:
    """Turns the rows of one data file into entries.

    `factors` are those of all entry types of the module in the year, ignoring case; `unit` is set for a file of one unit;
    `units` are the known ones (None: all); `members` are (unit, user) pairs that the headcount already holds. Raises
    FileRefused at once when the format needs factors and there are none, rather than reject every row.
    """

    def __init__(
        self,
        format: EntryFormat,
        factors: FactorIndex,
        *,
        data_entry_type_id: int | None = None,
        unit: str | None = None,
        units: Container[str] | None = None,
        members: Iterable[tuple[str, str]] = (),
    ) -> None:
        entry_types = format.data_entry_types if data_entry_type_id is None else (data_entry_type_id,)
        if format.needs_factor and not factors.has_any(entry_types):
            raise FileRefused(f"there are no emission factors of {named(entry_types)} for this year: upload the factors first")
        self._format = format
        self._factors = factors
        self._entry_types = entry_types
        self._unit = unit
        self._units = units
        self._members = set(members)
        self._required = format.row.required_columns()

    def read(self, row: int, cells: dict[str, str]) -> ParsedEntry | RowRejected:
        """The entry of a row, or why there is none. `cells` are the non-blank ones."""
        try:
            return self._entry(cells)
        except ValidationError as error:
            return RowRejected(row, *explained(error, cells))
        except _Rejected as error:
            return RowRejected(row, error.column or None, error.reason, _shortened(cells.get(error.column or "")))

    def _entry(self, cells: dict[str, str]) -> ParsedEntry:
        unit = self._unit_of(cells)
        data: dict[str, object] = self._format.row.model_validate(cells).model_dump(exclude_none=True)
        given = cells.get(OVERRIDE_COLUMN) if self._format.needs_factor else None
        override = parse_override(given)
        entry_type, data, lack, average = self._classified(cells, data, has_override=override is not None)
        self._check_member(unit, data)
        if override is not None:
            data[OVERRIDE_KEY] = override
        ignored = f"{OVERRIDE_COLUMN} is not a number and was ignored: {said(given)}" if given and override is None else None
        told = ((OVERRIDE_COLUMN, ignored), (ADDITIONAL_CODE, average if override is None else None))
        return ParsedEntry(unit, entry_type, data, tuple((column, reason) for column, reason in told if reason), lack)

    def _unit_of(self, cells: dict[str, str]) -> str:
        if OUTSIDE in cells:
            raise _Rejected(OUTSIDE, f"the row has a cell outside the named columns: {said(cells[OUTSIDE])}")
        if not any(column in cells for column in self._required):
            raise _Rejected(None, "all mandatory cells are blank, the row was skipped")
        unit = cells.get(UNIT_COLUMN, self._unit)
        if self._unit is not None and unit != self._unit:
            raise _Rejected(UNIT_COLUMN, f"the row is of unit {said(unit or '')}, but the upload of unit {said(self._unit)}")
        if unit is None:
            raise _Rejected(UNIT_COLUMN, f"{UNIT_COLUMN} is blank, the row was skipped")
        if self._units is not None and unit not in self._units:
            raise _Rejected(UNIT_COLUMN, f"unknown unit {said(unit)}")
        return unit

    def _classified(
        self, cells: dict[str, str], data: dict[str, object], *, has_override: bool
    ) -> tuple[int, dict[str, object], tuple[str, str] | None, str | None]:
        """Entry type, data, which factor is lacking, if one is, and that an average was taken, if so."""
        entry_types = self._candidates(data)
        if not self._format.needs_factor or (has_override and len(entry_types) == 1):
            return entry_types[0], data, None, None
        kind_column, subkind_column = KIND_COLUMNS[self._format.module_id]
        try:
            factor = self._factors.match(entry_types, data)
        except AmbiguousFactor as error:
            raise _Rejected(kind_column, f"{error}: {said(cells.get(kind_column, ''))}") from None
        if factor is not None:
            return factor.data_entry_type_id, self._factors.respell(factor, data), None, _average(factor, data)
        if others := self._elsewhere(entry_types, data):
            raise _Rejected(*self._of_other_type(entry_types[0], others))
        column = subkind_column if self._factors.has_kind(entry_types, data) else kind_column
        hint = self._hint(entry_types, data) if column in data else f": {column} is blank, and {ALL_HAVE_ONE}"
        if self._format.keeps_without_factor and len(entry_types) == 1:
            lack = column, f"{_shortened(no_factor_yet(entry_types[0], data))}{hint}"
            return entry_types[0], {**data, NO_FACTOR_KEY: True}, lack, None
        raise _Rejected(column, self._no_factor(entry_types, cells.get(kind_column), cells.get(subkind_column)) + hint)

    def _hint(self, entry_types: tuple[int, ...], data: dict[str, object]) -> str:
        """Says why a factor that a person sees may not be found: its name looks the same, or was garbled."""
        if alike := self._factors.lookalike(entry_types, data):
            return f": {difference(*alike)}"
        texts = (str(data[column]) for column in KIND_COLUMNS[self._format.module_id] if column in data)
        told = next(filter(None, map(garbled, texts)), None)
        return f": {told}" if told else ""

    def _elsewhere(self, entry_types: tuple[int, ...], data: dict[str, object]) -> list[str]:
        """Keys of the other entry types of the module that have the factor, when only one was looked into."""
        others = [other for other in self._format.data_entry_types if len(entry_types) == 1 and other not in entry_types]
        return [DATA_ENTRY_TYPES[other].key for other in self._factors.having(others, data)]

    def _of_other_type(self, entry_type: int, others: list[str]) -> tuple[str | None, str]:
        """Column and reason of a row whose factor is of other entry types than the upload, or its own category, says."""
        one, own, column = either(others), DATA_ENTRY_TYPES[entry_type].key, self._format.row.category_column
        if len(self._entry_types) > 1:
            return column, f"{OTHER_TYPE}{one}, not of {own} as {column} says: correct {column}"
        kind_column = KIND_COLUMNS[self._format.module_id][0]
        return kind_column, f"{OTHER_TYPE}{one}, not of {own}: upload it without entryType, or with that of its factor"

    def _candidates(self, data: dict[str, object]) -> tuple[int, ...]:
        column = self._format.row.category_column
        if len(self._entry_types) == 1 or column is None or column not in data:
            return self._entry_types
        info = entry_type_by_key(self._format.module_id, str(data[column]))
        return (info.id,) if info else self._entry_types

    def _no_factor(self, entry_types: tuple[int, ...], kind: str | None, subkind: str | None) -> str:
        name = DATA_ENTRY_TYPES[entry_types[0]].key if len(entry_types) == 1 else MODULES[self._format.module_id].key
        return f"{NO_FACTOR}{name} (kind={_shortened(kind)}, subkind={_shortened(subkind)})"

    def _check_member(self, unit: str, data: dict[str, object]) -> None:
        member = data.get(MEMBER_COLUMN)
        if not isinstance(member, str):
            return
        if (unit, member) in self._members:
            raise _Rejected(
                MEMBER_COLUMN, f"DUPLICATE_INSTITUTIONAL_ID: this person is already listed in the unit: {said(member)}"
            )
        self._members.add((unit, member))


class FactorReader:
    """Turns the rows of one factor file into factors, of the upload's entry type if it has one.

    `columns` are those of the file, where they can have other names than the format's.
    """

    def __init__(self, format: FactorFormat, *, data_entry_type_id: int | None = None, columns: Collection[str] = ()) -> None:
        self._format = format
        self._names = {column: name for column, name in format.row.other_names.items() if column in columns}
        self._sent = {name: column for column, name in self._names.items()}
        self._data_entry_type_id = data_entry_type_id
        self._seen: set[tuple[int, int, frozenset[tuple[str, str]]]] = set()

    def read(self, row: int, cells: dict[str, str]) -> tuple[ParsedFactor, ...] | RowRejected:
        """The factors of a row, nearly always one, or why there is none."""
        named = {self._names.get(column, column): cell for column, cell in cells.items()}
        try:
            factors = parsed_factors(self._format.row.model_validate(named), self._data_entry_type_id)
        except ValidationError as error:
            return RowRejected(row, *explained(error, named, self._sent))
        except FactorInvalid as error:
            return RowRejected(row, self._sent.get(error.column, error.column), str(error), _shortened(named.get(error.column)))
        identities = {factor.identity for factor in factors}
        if identities & self._seen:
            kind = " / ".join(factors[0].classification.values())
            return RowRejected(row, None, f"the file gives this factor twice: {said(kind)}", None)
        self._seen |= identities
        return factors


def _average(factor: Factor, data: Mapping[str, object]) -> str | None:
    """Says that the factor of an institutional code stands in for that of an additional code which nobody gave."""
    sent, code = data.get(ADDITIONAL_CODE), factor.classification.get(KIND_COLUMNS[PURCHASE][0], "")
    if sent is None or factor.classification.get(ADDITIONAL_CODE):
        return None
    return f"{ADDITIONAL_CODE} {said(str(sent))} has no factor: the average of {said(code)} was taken"


def named(entry_types: Sequence[int]) -> str:
    """Data entry types as a message names them."""
    *others, last = (DATA_ENTRY_TYPES[entry_type].key for entry_type in entry_types)
    return f"entry types {', '.join(others)} and {last}" if others else f"entry type {last}"


def either(names: Sequence[str]) -> str:
    """Names of which one is meant, in words."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


class _Rejected(Exception):
    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def said(value: str) -> str:
    """A cell inside a sentence: a number as it is, anything else in quotes, which tell it from the words around it."""
    return value if _NUMBER.fullmatch(value) else f"“{_shortened(value, SAID_LENGTH)}”"


def explained(
    error: ValidationError, cells: Mapping[str, str], sent: Mapping[str, str] = MappingProxyType({})
) -> tuple[str | None, str, str | None]:
    """Column, reason and cell of the first complaint. `sent` are the file's names of columns that have others here."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    column, cell = sent.get(key, key), cells.get(key)
    if first["type"] == "missing":
        return column, f"{column} is blank", None
    told = first["msg"].removeprefix("Value error, ").replace("should be", "must be")
    if told.startswith(("Input", "String")):
        reason = f"{column}{told.removeprefix('Input').removeprefix('String')}, not {said(cell or '')}"
        reason += (
            ": say decimalMark=COMMA if that is a decimal comma" if _COMMA.fullmatch(cell or "") and "number" in told else ""
        )
    else:
        reason = told
    return column or None, reason, _shortened(cell)


def _shortened(cell: str | None, length: int = 200) -> str | None:
    return cell if cell is None or len(cell) <= length else f"{cell[: length - 1]}…"
