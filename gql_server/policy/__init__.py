"""Decides what viewers may see, in one place: permissions of roles, rows as clauses of SQL, and the policy of every type and
field."""

from gql_server.policy.guards import SYNC, UPLOAD, DenialMode, Guard, Reach, permits, reach
from gql_server.policy.inputs import BY_SUBJECT, INPUTS, PAGING
from gql_server.policy.permissions import (
    CONFIGURATION_EDIT,
    CONFIGURATION_VIEW,
    OPERATIONS_EDIT,
    OPERATIONS_VIEW,
    USERS_VIEW,
    Role,
    Viewer,
    may_see_unit,
    may_upload,
    permissions_of,
)
from gql_server.policy.rows import (
    job_clause,
    orphan_clause,
    pipeline_clause,
    sees_all_jobs,
    sees_orphans,
    totals_clause,
    unit_clause,
    upload_clause,
    view_clause,
    worker_clause,
    year_clause,
)
from gql_server.policy.table import GUARDS, POLICY, TypeRule

__all__ = [
    "BY_SUBJECT",
    "CONFIGURATION_EDIT",
    "CONFIGURATION_VIEW",
    "GUARDS",
    "INPUTS",
    "OPERATIONS_EDIT",
    "OPERATIONS_VIEW",
    "PAGING",
    "POLICY",
    "SYNC",
    "UPLOAD",
    "USERS_VIEW",
    "DenialMode",
    "Guard",
    "Reach",
    "Role",
    "TypeRule",
    "Viewer",
    "job_clause",
    "may_see_unit",
    "may_upload",
    "orphan_clause",
    "permissions_of",
    "permits",
    "pipeline_clause",
    "reach",
    "sees_all_jobs",
    "sees_orphans",
    "totals_clause",
    "unit_clause",
    "upload_clause",
    "view_clause",
    "worker_clause",
    "year_clause",
]
