"""The reason of a job that failed or left rows out: one for each failure class, with what to do about it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.carbon.confusables import SAVED_OTHERWISE
from gql_server.carbon.readers import ALL_HAVE_ONE, NO_FACTOR, ONE_OF_OTHERS, OTHER_TYPE
from gql_server.db.models import FILE_JOBS, RECALCULATIONS, JobResult, JobType
from gql_server.ledger.failures.classify import classify
from gql_server.ledger.failures.ending import Ending
from gql_server.ledger.failures.rules import FailureClass
from gql_server.reads.diagnosis.facts import DiagnosedJob, RetryPreview
from gql_server.reads.diagnosis.reasons import Action, Code, Reason, Severity
from gql_server.reads.diagnosis.retry_advice import READS, advised, cautioned, outdated

MESSAGE_LENGTH = 200
_MISSING_COLUMNS = re.compile(
    r"\bmissing (?:required )?columns?:? (?P<names>.+?)(?: — (?P<hint>.+))?\Z", re.IGNORECASE | re.DOTALL
)

_MISSPELT_COLUMNS = re.compile(r"\Ano columns? (?P<names>.+?) — (?P<hint>.+): correct the name, or leave it out\Z", re.DOTALL)
_OTHER_KIND = re.compile(r"\Athis looks like (?P<kind>.+): upload it with (?P<parameters>.+)\Z")
_PARAMETER = re.compile(r"\bsay which with (?P<name>\w+)")
_OTHER_TYPE = re.compile(rf"first error: {OTHER_TYPE}(?P<others>.+), not of \w+: upload it without entryType")
_NAMED_WRONG = re.compile(rf"first error: {NO_FACTOR}.*(?:” looks like “|{SAVED_OTHERWISE}|{ALL_HAVE_ONE})")
"""A name that no factor has is one of a factor, spelled or read otherwise, or half of one: the file is to be corrected."""
_VERDICT = re.compile(r"\A(?:ERROR|WARNING): ")
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
MORE_OF_THE_UNIT = (
    "See its row errors. Another file of the unit has landed since, and files of a unit add up: upload the corrected rows only "
    "if they were not in that one."
)

WRONG_TYPE = "If they were uploaded with the wrong entryType, upload their rows with that of their factor."
OTHER_TYPE_OF_YEAR = (
    "Upload them with the other rows of {types}, or all rows of the module in one file without entryType: a file of the year "
    "takes the place of what earlier ones brought."
)
OTHER_TYPE_OF_UNIT = "Upload the same file again without entryType, or with entryType={types}."
OTHER_TYPE_LEFT_OUT = (
    "The other rows are in, and stay: upload a file of these alone, without entryType or with entryType={types}."
)


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on a failure. Its remedy comes before a retry, if one `retries`; `action` is one that is not a retry."""

    code: Code
    message: str
    remedy: str = ""
    action: Action | None = None
    retries: bool = False
    severity: Severity = Severity.DANGER


def of_failure(job: DiagnosedJob, again: RetryPreview) -> Iterator[Reason]:
    """The reason of a finished job, if it failed or left something out: one for each thing that its entries lack now."""
    for advice in _lacking(job) or filter(None, [_advice(job)]):
        reason = Reason(
            code=advice.code,
            severity=advice.severity,
            message=advice.message,
            remedy=advice.remedy or None,
            action=advice.action,
            since=job.finished_at,
            job_id=job.id,
            worker_id=job.worker_id if advice.code == Code.RETRIES_EXHAUSTED else None,
        )
        yield outdated(reason, job, again) or _standing(reason, advice, job, again)


def _standing(reason: Reason, advice: Advice, job: DiagnosedJob, again: RetryPreview) -> Reason:
    """The reason while its cause stands: what landed needs advice on a retry only if that is what remedies it."""
    if job.result == JobResult.ERROR or advice.retries or job.claims_success:
        return advised(reason, again, retries=advice.retries)
    if again.other_file_by is not None and job.job_type in FILE_JOBS:
        return replace(reason, remedy=MORE_OF_THE_UNIT, blocked_by=again.other_file_by)
    return cautioned(reason, again) if job.job_type in READS else reason


def _advice(job: DiagnosedJob) -> Advice | None:
    if job.claims_success:
        return _claims_success()
    if job.result not in (JobResult.ERROR, JobResult.WARNING):
        return None
    if job.result == JobResult.ERROR and job.is_aborted:
        return _aborted(job)
    if job.given_up:
        return _given_up(job)
    advice = WARNINGS if job.result == JobResult.WARNING else ADVICE
    known = _class(job)
    if job.lack_factors and known in REJECTED and not _NAMED_WRONG.search(job.message or ""):
        return _without_factor(job, known)
    if known in REJECTED and (other := _OTHER_TYPE.search(job.message or "")):
        return _of_other_type(job, known, other["others"])
    tell = advice.get(known, _other if job.result == JobResult.ERROR else None)
    return tell(job) if tell else None


def _lacking(job: DiagnosedJob) -> list[Advice]:
    """Advice on what its entries lack now, where that is not what they lacked when it ended."""
    known = _class(job)
    if job.result != JobResult.WARNING or job.claims_success or known not in LACKS:
        return []
    now = [lack for lack, stands in zip(LACKS, (job.lacks_factor, job.lacks_rate), strict=True) if stands]
    return [] if now in ([], [known]) else [(WARNINGS if lack == known else LACKS)[lack](job) for lack in now]


def _class(job: DiagnosedJob) -> FailureClass:
    """The class as stored, else as it will be."""
    if job.failure_class in list(FailureClass):
        return FailureClass(str(job.failure_class))
    meta = {"error": job.message} if job.has_exception else {}
    failure = classify(Ending(job.job_type, job.result, job.message, meta))
    return failure.failure_class if failure else FailureClass.UNCLASSIFIED


def _claims_success() -> Advice:
    message = "It reported success although every row was rejected."
    remedy = "Correct the file by its row errors and upload it again."
    return Advice(Code.SUCCESS_WITH_ALL_ROWS_FAILED, message, remedy, Action.SEE_ROW_ERRORS)


def _aborted(job: DiagnosedJob) -> Advice:
    remedy = "Nothing is to be done, unless it is wanted after all."
    return Advice(Code.ABORTED, "An operator stopped it.", remedy, retries=True, severity=Severity.WARNING)


def _given_up(job: DiagnosedJob) -> Advice:
    message = f"Its worker fell silent in attempt {job.attempts} of {job.max_attempts}, so it was given up."
    return Advice(Code.RETRIES_EXHAUSTED, message, "Find out what stopped the workers.", retries=True)


def _deadlock(job: DiagnosedJob) -> Advice:
    message = "It and other work on the same data waited for each other, so the database ended it."
    return Advice(Code.DEADLOCK, message, "Nothing is wrong with the data.", retries=True)


def _timeout(job: DiagnosedJob) -> Advice:
    message = "The database took longer than allowed, or other work held the same data for too long."
    return Advice(Code.TIMEOUT, message, "See whether other work still holds the data.", retries=True)


def _poisoned(job: DiagnosedJob) -> Advice:
    message = "It went on after an error of the database, which then refused all that followed."
    remedy = "Nothing of it was stored. If it fails like this again, report it with the full text of its error."
    return Advice(Code.TRANSACTION_POISONED, message, remedy, retries=True)


def _constraint(job: DiagnosedJob) -> Advice:
    message = f"The database refused a row that contradicts others: {_cut(job.message)}"
    remedy = "See in the full text of the error which row that is, and correct it where it comes from."
    return Advice(Code.CONSTRAINT, message, remedy, Action.SEE_ERROR_DETAIL)


def _all_rows(job: DiagnosedJob) -> Advice:
    if job.job_type not in FILE_JOBS:
        remedy = "Correct what the message names, where the data comes from."
        return Advice(Code.ALL_ROWS_REJECTED, f"Nothing could be used: {_cut(job.message)}", remedy, retries=True)
    remedy = "See its row errors, correct the file and upload it again: a retry would read the same rows."
    return Advice(Code.ALL_ROWS_REJECTED, f"Every row was rejected: {_cut(job.message)}", remedy, Action.SEE_ROW_ERRORS)


def _too_many_rows(job: DiagnosedJob) -> Advice:
    remedy = (
        "See its row errors: often the whole file is of another format or module. Correct it and upload it again, with a "
        "larger maxRejectedShare if the rejected rows shall be left out."
    )
    return Advice(Code.TOO_MANY_ROWS_REJECTED, f"It was refused: {_cut(job.message)}", remedy, Action.SEE_ROW_ERRORS)


def _without_factor(job: DiagnosedJob, known: FailureClass) -> Advice:
    """Of rows that were rejected for want of a factor: their file may be right, so it is read again once that is there."""
    message = f"There is no factor for some of the rows: {_cut(job.message)}"
    severity = Severity.DANGER if job.result == JobResult.ERROR else Severity.WARNING
    code = REJECTED[known]
    if job.factors_since:
        remedy = "Emission factors have come since."
        return Advice(code, message, remedy, retries=True, severity=severity)
    remedy = (
        f"See its row errors. Upload the emission factors of {_place(job)} that are missing, unless the rows name them wrong: "
        "then correct the file."
    )
    return Advice(code, message, remedy, Action.UPLOAD_FACTORS, retries=True, severity=severity)


def _of_other_type(job: DiagnosedJob, known: FailureClass, others: str) -> Advice:
    """Of rows that were rejected because the upload named an entry type that their factor is not of."""
    failed, types = job.result == JobResult.ERROR, " or ".join(f"`{name}`" for name in re.split(", | or ", others))
    message = f"The factor of some of the rows is of {types}, not of the entry type of the upload: {_cut(job.message)}"
    of_unit = OTHER_TYPE_OF_UNIT if failed else OTHER_TYPE_LEFT_OUT
    remedy = (of_unit if job.is_of_unit else OTHER_TYPE_OF_YEAR).format(types=types)
    action, severity = (Action.UPLOAD_FILE, Severity.DANGER) if failed else (Action.SEE_ROW_ERRORS, Severity.WARNING)
    return Advice(REJECTED[known], message, remedy, action, severity=severity)


def _left_out(job: DiagnosedJob) -> Advice:
    """Of a job whose data landed otherwise."""
    if job.job_type in RECALCULATIONS:
        message = f"Some entries have no emission: {_cut(job.message)}"
        remedy = f"Upload emission factors of {_place(job)} that fit them: the emissions follow by themselves."
        return Advice(Code.SOME_ROWS_REJECTED, message, remedy, Action.UPLOAD_FACTORS, severity=Severity.WARNING)
    message = f"Some rows were left out, or not taken as they are: {_cut(job.message)}"
    advice = Advice(Code.SOME_ROWS_REJECTED, message, _corrected(job), Action.SEE_ROW_ERRORS, severity=Severity.WARNING)
    return replace(advice, retries=job.job_type == JobType.API_INGEST)


def _corrected(job: DiagnosedJob) -> str:
    """Says how rows that were left out get in and no other comes twice, by what an upload of that scope replaces."""
    if not job.is_of_unit:
        return CORRECTED.get(job.job_type or "", CORRECTED_OF_YEAR)
    if job.rejected_rows == 0 and job.ignored_cells:
        return f"See its row errors. {IGNORED_OF_UNIT}"
    return f"{CORRECTED_OF_UNIT} {IGNORED_OF_UNIT}" if job.ignored_cells else CORRECTED_OF_UNIT


def _missing_factor(job: DiagnosedJob) -> Advice:
    recalculates = job.job_type in RECALCULATIONS
    if job.factors_have_come:
        message = f"There were no emission factors for its data: {_cut(job.message)}"
        return Advice(Code.MISSING_FACTOR, message, "They have come since.", retries=True)
    remedy = f"Upload emission factors of {_place(job)}."
    if recalculates:
        remedy = f"Upload emission factors of {_place(job)}: the emissions follow by themselves."
    message = f"There are no emission factors for its data: {_cut(job.message)}"
    return Advice(Code.MISSING_FACTOR, message, remedy, Action.UPLOAD_FACTORS, retries=not recalculates)


def _waits_for_factors(job: DiagnosedJob) -> Advice:
    """Of a job that landed its data, some of it without an emission."""
    remedy = f"Upload the emission factors of {_place(job)} that are still to come: the emissions follow by themselves."
    remedy = f"{remedy} {WRONG_TYPE}" if ONE_OF_OTHERS in (job.message or "") else remedy
    message = f"Some entries have no emission yet: {_cut(job.message)}"
    return Advice(Code.MISSING_FACTOR, message, remedy, Action.UPLOAD_FACTORS, severity=Severity.WARNING)


def _missing_rate(job: DiagnosedJob) -> Advice:
    year = job.year if job.year is not None else "its year"
    remedy = f"Upload the exchange rates of {year} as reference data of `purchase`: the emissions follow by themselves."
    severity = Severity.DANGER if job.result == JobResult.ERROR else Severity.WARNING
    message = f"Money could not be converted: {_cut(job.message)}"
    return Advice(Code.MISSING_EXCHANGE_RATE, message, remedy, Action.UPLOAD_EXCHANGE_RATES, severity=severity)


def _lacks_factor_now(job: DiagnosedJob) -> Advice:
    return replace(_waits_for_factors(job), message="Some entries have no emission now, for want of a factor.")


def _lacks_rate_now(job: DiagnosedJob) -> Advice:
    message = "Some entries have no emission now, because there is no exchange rate for them."
    return replace(_missing_rate(job), message=message)


def _upstream(job: DiagnosedJob) -> Advice:
    message = f"A system that the data comes from did not answer as it should: {_cut(job.message)}"
    return Advice(Code.UPSTREAM_API, message, "See whether that system works.", retries=True)


def _refused(job: DiagnosedJob) -> Advice:
    if job.job_type not in FILE_JOBS:
        remedy = "Correct what the message names, where the data comes from."
        return Advice(Code.INPUT_REFUSED, f"It could not use its input: {_cut(job.message)}", remedy, retries=True)
    if missing := _MISSING_COLUMNS.search(job.message or ""):
        names = _cut(missing["names"].rstrip(" ."))
        hint = missing["hint"]
        message = f"The file has no column {names}: {_cut(hint)}." if hint else f"The file has no column {names}."
        remedy = f"Add {names} to the header of the file, with the values, and upload it again."
        if hint:
            remedy = f"Correct the name in the header of the file, or add {names}, with the values, and upload it again."
        return Advice(Code.MISSING_COLUMN, message, remedy, Action.UPLOAD_FILE)
    if misspelt := _MISSPELT_COLUMNS.search(job.message or ""):
        message = f"The file has no column {_cut(misspelt['names'])}: {_cut(misspelt['hint'])}."
        remedy = "Correct the name in the header of the file, or leave that column out, and upload it again."
        return Advice(Code.MISSING_COLUMN, message, remedy, Action.UPLOAD_FILE)
    if other := _OTHER_KIND.search(job.message or ""):
        remedy = f"Upload the same file again, with {other['parameters']}: nothing in it is to be corrected."
        return Advice(Code.INPUT_REFUSED, f"The file looks like {other['kind']}.", remedy, Action.UPLOAD_FILE)
    if parameter := _PARAMETER.search(job.message or ""):
        remedy = f"Upload the same file again, with the parameter `{parameter['name']}`: nothing in it is to be corrected."
        return Advice(
            Code.INPUT_REFUSED, f"The file can be read in several ways: {_cut(job.message)}", remedy, Action.UPLOAD_FILE
        )
    remedy = "Correct the file as the message says, and upload it again: a retry would read the same file."
    return Advice(Code.INPUT_REFUSED, f"The file was refused: {_cut(job.message)}", remedy, Action.UPLOAD_FILE)


def _other(job: DiagnosedJob) -> Advice:
    if job.has_exception:
        message = f"It broke off with an error that nobody expected: {_cut(job.message)}"
        remedy = "Report it with the full text of its error."
        return Advice(Code.UNEXPECTED_ERROR, message, remedy, Action.SEE_ERROR_DETAIL)
    remedy = "See the full text of its error, and remove the cause."
    return Advice(Code.OTHER, f"It failed: {_cut(job.message)}", remedy, Action.SEE_ERROR_DETAIL, retries=True)


REJECTED: Mapping[FailureClass, Code] = {
    FailureClass.ALL_ROWS_REJECTED: Code.ALL_ROWS_REJECTED,
    FailureClass.TOO_MANY_ROWS_REJECTED: Code.TOO_MANY_ROWS_REJECTED,
    FailureClass.SOME_ROWS_REJECTED: Code.SOME_ROWS_REJECTED,
}

ADVICE: Mapping[FailureClass, Callable[[DiagnosedJob], Advice]] = {
    FailureClass.DEADLOCK: _deadlock,
    FailureClass.TRANSACTION_POISONED: _poisoned,
    FailureClass.TIMEOUT: _timeout,
    FailureClass.CONSTRAINT: _constraint,
    FailureClass.ALL_ROWS_REJECTED: _all_rows,
    FailureClass.TOO_MANY_ROWS_REJECTED: _too_many_rows,
    FailureClass.SOME_ROWS_REJECTED: _left_out,
    FailureClass.MISSING_FACTOR: _missing_factor,
    FailureClass.MISSING_EXCHANGE_RATE: _missing_rate,
    FailureClass.UPSTREAM_API: _upstream,
    FailureClass.VALIDATION: _refused,
    FailureClass.WORKER_LOST: _given_up,
    FailureClass.ABORTED: _aborted,
    FailureClass.UNCLASSIFIED: _other,
}

WARNINGS: Mapping[FailureClass, Callable[[DiagnosedJob], Advice]] = {
    FailureClass.SOME_ROWS_REJECTED: _left_out,
    FailureClass.MISSING_FACTOR: _waits_for_factors,
    FailureClass.MISSING_EXCHANGE_RATE: _missing_rate,
}

LACKS: Mapping[FailureClass, Callable[[DiagnosedJob], Advice]] = {
    FailureClass.MISSING_FACTOR: _lacks_factor_now,
    FailureClass.MISSING_EXCHANGE_RATE: _lacks_rate_now,
}


def _place(job: DiagnosedJob) -> str:
    """Place of the factors that are meant: an entry type's, or all of a module's, in a year."""
    entry_type, module = DATA_ENTRY_TYPES.get(job.data_entry_type_id or 0), MODULES.get(job.module_type_id or 0)
    name = f"`{entry_type.key}`" if entry_type else f"the module `{module.key}`" if module else "its module"
    return f"{name} for {job.year}" if job.year is not None else name


def _cut(message: str | None) -> str:
    text = _VERDICT.sub("", " ".join((message or "").split())) or "nothing is known of why."
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"
