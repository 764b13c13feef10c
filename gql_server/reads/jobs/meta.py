"""The allow-list of the job's JSON bag. What it does not name leaves the database only as a name and a size, or in `raw`."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by

from gql_server.db import models
from gql_server.db.expressions import Column, constant
from gql_server.ledger.interventions import ABORTED_BY
from gql_server.policy import OPERATIONS_VIEW, USERS_VIEW, Viewer

ALLOWED = ("provider_name", "filters", "status_history", "phases", "reading")
VALUE_MAX_BYTES = 16_384
UNEXPECTED = "The job failed unexpectedly."
ABORTED = "Aborted"
PEOPLE = ["aborted_by", "created_by"]
"""Keys of the bag that name somebody."""

J = models.Job


class OmissionReason(StrEnum):
    """Reasons for which a key of the meta is not among its entries."""

    TOO_LARGE = "TOO_LARGE"
    NOT_ALLOW_LISTED = "NOT_ALLOW_LISTED"
    PERMISSION = "PERMISSION"


def allowed(keys: Iterable[str] | None) -> tuple[str, ...]:
    """The named keys that may be shown, all of them for None, in the order of the allow-list."""
    asked = ALLOWED if keys is None else set(keys)
    return tuple(key for key in ALLOWED if key in asked)


def omission(viewer: Viewer, key: str) -> OmissionReason:
    """Reason for which that key of the meta is not shown."""
    if key in ALLOWED:
        return OmissionReason.TOO_LARGE
    return OmissionReason.NOT_ALLOW_LISTED if viewer.may(OPERATIONS_VIEW) else OmissionReason.PERMISSION


def whole_meta() -> ColumnElement[Any]:
    """All that the job carries: its metadata, and under `config` what it was configured with."""
    meta = case((func.jsonb_typeof(J.meta) == "object", J.meta), else_=func.jsonb_build_object())
    return case((J.config == func.jsonb_build_object(), meta), else_=func.jsonb_build_object("config", J.config).op("||")(meta))


def raw(viewer: Viewer) -> ColumnElement[Any]:
    """The same, without people for who may not know them."""
    whole, history = whole_meta(), "status_history"
    if viewer.may(USERS_VIEW):
        return whole
    nameless: ColumnElement[Any] = whole.op("-")(literal(PEOPLE, ARRAY(Text)))
    told = func.jsonb_build_object(history, shown(viewer, history))
    return case((J.meta[history].is_not(None), nameless.op("||")(told)), else_=nameless)


def size(value: Column) -> ColumnElement[int]:
    """Bytes of a JSON value as text."""
    return func.octet_length(cast(value, Text))


def small(value: Column, *, shown: Column | None = None) -> ColumnElement[Any]:
    """The JSON value, or `shown` in its place, when it is small enough; else null."""
    return case((size(value) <= VALUE_MAX_BYTES, value if shown is None else shown))


def projection(viewer: Viewer, keys: Iterable[str]) -> ColumnElement[Any]:
    """An object of just these keys, as this viewer may know them; one that the bag has not, or that is too large, is null."""
    pairs = (part for key in keys for part in (constant(key), small(J.meta[key], shown=shown(viewer, key))))
    return func.jsonb_build_object(*pairs)


def omissions() -> ColumnElement[Any]:
    """An object of the keys that `projection` leaves out, with their sizes in bytes; null when there are none."""
    each = func.jsonb_each(whole_meta()).table_valued("key", "value").render_derived(name="each")
    left_out = or_(each.c.key.not_in(ALLOWED), size(each.c.value) > VALUE_MAX_BYTES)
    present = cast(each.c.value, Text) != "null"
    return (
        select(func.jsonb_object_agg(each.c.key, size(each.c.value)))
        .select_from(each)
        .where(left_out, present)
        .scalar_subquery()
        .correlate(J)
    )


def nameless(viewer: Viewer, text: Column) -> Column:
    """The text; who may not know people is not told by whom a job was aborted."""
    if viewer.may(USERS_VIEW):
        return text
    return case((_names_person(text), constant(ABORTED)), else_=text)


def shown(viewer: Viewer, key: str) -> ColumnElement[Any]:
    """The value of a key of the bag, as this viewer may know it."""
    value = J.meta[key]
    hidden = _hidden(viewer) if key == "status_history" else ()
    return _discreet(value, hidden) if hidden else value


class Hidden(NamedTuple):
    """A sort of text that a history hides: in which jobs, in which messages, and what it says instead."""

    is_in: ColumnElement[bool]
    is_told: Callable[[Column], ColumnElement[bool]]
    instead: str


def _hidden(viewer: Viewer) -> Sequence[Hidden]:
    """Texts of unexpected errors, which can hold SQL and row values, and people, as far as the viewer may not know them."""
    error, by_whom = J.meta["error"], J.meta["aborted"]
    return [
        *([] if viewer.may(OPERATIONS_VIEW) else [Hidden(error.is_not(None), _of_error, UNEXPECTED)]),
        *([] if viewer.may(USERS_VIEW) else [Hidden(by_whom.is_not(None), _names_person, ABORTED)]),
    ]


def _of_error(told: Column) -> ColumnElement[bool]:
    return or_(told == J.status_message, func.strpos(J.meta["error"].astext, told) > 0)


def _names_person(told: Column) -> ColumnElement[bool]:
    return func.starts_with(told, constant(ABORTED_BY))


def _discreet(history: Column, hidden: Sequence[Hidden]) -> ColumnElement[Any]:
    """The history without what is hidden."""
    entry = (
        func.jsonb_array_elements(case((func.jsonb_typeof(history) == "array", history), else_=func.jsonb_build_array()))
        .table_valued("value", with_ordinality="position")
        .render_derived(name="entry")
    )
    value: Any = cast(entry.c.value, JSONB)
    told = value["message"].astext
    discreet = case(
        *(
            (and_(each.is_in, each.is_told(told)), value.op("||")(func.jsonb_build_object("message", each.instead)))
            for each in hidden
        ),
        else_=value,
    )
    ordered = aggregate_order_by(discreet, entry.c.position)
    entries = select(func.jsonb_agg(ordered)).select_from(entry).where(func.jsonb_typeof(value) == "object")
    return case((or_(*(each.is_in for each in hidden)), entries.scalar_subquery().correlate(J)), else_=history)
