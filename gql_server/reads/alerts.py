"""Facets whose values are criteria: what an alert strip shows, each counted like the list that it opens."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    cast,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    union_all,
)

from gql_server.db.expressions import AnySelect
from gql_server.policy import Viewer
from gql_server.reads.jobs.filter import Match
from gql_server.reads.jobs.search import is_frequent, once
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import counts_of, glimpse

ALERTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "TONE": {tone: {"tones": (tone,)} for tone in ("DANGER", "WARNING", "PROGRESS", "SUCCESS", "NEUTRAL")},
    "ALERT": {
        "FAILED": {"status": Match(("FAILED",))},
        "PARTIAL": {"status": Match(("PARTIAL",))},
        "ORPHAN_FAILED": {"is_orphan": True, "has_errors": True},
        "WARNING": {"tones": ("WARNING",), "has_errors": False},
        "RUNNING": {"tones": ("PROGRESS",)},
        "STUCK": {"is_stuck": True},
        "UNRESOLVED": {"unresolved": True},
    },
}
"""Of each facet, what each of its values asks for."""


def alerts(viewer: Viewer, base: PipelineCriteria, name: str, most: int | None) -> list[AnySelect]:
    """For each value: itself, no label, how many match it and the base, and whether these are all; at most `most`."""
    text = base.indexed_search(viewer)
    frequent = false() if text is None else once(is_frequent(text))
    counted = ((value, _parts(viewer, replace(base, **asked), most, frequent)) for value, asked in ALERTS[name].items())
    return [_sum(value, union_all(*parts).subquery(), most) for value, parts in counted if parts]


def _parts(viewer: Viewer, criteria: PipelineCriteria, most: int | None, frequent: ColumnElement[bool]) -> list[AnySelect]:
    text = criteria.indexed_search(viewer)
    if text is None or most is None:
        return [select(part.c.counted, true().label("complete")) for part in counts_of(viewer, criteria, most)]
    part = glimpse(viewer, criteria, text, most, frequent)
    return [] if part is None else [select(part)]


def _sum(value: str, parts: Any, most: int | None) -> AnySelect:
    count, is_all = cast(func.sum(parts.c.counted), BigInteger), func.bool_and(parts.c.complete)
    shown, complete = (count, is_all) if most is None else (func.least(count, most), and_(is_all, count <= most))
    return select(
        literal(value).label("value"), cast(null(), Text).label("label"), shown.label("counted"), complete.label("complete")
    ).having(or_(count > 0, not_(complete)))
