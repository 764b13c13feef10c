"""Advice on entries without an emission: for want of a factor, or of an exchange rate."""

from dataclasses import replace

from gql_server.carbon.readers import ONE_OF_OTHERS
from gql_server.db.models import RECALCULATIONS, JobResult
from gql_server.reads.diagnosis.advice import Advice, cut, place
from gql_server.reads.diagnosis.facts import DiagnosedJob
from gql_server.reads.diagnosis.reasons import Action, Code, Severity

WRONG_TYPE = "If they were uploaded with the wrong entryType, upload their rows with that of their factor."


def missing_factor(job: DiagnosedJob) -> Advice:
    """Advice where there were no factors for the data."""
    recalculates = job.job_type in RECALCULATIONS
    if job.factors_have_come:
        message = f"There were no emission factors for its data: {cut(job.message)}"
        return Advice(Code.MISSING_FACTOR, message, "They have come since.", retries=True)
    remedy = f"Upload emission factors of {place(job)}."
    if recalculates:
        remedy = f"Upload emission factors of {place(job)}: the emissions follow by themselves."
    message = f"There are no emission factors for its data: {cut(job.message)}"
    return Advice(Code.MISSING_FACTOR, message, remedy, Action.UPLOAD_FACTORS, retries=not recalculates)


def waits_for_factors(job: DiagnosedJob) -> Advice:
    """Of a job that landed its data, some of it without an emission."""
    remedy = f"Upload the emission factors of {place(job)} that are still to come: the emissions follow by themselves."
    remedy = f"{remedy} {WRONG_TYPE}" if ONE_OF_OTHERS in (job.message or "") else remedy
    message = f"Some entries have no emission yet: {cut(job.message)}"
    return Advice(Code.MISSING_FACTOR, message, remedy, Action.UPLOAD_FACTORS, severity=Severity.WARNING)


def missing_rate(job: DiagnosedJob) -> Advice:
    """Advice where money could not be converted."""
    year = job.year if job.year is not None else "its year"
    remedy = f"Upload the exchange rates of {year} as reference data of `purchase`: the emissions follow by themselves."
    severity = Severity.DANGER if job.result == JobResult.ERROR else Severity.WARNING
    message = f"Money could not be converted: {cut(job.message)}"
    return Advice(Code.MISSING_EXCHANGE_RATE, message, remedy, Action.UPLOAD_EXCHANGE_RATES, severity=severity)


def lacks_factor_now(job: DiagnosedJob) -> Advice:
    """Advice on entries that have lost their factor since."""
    return replace(waits_for_factors(job), message="Some entries have no emission now, for want of a factor.")


def lacks_rate_now(job: DiagnosedJob) -> Advice:
    """Advice on entries that have lost their exchange rate since."""
    message = "Some entries have no emission now, because there is no exchange rate for them."
    return replace(missing_rate(job), message=message)
