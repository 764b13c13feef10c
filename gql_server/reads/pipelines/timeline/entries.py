"""The entries of timelines as one relation: stamps of jobs and pipelines, histories and stages, taken apart in the database.

The stamps of a job tell its creation, first claim and end; the history tells what came between, as kinds that the runner wrote,
and progress where it wrote none. An entry of a history that has no readable time is left out.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB

from gql_server.db.expressions import AnySelect, Column, constant
from gql_server.db.models import HistoryKind

MESSAGE_LENGTH = 500
AFTER_ALL_JOBS = 2**31
_SECTION = 10_000_000
_HAS_OFFSET = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$"
_AS_WRITTEN = "____-__-__T__:__:__.%+00:00"
"""Nearly all times: the runner wrote them. To compare costs a tenth of what the expression above does."""
_NO_TIME = cast(null(), DateTime(timezone=True))
_NO_TEXT = cast(null(), Text)


class TimelineKind(StrEnum):
    """Sort of entry."""

    CREATED = "CREATED"
    CLAIMED = "CLAIMED"
    PROGRESS = "PROGRESS"
    PHASE_STARTED = "PHASE_STARTED"
    PHASE_FINISHED = "PHASE_FINISHED"
    RETRIED = "RETRIED"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"
    RECOVERED = "RECOVERED"
    STATUS_CHANGED = "STATUS_CHANGED"
    NOTE = "NOTE"


def entries_of_jobs(told: CTE) -> list[AnySelect]:
    """Entries on the jobs of `told`, each with its place: the job's id, and what is told of one job in its order."""
    t = told.c
    creator = (
        case((t.is_chained, constant("RUNNER")), else_=func.nullif(t.actor_kind, "UNKNOWN")),
        t.actor_name,
        t.actor_email,
    )
    author = (creator[0], *(case((~t.is_chained, each)) for each in creator[1:]))
    by_mail = case((t.aborted_by.contains("@"), t.aborted_by))
    ended_by = (case((t.is_aborted, each)) for each in (constant("USER"), t.aborted_by, by_mail))
    end = case((t.is_aborted, constant("ABORTED")), else_=constant("FINISHED"))
    return [
        _entry(told, t.created_at, 0, constant("CREATED"), _NO_TEXT, *author),
        _entry(told, t.started_at, 1, constant("CLAIMED"), _NO_TEXT),
        _history(told),
        *_phases(told),
        _entry(told, t.finished_at, 4 * _SECTION, end, case((t.is_aborted, t.abort_reason), else_=t.message), *ended_by),
    ]


def entries_of_pipelines(told: CTE) -> list[AnySelect]:
    """Entries on the pipelines of `told` themselves: before their jobs, or after all of them."""
    t = told.c
    changed = constant("STATUS_CHANGED")
    author = (func.nullif(t.actor_kind, "UNKNOWN"), t.actor_name, t.actor_email)
    return [
        _entry(told, t.created_at, 0, constant("CREATED"), _NO_TEXT, *author, place=0),
        _entry(told, t.started_at, 0, changed, constant("RUNNING"), place=AFTER_ALL_JOBS),
        _entry(told, t.finished_at, 1, changed, t.status, place=AFTER_ALL_JOBS),
    ]


def told_of(entries: Sequence[AnySelect]) -> Any:
    """All of these entries that have a time that a client can be told; each time is read once."""
    every = union_all(*entries).cte("entries").prefix_with("MATERIALIZED")
    first, last = (
        literal_column(f"timestamptz '{limit}'", DateTime(timezone=True))
        for limit in ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59+00")
    )
    return select(every).where(every.c.at.between(first, last)).subquery("told_entries")


def _entry(
    told: CTE,
    at: ColumnElement[Any],
    index: int | ColumnElement[Any],
    kind: ColumnElement[Any],
    message: Column,
    *author: ColumnElement[Any],
    place: int | None = None,
) -> AnySelect:
    number = literal(index, Integer) if isinstance(index, int) else cast(index, Integer)
    names = ("actor_kind", "actor_name", "actor_email")
    authors = author or (_NO_TEXT,) * len(names)
    return select(
        told.c.key,
        at.label("at"),
        cast(told.c.job_id if place is None else literal(place, BigInteger), BigInteger).label("place"),
        number.label("index"),
        cast(kind, Text).label("kind"),
        cast(message, Text).label("message"),
        *(cast(each, Text).label(name) for each, name in zip(authors, names, strict=True)),
    ).select_from(told)


def _history(told: CTE) -> AnySelect:
    """Entries between the stamps. The end is told by its stamp, which stays when the history has forgotten it."""
    element, value, number = _elements(told.c.history, "noted")
    written = value["kind"].astext
    known = [kind.value for kind in HistoryKind]
    kind = case((written.is_(None), constant("PROGRESS")), (written.in_(known), written), else_=constant("NOTE"))
    ends = [TimelineKind.FINISHED.value, TimelineKind.ABORTED.value]
    noted = _entry(told, _instant(value["ts"]), 2 * _SECTION + number, kind, _text(value["message"]))
    return noted.join(element, true()).where(or_(written.is_(None), written.not_in(ends)))


def _phases(told: CTE) -> list[AnySelect]:
    """Two entries for each stage: its begin and its end."""
    element, value, number = _elements(told.c.phases_raw, "staged")
    name, index = _text(value["name"]), 3 * _SECTION + 2 * number
    ended = case((_text(value["state"]) == "failed", func.coalesce(name, "") + " failed"), else_=name)
    return [
        _entry(told, _instant(value["started_at"]), index, constant("PHASE_STARTED"), name).join(element, true()),
        _entry(told, _instant(value["finished_at"]), index + 1, constant("PHASE_FINISHED"), ended).join(element, true()),
    ]


def _elements(array: Column, name: str) -> tuple[Any, Any, Any]:
    """The objects of a JSON array that anybody may have written: as a relation, one's value, and its number."""
    listed = case((func.jsonb_typeof(array) == "array", array), else_=func.jsonb_build_array())
    every = func.jsonb_array_elements(listed).table_valued(column("value", JSONB), with_ordinality="number")
    element = every.render_derived(name=name)
    is_object = func.jsonb_typeof(element.c.value) == "object"
    objects = select(element.c.value, element.c.number).where(is_object).lateral(f"{name}_objects")
    return objects, objects.c.value, objects.c.number


def _text(value: Any) -> ColumnElement[Any]:
    return case((func.jsonb_typeof(value) == "string", func.left(value.astext, MESSAGE_LENGTH)))


def _instant(value: Any) -> ColumnElement[Any]:
    """The instant of a text with an offset; null for any other value."""
    text, kind = value.astext, "timestamp with time zone"
    has_offset = or_(text.like(_AS_WRITTEN), text.regexp_match(_HAS_OFFSET))
    is_instant = and_(func.jsonb_typeof(value) == "string", has_offset)
    at = cast(text, DateTime(timezone=True))
    return case((is_instant, case((func.pg_input_is_valid(text, kind), at))), else_=_NO_TIME)
