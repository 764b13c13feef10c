"""Ways in which jobs end, as clauses."""

from typing import Any

from sqlalchemy import ColumnElement, and_

from gql_server.db import models
from gql_server.db.models import JobResult, JobState

LANDED = (JobResult.SUCCESS, JobResult.WARNING)
"""Results of which everything that the job wrote stays."""


def has_landed(job: Any = models.Job) -> ColumnElement[bool]:
    """The job has ended, and what it wrote stays."""
    return and_(job.state == JobState.FINISHED, job.result.in_(LANDED))


def has_failed(job: Any = models.Job) -> ColumnElement[bool]:
    """The job has ended with ERROR, and what it wrote is rolled back. Never null."""
    return and_(job.state == JobState.FINISHED, job.result.is_not_distinct_from(JobResult.ERROR))
