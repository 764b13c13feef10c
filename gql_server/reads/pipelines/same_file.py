"""Finds which pipeline has brought the same file for the same unit: reading it once more would add its rows again."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, type_coerce
from sqlalchemy.orm import aliased

from gql_server.carbon.catalog import MODULES
from gql_server.db import models
from gql_server.db.models import LIVE_STATES, EntityType, JobType
from gql_server.ledger.resume import has_landed

JOB, PIPELINE, FILE = aliased(models.Job), aliased(models.Pipeline), aliased(models.Upload)
OWN, OWN_PIPELINE = aliased(models.Job), aliased(models.Pipeline)
OF_ONE_TYPE = [module.id for module in MODULES.values() if len(module.data_entry_types) == 1]

ADD_AGAIN = "add_again"
"""In the configuration of a job: its rows are to be added, whatever else brought the same."""


def bringing_same_file(
    *, provider: Any, year: Any, module_type_id: Any, data_entry_type_id: Any, unit: Any, sha256: Any, upload_id: Any
) -> Select[UUID]:
    """Key of the newest pipeline that has landed, or is still to land, another upload of these bytes for the unit: entries of
    that type, or of every type when one of the two names none. None when this upload has landed all of that there itself: read
    again, it replaces its own rows."""
    names_none = type_coerce(data_entry_type_id, JOB.data_entry_type_id.type).is_(None)
    there = (unit, year, module_type_id)
    has_landed_itself = (OWN.upload_id == upload_id, has_landed(OWN), _is_for(OWN, OWN_PIPELINE, *there))
    return (
        select(PIPELINE.id)
        .join(JOB, JOB.pipeline_id == PIPELINE.id)
        .join(FILE, FILE.id == JOB.upload_id)
        .where(
            FILE.sha256 == sha256,
            FILE.provider == provider,
            FILE.id != upload_id,
            _is_for(JOB, PIPELINE, *there),
            or_(_covers(JOB, data_entry_type_id), names_none),
            or_(JOB.state.in_(LIVE_STATES), has_landed(JOB)),
            ~exists().where(*has_landed_itself, _covers(OWN, data_entry_type_id)).correlate_except(OWN, OWN_PIPELINE),
        )
        .order_by(JOB.id.desc())
        .limit(1)
    )


def _is_for(job: Any, pipeline: Any, unit: Any, year: Any, module_type_id: Any) -> ColumnElement[bool]:
    return and_(
        pipeline.id == job.pipeline_id,
        pipeline.unit_institutional_id == unit,
        job.job_type == JobType.CSV_INGEST,
        job.entity_type == EntityType.MODULE_UNIT_SPECIFIC,
        job.year == year,
        job.module_type_id == module_type_id,
    )


def _covers(job: Any, data_entry_type_id: Any) -> ColumnElement[bool]:
    """The job brings every entry type that this one names, or all of them when it names none."""
    entry_type = job.data_entry_type_id
    return or_(entry_type.is_(None), entry_type == data_entry_type_id, job.module_type_id.in_(OF_ONE_TYPE))
