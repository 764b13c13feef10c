"""Group of a failure: its class, and the fingerprint that failures of one cause share."""

import hashlib
from dataclasses import dataclass

from gql_server.db.models import JobResult
from gql_server.ledger.failures.ending import Ending
from gql_server.ledger.failures.rules import RULES, FailureClass

FAILED_RESULTS = (JobResult.ERROR, JobResult.WARNING)


@dataclass(frozen=True, slots=True)
class Failure:
    """The group a failure belongs to. `title` is fit for everybody; `cause` can quote the error, without values."""

    failure_class: FailureClass
    fingerprint: str
    title: str
    cause: str
    rule: str


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
