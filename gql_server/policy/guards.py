"""Guards: permission expressions, evaluated for a viewer and a row.

An expression is alternatives joined by ` | `. Each is the fact `year.isStarted` or a permission, in which `{module}` and
`{unit}` are filled in from the row and `*` stands for any module or unit. What cannot be filled in denies.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import Any

from gql_server.carbon.catalog import MODULES
from gql_server.policy.permissions import OPERATIONS_EDIT, Viewer

ANY = "*"
NOBODYS_UNIT = "\0"
PLACEHOLDER = re.compile(r"{(\w+)}")


class DenialMode(StrEnum):
    """Answers for a caller without the permission."""

    REDACT = "REDACT"
    ERROR = "ERROR"
    HIDE = "HIDE"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True, slots=True)
class Guard:
    """The permission expression of one coordinate, and what follows without it."""

    permission: str
    on_denied: DenialMode = DenialMode.REDACT


SYNC = "modules.{module}:sync@{unit}"
UPLOAD = Guard(f"{OPERATIONS_EDIT} | {SYNC}")
"""Files of data entries: those of one's unit, or all."""


class Reach(StrEnum):
    """Share of the objects in sight of which a viewer may read something."""

    EVERY = "EVERY"
    SOME = "SOME"
    NONE = "NONE"


def _module(number: int | None) -> str | None:
    module = MODULES.get(number or 0)
    return module and module.key


SCOPE: Mapping[str, Callable[[Any], str | None]] = MappingProxyType({"module": _module, "unit": lambda unit: unit})
FACTS: Mapping[str, Callable[[Any], bool]] = MappingProxyType({"year.isStarted": lambda is_started: is_started is True})
ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {"module": "module_type_id", "unit": "unit_institutional_id", "year.isStarted": "is_started"}
)
"""Attributes of a row by what is filled in from them."""


def attributes_of(guard: Guard) -> tuple[str, ...]:
    """Names of the attributes of a row that the guard looks at."""
    filled = [name for term in alternatives(guard.permission) for name in (PLACEHOLDER.findall(term) or [term])]
    return tuple(ATTRIBUTES[name] for name in filled if name in ATTRIBUTES)


def permits(viewer: Viewer, guard: Guard, row: Any) -> bool:
    """True if the viewer may read what is guarded of this row; a scope that cannot be resolved denies."""
    return any(_holds(viewer, term, row) for term in alternatives(guard.permission))


def reach(viewer: Viewer, guard: Guard) -> Reach:
    """Of how many objects the viewer may read what is guarded, told without looking at one."""
    reaches = {_reach(viewer, term) for term in alternatives(guard.permission)}
    return next(each for each in Reach if each in reaches)


@cache
def alternatives(permission: str) -> tuple[str, ...]:
    """The alternatives of an expression. Raises ValueError for a placeholder or a fact that nobody can fill in."""
    terms = tuple(term.strip() for term in permission.split("|"))
    for term in terms:
        unknown = set(PLACEHOLDER.findall(term)) - SCOPE.keys()
        if unknown or not (":" in term or term in FACTS):
            raise ValueError(f"Not a permission expression: {permission!r}.")
    return terms


def is_constant(term: str) -> bool:
    """True if the alternative looks at no row."""
    return term not in FACTS and not PLACEHOLDER.search(term) and ANY not in term


def _holds(viewer: Viewer, term: str, row: Any) -> bool:
    if term in FACTS:
        return FACTS[term](_value(row, term))
    scope = {name: SCOPE[name](_value(row, name)) for name in PLACEHOLDER.findall(term)}
    return None not in scope.values() and _may(viewer, term, scope)


def _value(row: Any, name: str) -> Any:
    return getattr(row, ATTRIBUTES[name], None)


def _may(viewer: Viewer, term: str, scope: Mapping[str, Any]) -> bool:
    if ANY not in term:
        return viewer.may(term.format_map(scope))
    action, _, unit = term.partition("@")
    wanted, of_unit = action.format_map(scope), unit.format_map(scope)
    held = (permission.partition("@") for permission in viewer.permissions)
    return any(fnmatchcase(name, wanted) and (not at or unit == ANY or at == of_unit) for name, _, at in held)


def _reach(viewer: Viewer, term: str) -> Reach:
    if term in FACTS:
        return Reach.SOME
    keys = [module.key for module in MODULES.values()]
    if all(_may(viewer, term, {"module": key, "unit": NOBODYS_UNIT}) for key in keys):
        return Reach.EVERY
    units = {permission.partition("@")[2] for permission in viewer.permissions}
    some = any(_may(viewer, term, {"module": key, "unit": unit}) for key in keys for unit in units)
    return Reach.SOME if some else Reach.NONE
