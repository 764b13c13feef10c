"""The runner: PgQueuer's loop on our ledger, one transaction a job."""

from gql_server.ledger.job import ChildJob, ClaimedJob, Outcome, RejectedRow
from gql_server.worker.registry import Registry, job_type, registry
from gql_server.worker.run import JobError, LeaseLost, Run

__all__ = [
    "ChildJob",
    "ClaimedJob",
    "JobError",
    "LeaseLost",
    "Outcome",
    "Registry",
    "RejectedRow",
    "Run",
    "job_type",
    "registry",
]
