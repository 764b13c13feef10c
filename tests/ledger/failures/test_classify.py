import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.ledger.failures import classify as classification
from gql_server.ledger.failures.classify import Failure, classify
from gql_server.ledger.failures.ending import Ending
from gql_server.ledger.failures.rules import RULES, FailureClass
from tests.ledger.failures import causes

REASON = "no matching factor for scientific (kind=Microscope, subkind=None)"


def failure(message: str | None, result: str = "ERROR", *, job_type: str | None = "csv_ingest", **meta: Any) -> Failure:
    """The failure of a finished job."""
    found = classify(Ending(job_type, result, message, meta))
    assert found is not None
    return found


def class_of(message: str | None, result: str = "ERROR", **meta: Any) -> FailureClass:
    return failure(message, result, **meta).failure_class


REAL = [
    (causes.deadlock, FailureClass.DEADLOCK),
    (causes.poisoned_transaction, FailureClass.TRANSACTION_POISONED),
    (causes.foreign_key_violation, FailureClass.CONSTRAINT),
    (causes.unique_violation, FailureClass.CONSTRAINT),
    (causes.not_null_violation, FailureClass.CONSTRAINT),
    (causes.check_violation, FailureClass.CONSTRAINT),
    (causes.statement_timeout, FailureClass.TIMEOUT),
    (causes.lock_timeout, FailureClass.TIMEOUT),
    (causes.serialization_failure, FailureClass.DEADLOCK),
]


@pytest.mark.parametrize(("cause", "expected"), REAL, ids=lambda value: getattr(value, "__name__", value))
async def test_real_database_errors_land_in_their_class(
    engine: AsyncEngine, cause: Callable[[AsyncEngine], Awaitable[DBAPIError]], expected: FailureClass
):
    error = await cause(engine)
    message, meta = causes.as_the_runner_stores_it(error)

    ours = failure(message, **meta)
    legacy = failure(causes.as_psycopg_stored_it(error))
    assert (ours.failure_class, legacy.failure_class) == (expected, expected)
    assert ours.fingerprint == legacy.fingerprint
    assert failure("irgendetwas in einer anderen Sprache", **meta).failure_class == expected


async def test_f3_a_poisoned_transaction_in_kilobytes_of_text(engine: AsyncEngine):
    error = await causes.poisoned_transaction(engine)
    frames = '  File "x.py", line 1, in f\n' * 200
    text = f"Traceback (most recent call last):\n{frames}sqlalchemy.exc.InternalError: "

    found = failure(text + causes.as_psycopg_stored_it(error), job_type="csv_ingest")

    assert found.failure_class == FailureClass.TRANSACTION_POISONED
    assert found.fingerprint == failure(causes.as_psycopg_stored_it(error)).fingerprint


async def test_f4_deadlocks_of_other_processes_are_one_group_for_each_kind(engine: AsyncEngine):
    first = causes.as_psycopg_stored_it(await causes.deadlock(engine, "a", "b"))
    second = causes.as_psycopg_stored_it(await causes.deadlock(engine, "c", "d"))

    assert first != second
    assert failure(first, job_type="aggregation").fingerprint == failure(second, job_type="aggregation").fingerprint
    assert failure(first, job_type="aggregation").fingerprint != failure(first, job_type="emission_recalc").fingerprint


async def test_f7_a_session_that_went_on_after_a_unique_violation(engine: AsyncEngine):
    error = await causes.pending_rollback(engine)

    assert class_of(str(error), error=f"PendingRollbackError: {error}") == FailureClass.TRANSACTION_POISONED
    assert classify(Ending("emission_recalc", None, str(error), {})) is None


async def test_f8_foreign_keys_are_told_apart_by_constraint_and_not_by_entry(engine: AsyncEngine):
    one, other = await causes.foreign_key_violation(engine, 1), await causes.foreign_key_violation(engine, 2)
    unit = await causes.unique_violation(engine)

    found = failure(*_stored(one))
    assert found.cause == (
        'insert or update on table "data_ingestion_jobs" violates foreign key constraint "fk_data_ingestion_jobs_pipeline_id"'
    )
    assert found.fingerprint == failure(*_stored(other)).fingerprint != failure(*_stored(unit)).fingerprint


async def test_f9_units_of_parallel_years_are_one_group_whatever_their_code(engine: AsyncEngine):
    codes = [causes.as_psycopg_stored_it(await causes.unique_violation(engine, code)) for code in ("F1", "Études “2025”")]

    assert len({failure(text, job_type="unit_sync").fingerprint for text in codes}) == 1


def _stored(error: DBAPIError) -> tuple[str]:
    return (causes.as_psycopg_stored_it(error),)


def test_f1_success_with_every_row_rejected_joins_its_honest_successor_f2():
    lie = failure("Success", row_errors_count=50072, rows_skipped=50072, row_errors=[{"row": 1, "reason": REASON}])
    nested = failure("Success", stats={"row_errors_count": 3, "row_errors": [{"row": 7, "reason": REASON}]})
    honest = failure(f"ERROR: 0 inserted, 50072 skipped — first error: {REASON}", row_errors_count=50072)

    assert lie.failure_class == nested.failure_class == honest.failure_class == FailureClass.ALL_ROWS_REJECTED
    assert lie.fingerprint == nested.fingerprint == honest.fingerprint
    assert honest.cause == "no matching factor for scientific (kind=<value>, subkind=<value>)"


def test_f2_a_reason_that_was_cut_joins_the_one_that_was_not():
    reason = "x" * 150 + " " + "y" * 150
    cut = f"ERROR: 0 inserted, 1 skipped — first error: {reason[:199]}…"

    assert failure(cut).fingerprint == failure("Success", row_errors=[{"row": 1, "reason": reason}]).fingerprint


def test_f10_a_job_given_up_by_recovery_whatever_its_worker():
    ours = failure("Given up by auto-recovery: worker pod-7f fell silent in attempt 3 of 3", given_up=True)

    assert ours.failure_class == FailureClass.WORKER_LOST
    assert ours.fingerprint == failure("auto-recovery: no heartbeat from host-9 after 3 attempts").fingerprint


def test_f11_a_single_bad_row_is_a_warning_with_rejected_rows():
    message = "WARNING: 49999 inserted, 1 skipped — first error: unknown unit"
    found = failure(message, "WARNING", row_errors_count=1)

    assert (found.failure_class, found.cause) == (FailureClass.SOME_ROWS_REJECTED, "unknown unit")
    recalculation = {"recalculated": 5, "errors": 2}
    assert class_of("5 recalculated, 2 failed", "WARNING", recalculation=recalculation) == FailureClass.SOME_ROWS_REJECTED
    assert class_of("The export is late", "WARNING", row_errors_count=0) == FailureClass.UNCLASSIFIED


def test_rows_that_wait_for_a_factor_are_missing_factors_unless_others_were_left_out():
    reason = "no factor yet for scientific (kind=Microscope, subkind=None)"
    ingest = failure(
        f"WARNING: 5 inserted, 0 skipped, 2 without a factor yet — first error: {reason}",
        "WARNING",
        skipped=0,
        without_factor=2,
        row_errors_count=2,
    )
    recalculation = failure(
        f"5 recalculated, 2 without a factor yet — first error: {reason}",
        "WARNING",
        recalculation={"recalculated": 5, "without_factor": 2, "errors": 0},
    )
    mixed = failure(
        "WARNING: 5 inserted, 1 skipped, 2 without a factor yet — first error: unknown unit",
        "WARNING",
        skipped=1,
        without_factor=2,
        row_errors_count=3,
    )

    assert ingest.failure_class == recalculation.failure_class == FailureClass.MISSING_FACTOR
    assert ingest.cause == recalculation.cause == "no factor yet for scientific (kind=<value>, subkind=<value>)"
    assert (mixed.failure_class, mixed.cause) == (FailureClass.SOME_ROWS_REJECTED, "unknown unit")


@pytest.mark.parametrize("result", ["WARNING", "ERROR"])
def test_money_that_cannot_be_converted_lacks_exchange_rates(result: str):
    message = "1 recalculated, 2 failed — first error: there are no exchange rates for 2031: upload them as reference data"
    found = failure(message, result, recalculation={"errors": 2})

    assert found.failure_class == FailureClass.MISSING_EXCHANGE_RATE
    assert found.fingerprint == failure(message.replace("2031", "2032"), result, recalculation={"errors": 3}).fingerprint


def test_f12_an_abort_is_one_group_for_each_kind_whoever_it_was():
    marked = failure("Aborted by ada@epfl.ch", aborted=True, aborted_by="ada@epfl.ch")

    assert marked.failure_class == FailureClass.ABORTED
    assert marked.fingerprint == failure("Aborted by zoé@epfl.ch").fingerprint


@pytest.mark.parametrize(
    "message",
    [
        "there are no emission factors of entry type scientific for this year: upload the factors first",
        "No factors found for module 4",
        "Missing factors: upload them",
    ],
)
def test_f13_missing_factors_fail_fast(message: str):
    assert class_of(message) == FailureClass.MISSING_FACTOR


@pytest.mark.parametrize(
    ("shape", "job"),
    [
        ("F5", ("emission_recalc", "SUCCESS", "Emission recalculation completed", {"modules_refreshed": 2231})),
        ("F6", ("aggregation", "SUCCESS", "Aggregation completed", {"modules_refreshed": 432})),
        ("F14", ("emission_recalc", "SUCCESS", "Emission recalculation completed", {"recalc_work_complete": True})),
        ("F15", ("csv_ingest", "SUCCESS", "Success", {})),
        ("F16", (None, "SUCCESS", "Bulk recalculation via module job 7", {})),
        ("F17", ("aggregation", None, "Job created", {})),
        ("F18", ("aggregation", "SUCCESS", "Aggregation completed", {})),
    ],
)
def test_shapes_in_which_no_job_failed_have_no_failure(shape: str, job: tuple[Any, ...]):
    assert classify(Ending(*job)) is None


@pytest.mark.parametrize(
    ("message", "meta", "expected"),
    [
        ("the source of entries cannot be reached: 502", {}, FailureClass.UPSTREAM_API),
        ("the provider did not answer", {"error": "TimeoutError: the provider did not answer"}, FailureClass.UPSTREAM_API),
        ("", {"error": "ConnectError: "}, FailureClass.UPSTREAM_API),
        ("missing columns unit_institutional_id", {}, FailureClass.VALIDATION),
        ("", {"validation_error": "the header is empty"}, FailureClass.VALIDATION),
        ("division by zero", {"error": "DivisionByZeroError: division by zero"}, FailureClass.UNCLASSIFIED),
        (None, {}, FailureClass.UNCLASSIFIED),
    ],
)
def test_the_rest(message: str | None, meta: dict[str, Any], expected: FailureClass):
    assert class_of(message, **meta) == expected


def test_what_a_job_says_itself_is_a_refusal_of_its_input():
    found = classify(Ending("reference_ingest", "ERROR", "reference data needs a module and a year", {}, refused=True))

    assert found is not None
    assert (found.failure_class, found.cause) == (FailureClass.VALIDATION, "reference data needs a module and a year")


def test_words_of_a_row_do_not_make_a_deadlock():
    assert class_of('unknown unit "deadlock detected"') == FailureClass.UNCLASSIFIED


def test_every_class_has_a_rule_and_every_rule_its_own_sentence():
    assert {rule.failure_class for rule in RULES} == set(FailureClass)
    assert len({rule.sentence for rule in RULES}) == len({rule.title for rule in RULES}) == len(RULES)
    assert inspect.getdoc(classification)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_KEYS = [
    "error",
    "validation_error",
    "aborted",
    "given_up",
    "sqlstate",
    "row_errors",
    "row_errors_count",
    "stats",
    "recalculation",
]


@given(
    st.none() | st.text(),
    st.sampled_from([None, "SUCCESS", "WARNING", "ERROR", "?"]),
    st.none() | st.text(),
    st.dictionaries(st.sampled_from(_KEYS) | st.text(), _JSON, max_size=5),
    st.booleans(),
)
def test_whatever_the_ledger_holds_can_be_classified(
    job_type: str | None, result: str | None, message: str | None, meta: dict[str, Any], refused: bool
):
    found = classify(Ending(job_type, result, message, meta, refused))

    assert (found is not None) == (result in ("WARNING", "ERROR"))
    assert found is None or len(found.fingerprint) == 32
    assert found == classify(Ending(job_type, result, f"{message} \n" if message is not None else None, meta, refused))
