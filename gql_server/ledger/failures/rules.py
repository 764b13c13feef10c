"""Classes of failures, and the ordered table of rules, in plain words, that decides them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gql_server.db.models import JobResult
from gql_server.ledger.failures.ending import TOO_MANY_ROWS_REJECTED, Ending


class FailureClass(StrEnum):
    """Shape of a failure."""

    DEADLOCK = "DEADLOCK"
    TRANSACTION_POISONED = "TRANSACTION_POISONED"
    TIMEOUT = "TIMEOUT"
    CONSTRAINT = "CONSTRAINT"
    ALL_ROWS_REJECTED = "ALL_ROWS_REJECTED"
    TOO_MANY_ROWS_REJECTED = "TOO_MANY_ROWS_REJECTED"
    SOME_ROWS_REJECTED = "SOME_ROWS_REJECTED"
    MISSING_FACTOR = "MISSING_FACTOR"
    MISSING_EXCHANGE_RATE = "MISSING_EXCHANGE_RATE"
    UPSTREAM_API = "UPSTREAM_API"
    VALIDATION = "VALIDATION"
    WORKER_LOST = "WORKER_LOST"
    ABORTED = "ABORTED"
    UNCLASSIFIED = "UNCLASSIFIED"


@dataclass(frozen=True, slots=True)
class Rule:
    """`sentence` says whom it takes; `cause` what of the failure tells one group from another, null for one group a kind."""

    failure_class: FailureClass
    title: str
    sentence: str
    takes: Callable[[Ending], bool]
    cause: Callable[[Ending], str] | None = lambda ending: ending.cause


_UNREACHABLE = (
    r"cannot be reached|gave no rows|did not answer|connection attempts? failed|connect call failed|connection (refused|reset)"
    r"|name or service not known|(client|server) error <value> for url|server disconnected|bad gateway|service unavailable"
)
_UNREACHABLE_TYPES = re.compile(
    r"\A(httpx\.)?(Connect|Read(Error|Timeout)|Write(Error|Timeout)|RemoteProtocol|HTTPStatus|Timeout|gaierror)"
)
_POISONED = r"current transaction is aborted|transaction has been rolled back due to"
_UNUSABLE = r"\bmissing (required )?columns?\b|validation errors? for"

RULES = (
    Rule(
        FailureClass.ABORTED,
        "Aborted by an operator",
        "The job carries the mark of an abort, or its message begins with “Aborted by”.",
        lambda job: job.is_marked("aborted") or job.says(r"\Aaborted by "),
        cause=None,
    ),
    Rule(
        FailureClass.WORKER_LOST,
        "The worker fell silent, again and again",
        "Recovery gave the job up: its workers stopped renewing their lease in every attempt.",
        lambda job: job.is_marked("given_up") or job.says(r"auto-?recover"),
        cause=None,
    ),
    Rule(
        FailureClass.MISSING_EXCHANGE_RATE,
        "Exchange rates are missing",
        "Purchases in another currency than their factor's could not be computed: nobody said at which rate in their year.",
        lambda job: job.first_reason.startswith(("there are no exchange rates", "there is no exchange rate")),
        cause=None,
    ),
    Rule(
        FailureClass.MISSING_FACTOR,
        "Rows wait for their emission factor",
        "The job landed all its data, but counted rows or entries without a factor, which have no emission until it comes; one "
        "group for each reason of the first.",
        lambda job: job.result == JobResult.WARNING and job.without_factor > 0 and not job.left_out,
        cause=lambda job: job.first_reason,
    ),
    Rule(
        FailureClass.SOME_ROWS_REJECTED,
        "Some rows were left out",
        "The job landed its data but counted rows or entries it could not use; one group for each reason of the first.",
        lambda job: job.result == JobResult.WARNING and job.rejected > 0,
        cause=lambda job: job.first_reason,
    ),
    Rule(
        FailureClass.TOO_MANY_ROWS_REJECTED,
        "Too many rows were rejected",
        "The job refused its file, because a larger share of its rows was rejected than allowed; one group for each reason of "
        "the first.",
        lambda job: job.is_marked(TOO_MANY_ROWS_REJECTED),
        cause=lambda job: job.first_reason,
    ),
    Rule(
        FailureClass.ALL_ROWS_REJECTED,
        "Every row was rejected",
        "The job ended in ERROR without an exception and counted rejected rows; one group for each reason of the first.",
        lambda job: job.result == JobResult.ERROR and job.rejected > 0 and not job.error,
        cause=lambda job: job.first_reason,
    ),
    Rule(
        FailureClass.TRANSACTION_POISONED,
        "The transaction went on after an error",
        "The database refused statements because an earlier one in the same transaction had failed.",
        lambda job: job.has_state("25P02") or job.says(_POISONED),
        cause=None,
    ),
    Rule(
        FailureClass.DEADLOCK,
        "Deadlock",
        "Two transactions waited for each other, and the database ended this one.",
        lambda job: job.has_state("40P01") or job.says("deadlock detected"),
        cause=None,
    ),
    Rule(
        FailureClass.DEADLOCK,
        "Overtaken by another transaction",
        "The database could not put this transaction in an order with one that ran at the same time.",
        lambda job: job.has_state("40001") or job.says("could not serialize access"),
        cause=None,
    ),
    Rule(
        FailureClass.TIMEOUT,
        "A lock was not free in time",
        "The database gave up waiting for a lock that another transaction held.",
        lambda job: job.has_state("55P03") or job.says("canceling statement due to lock timeout|could not obtain lock"),
        cause=None,
    ),
    Rule(
        FailureClass.TIMEOUT,
        "A statement took too long",
        "The database cancelled a statement at its time limit.",
        lambda job: job.has_state("57014") or job.says("canceling statement due to"),
        cause=None,
    ),
    Rule(
        FailureClass.CONSTRAINT,
        "A constraint was violated",
        "The database refused a row that breaks a unique, foreign key, check, not-null or exclusion constraint.",
        lambda job: job.has_state("23") or job.says(r"violates .*constraint"),
    ),
    Rule(
        FailureClass.MISSING_FACTOR,
        "Emission factors are missing",
        "The job stopped because there were no emission factors for its data.",
        lambda job: job.says(r"\b(no|missing|without) (\w+ )*factors?\b|factor map is empty|factors? not found"),
    ),
    Rule(
        FailureClass.UPSTREAM_API,
        "Another system did not answer",
        "A system that the data comes from could not be reached, broke off, or answered with an error or with nothing.",
        lambda job: job.says(_UNREACHABLE) or bool(_UNREACHABLE_TYPES.match(job.error)),
    ),
    Rule(
        FailureClass.VALIDATION,
        "The input was refused",
        "The job said itself that it could not use what it was given: the file, its columns, or its settings.",
        lambda job: job.refused or "validation_error" in job.meta or job.says(_UNUSABLE),
    ),
    Rule(
        FailureClass.UNCLASSIFIED,
        "Unclassified",
        "No other rule applies.",
        lambda job: True,
    ),
)
"""The first rule that takes a failure decides."""
