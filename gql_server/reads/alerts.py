"""Facets whose values are criteria: what an alert strip shows, each counted like the list that it opens."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Text, cast, func, literal, null, select, true, union_all

from gql_server.db.expressions import AnySelect
from gql_server.policy import Viewer
from gql_server.reads.jobs.filter import Match
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import counts_of

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
    counted = ((value, counts_of(viewer, replace(base, **asked), most)) for value, asked in ALERTS[name].items())
    return [_sum(value, union_all(*map(select, parts)).subquery(), most) for value, parts in counted if parts]


def _sum(value: str, parts: Any, most: int | None) -> AnySelect:
    count = cast(func.sum(parts.c.counted), BigInteger)
    shown, complete = (count, true()) if most is None else (func.least(count, most), count <= most)
    return select(
        literal(value).label("value"), cast(null(), Text).label("label"), shown.label("counted"), complete.label("complete")
    ).having(count > 0)
