"""Advice on rows that were rejected or left out: how they get in, and no other comes twice."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gql_server.carbon.confusables import SAVED_OTHERWISE
from gql_server.carbon.readers import ALL_HAVE_ONE, NO_FACTOR, OTHER_TYPE
from gql_server.db.models import FILE_JOBS, RECALCULATIONS, JobResult, JobType
from gql_server.ledger.failures.rules import FailureClass
from gql_server.reads.diagnosis.advice import Advice, cut, place
from gql_server.reads.diagnosis.facts import DiagnosedJob
from gql_server.reads.diagnosis.reasons import Action, Code, Severity

REJECTED: Mapping[FailureClass, Code] = {
    FailureClass.ALL_ROWS_REJECTED: Code.ALL_ROWS_REJECTED,
    FailureClass.TOO_MANY_ROWS_REJECTED: Code.TOO_MANY_ROWS_REJECTED,
    FailureClass.SOME_ROWS_REJECTED: Code.SOME_ROWS_REJECTED,
}
NAMED_OTHER_TYPE = re.compile(rf"first error: {OTHER_TYPE}(?P<others>.+), not of \w+: upload it without entryType")
NAMED_WRONG = re.compile(rf"first error: {NO_FACTOR}.*(?:” looks like “|{SAVED_OTHERWISE}|{ALL_HAVE_ONE})")
"""A name that no factor has is one of a factor, spelled or read otherwise, or half of one: the file is to be corrected."""
CORRECTED: Mapping[str, str] = {
    JobType.API_INGEST: "See its row errors, and correct these rows where the data comes from.",
    JobType.FACTOR_INGEST: "See its row errors. The other factors are in; correct these rows and upload the file again: what "
    "is there already is overwritten, not doubled.",
}
CORRECTED_OF_YEAR = (
    "See its row errors. The other rows are in; correct these in the file and upload the whole file again: it takes the place "
    "of what this one brought."
)
CORRECTED_OF_UNIT = (
    "See its row errors. The other rows are in, and stay. Correct the rejected rows and upload a file of these alone: files of "
    "a unit add up, so the whole file would bring the others twice."
)
IGNORED_OF_UNIT = "A row of which only a cell was ignored is in without that cell: do not upload it again."
OTHER_TYPE_OF_YEAR = (
    "Upload them with the other rows of {types}, or all rows of the module in one file without entryType: a file of the year "
    "takes the place of what earlier ones brought."
)
OTHER_TYPE_OF_UNIT = "Upload the same file again without entryType, or with entryType={types}."
OTHER_TYPE_LEFT_OUT = (
    "The other rows are in, and stay: upload a file of these alone, without entryType or with entryType={types}."
)


def all_rows(job: DiagnosedJob) -> Advice:
    """Advice where every row was rejected, or nothing of the input could be used."""
    if job.job_type not in FILE_JOBS:
        remedy = "Correct what the message names, where the data comes from."
        return Advice(Code.ALL_ROWS_REJECTED, f"Nothing could be used: {cut(job.message)}", remedy, retries=True)
    remedy = "See its row errors, correct the file and upload it again: a retry would read the same rows."
    return Advice(Code.ALL_ROWS_REJECTED, f"Every row was rejected: {cut(job.message)}", remedy, Action.SEE_ROW_ERRORS)


def too_many_rows(job: DiagnosedJob) -> Advice:
    """Advice where more rows were rejected than may be left out."""
    remedy = (
        "See its row errors: often the whole file is of another format or module. Correct it and upload it again, with a "
        "larger maxRejectedShare if the rejected rows shall be left out."
    )
    return Advice(Code.TOO_MANY_ROWS_REJECTED, f"It was refused: {cut(job.message)}", remedy, Action.SEE_ROW_ERRORS)


def without_factor(job: DiagnosedJob, known: FailureClass) -> Advice:
    """Of rows that were rejected for want of a factor: their file may be right, so it is read again once that is there."""
    message = f"There is no factor for some of the rows: {cut(job.message)}"
    severity = Severity.DANGER if job.result == JobResult.ERROR else Severity.WARNING
    code = REJECTED[known]
    if job.factors_since:
        remedy = "Emission factors have come since."
        return Advice(code, message, remedy, retries=True, severity=severity)
    remedy = (
        f"See its row errors. Upload the emission factors of {place(job)} that are missing, unless the rows name them wrong: "
        "then correct the file."
    )
    return Advice(code, message, remedy, Action.UPLOAD_FACTORS, retries=True, severity=severity)


def of_other_type(job: DiagnosedJob, known: FailureClass, others: str) -> Advice:
    """Of rows that were rejected because the upload named an entry type that their factor is not of."""
    failed, types = job.result == JobResult.ERROR, " or ".join(f"`{name}`" for name in re.split(", | or ", others))
    message = f"The factor of some of the rows is of {types}, not of the entry type of the upload: {cut(job.message)}"
    of_unit = OTHER_TYPE_OF_UNIT if failed else OTHER_TYPE_LEFT_OUT
    remedy = (of_unit if job.is_of_unit else OTHER_TYPE_OF_YEAR).format(types=types)
    action, severity = (Action.UPLOAD_FILE, Severity.DANGER) if failed else (Action.SEE_ROW_ERRORS, Severity.WARNING)
    return Advice(REJECTED[known], message, remedy, action, severity=severity)


def left_out(job: DiagnosedJob) -> Advice:
    """Of a job whose data landed otherwise."""
    if job.job_type in RECALCULATIONS:
        message = f"Some entries have no emission: {cut(job.message)}"
        remedy = f"Upload emission factors of {place(job)} that fit them: the emissions follow by themselves."
        return Advice(Code.SOME_ROWS_REJECTED, message, remedy, Action.UPLOAD_FACTORS, severity=Severity.WARNING)
    message = f"Some rows were left out, or not taken as they are: {cut(job.message)}"
    advice = Advice(Code.SOME_ROWS_REJECTED, message, _corrected(job), Action.SEE_ROW_ERRORS, severity=Severity.WARNING)
    return replace(advice, retries=job.job_type == JobType.API_INGEST)


def _corrected(job: DiagnosedJob) -> str:
    """Says how rows that were left out get in and no other comes twice, by what an upload of that scope replaces."""
    if not job.is_of_unit:
        return CORRECTED.get(job.job_type or "", CORRECTED_OF_YEAR)
    if job.rejected_rows == 0 and job.ignored_cells:
        return f"See its row errors. {IGNORED_OF_UNIT}"
    return f"{CORRECTED_OF_UNIT} {IGNORED_OF_UNIT}" if job.ignored_cells else CORRECTED_OF_UNIT
