"""Diagnoses of failures: one message and remedy for each class, no advice that is refused."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.errors import RefusalReason
from gql_server.ledger.failures.rules import FailureClass
from gql_server.policy.retry import RetryRefusal
from gql_server.reads.diagnosis.facts import DiagnosedJob, Fleet, RetryPreview
from gql_server.reads.diagnosis.failures import ADVICE
from gql_server.reads.diagnosis.reasons import Action, Reason, Severity, worst_first
from gql_server.reads.diagnosis.rules import of_job

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEWER = UUID("01931b66-0000-7000-8000-000000000001")
RETRY = "Retry the pipeline."


def job(failure_class: FailureClass | None, message: str = "why", **values: Any) -> DiagnosedJob:
    """A file of 2025's process emissions that failed."""
    known: dict[str, Any] = {
        "id": 1,
        "job_type": JobType.CSV_INGEST,
        "state": JobState.FINISHED,
        "result": JobResult.ERROR,
        "message": message,
        "failure_class": failure_class,
        "year": 2025,
        "module_type_id": 8,
        "data_entry_type_id": None,
        "attempts": 1,
        "max_attempts": 3,
        "created_at": NOW,
        "run_after": None,
        "locked_at": None,
        "finished_at": NOW,
        "worker_id": "pod",
        "lease_is_over": False,
        "worker_is_lost": False,
        "blocked_by": None,
        "is_aborted": False,
        "has_exception": False,
        "given_up": False,
        "claims_success": False,
        "year_is_provisioned": True,
        "pipeline_key": UUID(int=1),
        "is_orphan": False,
        "now": NOW,
    }
    return DiagnosedJob(**(known | values))


def reason(failed: DiagnosedJob, **again: Any) -> Reason:
    [found] = of_job(failed, Fleet(live_workers=1, revisions=1), RetryPreview(**again))
    return found


def said(found: Reason) -> tuple[str, str, str | None, str | None]:
    return found.code, found.message, found.remedy, found.action


RECALCULATION: dict[str, Any] = {"job_type": JobType.EMISSION_RECALC, "data_entry_type_id": 50}
CLASSES = [
    (
        job(FailureClass.DEADLOCK),
        "DEADLOCK",
        "It and other work on the same data waited for each other, so the database ended it.",
        f"Nothing is wrong with the data. {RETRY}",
        "RETRY_PIPELINE",
    ),
    (
        job(FailureClass.TIMEOUT),
        "TIMEOUT",
        "The database took longer than allowed, or other work held the same data for too long.",
        f"See whether other work still holds the data. {RETRY}",
        "RETRY_PIPELINE",
    ),
    (
        job(FailureClass.TRANSACTION_POISONED),
        "TRANSACTION_POISONED",
        "It went on after an error of the database, which then refused all that followed.",
        "Nothing of it was stored. If it fails like this again, report it with the full text of its error. Retry the pipeline.",
        "RETRY_PIPELINE",
    ),
    (
        job(FailureClass.CONSTRAINT),
        "CONSTRAINT",
        "The database refused a row that contradicts others: why",
        "See in the full text of the error which row that is, and correct it where it comes from.",
        "SEE_ERROR_DETAIL",
    ),
    (
        job(FailureClass.ALL_ROWS_REJECTED),
        "ALL_ROWS_REJECTED",
        "Every row was rejected: why",
        "See its row errors, correct the file and upload it again: a retry would read the same rows.",
        "SEE_ROW_ERRORS",
    ),
    (
        job(FailureClass.TOO_MANY_ROWS_REJECTED),
        "TOO_MANY_ROWS_REJECTED",
        "It was refused: why",
        "See its row errors: often the whole file is of another format or module. Correct it and upload it again, with a "
        "larger maxRejectedShare if the rejected rows shall be left out.",
        "SEE_ROW_ERRORS",
    ),
    (
        job(FailureClass.SOME_ROWS_REJECTED, result=JobResult.WARNING),
        "SOME_ROWS_REJECTED",
        "Some rows were left out, or not taken as they are: why",
        "See its row errors. The other rows are in; correct these in the file and upload the whole file again: it takes the "
        "place of what this one brought.",
        "SEE_ROW_ERRORS",
    ),
    (
        job(FailureClass.MISSING_FACTOR),
        "MISSING_FACTOR",
        "There are no emission factors for its data: why",
        "Upload emission factors of the module `process_emissions` for 2025. Then retry the pipeline.",
        "UPLOAD_FACTORS",
    ),
    (
        job(FailureClass.MISSING_FACTOR, **RECALCULATION),
        "MISSING_FACTOR",
        "There are no emission factors for its data: why",
        "Upload emission factors of `process_emissions` for 2025: the emissions follow by themselves.",
        "UPLOAD_FACTORS",
    ),
    (
        job(FailureClass.MISSING_FACTOR, result=JobResult.WARNING, **RECALCULATION),
        "MISSING_FACTOR",
        "Some entries have no emission yet: why",
        "Upload the emission factors of `process_emissions` for 2025 that are still to come: the emissions follow by "
        "themselves.",
        "UPLOAD_FACTORS",
    ),
    (
        job(FailureClass.MISSING_EXCHANGE_RATE, **RECALCULATION),
        "MISSING_EXCHANGE_RATE",
        "Money could not be converted: why",
        "Upload the exchange rates of 2025 as reference data of `purchase`: the emissions follow by themselves.",
        "UPLOAD_EXCHANGE_RATES",
    ),
    (
        job(FailureClass.UPSTREAM_API, job_type=JobType.API_INGEST),
        "UPSTREAM_API",
        "A system that the data comes from did not answer as it should: why",
        f"See whether that system works. {RETRY}",
        "RETRY_PIPELINE",
    ),
    (
        job(FailureClass.VALIDATION, "missing columns unit_institutional_id, amount"),
        "MISSING_COLUMN",
        "The file has no column unit_institutional_id, amount.",
        "Add unit_institutional_id, amount to the header of the file, with the values, and upload it again.",
        "UPLOAD_FILE",
    ),
    (
        job(FailureClass.VALIDATION, "missing column amount — “amuont” of the file looks like amount"),
        "MISSING_COLUMN",
        "The file has no column amount: “amuont” of the file looks like amount.",
        "Correct the name in the header of the file, or add amount, with the values, and upload it again.",
        "UPLOAD_FILE",
    ),
    (
        job(
            FailureClass.VALIDATION,
            "no column currency — “currancy” of the file looks like currency: correct the name, or leave it out",
        ),
        "MISSING_COLUMN",
        "The file has no column currency: “currancy” of the file looks like currency.",
        "Correct the name in the header of the file, or leave that column out, and upload it again.",
        "UPLOAD_FILE",
    ),
    (
        job(
            FailureClass.VALIDATION,
            "this looks like data of headcount (member): upload it with target=data, module=headcount and entryType=member",
        ),
        "INPUT_REFUSED",
        "The file looks like data of headcount (member).",
        "Upload the same file again, with target=data, module=headcount and entryType=member: nothing in it is to be "
        "corrected.",
        "UPLOAD_FILE",
    ),
    (
        job(FailureClass.VALIDATION, "“1,234” is 1234 or 1.234: say which with decimalMark, POINT or COMMA"),
        "INPUT_REFUSED",
        "The file can be read in several ways: “1,234” is 1234 or 1.234: say which with decimalMark, POINT or COMMA",
        "Upload the same file again, with the parameter `decimalMark`: nothing in it is to be corrected.",
        "UPLOAD_FILE",
    ),
    (
        job(FailureClass.TOO_MANY_ROWS_REJECTED, "ERROR: 3 of 4 rows were rejected"),
        "TOO_MANY_ROWS_REJECTED",
        "It was refused: 3 of 4 rows were rejected",
        "See its row errors: often the whole file is of another format or module. Correct it and upload it again, with a "
        "larger maxRejectedShare if the rejected rows shall be left out.",
        "SEE_ROW_ERRORS",
    ),
    (
        job(FailureClass.VALIDATION, "the file is empty"),
        "INPUT_REFUSED",
        "The file was refused: the file is empty",
        "Correct the file as the message says, and upload it again: a retry would read the same file.",
        "UPLOAD_FILE",
    ),
    (
        job(FailureClass.WORKER_LOST, attempts=3),
        "RETRIES_EXHAUSTED",
        "Its worker fell silent in attempt 3 of 3, so it was given up.",
        f"Find out what stopped the workers. {RETRY}",
        "RETRY_PIPELINE",
    ),
    (
        job(FailureClass.ABORTED),
        "ABORTED",
        "An operator stopped it.",
        f"Nothing is to be done, unless it is wanted after all. {RETRY}",
        "RETRY_PIPELINE",
    ),
    (
        job(FailureClass.UNCLASSIFIED, has_exception=True),
        "UNEXPECTED_ERROR",
        "It broke off with an error that nobody expected: why",
        "Report it with the full text of its error.",
        "SEE_ERROR_DETAIL",
    ),
    (
        job(FailureClass.UNCLASSIFIED),
        "OTHER",
        "It failed: why",
        "See the full text of its error, and remove the cause. Then retry the pipeline.",
        "SEE_ERROR_DETAIL",
    ),
]


@pytest.mark.parametrize(("failed", "code", "message", "remedy", "action"), CLASSES, ids=lambda value: str(value)[:24])
def test_each_class_of_failure_has_its_message_its_remedy_and_its_action(
    failed: DiagnosedJob, code: str, message: str, remedy: str, action: str
) -> None:
    assert said(reason(failed)) == (code, message, remedy, action)


def test_no_class_of_failure_is_without_advice_and_no_two_say_the_same() -> None:
    assert ADVICE.keys() == {*FailureClass}
    remedies = {failure_class: reason(job(failure_class)).remedy for failure_class in FailureClass}
    assert len({*remedies.values()}) == len(FailureClass)


def test_a_failure_that_nobody_has_classified_yet_is_told_by_its_message() -> None:
    found = reason(job(None, "deadlock detected", has_exception=True))

    assert (found.code, found.action) == ("DEADLOCK", "RETRY_PIPELINE")


@pytest.mark.parametrize("failure_class", FailureClass)
def test_what_is_resolved_is_not_to_be_started_again(failure_class: FailureClass) -> None:
    found = reason(job(failure_class), resolved_by=NEWER, superseded_by=NEWER)

    assert (found.severity, found.blocked_by, found.action) == ("NEUTRAL", NEWER, None)
    assert found.remedy == (
        "Nothing is left to do here: a later run of the same has succeeded, and says itself if it left something out."
    )


SUPERSEDED = RetryRefusal("newer", RefusalReason.SUPERSEDED, NEWER)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_what_is_superseded_is_not_to_be_retried_as_it_is(failure_class: FailureClass) -> None:
    found = reason(job(failure_class), superseded_by=NEWER, refusal=SUPERSEDED, refusal_replacing=SUPERSEDED)

    assert found.remedy == "A newer pipeline brings the same data: look at that one, and do nothing about this."
    assert (found.action, found.blocked_by) == (None, NEWER)


def test_what_is_superseded_can_be_put_in_place_of_the_newer_knowingly() -> None:
    found = reason(job(FailureClass.DEADLOCK), superseded_by=NEWER, refusal=SUPERSEDED)

    assert (found.action, found.blocked_by) == ("REPLACE_NEWER", NEWER)
    assert found.remedy == (
        "A newer pipeline brings the same data, so a plain retry is refused. Retry with `replaceNewer: true` only if this "
        "shall be put in place of it."
    )


@pytest.mark.parametrize(
    ("hint", "action"),
    [
        ("", "UPLOAD_FACTORS"),
        (": “CО2” looks like “CO2”, but its character 2 is U+041E, not U+004F", "SEE_ROW_ERRORS"),
        (": subcategory is blank, and all factors of its kind have one", "SEE_ROW_ERRORS"),
        (": “HÃ©lium” is “Hélium” in a wrong encoding: save the file as “CSV UTF-8”", "SEE_ROW_ERRORS"),
        (
            ": “Hélium” is “HÃ©lium” in a wrong encoding: upload the factors again, from a file saved as “CSV UTF-8”",
            "UPLOAD_FACTORS",
        ),
    ],
)
def test_a_name_that_is_spelled_or_read_otherwise_than_a_factors_asks_for_no_factor(hint: str, action: str) -> None:
    message = f"ERROR: 0 inserted, 1 skipped — first error: no matching factor for process_emissions (kind=a, subkind=b){hint}"

    assert reason(job(FailureClass.ALL_ROWS_REJECTED, message, lack_factors=True)).action == action


def test_a_newer_file_of_some_of_its_entry_types_takes_nothing_from_what_is_to_be_done() -> None:
    in_part: dict[str, Any] = {"superseded_by": NEWER, "is_superseded_wholly": False, "refusal": SUPERSEDED}
    deadlock, rows = reason(job(FailureClass.DEADLOCK), **in_part), reason(job(FailureClass.ALL_ROWS_REJECTED), **in_part)
    warned = reason(job(FailureClass.SOME_ROWS_REJECTED, result="WARNING"), **in_part)
    lacking = reason(job(FailureClass.MISSING_FACTOR), **in_part)

    assert (lacking.action, lacking.blocked_by) == ("UPLOAD_FACTORS", NEWER)
    assert (deadlock.action, deadlock.remedy) == (
        "REPLACE_NEWER",
        "Nothing is wrong with the data. A newer pipeline has brought a part of the same data since, so a plain retry is "
        "refused: `replaceNewer: true` puts this in place of it.",
    )
    assert (rows.action, rows.remedy) == (
        "SEE_ROW_ERRORS",
        "See its row errors, correct the file and upload it again: a retry would read the same rows. A newer pipeline has "
        "brought a part of the same data since: this would take the place of that.",
    )
    assert (warned.severity, warned.action, warned.remedy) == (
        "WARNING",
        "SEE_ROW_ERRORS",
        "See its row errors. The other rows are in; correct these in the file and upload the whole file again: it takes the "
        "place of what this one brought. A newer pipeline has brought a part of the same data since: this would take the place "
        "of that.",
    )


@pytest.mark.parametrize(
    ("obstacle", "sentence", "action"),
    [
        (RefusalReason.ALREADY_RUNNING, "The same work waits or runs already: wait until it has ended.", None),
        (RefusalReason.NOT_ENDED, "Retry the pipeline when it has ended.", None),
        (RefusalReason.FILE_GONE, "Upload its file again, which is not kept any more.", "UPLOAD_FILE"),
        (RefusalReason.YEAR_NOT_PROVISIONED, "Retry the pipeline when the unit sync of its year has succeeded.", None),
        (RefusalReason.NOT_REPEATABLE, "You cannot retry the pipeline: so it is.", None),
        (None, "You cannot retry the pipeline: so it is.", None),
    ],
)
def test_a_retry_that_is_refused_is_not_advised(obstacle: RefusalReason | None, sentence: str, action: str | None) -> None:
    found = reason(job(FailureClass.DEADLOCK), refusal=RetryRefusal("so it is.", obstacle, NEWER))

    assert (found.remedy, found.action) == (f"Nothing is wrong with the data. {sentence}", action)
    assert found.blocked_by == (NEWER if obstacle == RefusalReason.ALREADY_RUNNING else None)


def test_rows_that_were_left_out_of_data_that_landed_stay_to_be_corrected_whatever_came_later() -> None:
    found = reason(job(FailureClass.SOME_ROWS_REJECTED, result=JobResult.WARNING), resolved_by=NEWER)

    assert found.action == "SEE_ROW_ERRORS"


WARNING = {"result": JobResult.WARNING}
PENDING = {"state": JobState.NOT_STARTED, "result": None}
RUNNING = {"state": JobState.RUNNING, "result": None}
RATES, FACTORS, ROWS = FailureClass.MISSING_EXCHANGE_RATE, FailureClass.MISSING_FACTOR, FailureClass.SOME_ROWS_REJECTED
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
FOLLOWED: dict[Action, list[tuple[Case, Case]]] = {
    Action.RETRY_PIPELINE: [
        (({"failure_class": FailureClass.DEADLOCK}, {}, {}), ({}, {"resolved_by": NEWER}, {})),
        (({"failure_class": FailureClass.DEADLOCK, **RECALCULATION}, {}, {}), ({"redone_by": NEWER}, {}, {})),
        (({"failure_class": FACTORS, "factors_have_come": True}, {}, {}), ({}, {"resolved_by": NEWER}, {})),
        (({"failure_class": ROWS, "lack_factors": True, "factors_since": True, **WARNING}, {}, {}),
         ({"reread_by": NEWER}, {}, {})),
    ],
    Action.REPLACE_NEWER: [
        (({"failure_class": FailureClass.TIMEOUT}, {"superseded_by": NEWER, "refusal": SUPERSEDED}, {}),
         ({}, {"resolved_by": NEWER}, {})),
    ],
    Action.UPLOAD_FILE: [(({"failure_class": FailureClass.VALIDATION}, {}, {}), ({}, {"resolved_by": NEWER}, {}))],
    Action.UPLOAD_FACTORS: [
        (({"failure_class": FACTORS}, {}, {}), ({"factors_have_come": True}, {}, {})),
        (({"failure_class": FACTORS, **WARNING}, {}, {}), ({"is_settled": True}, {}, {})),
        (({"failure_class": ROWS, "lack_factors": True, **WARNING}, {}, {}), ({"factors_since": True}, {}, {})),
        (({"failure_class": FACTORS, **WARNING, **RECALCULATION}, {}, {}), ({"redone_by": NEWER}, {}, {})),
        (({"failure_class": ROWS, **WARNING, **RECALCULATION}, {}, {}), ({"is_settled": True}, {}, {})),
    ],
    Action.UPLOAD_EXCHANGE_RATES: [
        (({"failure_class": RATES, **WARNING, **RECALCULATION}, {}, {}), ({"is_settled": True}, {}, {})),
        (({"failure_class": RATES, **RECALCULATION}, {}, {}), ({"redone_by": NEWER}, {}, {})),
        (({"failure_class": RATES, **RECALCULATION}, {}, {}), ({"rates_by": NEWER}, {}, {})),
    ],
    Action.SEE_ROW_ERRORS: [
        (({"failure_class": ROWS, **WARNING}, {}, {}), ({}, {"superseded_by": NEWER}, {})),
        (({"failure_class": FailureClass.ALL_ROWS_REJECTED}, {}, {}), ({}, {"resolved_by": NEWER}, {})),
        (({"failure_class": None, "claims_success": True, **WARNING}, {}, {}), ({}, {"resolved_by": NEWER}, {})),
    ],
    Action.SEE_ERROR_DETAIL: [(({"failure_class": FailureClass.CONSTRAINT}, {}, {}), ({}, {"resolved_by": NEWER}, {}))],
    Action.SYNC_UNITS: [
        (({"year_is_provisioned": False, **RUNNING}, {}, {}), ({"year_is_syncing": True}, {}, {})),
        (({"year_is_provisioned": False, **RUNNING}, {}, {}), ({"year_is_provisioned": True}, {}, {})),
    ],
    Action.RECOVER_JOB: [(({"lease_is_over": True, **RUNNING}, {}, {}), ({"lease_is_over": False, **PENDING}, {}, {}))],
    Action.ABORT_PIPELINE: [
        (({"attempts": 3, **PENDING}, {}, {}),
         ({"is_aborted": True, "result": JobResult.ERROR, "state": JobState.FINISHED}, {"resolved_by": NEWER}, {})),
    ],
    Action.START_WORKER: [((PENDING, {}, {"live_workers": 0}), ({}, {}, {"live_workers": 1}))],
}  # fmt: skip


def advice(case: Case, then: Case = ({}, {}, {})) -> list[Reason]:
    of_job_values, again, fleet = ({**before, **after} for before, after in zip(case, then, strict=True))
    told = job(of_job_values.pop("failure_class", None), **of_job_values)
    return of_job(told, Fleet(**{"live_workers": 1, "revisions": 1, **fleet}), RetryPreview(**again))


def test_every_action_is_in_the_table_of_what_follows_it() -> None:
    assert FOLLOWED.keys() == {*Action}


@pytest.mark.parametrize(("action", "case", "then"), [(action, *each) for action, cases in FOLLOWED.items() for each in cases])
def test_advice_ends_when_it_was_followed(action: Action, case: Case, then: Case) -> None:
    before, after = advice(case), advice(case, then)

    assert action in [reason.action for reason in before]
    assert action not in [reason.action for reason in after]
    assert not any(reason.remedy == before[0].remedy for reason in after)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_whatever_a_recalculation_failed_at_is_nobodys_task_once_another_did_its_work(failure_class: FailureClass) -> None:
    found = reason(job(failure_class, redone_by=NEWER, **RECALCULATION))

    assert (found.severity, found.action, found.blocked_by) == (Severity.NEUTRAL, None, NEWER)


def test_what_is_done_once_for_several_jobs_is_told_once_and_counts_them() -> None:
    lacking = [job(RATES, f"{number} lack a rate", id=number, **WARNING, **RECALCULATION) for number in (1, 2, 3)]

    found = worst_first(reason(each) for each in lacking)

    assert [each.message for each in found] == ["Money could not be converted: 1 lack a rate (and 2 more of this)"]
