"""Row scope: which rows a viewer may see, as clauses of SQL."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, true
from sqlalchemy.orm import QueryableAttribute

from gql_server.carbon.catalog import MODULES, module_by_key
from gql_server.db import models
from gql_server.db.expressions import one_of
from gql_server.db.models import EntityType
from gql_server.db.models.carbon import CarbonReportModule, Unit
from gql_server.policy.permissions import CONFIGURATION_VIEW, OPERATIONS_EDIT, OPERATIONS_VIEW, Viewer


def pipeline_clause(viewer: Viewer, row: Any = models.Pipeline) -> ColumnElement[bool]:
    """Pipelines the viewer may see. Of other people's work, only that of their units; an unknown scope denies."""
    mine = _of_provider(row.provider, viewer)
    if viewer.may(OPERATIONS_VIEW):
        return mine
    of_their_units = [
        and_(
            one_of(row.unit_institutional_id, units) if units else row.unit_institutional_id.is_not(None),
            one_of(row.module_type_id, modules),
        )
        for modules, units in _modules_and_units(viewer.permissions, "sync")
    ]
    return and_(mine, one_of(row.entity_type, [EntityType.MODULE_UNIT_SPECIFIC]), or_(false(), *of_their_units))


def sees_all_pipelines(viewer: Viewer) -> bool:
    """True if `pipeline_clause` keeps every pipeline of the provider."""
    return viewer.may(OPERATIONS_VIEW)


def unit_clause(viewer: Viewer, institutional_id: str) -> ColumnElement[bool]:
    """Pipelines of that unit whose unit the viewer may read: for operators, all of them."""
    row = models.Pipeline
    if viewer.may(OPERATIONS_VIEW):
        return row.unit_institutional_id == institutional_id
    modules = [module.id for module in MODULES.values() if viewer.may(f"modules.{module.key}:view@{institutional_id}")]
    return and_(row.unit_institutional_id == institutional_id, row.module_type_id.in_(modules))


def orphan_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Jobs without a pipeline that the viewer may see: they name no unit, so only operators see them."""
    return and_(_of_provider(models.Job.provider, viewer), true() if sees_orphans(viewer) else false())


def sees_orphans(viewer: Viewer) -> bool:
    """True if `orphan_clause` keeps any."""
    return viewer.may(OPERATIONS_VIEW)


def job_clause(viewer: Viewer, *, by_key: bool = False, are_pipelines_seen: bool = False) -> ColumnElement[bool]:
    """Jobs the viewer may see, over jobs outer-joined to their pipelines, unless only jobs of pipelines that are seen are read:
    a job may stand in a pipeline of another provider.

    Of jobs that are found `by_key`, their own or their pipeline's, the pipeline of each is looked up. PostgreSQL could begin
    with all pipelines that the viewer may see instead, for each key anew, but not with a clause that a job without a pipeline
    might meet.
    """
    job, pipeline = models.Job, models.Pipeline
    if are_pipelines_seen and sees_all_jobs(viewer):
        return _of_provider(job.provider, viewer)
    seen = and_(job.pipeline_id == pipeline.id, pipeline_clause(viewer))
    return and_(
        _of_provider(job.provider, viewer),
        or_(and_(job.pipeline_id.is_(None), orphan_clause(viewer)), func.coalesce(seen, false()) if by_key else seen),
    )


def sees_all_jobs(viewer: Viewer) -> bool:
    """True if `job_clause` keeps every job of the provider's pipelines, so that a read of these need not look at them."""
    return viewer.may(OPERATIONS_VIEW)


def year_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Years the viewer may see: all of the provider with configuration view, else those open to users."""
    row = models.YearConfiguration
    mine = row.provider == viewer.provider
    return mine if viewer.may(CONFIGURATION_VIEW) else and_(mine, row.is_started)


def totals_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Modules of reports whose totals the viewer may know, over modules joined to their units: all of the provider for who sees
    modules as a whole, else those that they may view of their units."""
    of_module, unit = CarbonReportModule, Unit
    mine = unit.provider == viewer.provider
    if viewer.may(CONFIGURATION_VIEW) or viewer.may(OPERATIONS_VIEW):
        return mine
    of_their_units = [
        and_(unit.institutional_id.in_(units) if units else true(), of_module.module_type_id.in_(modules))
        for modules, units in _modules_and_units(viewer.permissions, "view")
    ]
    return and_(mine, or_(false(), *of_their_units))


def upload_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Uploads the viewer may use: all of the provider for who may operate pipelines, else their own."""
    row = models.Upload
    mine = row.provider == viewer.provider
    return mine if viewer.may(OPERATIONS_EDIT) else and_(mine, row.created_by["user_id"].astext == viewer.identity)


def view_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Saved views the viewer may see: their own, and those shared by others of the provider."""
    row = models.TriageView
    return and_(row.provider == viewer.provider, or_(row.owner_subject == viewer.identity, row.is_shared))


def worker_clause(viewer: Viewer) -> ColumnElement[bool]:
    """Workers the viewer may see: they serve all providers, so operators see them all."""
    return true() if viewer.may(OPERATIONS_VIEW) else false()


def _of_provider(column: QueryableAttribute[str], viewer: Viewer) -> ColumnElement[bool]:
    return one_of(column, [viewer.provider])


def _modules_and_units(permissions: Iterable[str], action: str) -> list[tuple[list[int], list[str]]]:
    """Modules on which the action is permitted in the same units, with those units; no units means in every one."""
    modules_by_unit: dict[str, set[int]] = defaultdict(set)
    for permission in permissions:
        scope, _, unit = permission.partition("@")
        key, _, permitted = scope.removeprefix("modules.").partition(":")
        module = module_by_key(key)
        if module and permitted == action:
            modules_by_unit[unit].add(module.id)
    units: dict[frozenset[int], list[str]] = defaultdict(list)
    for unit, modules in sorted(modules_by_unit.items()):
        units[frozenset(modules)].append(unit)
    return [(sorted(modules), [] if "" in of_units else of_units) for modules, of_units in units.items()]
