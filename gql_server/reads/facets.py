"""Reads of facets: how many pipelines of a list have each value of a dimension, in one statement for all dimensions asked for.

Bounded: the newest pipelines that match are looked at, up to the limit. If there are more, every count is a lower bound.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import CTE, ColumnElement, Text, and_, case, cast, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnySelect, member
from gql_server.db.models import EntityType, PipelineStatus
from gql_server.policy import USERS_VIEW, Viewer
from gql_server.reads.jobs.queries import kind_of
from gql_server.reads.pagination import newest
from gql_server.reads.pipelines.filter import Criteria
from gql_server.reads.pipelines.ids import listed

J, P = models.Job, models.Pipeline
VALUES_MAX = 100


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a dimension, its name for people, and how many pipelines have it: all of them if `complete`, else at least."""

    value: str
    label: str | None
    count: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Dimension:
    """What pipelines are counted by: a column of their own, or of their jobs; and the criteria that ask for it."""

    clauses: tuple[str, ...]
    of_job: bool
    column: str


DIMENSIONS: Mapping[str, Dimension] = {
    "STATUS": Dimension(("status",), False, "status"),
    "KIND": Dimension(("kind",), True, "kind"),
    "MODULE": Dimension(("module_type_ids",), True, "module"),
    "YEAR": Dimension(("years",), True, "year"),
    "SCOPE": Dimension(("levels",), False, "level"),
    "FAILURE_CLASS": Dimension(("failure_classes",), True, "failure_class"),
    "TRIGGERED_BY": Dimension(("triggered_by", "not_triggered_by"), False, "user_id"),
}

Facets = dict[str, list[Value]]


async def facets(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[Criteria], *, names: tuple[str, ...], limit: int
) -> dict[Criteria, Facets]:
    """The values of each dimension named, most frequent first; each ignores the clauses on itself."""
    found: dict[Criteria, Facets] = {criteria: {name: [] for name in names} for criteria in keys}
    counts = [count for place, criteria in enumerate(keys) for count in _counts(viewer, criteria, names, limit, place)]
    if not counts:
        return found
    for row in await connection.execute(union_all(*counts)):
        complete = row.looked <= limit
        found[keys[row.place]][row.facet].append(Value(row.value, row.label, row.counted, complete))
    for of_criteria in found.values():
        for values in of_criteria.values():
            values.sort(key=lambda value: (-value.count, value.value))
    return found


def _counts(viewer: Viewer, criteria: Criteria, names: Sequence[str], limit: int, place: int) -> list[AnySelect]:
    """A statement for each dimension. Those whose own clauses are not set share what they look at."""
    sharing: defaultdict[Criteria, list[str]] = defaultdict(list)
    for name in names:
        sharing[replace(criteria, **dict.fromkeys(DIMENSIONS[name].clauses))].append(name)
    counts: list[AnySelect] = []
    for base, of_base in sharing.items():
        looked = listed(viewer, base, newest(limit))
        if looked is not None:
            counts += _of_base(viewer, base, looked, of_base, place)
    return counts


def _of_base(viewer: Viewer, base: Criteria, looked: CTE, names: Sequence[str], place: int) -> list[AnySelect]:
    pipelines, jobs = _pipelines(viewer, looked), _jobs(viewer, base, looked)
    total = select(func.count()).select_from(looked).scalar_subquery()
    return [_count(place, name, jobs if DIMENSIONS[name].of_job else pipelines, total) for name in names]


def _count(place: int, name: str, source: CTE, total: ColumnElement[int]) -> AnySelect:
    value = source.c[DIMENSIONS[name].column]
    label = func.max(source.c.user_name) if name == "TRIGGERED_BY" else cast(null(), Text)
    counts = (
        select(value.label("value"), label.label("label"), func.count(source.c.key.distinct()).label("counted"))
        .where(value.is_not(None))
        .group_by(value)
        .order_by(func.count(source.c.key.distinct()).desc(), value)
        .limit(VALUES_MAX)
        .subquery()
    )
    return select(literal(place).label("place"), literal(name).label("facet"), counts, total.label("looked"))


def _pipelines(viewer: Viewer, looked: CTE) -> CTE:
    """What is said of the pipelines themselves; an orphan has no stored status."""
    stored = select(
        looked.c.key,
        member(P.status, PipelineStatus, "UNKNOWN").label("status"),
        func.coalesce(member(P.entity_type, EntityType, "UNKNOWN"), "UNKNOWN").label("level"),
        *_creator(viewer, P.created_by),
    ).join_from(looked, P, P.id == looked.c.key)
    orphans = select(
        looked.c.key,
        cast(null(), Text),
        member(J.entity_type, EntityType, "UNKNOWN"),
        *_creator(viewer, J.meta["created_by"]),
    ).join_from(looked, J, J.time_key == looked.c.key)
    return union_all(stored, orphans.where(J.provider == viewer.provider, J.pipeline_id.is_(None))).cte()


def _creator(viewer: Viewer, created_by: Any) -> tuple[ColumnElement[Any], ...]:
    """Who started it. Of others, only those learn who may see users."""
    user_id = created_by["user_id"].astext
    name = func.coalesce(func.nullif(created_by["name"].astext, ""), func.nullif(created_by["email"].astext, ""))
    if viewer.may(USERS_VIEW):
        return user_id.label("user_id"), name.label("user_name")
    mine = user_id == viewer.identity
    return case((mine, user_id)).label("user_id"), case((mine, name)).label("user_name")


def _jobs(viewer: Viewer, base: Criteria, looked: CTE) -> CTE:
    """What is said of those of their jobs for which the row clauses hold."""
    clauses = and_(J.provider == viewer.provider, *base.of_one_job(viewer))
    columns = (
        looked.c.key,
        kind_of(J.job_type).label("kind"),
        cast(J.module_type_id, Text).label("module"),
        cast(J.year, Text).label("year"),
        J.failure_class.label("failure_class"),
    )
    stored = select(*columns).join_from(looked, J, J.pipeline_id == looked.c.key).where(clauses)
    orphans = select(*columns).join_from(looked, J, J.time_key == looked.c.key).where(J.pipeline_id.is_(None), clauses)
    return union_all(stored, orphans).cte()
