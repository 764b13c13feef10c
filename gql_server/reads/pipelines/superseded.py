"""The pipeline that has brought newer data in place of another's.

Data of a whole year, factors and reference data are replaced by the next read of the same kind, if that covers the same entry
type; a unit's rows are not. The same upload, or the same question to an API, read again is nothing newer. What is still to be
read counts: a retry would come after it, and replace what it brings.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, and_, case, cast, exists, false, func, null, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by, array
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import LateralFromClause

from gql_server.carbon.catalog import MODULES, entry_types_of
from gql_server.db import models
from gql_server.db.expressions import Column, number, one_of
from gql_server.db.models import LIVE_STATES, READING_JOBS, JobType
from gql_server.ledger.endings import has_landed

J = models.Job
NEWER, OWN = aliased(models.Job), aliased(models.Job)
OF_ONE_TYPE = [module.id for module in MODULES.values() if len(module.data_entry_types) == 1]


def superseding() -> LateralFromClause:
    """Of jobs that are selected, the `key` of the newest such pipeline, and whether one brings all of their data (`wholly`):
    null and false where they are the newest."""
    entry_types = case((J.job_type.in_(READING_JOBS), covering_entry_types()))
    covering = func.unnest(entry_types).table_valued("id").render_derived(name="covering")
    scope = (J.provider, J.job_type, J.entity_type, J.module_type_id, covering.c.id, J.year, null())
    nearest = (
        select(NEWER.id, func.coalesce(NEWER.pipeline_id, NEWER.time_key).label("key"))
        .where(NEWER.scope_key == func.gql_scope_key(*scope), NEWER.id > J.id, _replaces())
        .order_by(NEWER.scope_key.desc(), NEWER.id.desc())
        .limit(1)
        .correlate(J, covering)
        .lateral("nearest")
    )
    newest_first = func.array_agg(aggregate_order_by(nearest.c.key, nearest.c.id.desc()))
    wholly = func.coalesce(func.bool_or(_includes(covering.c.id)), false())
    found = select(newest_first[1].label("key"), wholly.label("wholly")).select_from(covering).join(nearest, true())
    return found.correlate(J).lateral("superseding")


def covering_entry_types() -> ColumnElement[Any]:
    """Entry types of jobs whose data takes the place of this one's: its own, and all or any of the module."""
    own: Any = array([J.data_entry_type_id])
    of_all: Any = array([cast(null(), Integer)])
    any_of_module = case(
        {module.id: of_all + array(map(number, entry_types_of(module.id))) for module in MODULES.values()},
        value=J.module_type_id,
        else_=of_all,
    )
    return case(
        (J.job_type == JobType.REFERENCE_INGEST, own),
        (J.data_entry_type_id.is_(None), any_of_module),
        else_=func.array_append(own, cast(null(), Integer)),
    )


def _includes(entry_type: Column) -> ColumnElement[bool]:
    """Of the covering ones, those whose data includes all of this one's: its own, all of the module, or the only one of it."""
    return or_(J.data_entry_type_id.is_not(None), entry_type.is_(None), one_of(J.module_type_id, OF_ONE_TYPE))


def _replaces() -> ColumnElement[bool]:
    """It reads something else, and has landed after the last time that this was read, or is still to land."""
    overtaken = or_(*(_later(each) for each in _same_source()))
    return and_(_source(NEWER) != _source(J), or_(NEWER.state.in_(LIVE_STATES), and_(has_landed(NEWER), ~overtaken)))


def _later(same_source: ColumnElement[bool]) -> ColumnElement[bool]:
    own = exists().where(same_source, OWN.scope_key == J.scope_key, has_landed(OWN))
    return own.where(OWN.finished_at > NEWER.finished_at).correlate(J, NEWER)


def _same_source() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The same upload, through its index; or without one the same question."""
    of_api = and_(J.upload_id.is_(None), OWN.upload_id.is_(None))
    return OWN.upload_id == J.upload_id, and_(of_api, _source(OWN) == _source(J))


def _source(job: Any) -> ColumnElement[Any]:
    """Source that a job reads, comparable also where there is no upload."""
    return tuple_(func.coalesce(job.upload_id, UUID(int=0)), func.coalesce(job.config["filters"], func.jsonb_build_object()))
