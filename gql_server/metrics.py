"""Metrics of this process, in Prometheus's terms. Each is counted where it happens; labels have few values, whoever asks."""

from collections.abc import Collection

from prometheus_client import Counter, Histogram, disable_created_metrics

from gql_server.tallies import Counts, Times

disable_created_metrics()

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
OTHER = "other"

HTTP_REQUESTS = Counts("gql_http_requests", "Requests that have ended.", ["route", "method", "status"])
HTTP_SECONDS = Times("gql_http_request_seconds", "Time from a request to the end of its answer.", ["route"], bounds=SHORT)
OPERATIONS = Counts("gql_operations", "Operations that have ended.", ["operation", "type", "outcome"])
OPERATION_SECONDS = Times("gql_operation_seconds", "Time to execute an operation.", ["operation"], bounds=SHORT)
OPERATION_COST = Counts("gql_operation_cost", "Cost of what was executed, in points.", ["operation"])
LOADER_BATCHES = Counts("gql_loader_batches", "Reads of operations: one for all keys of a loader.", ["query"])
LOADER_KEYS = Counts("gql_loader_keys", "Keys that those reads answered; 1 of a list.", ["query"])
LOADER_SECONDS = Counts("gql_loader_seconds", "Time that those reads took, with the wait for a connection.", ["query"])
EVENTS_SENT = Counter("gql_subscription_results", "Results of subscriptions, each read once for all who share it.")
ERRORS = Counter("gql_errors", "Errors that clients were told, by their code.", ["code"])
LOOP_LAG = Histogram("gql_event_loop_lag_seconds", "Time that the event loop was late.", buckets=SHORT)

JOBS_CLAIMED = Counter("gql_jobs_claimed", "Jobs that this worker has claimed.", ["job_type"])
JOBS_FINISHED = Counter("gql_jobs_finished", "Jobs that this worker has finished.", ["job_type", "result"])
JOB_SECONDS = Histogram("gql_job_seconds", "Time of an attempt that has finished.", ["job_type"], buckets=LONG)
LEASES_LOST = Counter("gql_leases_lost", "Attempts that ended because the job was no longer this worker's.")
BEATS_FAILED = Counter("gql_beats_failed", "Renewals of leases that did not reach the database.")
JOBS_RECOVERED = Counter("gql_jobs_recovered", "Jobs of silent workers that this one put back, or gave up.", ["outcome"])
JOBS_REQUEUED, JOBS_GIVEN_UP = JOBS_RECOVERED.labels("requeued"), JOBS_RECOVERED.labels("given_up")
CHORES = Counter("gql_worker_chores", "Rounds of a worker's chores: register, recover, sweep.", ["chore", "outcome"])
SWEEP_SECONDS = Histogram("gql_sweep_seconds", "Time of a sweep.", buckets=LONG)
SWEEP_CORRECTED = Counter("gql_sweep_corrected_pipelines", "Pipelines whose stored status a sweep corrected.")


class OperationLabels:
    """Labels of operations: the names that are known, so many digests of other documents, and one for all the rest."""

    def __init__(self, most: int = 100) -> None:
        self._known: set[str] = set()
        self._digests: set[str] = set()
        self._most = most

    def know(self, names: Collection[str]) -> None:
        """Let the operations of these names go by them."""
        self._known.update(names)

    def of(self, name: str | None, digest: str) -> str:
        """The label of an operation; a document that nobody knows goes by its digest, as in the log."""
        if name in self._known:
            return str(name)
        if digest in self._digests or len(self._digests) < self._most:
            self._digests.add(digest)
            return f"sha256:{digest}"
        return OTHER


LABELS = OperationLabels()
