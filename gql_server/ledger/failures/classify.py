"""Classes of failures: an ordered table of rules in plain words, and the fingerprint that failures of one cause share."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from gql_server.db.models import JobResult
from gql_server.ledger.failures.fingerprint import cause_of

REASON_LENGTH = 199
TOO_MANY_ROWS_REJECTED = "too_many_rows_rejected"
"""Mark in the meta of an ingest that was refused for the share of its rows that were rejected."""
FAILED_RESULTS = (JobResult.ERROR, JobResult.WARNING)


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


@dataclass(frozen=True)
class Ending:
    """End of a job, as far as the rules look at it. `meta` is its bag, of any shape; `refused` says that the job itself gave up
    in words of its own, rather than with an unexpected error."""

    job_type: str | None
    result: str | None
    message: str | None
    meta: Mapping[str, Any]
    refused: bool = False

    @cached_property
    def says_why(self) -> bool:
        return bool(self.message and self.message.strip() and self.message.strip().lower() != "success")

    @cached_property
    def error(self) -> str:
        """Text of the exception, if one was recorded."""
        return next((text for key in ("error", "validation_error") if isinstance(text := self.meta.get(key), str)), "")

    @cached_property
    def cause(self) -> str:
        return cause_of(self.message if self.says_why else self.error)

    @cached_property
    def rejected(self) -> int:
        """Rows, or entries of a recalculation, that were left out, as far as the job counted them."""
        return max(self._count("row_errors_count"), self.left_out, len(self._row_errors))

    @cached_property
    def left_out(self) -> int:
        """Number of rows that did not land, or could not be computed."""
        told = re.match(r"(?:ERROR|WARNING): \d+ inserted, (\d{1,18}) skipped", self.message or "")
        return max(self._count("rows_skipped", "skipped", "total_errors", "errors"), int(told[1]) if told else 0)

    @cached_property
    def without_factor(self) -> int:
        """Rows, or entries, that wait for a factor."""
        return self._count("without_factor")

    @cached_property
    def first_reason(self) -> str:
        """Reason of the first of them, in the shape that rows of the same fault share."""
        _, found, told = (self.message or "").partition("first error: ")
        stored = self._row_errors[0] if self._row_errors else None
        reason = told if found else stored.get("reason") if isinstance(stored, dict) else None
        return cause_of(reason[:REASON_LENGTH]) if isinstance(reason, str) else ""

    def is_marked(self, mark: str) -> bool:
        return self.meta.get(mark) is True

    def has_state(self, *sqlstates: str) -> bool:
        """The database gave one of these SQLSTATEs, or class of them."""
        return str(self.meta.get("sqlstate") or "").startswith(sqlstates)

    def says(self, pattern: str) -> bool:
        return re.search(pattern, self.cause, re.IGNORECASE) is not None

    def _count(self, *keys: str) -> int:
        sections = [self.meta, *(self._section(key) for key in ("stats", "recalculation"))]
        return max((count for section in sections for key in keys if isinstance(count := section.get(key), int)), default=0)

    @property
    def _row_errors(self) -> list[Any]:
        stored = self.meta.get("row_errors") or self._section("stats").get("row_errors")
        return stored if isinstance(stored, list) else []

    def _section(self, key: str) -> Mapping[str, Any]:
        return section if isinstance(section := self.meta.get(key), dict) else {}


@dataclass(frozen=True, slots=True)
class Rule:
    """`sentence` says whom it takes; `cause` what of the failure tells one group from another, null for one group a kind."""

    failure_class: FailureClass
    title: str
    sentence: str
    takes: Callable[[Ending], bool]
    cause: Callable[[Ending], str] | None = lambda ending: ending.cause


@dataclass(frozen=True, slots=True)
class Failure:
    """The group a failure belongs to. `title` is fit for everybody; `cause` can quote the error, without values."""

    failure_class: FailureClass
    fingerprint: str
    title: str
    cause: str
    rule: str


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


def classify(ending: Ending) -> Failure | None:
    """The group of a failure, which is whatever ended in ERROR or WARNING; None for any other job."""
    if ending.result not in FAILED_RESULTS:
        return None
    rule = next(rule for rule in RULES if rule.takes(ending))
    cause = rule.cause(ending) if rule.cause else ""
    return Failure(
        failure_class=rule.failure_class,
        fingerprint=_fingerprint(rule.failure_class, ending.job_type or "", cause or rule.title),
        title=rule.title,
        cause=cause,
        rule=rule.sentence,
    )


def _fingerprint(*parts: str) -> str:
    """128 bits in hex."""
    return hashlib.sha256("\n".join(parts).encode(errors="replace")).hexdigest()[:32]
