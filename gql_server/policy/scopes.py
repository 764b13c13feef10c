"""Scopes: the share of its role's permissions that a service token has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from gql_server.policy.permissions import (
    API_EXPLORE,
    CONFIGURATION_EDIT,
    CONFIGURATION_VIEW,
    FAILURES_ACKNOWLEDGE,
    OPERATIONS_EDIT,
    OPERATIONS_VIEW,
    USERS_VIEW,
    VIEWS_EDIT,
)


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """A scope: what it is for, and the permissions that it lets through, in which `*` stands for any module."""

    purpose: str
    permissions: tuple[str, ...]


SCOPES: Mapping[str, ScopeRule] = MappingProxyType(
    {
        "pipelines:read": ScopeRule(
            "read pipelines, failures, years, workers and health", (OPERATIONS_VIEW, CONFIGURATION_VIEW, "modules.*:view")
        ),
        "pipelines:operate": ScopeRule(
            "abort, retry, recover, recalculate, and upload factors and reference data", (OPERATIONS_EDIT, FAILURES_ACKNOWLEDGE)
        ),
        "data:upload": ScopeRule("upload data, and follow its pipelines", ("modules.*:sync",)),
        "years:configure": ScopeRule("create, open and close years", (CONFIGURATION_EDIT, CONFIGURATION_VIEW)),
        "views:edit": ScopeRule("save and delete views of its own", (VIEWS_EDIT,)),
        "people:read": ScopeRule("read who did what, by name and address", (USERS_VIEW,)),
        "schema:read": ScopeRule("read the schema, and send documents that are not trusted", (API_EXPLORE,)),
    }
)


def narrowed(permissions: Collection[str], scopes: Collection[str]) -> frozenset[str]:
    """The permissions that one of the scopes lets through, each with its unit. Unknown scopes let through none."""
    patterns = {pattern for scope in scopes if scope in SCOPES for pattern in SCOPES[scope].permissions}
    return frozenset(
        permission
        for permission in permissions
        if any(fnmatchcase(permission.partition("@")[0], pattern) for pattern in patterns)
    )
