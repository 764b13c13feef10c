import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_server.ledger.failures.fingerprint import CAUSE_LENGTH, cause_of

LEGACY = """(psycopg.errors.UniqueViolation) duplicate key value violates unique constraint "uq_units_2025_code"
DETAIL:  Key (institutional_code)=(F0123) already exists.
[SQL: INSERT INTO units (institutional_code) VALUES (%(code)s)]
[parameters: {'code': 'F0123'}]
(Background on this error at: https://sqlalche.me/e/20/gkpj)"""

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    raise ValueError\n'


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (None, ""),
        ("  division\n by zero ", "division by zero"),
        ("row 12: 3,5 of -4 (12:30)", "row <n>: <n> of <n> (<n>)"),
        ("job 8f14e45f-ceea-467f-a0b0-c1f3a2d4e5f6 is gone", "job <uuid> is gone"),
        ("lock held since 2025-11-20T10:15:00.123+01:00", "lock held since <time>"),
        ("sent to Zoé <zoe.müller@epfl.ch>", "sent to Zoé <<email>>"),
        ("cannot read /tmp/gql-server-x1/upload, nor données_2025.csv", "cannot read <file>, nor <file>"),
        ('the value "l\'unité 12" is «trop long», or “bad”', "the value <value> is <value>, or <value>"),
        ("l'unité 'F0-1' n'existe pas", "l'unité <value> n'existe pas"),
        (
            "no matching factor for plane (kind=AB 1, subkind=None)",
            "no matching factor for plane (kind=<value>, subkind=<value>)",
        ),
        ("pointer 0xDEADBEEF of commit 9f2c1ab4", "pointer <hex> of commit <hex>"),
        ("CO2 in a file that is not UTF-8", "CO2 in a file that is not UTF-8"),
        ("not UTF-8 text: save it as “CSV UTF-8”", "not UTF-8 text: save it as “CSV UTF-8”"),
        ("“1,234” in row 3: say which with decimal=point, x=1", "<value> in row <n>: say which with decimal=point, x=<value>"),
        ("see https://example.org/x?y=1 for more", "see <url> for more"),
        (LEGACY, 'duplicate key value violates unique constraint "uq_units_2025_code"'),
        (TRACEBACK + "sqlalchemy.exc.IntegrityError: " + LEGACY, cause_of(LEGACY)),
        (TRACEBACK + "KeyError: 'x'", "<value>"),
    ],
)
def test_a_cause_is_what_failures_share(text: str | None, cause: str):
    assert cause_of(text) == cause


@given(st.integers(0, 10**9), st.uuids(), st.text("abc xyzéà0-9_%", max_size=20), st.integers(0, 10**9), st.uuids())
def test_other_ids_and_values_have_the_same_cause(row: int, pipeline: UUID, value: str, other_row: int, other_pipeline: UUID):
    sentence = 'row {} of {} has "{}" in column "fte", process {}'
    first = cause_of(sentence.format(row, pipeline, value, row))

    assert first == cause_of(sentence.format(other_row, other_pipeline, value[::-1], other_row))
    assert first == 'row <n> of <uuid> has <value> in column "fte", process <n>'


@given(
    st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), max_size=8),
    st.sampled_from([" ", "\n", "\t ", "\r\n  "]),
)
def test_whitespace_makes_no_difference(words: list[str], space: str):
    assert cause_of(space + space.join(words) + space) == cause_of(" ".join(words))


@given(st.text(st.characters()))
def test_every_text_has_a_cause_of_bounded_length_that_is_its_own(text: str):
    cause = cause_of(text)

    assert len(cause) <= CAUSE_LENGTH
    assert cause == cause.strip()


@pytest.mark.parametrize("text", [part * 50_000 for part in ("aaaa", "'", "(", "a.", "=(", "/a", '"', " '", "a@", "0a", "=")])
def test_long_texts_take_no_time(text: str):
    assert len(cause_of(text)) <= CAUSE_LENGTH


def test_a_cut_off_quotation_still_ends():
    assert cause_of('no such unit "' + "x" * 5000) == "no such unit <value>"
    assert not re.search(r"\d", cause_of("4 " * 3000))


def test_a_long_traceback_without_an_exception_at_its_end_is_read_in_no_time() -> None:
    """Were it read again for each of its lines, the test would not end."""
    text = "deadlock detected\nTraceback (most recent call last):" + "\n  File x, line 1, in traiter" * 200_000

    assert cause_of(text).startswith("deadlock detected")
