"""Changes, since a job ended, in what it failed at or left out: read now, so that advice ends with its cause."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    any_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, PURCHASE
from gql_server.carbon.lacks import Lack
from gql_server.carbon.readers import NO_FACTOR
from gql_server.db import models
from gql_server.db.expressions import integer
from gql_server.db.models import LIVE_STATES, RECALCULATIONS, EntityType, JobResult, JobState, JobType
from gql_server.db.models.carbon import DataEntry, DataEntryEmission, Factor
from gql_server.ledger.endings import has_landed
from gql_server.ledger.failures.rules import FailureClass
from gql_server.ledger.resume import RESUMED
from gql_server.policy import Viewer
from gql_server.reads.pipelines.superseded import covering_entry_types

J, LATER, SYNC = models.Job, aliased(models.Job), aliased(models.Job)
REDOING = aliased(models.Job)
E = DataEntry
COMPUTES = (*RECALCULATIONS, JobType.AGGREGATION)
OF_MODULE = [(info.module_id, info.id) for info in DATA_ENTRY_TYPES.values()]
LANDS = or_(LATER.state.in_(LIVE_STATES), has_landed(LATER))
LACKS_RATES = J.failure_class == FailureClass.MISSING_EXCHANGE_RATE
LACKS_FACTORS = J.failure_class == FailureClass.MISSING_FACTOR
LACKS_SOMETHING = J.failure_class.in_(
    [FailureClass.MISSING_EXCHANGE_RATE, FailureClass.MISSING_FACTOR, FailureClass.SOME_ROWS_REJECTED]
)
REJECTED_ROWS = J.failure_class.in_(
    [FailureClass.ALL_ROWS_REJECTED, FailureClass.TOO_MANY_ROWS_REJECTED, FailureClass.SOME_ROWS_REJECTED]
)
LACKING_ROW = and_(models.RowError.job_id == J.id, models.RowError.reason.startswith(NO_FACTOR, autoescape=True))
REJECTED_FOR_FACTORS = and_(J.job_type == JobType.CSV_INGEST, REJECTED_ROWS, exists().where(LACKING_ROW).correlate(J))
HAS_WARNED = and_(J.state == JobState.FINISHED, J.result == JobResult.WARNING)
HAS_FAILED = and_(J.state == JobState.FINISHED, J.result == JobResult.ERROR)


def since(is_seen: ColumnElement[bool]) -> dict[str, ColumnElement[Any]]:
    """By name, for jobs that are selected; of later jobs, those that are seen."""
    skipped, told = integer(J.meta["rows_skipped"]), integer(J.meta["row_errors_count"])
    return {
        "is_of_unit": J.entity_type.is_not_distinct_from(EntityType.MODULE_UNIT_SPECIFIC),
        "rejected_rows": skipped,
        "ignored_cells": told - skipped - func.coalesce(integer(J.meta["without_factor"]), 0),
        "redone_by": case((and_(J.job_type.in_(COMPUTES), or_(HAS_FAILED, HAS_WARNED)), _redone_by(is_seen))),
        "reread_by": case((and_(J.upload_id.is_not(None), HAS_WARNED), _reread_by(is_seen))),
        "rates_by": case((and_(J.job_type.in_(RECALCULATIONS), LACKS_RATES), _rates_by(is_seen))),
        "factors_have_come": case((and_(HAS_FAILED, LACKS_FACTORS), _has_factors()), else_=false()),
        "lack_factors": func.coalesce(REJECTED_FOR_FACTORS, false()),
        "factors_since": case((REJECTED_FOR_FACTORS, _factors_since()), else_=false()),
        "lacks_factor": case((and_(HAS_WARNED, LACKS_SOMETHING), _lacks(Lack.MISSING_FACTOR)), else_=false()),
        "lacks_rate": case((and_(HAS_WARNED, LACKS_SOMETHING), _lacks(Lack.MISSING_EXCHANGE_RATE)), else_=false()),
        "is_settled": case((and_(HAS_WARNED, LACKS_SOMETHING), _is_settled()), else_=false()),
    }


def year_is_syncing(viewer: Viewer) -> ColumnElement[bool]:
    """A unit sync of the job's year waits or runs."""
    year = func.coalesce(integer(SYNC.config["target_year"]), SYNC.year)
    of_year = and_(SYNC.provider == viewer.provider, SYNC.job_type == JobType.UNIT_SYNC, year == J.year)
    return exists().where(of_year, SYNC.state.in_(LIVE_STATES))


def _key(*where: ColumnElement[bool]) -> ColumnElement[Any]:
    """Key of the pipeline of the newest such job after this one."""
    return _newest(func.coalesce(LATER.pipeline_id, LATER.time_key), *where)


def _redone_by(is_seen: ColumnElement[bool]) -> ColumnElement[Any]:
    """The pipeline of the newest job that does, or did, the same for at least the same units and entry types. Several entry
    types that failed are redone also one by one; of some that lack something, one job must tell what still does."""
    covers = or_(LATER.scope_module_ids.is_(None), LATER.scope_module_ids.contains(J.scope_module_ids))
    lands = (covers, LANDS, is_seen)
    listed = J.config["data_entry_type_ids"]
    entry_types = func.jsonb_array_elements_text(listed).table_valued("value")
    each = _newest_of(cast(entry_types.c.value, Integer), *lands)
    of_all = select(case((func.bool_and(each.is_not(None)), func.max(each)))).select_from(entry_types).correlate(J)
    lists = or_(J.job_type != JobType.MODULE_EMISSION_RECALC, LATER.config["data_entry_type_ids"].contains(listed))
    newest = case(
        (and_(HAS_FAILED, J.job_type == JobType.MODULE_EMISSION_RECALC), of_all.scalar_subquery()),
        (J.job_type == JobType.EMISSION_RECALC, _newest_of(J.data_entry_type_id, *lands)),
        else_=_newest(LATER.id, LATER.scope_key == J.scope_key, lists, *lands),
    )
    return select(func.coalesce(REDOING.pipeline_id, REDOING.time_key)).where(REDOING.id == newest).scalar_subquery()


def _newest_of(entry_type: Any, *where: ColumnElement[bool]) -> ColumnElement[Any]:
    """Id of the newest such recalculation of an entry type."""
    kinds = ((JobType.EMISSION_RECALC, entry_type), (JobType.MODULE_EMISSION_RECALC, null()))
    own, of_module = (
        func.gql_scope_key(J.provider, kind.value, J.entity_type, J.module_type_id, named, J.year, null())
        for kind, named in kinds
    )
    lists = LATER.config["data_entry_type_ids"].contains(func.to_jsonb(entry_type, type_=JSONB))
    return func.greatest(
        _newest(LATER.id, LATER.scope_key == own, *where), _newest(LATER.id, LATER.scope_key == of_module, lists, *where)
    )


def _newest(value: Any, *where: ColumnElement[bool]) -> ColumnElement[Any]:
    """That value of the newest such job after this one; ordered as the index of scopes is."""
    newest = select(value).where(LATER.id > J.id, *where).order_by(LATER.scope_key.desc(), LATER.id.desc()).limit(1)
    return newest.correlate_except(LATER).scalar_subquery()


def _reread_by(is_seen: ColumnElement[bool]) -> ColumnElement[Any]:
    """The pipeline that has landed the rows of the same upload again, in the same place: they replaced those of this one."""
    place = ("job_type", "year", "module_type_id", "data_entry_type_id", "entity_type")
    same = [getattr(LATER, name).is_not_distinct_from(getattr(J, name)) for name in place]
    unit = LATER.config["unit_institutional_id"].is_not_distinct_from(J.config["unit_institutional_id"])
    return _key(LATER.upload_id == J.upload_id, *same, unit, ~LATER.config.has_key(RESUMED), has_landed(LATER), is_seen)


def _rates_by(is_seen: ColumnElement[bool]) -> ColumnElement[Any]:
    level = literal(EntityType.MODULE_PER_YEAR, models.entity_type_enum)
    scope = (J.provider, JobType.REFERENCE_INGEST.value, level, PURCHASE, null(), J.year, null())
    return _key(LATER.scope_key == func.gql_scope_key(*scope), has_landed(LATER), is_seen)


def _factors_since() -> ColumnElement[bool]:
    """A later file of factors has landed, of the entry type, or of any where the job is of a whole module."""
    level = literal(EntityType.MODULE_PER_YEAR, models.entity_type_enum)
    covering = func.unnest(covering_entry_types()).table_valued("id").render_derived(name="covering")
    scope = (J.provider, JobType.FACTOR_INGEST.value, level, J.module_type_id, covering.c.id, J.year, null())
    on_scope = and_(LATER.scope_key == func.gql_scope_key(*scope), LATER.id > J.id, has_landed(LATER))
    newest = select(LATER.id).where(on_scope).order_by(LATER.scope_key.desc(), LATER.id.desc()).limit(1)
    of_each = newest.correlate(J, covering).lateral()
    return exists(select(of_each.c.id).select_from(covering).join(of_each, true())).correlate(J)


def _has_factors() -> ColumnElement[bool]:
    """There are factors now for what the job is about, of which it had found none."""
    return exists().where(Factor.provider == J.provider, Factor.year == J.year, _is_about(Factor.data_entry_type_id))


def _is_about(entry_type: Any) -> ColumnElement[bool]:
    of_module = and_(J.data_entry_type_id.is_(None), tuple_(J.module_type_id, entry_type).in_(OF_MODULE))
    return or_(entry_type == J.data_entry_type_id, of_module)


def _lacks(lack: Lack) -> ColumnElement[bool]:
    """Some of the entries that it is about lack that now."""
    return exists().where(_entries(), E.lack == lack)


def _entries() -> ColumnElement[bool]:
    """The entries that it is about."""
    place = and_(E.provider == J.provider, E.year == J.year, _is_about(E.data_entry_type_id))
    of_upload = or_(J.upload_id.is_(None), E.upload_id == J.upload_id)
    of_units = or_(J.scope_module_ids.is_(None), E.carbon_report_module_id == any_(J.scope_module_ids))
    return and_(place, of_upload, of_units)


def _is_settled() -> ColumnElement[bool]:
    """The entries that it is about, of which some lacked something, are there, and each has an emission."""
    about = _entries()
    left_rows_out = and_(J.job_type.not_in(RECALCULATIONS), J.failure_class == FailureClass.SOME_ROWS_REJECTED)
    # most that lack something say so, in an index; the rest were not computed yet
    lacks, has_emission = exists().where(about, E.lack.is_not(None)), exists().where(DataEntryEmission.data_entry_id == E.id)
    return and_(~left_rows_out, exists().where(about), ~lacks, ~exists().where(about, ~has_emission))
