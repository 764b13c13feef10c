"""Who may see what: permissions of roles, row scope as SQL, and the guarded fields. The one place that says so."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from sqlalchemy import ColumnElement, and_, false, or_, true

from gql_server import models
from gql_server.carbon.catalog import MODULES, module_by_key
from gql_server.models import EntityType

OPERATIONS_VIEW = "backoffice.pipeline_operations:view"
CONFIGURATION_VIEW = "backoffice.configuration:view"
USERS_VIEW = "backoffice.users:view"

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
    """An authenticated caller, until it expires. A permission without a unit, `modules.purchase:view`, covers every unit's."""

    subject: str
    provider: str
    permissions: frozenset[str]
    display_name: str | None = None
    email: str | None = None
    expires_at: datetime | None = None

    def may(self, permission: str) -> bool:
        return permission in self.permissions or permission.partition("@")[0] in self.permissions


def permissions_of(role: str, unit: str | None) -> frozenset[str]:
    """Permissions that a role gives; a principal's reach one unit, and none without it. Unknown roles give none."""
    match role:
        case Role.SUPERADMIN:
            backoffice = {f"backoffice.{area}:{action}" for area in BACKOFFICE for action in ("view", "edit")}
            return frozenset(backoffice | _module_permissions(""))
        case Role.OPERATOR:
            editable = {f"backoffice.{area}:edit" for area in ("pipeline_operations", "configuration")}
            return frozenset(editable | {OPERATIONS_VIEW, CONFIGURATION_VIEW, USERS_VIEW})
        case Role.PRINCIPAL if unit:
            return frozenset(_module_permissions(f"@{unit}"))
        case _:
            return frozenset()


def pipeline_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Pipelines the viewer may see. Of other people's work, only that of their units; an unknown scope denies."""
    row = models.Pipeline
    mine = row.provider == viewer.provider
    if viewer.may(OPERATIONS_VIEW):
        return mine
    of_their_units = [
        and_(row.unit_institutional_id.in_(units), row.module_type_id.in_(sorted(modules)))
        for modules, units in _units_by_modules(viewer.permissions, "sync").items()
    ]
    return and_(mine, row.entity_type == EntityType.MODULE_UNIT_SPECIFIC, or_(false(), *of_their_units))


def orphan_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Jobs without a pipeline that the viewer may see: they name no unit, so only operators see them."""
    return and_(models.Job.provider == viewer.provider, true() if viewer.may(OPERATIONS_VIEW) else false())


def job_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Jobs the viewer may see, over jobs outer-joined to their pipelines."""
    job, pipeline = models.Job, models.Pipeline
    return and_(
        job.provider == viewer.provider,
        or_(
            and_(job.pipeline_id.is_(None), orphan_clause(viewer)),
            and_(job.pipeline_id == pipeline.id, pipeline_clause(viewer)),
        ),
    )


def year_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Years the viewer may see: all of the provider with configuration view, else those open to users."""
    row = models.YearConfiguration
    mine = row.provider == viewer.provider
    return mine if viewer.may(CONFIGURATION_VIEW) else and_(mine, row.is_started)


def may_see_unit(viewer: Viewer, institutional_id: str) -> bool:
    """Whether the viewer may read anything of that unit."""
    return any(viewer.may(f"modules.{module.key}:view@{institutional_id}") for module in MODULES.values())


class DenialMode(StrEnum):
    """What a caller without the permission gets."""

    REDACT = "REDACT"
    ERROR = "ERROR"
    HIDE = "HIDE"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True, slots=True)
class Guard:
    """Permission of one coordinate. `{module}` and `{unit}` are filled in from the row."""

    permission: str
    on_denied: DenialMode = DenialMode.REDACT


GUARDS: Mapping[str, Guard] = MappingProxyType(
    {
        "Actor.displayName": Guard(USERS_VIEW),
        "Actor.email": Guard(USERS_VIEW),
        "WorkScope.unit": Guard("modules.{module}:view@{unit}"),
        "Job.lockedAt": Guard(OPERATIONS_VIEW),
        "Job.errorDetail": Guard(OPERATIONS_VIEW),
        "YearConfiguration.config": Guard(CONFIGURATION_VIEW),
        "Pipeline": Guard(f"{OPERATIONS_VIEW} | modules.{{module}}:sync@{{unit}}", DenialMode.HIDE),
        "YearConfiguration": Guard(f"{CONFIGURATION_VIEW} | year.isStarted", DenialMode.HIDE),
    }
)


class Scoped(Protocol):
    """A row that says which module and unit it is about."""

    @property
    def module_type_id(self) -> int | None: ...
    @property
    def unit_institutional_id(self) -> str | None: ...


def permits(viewer: Viewer, guard: Guard, row: Scoped) -> bool:
    """Whether the viewer may read the guarded field of this row; a scope that cannot be resolved denies."""
    if "{" not in guard.permission:
        return viewer.may(guard.permission)
    module = MODULES.get(row.module_type_id or 0)
    if module is None or row.unit_institutional_id is None:
        return False
    return viewer.may(guard.permission.format(module=module.key, unit=row.unit_institutional_id))


def _module_permissions(suffix: str) -> set[str]:
    return {f"modules.{module.key}:{action}{suffix}" for module in MODULES.values() for action in MODULE_ACTIONS}


def _units_by_modules(permissions: Iterable[str], action: str) -> dict[frozenset[int], list[str]]:
    """Units on whose modules the action is permitted, grouped by those modules: mostly one group."""
    modules_by_unit: dict[str, set[int]] = defaultdict(set)
    for permission in permissions:
        scope, _, unit = permission.partition("@")
        key, _, permitted = scope.removeprefix("modules.").partition(":")
        module = module_by_key(key)
        if unit and module and permitted == action:
            modules_by_unit[unit].add(module.id)
    units: dict[frozenset[int], list[str]] = defaultdict(list)
    for unit, modules in sorted(modules_by_unit.items()):
        units[frozenset(modules)].append(unit)
    return units
