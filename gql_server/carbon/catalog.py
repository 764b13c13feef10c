"""The eight modules of a carbon report and the kinds of data entry inside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HEADCOUNT = 1
EQUIPMENT = 4
PURCHASE = 5
PROCESS_EMISSIONS = 8

MEMBER = 1
STUDENT = 2


@dataclass(frozen=True, slots=True)
class DataEntryTypeInfo:
    """A kind of data entry."""

    id: int
    key: str
    module_id: int


@dataclass(frozen=True, slots=True)
class Module:
    """A part of the report; `needs_common_factor` means one factor file serves all its entry types."""

    id: int
    key: str
    needs_common_factor: bool
    data_entry_types: tuple[DataEntryTypeInfo, ...]


def _module(module_id: int, key: str, entry_types: dict[int, str], *, needs_common_factor: bool = False) -> Module:
    infos = tuple(DataEntryTypeInfo(id, entry_key, module_id) for id, entry_key in entry_types.items())
    return Module(module_id, key, needs_common_factor, infos)


_PURCHASES = {
    60: "scientific_equipment",
    61: "it_equipment",
    62: "consumable_accessories",
    63: "biological_chemical_gaseous_product",
    64: "services",
    65: "vehicles",
    66: "other_purchases",
    67: "additional_purchases",
}

_ALL = (
    _module(HEADCOUNT, "headcount", {MEMBER: "member", STUDENT: "student"}),
    _module(2, "professional_travel", {20: "plane", 21: "train"}),
    _module(3, "buildings", {30: "building", 31: "energy_combustion", 32: "building_embodied_energy"}),
    _module(
        EQUIPMENT,
        "equipment_electric_consumption",
        {10: "scientific", 11: "it", 12: "other"},
        needs_common_factor=True,
    ),
    _module(PURCHASE, "purchase", _PURCHASES, needs_common_factor=True),
    _module(6, "research_facilities", {70: "research_facilities", 71: "mice_and_fish_animal_facilities"}),
    _module(7, "external_cloud_and_ai", {40: "external_clouds", 41: "external_ai"}),
    _module(PROCESS_EMISSIONS, "process_emissions", {50: "process_emissions"}),
)

MODULES: Mapping[int, Module] = MappingProxyType({module.id: module for module in _ALL})
DATA_ENTRY_TYPES: Mapping[int, DataEntryTypeInfo] = MappingProxyType(
    {info.id: info for module in _ALL for info in module.data_entry_types}
)
_BY_KEY = {module.key: module for module in _ALL}
_ENTRY_TYPES = {info.key: info for info in DATA_ENTRY_TYPES.values()}

_REFERENCE_MANDATORY = frozenset({20, 21, 30})
_FACTOR_MANDATORY = _REFERENCE_MANDATORY | {1, 2, 31, 32, 67, 70, 71, 40, 41, 50}


def module_named(name: str) -> Module | None:
    """The module of that key or, in digits, of that number; None when there is none."""
    return _BY_KEY.get(name) or MODULES.get(_number(name))


def entry_type_named(name: str, module: Module | None = None) -> DataEntryTypeInfo | None:
    """The entry type of that key or number, in that module if one is given; None when there is none."""
    info = _ENTRY_TYPES.get(name) or DATA_ENTRY_TYPES.get(_number(name))
    return info if info and module in (None, MODULES[info.module_id]) else None


def _number(name: str) -> int:
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else 0


def module_by_key(key: str) -> Module | None:
    """The module of that key, or None."""
    return _BY_KEY.get(key)


def entry_type_by_key(module_id: int, key: str) -> DataEntryTypeInfo | None:
    """The entry type of that key inside a module, or None."""
    info = _ENTRY_TYPES.get(key)
    return info if info and info.module_id == module_id else None


def entry_types_of(module_id: int) -> tuple[int, ...]:
    """Ids of the module's entry types, ascending: the width of its fan-out. Empty for an unknown module."""
    module = MODULES.get(module_id)
    return tuple(info.id for info in module.data_entry_types) if module else ()


def needs_factor(module_id: int, data_entry_type_id: int) -> bool:
    """True if the submodule is incomplete without factors of its own (a common factor of the module also satisfies it)."""
    return data_entry_type_id in _FACTOR_MANDATORY and data_entry_type_id in entry_types_of(module_id)


def needs_reference(module_id: int, data_entry_type_id: int) -> bool:
    """True if the submodule is incomplete without reference data."""
    return data_entry_type_id in _REFERENCE_MANDATORY and data_entry_type_id in entry_types_of(module_id)
