"""Search in the messages of jobs: an exact substring, whatever its case, in what the viewer may read.

`%`, `_` and `\\` are letters like any other. Operators search whole messages, which `errorDetail` shows them too.
"""

from unicodedata import normalize

from sqlalchemy import ColumnElement, and_, func, select

from gql_server.db import models
from gql_server.db.expressions import Column, number, planned
from gql_server.errors import BadInput
from gql_server.policy import OPERATIONS_VIEW, Viewer
from gql_server.reads.jobs.meta import nameless
from gql_server.reads.jobs.row import message_of

J = models.Job
TERM_MIN, TERM_MAX = 3, 100
SAMPLE, FREQUENT = 200, 20


def term(text: str) -> str:
    """The text to search for, in NFC as messages are. Raises BadInput when it is too short or too long."""
    if not TERM_MIN <= len(text) <= TERM_MAX or "\0" in text:
        raise BadInput(f"`search` must be {TERM_MIN} to {TERM_MAX} characters long.")
    return normalize("NFC", text)


def is_indexed(viewer: Viewer) -> bool:
    """True for who searches whole messages, as the index of trigrams holds them; for others each message is looked through."""
    return viewer.may(OPERATIONS_VIEW)


def matches(viewer: Viewer, text: str) -> ColumnElement[bool]:
    """The message of the job, as far as this viewer may know it, has the text in it."""
    is_whole = is_indexed(viewer)
    known = nameless(viewer, J.status_message) if is_whole else message_of(viewer, J.meta, J.status_message)
    return contains(known, text)


def contains(value: Column, text: str) -> ColumnElement[bool]:
    """The value has the text in it, whatever the case of either."""
    return func.strpos(func.lower(value), func.lower(planned(text, J.status_message))) > number(0)


def indexed_match(viewer: Viewer, text: str) -> ColumnElement[bool]:
    """The same, found by the index of trigrams of whole messages."""
    has_trigrams = func.gql_trigrams(J.status_message).op("@>")(func.gql_trigrams(planned(text, J.status_message)))
    return and_(has_trigrams, matches(viewer, text))


def is_frequent(text: str) -> ColumnElement[bool]:
    """One in twenty jobs says it, of some from all over the ledger, so that the index would find too many."""
    newest = select(func.max(J.id)).scalar_subquery()
    step = func.generate_series(number(0), number(SAMPLE - 1)).table_valued("number").render_derived(name="step")
    sampled = J.id == newest - newest // number(SAMPLE) * step.c.number
    says = func.count().filter(contains(J.status_message, text))
    return select(says * number(FREQUENT) >= func.count()).select_from(J.__table__.join(step, sampled)).scalar_subquery()


def once(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition found out once for a statement, however often it is asked there."""
    known = select(condition.label("holds")).cte()
    return select(known.c.holds).scalar_subquery()
