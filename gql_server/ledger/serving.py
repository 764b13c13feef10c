"""Jobs that serve pipelines other than their own: work of these was merged into them.

`serves <> '{}'` is repeated with each clause, because that is the condition of the index.
"""

from typing import Any

from sqlalchemy import ColumnElement, Uuid, and_, literal_column
from sqlalchemy.dialects.postgresql import ARRAY, array

from gql_server.db import models
from gql_server.db.expressions import Column

NO_PIPELINES = literal_column("'{}'::uuid[]", ARRAY(Uuid()))


def serves(pipeline_id: Column | ColumnElement[Any], job: Any = models.Job) -> ColumnElement[bool]:
    """The job does work of this pipeline that was merged into it."""
    return and_(job.serves.contains(array([pipeline_id])), job.serves != NO_PIPELINES)


SERVES_ANY = "serves && CAST(:ids AS uuid[]) AND serves <> '{}'"
"""SQL of jobs that serve any of the pipelines `:ids`."""

_FACTS = """
  j.id, j.provider, j.job_type, j.module_type_id, j.year, j.state, j.result, j.status_message, j.started_at, j.finished_at,
  j.affected_module_ids
"""
SERVING = f"""
serving AS (
  SELECT j.pipeline_id AS served, true AS is_own, {_FACTS} FROM data_ingestion_jobs j WHERE j.pipeline_id {{of}}
  UNION ALL
  SELECT p.id, false, {_FACTS} FROM data_ingestion_jobs j JOIN pipelines p ON p.id = ANY(j.serves)
  WHERE j.serves && {{ids}} AND j.serves <> '{{{{}}}}' AND p.id {{of}} AND j.pipeline_id IS DISTINCT FROM p.id
)
"""
"""SQL of the jobs of some pipelines, and of those of others that work was merged into."""
