"""Emission factors of one module and year: how file rows become factors, and which factor an entry uses."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gql_server.carbon.catalog import (
    DATA_ENTRY_TYPES,
    EQUIPMENT,
    HEADCOUNT,
    PROCESS_EMISSIONS,
    PURCHASE,
    entry_type_by_key,
    entry_types_of,
)
from gql_server.carbon.confusables import skeleton
from gql_server.carbon.emission_types import emission_type_of, headcount_emission_type
from gql_server.carbon.rows import EquipmentFactorRow, FactorRow, HeadcountFactorRow, ProcessFactorRow
from gql_server.carbon.texts import clean

PATH_LENGTH = 100

KIND_COLUMNS: Mapping[int, tuple[str, str]] = {
    HEADCOUNT: ("category", "class"),
    EQUIPMENT: ("equipment_class", "sub_class"),
    PURCHASE: ("purchase_institutional_code", "purchase_additional_code"),
    PROCESS_EMISSIONS: ("category", "subcategory"),
}
"""By module, the columns that name a factor's kind and subkind, in factors and in entries alike."""

NO_FACTOR_KEY = "__no_factor_yet__"
"""Mark, in an entry's data, of one that was kept without a factor: once there is one, it is matched as at ingest."""

_CLASSIFICATION = {
    "category",
    "subcategory",
    "class",
    "subclass",
    "equipment_class",
    "sub_class",
    "purchase_institutional_code",
    "purchase_additional_code",
}
_CATEGORY_COLUMNS = {"equipment_category", "purchase_category"}


@dataclass(frozen=True, slots=True)
class Factor:
    """A stored factor."""

    id: int
    emission_type_id: int
    data_entry_type_id: int
    classification: Mapping[str, str]
    values: Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class ParsedFactor:
    """A factor as a file gives it."""

    emission_type_id: int
    data_entry_type_id: int
    classification: dict[str, str]
    values: dict[str, float | str]

    @property
    def identity(self) -> tuple[int, int, frozenset[tuple[str, str]]]:
        """Key by which two factors are the same, whatever their values."""
        return self.emission_type_id, self.data_entry_type_id, frozenset(self.classification.items())


class FactorInvalid(ValueError):
    """A factor row that no emission type or entry type fits; `column` holds the reason's cell."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class AmbiguousFactor(ValueError):
    """Several factors match and nothing says which is meant."""


def parsed_factors(row: FactorRow, data_entry_type_id: int | None = None) -> tuple[ParsedFactor, ...]:
    """Factors of a file row. One, except for headcount, where a row serves members and students unless a type is given.

    Raises FactorInvalid for an unknown emission category, and for a row of another entry type than the given one.
    """
    cells = row.model_dump(by_alias=True, exclude_none=True)
    classification = {column: cell for column, cell in cells.items() if column in _CLASSIFICATION}
    values = {column: cell for column, cell in cells.items() if column not in _CLASSIFICATION | _CATEGORY_COLUMNS}
    return tuple(
        ParsedFactor(_emission_type(row, entry_type), entry_type, classification, values)
        for entry_type in _entry_types(row, data_entry_type_id)
    )


def _entry_types(row: FactorRow, wanted: int | None) -> tuple[int, ...]:
    if isinstance(row, ProcessFactorRow):
        return entry_types_of(PROCESS_EMISSIONS)
    if isinstance(row, HeadcountFactorRow):
        return (wanted,) if wanted else entry_types_of(HEADCOUNT)
    if isinstance(row, EquipmentFactorRow):
        module_id, column, category = EQUIPMENT, "equipment_category", row.equipment_category
    else:
        module_id, column, category = PURCHASE, "purchase_category", row.purchase_category
    info = entry_type_by_key(module_id, category)
    if info is None or wanted not in (None, info.id):
        raise FactorInvalid(column, f"{column} {category} does not belong to the data entry type of this upload")
    return (info.id,)


def _emission_type(row: FactorRow, data_entry_type_id: int) -> int:
    if not isinstance(row, HeadcountFactorRow):
        return emission_type_of(data_entry_type_id, row.category if isinstance(row, ProcessFactorRow) else "")
    emission_type = headcount_emission_type(row.category, row.class_, row.subclass)
    if emission_type is None:
        path = " / ".join(part for part in (row.category, row.class_, row.subclass) if part)
        raise FactorInvalid("category", f"no emission type for this category, class and subclass: “{path[:PATH_LENGTH]}”")
    return emission_type


def no_factor_yet(data_entry_type_id: int, data: Mapping[str, object]) -> str:
    """Reason, in words, for which an entry has no emission."""
    info = DATA_ENTRY_TYPES[data_entry_type_id]
    kind, subkind = (data.get(column) for column in KIND_COLUMNS[info.module_id])
    return f"no factor yet for {info.key}" + (f" (kind={kind}, subkind={subkind})" if kind is not None else "")


class FactorIndex:
    """Finds the factor of an entry.

    Ingest ignores case, so that people's spelling is forgiven; recalculation is exact.
    """

    def __init__(self, factors: Iterable[Factor], *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        self._by_kinds: dict[tuple[int, str, str], Factor] = {}
        self._by_kind: defaultdict[tuple[int, str], list[Factor]] = defaultdict(list)
        self._by_subkind: defaultdict[tuple[int, str], list[Factor]] = defaultdict(list)
        self._by_skeleton: defaultdict[tuple[int, str, str], dict[str, str]] = defaultdict(dict)
        for factor in sorted(factors, key=lambda factor: (factor.emission_type_id, factor.id)):
            self._add(factor)

    def _add(self, factor: Factor) -> None:
        entry_type = factor.data_entry_type_id
        kind, subkind = self._kinds(entry_type, factor.classification)
        self._by_kinds.setdefault((entry_type, kind, subkind), factor)
        self._by_kind[entry_type, kind].append(factor)
        if subkind:
            self._by_subkind[entry_type, subkind].append(factor)

    def __len__(self) -> int:
        return sum(len(factors) for factors in self._by_kind.values())

    def has_any(self, entry_types: Collection[int]) -> bool:
        """There is a factor of one of these entry types."""
        return any(entry_type in entry_types for entry_type, _ in self._by_kind)

    def has_kind(self, entry_types: Sequence[int], data: Mapping[str, object]) -> bool:
        """There is a factor of the entry's kind, of whatever subkind."""
        return any((entry_type, self._kinds(entry_type, data)[0]) in self._by_kind for entry_type in entry_types)

    def having(self, entry_types: Sequence[int], data: Mapping[str, object]) -> list[int]:
        """Entry types of those given, of one module, in which the entry would find its factor."""
        return [entry_type for entry_type in entry_types if self._is_found(entry_type, data)]

    def _is_found(self, entry_type: int, data: Mapping[str, object]) -> bool:
        try:
            return self.match((entry_type,), data) is not None
        except AmbiguousFactor:
            return True

    def match(self, entry_types: Sequence[int], data: Mapping[str, object]) -> Factor | None:
        """The factor of an entry whose type is one of these, all of one module. Raises AmbiguousFactor.

        By kind and subkind, else the kind's factor without subkind; a purchase by additional code, else by institutional code.
        """
        kind, subkind = self._kinds(entry_types[0], data)
        if DATA_ENTRY_TYPES[entry_types[0]].module_id == PURCHASE:
            return self._match_codes(entry_types, kind, subkind)
        found = self._with_kinds(entry_types, kind, subkind) or self._with_kinds(entry_types, kind, "")
        return self._only(found) if found else None

    def lookalike(self, entry_types: Sequence[int], data: Mapping[str, object]) -> tuple[str, str] | None:
        """A text of the entry that no factor has, and one of a factor that looks like it."""
        for column in KIND_COLUMNS[DATA_ENTRY_TYPES[entry_types[0]].module_id]:
            sent = str(data.get(column) or "")
            for entry_type in entry_types if sent else ():
                spellings = self._skeletons().get((entry_type, column, skeleton(sent)), {})
                if spellings and self._fold(sent) not in spellings:
                    return sent, next(iter(spellings.values()))
        return None

    def _skeletons(self) -> Mapping[tuple[int, str, str], Mapping[str, str]]:
        """Spellings by what they look like. Made when first needed: nearly all files do without."""
        if not self._by_skeleton:
            for (entry_type, _), factors in self._by_kind.items():
                for column in KIND_COLUMNS[DATA_ENTRY_TYPES[entry_type].module_id]:
                    for text in {text for factor in factors if (text := factor.classification.get(column))}:
                        self._by_skeleton[entry_type, column, skeleton(text)][self._fold(text)] = text
        return self._by_skeleton

    def sub_factors(self, data_entry_type_id: int) -> list[list[Factor]]:
        """All factors of an entry type, by category, each category ordered by emission type: what headcount uses."""
        return [factors for (entry_type, _), factors in self._by_kind.items() if entry_type == data_entry_type_id]

    def respell(self, factor: Factor, data: dict[str, object]) -> dict[str, object]:
        """The entry with its kind as the factor spells it, so that an exact match finds the same factor again."""
        spelling = {
            column: factor.classification[column]
            for column in KIND_COLUMNS[DATA_ENTRY_TYPES[factor.data_entry_type_id].module_id]
            if column in factor.classification and self._fold(data.get(column)) == self._fold(factor.classification[column])
        }
        return data | spelling

    def settle(self, data_entry_type_id: int, data: dict[str, object]) -> dict[str, object]:
        """An entry that waited for its factor, as it would be ingested now; unchanged while it has none."""
        factor = self.match((data_entry_type_id,), data)
        if factor is None:
            return data
        return self.respell(factor, {key: value for key, value in data.items() if key != NO_FACTOR_KEY})

    def _match_codes(self, entry_types: Sequence[int], code: str, additional: str) -> Factor | None:
        if additional:
            found = [factor for entry_type in entry_types for factor in self._by_subkind.get((entry_type, additional), ())]
            same_code = [factor for factor in found if self._kinds(factor.data_entry_type_id, factor.classification)[0] == code]
            if found:
                return self._only(same_code or found)
        found = [factor for entry_type in entry_types for factor in self._by_kind.get((entry_type, code), ())]
        averages = self._with_kinds(entry_types, code, "")
        if len(averages) == 1:
            return averages[0]
        if len(found) > 1:
            raise AmbiguousFactor("several factors match this purchase_institutional_code and no single one is its average")
        return found[0] if found and not additional else None

    def _with_kinds(self, entry_types: Sequence[int], kind: str, subkind: str) -> list[Factor]:
        found = (self._by_kinds.get((entry_type, kind, subkind)) for entry_type in entry_types)
        return [factor for factor in found if factor]

    @staticmethod
    def _only(found: list[Factor]) -> Factor:
        if len(found) > 1:
            raise AmbiguousFactor("several factors match: the category is needed to tell which is meant")
        return found[0]

    def _kinds(self, data_entry_type_id: int, cells: Mapping[str, object]) -> tuple[str, str]:
        kind, subkind = KIND_COLUMNS[DATA_ENTRY_TYPES[data_entry_type_id].module_id]
        return self._fold(cells.get(kind)), self._fold(cells.get(subkind))

    def _fold(self, cell: object) -> str:
        text = clean(str(cell)) if cell is not None else ""
        return text.lower() if self._ignore_case else text
