"""Modules and data entry types as inputs name them: by key, or by number."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import strawberry
from strawberry import UNSET

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES, DataEntryTypeInfo, Module, entry_type_named, module_named
from gql_server.errors import BadInput
from gql_server.graph.filters import given, texts, values

Named = Module | DataEntryTypeInfo


class ModuleInput(Protocol):
    """An input that names a module, and perhaps one of its entry types."""

    module: str | None
    module_type_id: int | None
    data_entry_type: str | None
    data_entry_type_id: int | None


def module_key() -> Any:
    return strawberry.field(
        default=UNSET, description="Key of the module, such as `process_emissions` (`ModuleType.key`): this or `moduleTypeId`."
    )


def module_number() -> Any:
    return strawberry.field(default=UNSET, description="Number of the module (`ModuleType.typeId`): this or `module`.")


def entry_type_key(meaning: str) -> Any:
    """The field of the key of an entry type; `meaning` says what follows from it, and from its absence."""
    description = f"Key of the data entry type, such as `member` (`DataEntryType.key`){meaning}"
    return strawberry.field(default=UNSET, description=description)


def entry_type_number() -> Any:
    return strawberry.field(
        default=UNSET, description="Number of the data entry type (`DataEntryType.typeId`), instead of `dataEntryType`."
    )


def module_of(input: ModuleInput) -> int:
    """Number of the module that the input names. Raises BadInput unless it names one, by one of both."""
    number = _chosen(input.module, input.module_type_id, module_named, MODULES, "module")
    if number is None:
        raise BadInput("say which module it is: give `module` or `moduleTypeId`", argument="module")
    return number


def entry_type_of(input: ModuleInput) -> int | None:
    """Number of the entry type that the input names, if it does. Raises BadInput."""
    return _chosen(input.data_entry_type, input.data_entry_type_id, entry_type_named, DATA_ENTRY_TYPES, "entryType")


def module_numbers(
    keys: Iterable[str] | None, numbers: Iterable[int] | None, *, field: str = "modules"
) -> tuple[int, ...] | None:
    """The modules of two clauses of a filter, which are ANDed; None without either. Raises BadInput for an unknown key."""
    return _both(field, keys, values("moduleTypeIds", numbers), module_named, MODULES)


def entry_type_numbers(keys: Iterable[str] | None, numbers: Iterable[int] | None) -> tuple[int, ...] | None:
    """The entry types of two clauses of a filter, which are ANDed; None without either. Raises BadInput for an unknown key."""
    return _both("dataEntryTypes", keys, values("dataEntryTypeIds", numbers), entry_type_named, DATA_ENTRY_TYPES)


def _chosen(
    key: str | None, number: int | None, find: Callable[[str], Named | None], known: Mapping[int, Named], argument: str
) -> int | None:
    key, number = given(key), given(number)
    if key is not None and number is not None:
        raise BadInput("give the key or the number, not both", argument=argument)
    return number if key is None else _found(key, find, known, argument=argument)


def _both(
    field: str,
    keys: Iterable[str] | None,
    numbers: tuple[int, ...] | None,
    find: Callable[[str], Named | None],
    known: Mapping[int, Named],
) -> tuple[int, ...] | None:
    named = texts(field, keys)
    if named is None:
        return numbers
    found = {_found(key, find, known) for key in named}
    return tuple(sorted(found if numbers is None else found.intersection(numbers)))


def _found(key: str, find: Callable[[str], Named | None], known: Mapping[int, Named], **details: object) -> int:
    if (found := find(key)) is None:
        raise BadInput(f"unknown key {key!r}; there are: {', '.join(each.key for each in known.values())}", **details)
    return found.id
