"""The runner: PgQueuer's loop on our ledger, one transaction a job."""

from gql_server.ledger.job import Child, Job, Outcome, RowError
from gql_server.worker.registry import Registry, job_type, registry
from gql_server.worker.run import JobError, LeaseLost, Run

__all__ = ["Child", "Job", "JobError", "LeaseLost", "Outcome", "Registry", "RowError", "Run", "job_type", "registry"]
