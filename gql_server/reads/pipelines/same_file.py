"""Finds which pipeline has brought the same file for the same unit: reading it once more would add its rows again."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.models import LIVE_STATES, EntityType, JobType
from gql_server.ledger.resume import has_landed

JOB, OWN, PIPELINE, FILE = aliased(models.Job), aliased(models.Job), aliased(models.Pipeline), aliased(models.Upload)

ADD_AGAIN = "add_again"
"""In the configuration of a job: its rows are to be added, whatever else brought the same."""


def bringing_same_file(
    *, provider: Any, year: Any, module_type_id: Any, data_entry_type_id: Any, unit: Any, sha256: Any, upload_id: Any
) -> Select[UUID]:
    """Key of the newest pipeline that has landed, or is still to land, another upload of these bytes for the unit. None when
    this upload has landed there itself: read again, it replaces its own rows."""
    own = (OWN.upload_id == upload_id, OWN.year == year, OWN.module_type_id == module_type_id, has_landed(OWN))
    return (
        select(PIPELINE.id)
        .join(JOB, JOB.pipeline_id == PIPELINE.id)
        .join(FILE, FILE.id == JOB.upload_id)
        .where(
            FILE.sha256 == sha256,
            FILE.provider == provider,
            FILE.id != upload_id,
            PIPELINE.unit_institutional_id == unit,
            JOB.job_type == JobType.CSV_INGEST,
            JOB.entity_type == EntityType.MODULE_UNIT_SPECIFIC,
            JOB.year == year,
            JOB.module_type_id == module_type_id,
            func.coalesce(JOB.data_entry_type_id, 0) == func.coalesce(data_entry_type_id, 0),
            or_(JOB.state.in_(LIVE_STATES), has_landed(JOB)),
            ~exists().where(*own).correlate_except(OWN),
        )
        .order_by(JOB.id.desc())
        .limit(1)
    )
