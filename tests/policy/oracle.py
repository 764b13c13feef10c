"""Answers that a viewer must get: those of one with every permission, less what the policy keeps from them."""

import re
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gql_server.carbon.catalog import MODULES
from gql_server.policy import GUARDS, DenialMode, Viewer

REASONS = {
    "YEAR_NOT_PROVISIONED": "backoffice.configuration:view",
    "MIXED_WORKER_REVISIONS": "backoffice.pipeline_operations:view",
    "NO_LIVE_WORKER": "backoffice.pipeline_operations:view",
}
"""Diagnoses that tell of years and workers, and what it takes to see those."""

INSTEAD = {("OmittedMeta.reason", "NOT_ALLOW_LISTED"): ("backoffice.pipeline_operations:view", "PERMISSION")}
"""Values that are another for those without a permission."""


@dataclass
class Expected:
    """The data, the paths of its FORBIDDEN errors, and how often each field is kept back, with and without a value."""

    data: Any = None
    forbidden: list[list[str | int]] = field(default_factory=list)
    values: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)


def expected(viewer: Viewer, everything: Any, node_types: set[str]) -> Expected:
    """From the data of the answer to one with every permission. Nodes the viewer may not see must not be in it."""
    found = Expected()
    found.data = _kept(viewer, everything, node_types, found, [])
    return found


def _kept(viewer: Viewer, value: Any, node_types: set[str], found: Expected, path: list[str | int]) -> Any:
    match value:
        case list():
            seen = [each for each in value if not _is_hidden(viewer, each, node_types)]
            return [_kept(viewer, each, node_types, found, [*path, index]) for index, each in enumerate(seen)]
        case dict() if not _is_hidden(viewer, value, node_types):
            kept = {key: _field(viewer, value, key, found, [*path, key]) for key in value}
            return {key: _kept(viewer, each, node_types, found, [*path, key]) for key, each in kept.items()}
        case dict():
            return None
        case _:
            return value


def _is_hidden(viewer: Viewer, value: Any, node_types: set[str]) -> bool:
    """True if the policy hides the object: a node by rows of its own may only be there if the viewer sees it."""
    if isinstance(value, dict) and value.get("code") in REASONS:
        return not allows(REASONS[value["code"]], viewer, value)
    guard = GUARDS.get(str(value.get("__typename"))) if isinstance(value, dict) else None
    if guard is None or (value["__typename"] in node_types and ("{" in guard.permission or "year." in guard.permission)):
        return False
    return not allows(guard.permission, viewer, value)


def _field(viewer: Viewer, owner: dict[str, Any], key: str, found: Expected, path: list[str | int]) -> Any:
    coordinate = f"{owner.get('__typename')}.{key}"
    guard = GUARDS.get(coordinate)
    if guard is None or allows(guard.permission, viewer, owner):
        permission, otherwise = INSTEAD.get((coordinate, str(owner[key])), (None, None))
        return owner[key] if permission is None or permission in viewer.permissions else otherwise
    if guard.on_denied is DenialMode.ERROR:
        found.forbidden.append(path)
    else:
        found.objects[coordinate] += 1
        found.values[coordinate] += owner[key] is not None
    return None


def allows(expression: str, viewer: Viewer, owner: dict[str, Any]) -> bool:
    """True if one of the alternatives is a fact of the object, or a permission the viewer holds for its module and unit."""
    return any(_holds(term.strip(), viewer, owner) for term in expression.split("|"))


def _holds(term: str, viewer: Viewer, owner: dict[str, Any]) -> bool:
    if term == "year.isStarted":
        return owner["isStarted"]
    module = _key(owner.get("module"))
    for placeholder, value in {
        "{module}": MODULES[int(module)].key if module else None,
        "{unit}": _key(owner.get("unit")),
    }.items():
        if placeholder in term and value is None:
            return False
        term = term.replace(placeholder, str(value))
    action, _, unit = term.partition("@")
    pattern = re.compile(re.escape(action).replace(r"\*", "[a-z_]+") + ("(@.+)?" if unit == "*" else f"(@{re.escape(unit)})?"))
    return any(pattern.fullmatch(held) for held in viewer.permissions)


def _key(node: dict[str, Any] | None) -> str | None:
    """Key in a node's global id, after its type."""
    return b64decode(node["id"]).decode().partition(":")[2] if node else None
