"""Permissions: what roles give, and what a viewer holds."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from gql_server.carbon.catalog import MODULES

OPERATIONS_VIEW = "backoffice.pipeline_operations:view"
OPERATIONS_EDIT = "backoffice.pipeline_operations:edit"
CONFIGURATION_VIEW = "backoffice.configuration:view"
CONFIGURATION_EDIT = "backoffice.configuration:edit"
USERS_VIEW = "backoffice.users:view"
FAILURES_ACKNOWLEDGE = "backoffice.failures:acknowledge"
VIEWS_EDIT = "views:edit"
"""Saves and deletes views of one's own: every role may."""
API_EXPLORE = "backoffice.api:explore"
"""Asks what nobody foresaw: documents that are not trusted, and the schema, where these are not for everyone."""

BACKOFFICE = ("pipeline_operations", "configuration", "users")
MODULE_ACTIONS = ("view", "edit", "sync")


class Role(StrEnum):
    """Roles of the identity provider, as they stand in a token."""

    SUPERADMIN = "calco2.backoffice.admin"
    OPERATOR = "calco2.backoffice.metier"
    PRINCIPAL = "calco2.user.principal"
    STANDARD = "calco2.user.standard"


@dataclass(frozen=True, slots=True)
class Viewer:
    """An authenticated caller, until it expires. A permission without a unit, `modules.purchase:view`, covers every unit's.

    Without a subject it stands for everyone of these permissions: see `shared`.
    """

    subject: str
    provider: str
    permissions: frozenset[str]
    display_name: str | None = None
    email: str | None = None
    expires_at: datetime | None = None

    @property
    def identity(self) -> str:
        """The subject. Raises LookupError for a viewer that stands for several: what asks is missing in `policy.inputs`."""
        if not self.subject:
            raise LookupError("something that depends on the subject was asked for everyone: declare it in gql_server/policy")
        return self.subject

    def shared(self) -> "Viewer":
        """Everyone of the same provider and permissions, as one viewer."""
        return _everyone(self.provider, self.permissions)

    def alone(self) -> "Viewer":
        """The viewer without what has no part in what it sees: its names, and when its token expires."""
        return Viewer(subject=self.subject, provider=self.provider, permissions=self.permissions)

    def may(self, permission: str) -> bool:
        return permission in self.permissions or permission.partition("@")[0] in self.permissions


@lru_cache(maxsize=1024)
def _everyone(provider: str, permissions: frozenset[str]) -> Viewer:
    return Viewer(subject="", provider=provider, permissions=permissions)


def permissions_of(role: str, unit: str | None) -> frozenset[str]:
    """Permissions that a role gives; a principal's for modules reach one unit, and none without it. Unknown roles give none."""
    match role:
        case Role.SUPERADMIN:
            backoffice = {f"backoffice.{area}:{action}" for area in BACKOFFICE for action in ("view", "edit")}
            return frozenset(backoffice | _module_permissions("") | {API_EXPLORE, FAILURES_ACKNOWLEDGE, VIEWS_EDIT})
        case Role.OPERATOR:
            editable = {f"backoffice.{area}:edit" for area in ("pipeline_operations", "configuration")}
            readable = {OPERATIONS_VIEW, CONFIGURATION_VIEW, USERS_VIEW}
            return frozenset(editable | readable | {API_EXPLORE, FAILURES_ACKNOWLEDGE, VIEWS_EDIT})
        case Role.PRINCIPAL:
            return frozenset((_module_permissions(f"@{unit}") if unit else set()) | {VIEWS_EDIT})
        case Role.STANDARD:
            return frozenset({VIEWS_EDIT})
        case _:
            return frozenset()


def may_see_unit(viewer: Viewer, institutional_id: str) -> bool:
    """True if the viewer may know of that unit: operators of all, others of those they may read something of."""
    return viewer.may(OPERATIONS_VIEW) or any(
        viewer.may(f"modules.{module.key}:view@{institutional_id}") for module in MODULES.values()
    )


def may_upload(viewer: Viewer) -> bool:
    """True if there is anything for which the viewer may upload a file."""
    names = (permission.partition("@")[0] for permission in viewer.permissions)
    return viewer.may(OPERATIONS_EDIT) or any(name.startswith("modules.") and name.endswith(":sync") for name in names)


def _module_permissions(suffix: str) -> set[str]:
    return {f"modules.{module.key}:{action}{suffix}" for module in MODULES.values() for action in MODULE_ACTIONS}
