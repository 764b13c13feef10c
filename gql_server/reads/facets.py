"""Reads of facets: how many pipelines of a list have each value of a dimension, in one statement for all dimensions asked for.

All that match are counted where the signatures of pipelines tell which do (see `pipelines.counts`). Else the newest that match
are looked at, up to a bound; if there are more, every count is a lower bound.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Executable,
    FromClause,
    Text,
    and_,
    case,
    cast,
    func,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, constant, member, number
from gql_server.db.models import EntityType, PipelineStatus
from gql_server.policy import USERS_VIEW, Viewer
from gql_server.reads.alerts import ALERTS, alerts
from gql_server.reads.jobs.queries import kind_of
from gql_server.reads.pagination.windows import newest
from gql_server.reads.pipelines.counts import bound, cells, matching, meeting
from gql_server.reads.pipelines.filter import FREE, ORPHAN_CREATOR, PipelineCriteria
from gql_server.reads.pipelines.ids import listed
from gql_server.reads.shapes import built_once, parametrized, shaped
from gql_server.reads.turns import turn

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
    """Dimension by which pipelines are counted: a column of theirs or of jobs, or alerts; and the criteria that ask for it."""

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
    "TONE": Dimension(("tones",), False, "tone"),
    "ALERT": Dimension(
        ("status", "tones", "has_errors", "is_orphan", "is_active", "is_stuck", "unresolved"),
        of_job=False,
        column="alert",
    ),
}

Facets = dict[str, list[Value]]


async def facets(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[PipelineCriteria], *, names: tuple[str, ...], limit: int | None
) -> dict[PipelineCriteria, Facets]:
    """The values of each dimension named, most frequent first; each ignores the clauses on itself."""
    who = viewer.shared() if viewer.may(USERS_VIEW) else viewer.alone()
    found: dict[PipelineCriteria, Facets] = {}
    for criteria in keys:
        shape, free = shaped(criteria, FREE)
        counts = _counts(who, shape, names, limit)
        await turn()
        found[criteria] = _by_name(names, await counts.rows(connection, free))
    return found


def _by_name(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Facets:
    facets: Facets = {name: [] for name in names}
    for name, *value in rows:
        facets[name].append(Value(*value))
    if "ALERT" in facets:
        counted = {value.value for value in facets["ALERT"]}
        facets["ALERT"] += [Value(alert, None, 0, complete=True) for alert in ALERTS["ALERT"] if alert not in counted]
    for values in facets.values():
        values.sort(key=lambda value: (-value.count, value.value))
    return facets


@built_once
def _counts(viewer: Viewer, shape: PipelineCriteria, names: Sequence[str], limit: int | None) -> Executable | None:
    """A statement for each dimension, over what they share."""
    criteria = parametrized(shape, FREE)
    most, columns = bound(criteria), [name for name in names if name not in ALERTS]
    if most is not None:
        most = min(most, limit or most)
        counts = _of_newest(viewer, criteria, columns, most)
    else:
        counts = _of_all(viewer, criteria, columns)
    found = [(name, select(*_most_frequent(values).c, complete.label("complete"))) for name, values, complete in counts]
    found += [
        (name, each) for name in names if name in ALERTS for each in alerts(viewer, _without(criteria, [name]), name, most)
    ]
    counts = [select(constant(name).label("facet"), each.subquery()) for name, each in found]
    return union_all(*counts) if counts else None


Counts = list[tuple[str, AnySelect, ColumnElement[bool]]]
"""Of each dimension: its values, with label and count, and whether those are complete."""


def _most_frequent(values: AnySelect) -> FromClause:
    each = values.subquery()
    return select(each).order_by(each.c.counted.desc(), each.c.value).limit(VALUES_MAX).subquery()


def _without(criteria: PipelineCriteria, names: Sequence[str]) -> PipelineCriteria:
    """The criteria without the clauses on these dimensions."""
    return replace(criteria, **{clause: None for name in names for clause in DIMENSIONS[name].clauses})


def _of_all(viewer: Viewer, criteria: PipelineCriteria, names: Sequence[str]) -> Counts:
    of_cells = [name for name in names if name != "TRIGGERED_BY"]
    shared = cells(viewer, _without(criteria, of_cells)) if of_cells else None
    return [
        (
            name,
            _of_creators(viewer, _without(criteria, [name]))
            if shared is None or name not in of_cells
            else _of_cells(shared, name, _without(criteria, [name])),
            true(),
        )
        for name in names
    ]


def _of_cells(shared: CTE, name: str, base: PipelineCriteria) -> AnySelect:
    """Each value's cells, a key, status and level once, and the pipelines in them."""
    dimension, row = DIMENSIONS[name], shared.c
    value = _value(name, shared)
    where = [*meeting(base, shared), value.is_not(None), *([row.is_job] if dimension.of_job else [])]
    each = select(row.key, row.status, row.level, row.n, value.label("value")).where(*where).distinct().subquery()
    counted = cast(func.sum(each.c.n), BigInteger).label("counted")
    return select(each.c.value, cast(null(), Text).label("label"), counted).group_by(each.c.value).having(counted > 0)


def _value(name: str, shared: CTE) -> ColumnElement[Any]:
    row = shared.c
    values: dict[str, ColumnElement[Any]] = {
        "STATUS": member(row.status, PipelineStatus, "UNKNOWN"),
        "SCOPE": func.coalesce(member(row.level, EntityType, "UNKNOWN"), "UNKNOWN"),
        "KIND": kind_of(row.job_type),
        "MODULE": cast(row.module_type_id, Text),
        "YEAR": cast(row.year, Text),
        "FAILURE_CLASS": row.failure_class,
    }
    return values[name]


def _of_creators(viewer: Viewer, base: PipelineCriteria) -> AnySelect:
    """Counts by creator, with the name in their newest pipeline, else in an orphan."""
    user = _known(viewer, ORPHAN_CREATOR).label("user_id")
    name = case((user.is_not(None), _name(J.meta["created_by"])))
    stored = (_known(viewer, P.creator).label("user_id"), cast(null(), Text).label("user_name"))
    of_orphan = (user, func.max(name).label("user_name"))
    each = union_all(*matching(viewer, base, stored, of_orphan, by=(P.creator, ORPHAN_CREATOR))).subquery()
    N = aliased(models.Pipeline)
    newest = select(_name(N.created_by)).where(N.provider == viewer.provider, N.creator == each.c.user_id)
    label = func.coalesce(newest.order_by(N.id.desc()).limit(1).scalar_subquery(), func.max(each.c.user_name))
    counted = cast(func.sum(each.c.counted), BigInteger).label("counted")
    known = select(each.c.user_id.label("value"), label.label("label"), counted).where(each.c.user_id.is_not(None))
    return known.group_by(each.c.user_id).having(counted > 0)


def _of_newest(viewer: Viewer, criteria: PipelineCriteria, names: Sequence[str], most: int) -> Counts:
    """Dimensions whose own clauses are not set share what they look at."""
    sharing: defaultdict[PipelineCriteria, list[str]] = defaultdict(list)
    for name in names:
        sharing[_without(criteria, [name])].append(name)
    counts: Counts = []
    for base, of_base in sharing.items():
        looked = listed(viewer, base, newest(most))
        if looked is not None:
            counts += _of_base(viewer, base, looked, of_base, most)
    return counts


def _of_base(viewer: Viewer, base: PipelineCriteria, looked: CTE, names: Sequence[str], most: int) -> Counts:
    pipelines, jobs = _pipelines(viewer, looked), _jobs(viewer, base, looked)
    complete = select(func.count()).select_from(looked).scalar_subquery() <= most
    return [(name, _of_looked(name, jobs if DIMENSIONS[name].of_job else pipelines, most), complete) for name in names]


def _of_looked(name: str, source: CTE, most: int) -> AnySelect:
    """Values of what is looked at, each counted to the bound: that looks at one more, to know of it."""
    value = source.c[DIMENSIONS[name].column]
    label = func.max(source.c.user_name) if name == "TRIGGERED_BY" else cast(null(), Text)
    counted = func.least(func.count(source.c.key.distinct()), number(most)).label("counted")
    return select(value.label("value"), label.label("label"), counted).where(value.is_not(None)).group_by(value)


def _pipelines(viewer: Viewer, looked: CTE) -> CTE:
    """Columns of the pipelines themselves; an orphan has no stored status."""
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
    """Creator with their name. Of others, only those learn who may see users."""
    user_id, name = created_by["user_id"].astext, _name(created_by)
    known = case((_known(viewer, user_id).is_not(None), name))
    return _known(viewer, user_id).label("user_id"), known.label("user_name")


def _known(viewer: Viewer, user_id: Any) -> ColumnElement[Any]:
    return user_id if viewer.may(USERS_VIEW) else case((user_id == viewer.identity, user_id))


def _name(created_by: Any) -> ColumnElement[Any]:
    return func.coalesce(func.nullif(created_by["name"].astext, ""), func.nullif(created_by["email"].astext, ""))


def _jobs(viewer: Viewer, base: PipelineCriteria, looked: CTE) -> CTE:
    """Columns of those of their jobs for which the row clauses hold."""
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
