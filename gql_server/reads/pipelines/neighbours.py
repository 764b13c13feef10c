"""Runs of one kind on the same scope: provider, kind, level, module, entry type of the root, year and unit.

`scope_key` is a digest of these seven, null where the scope cannot be told, so what compares by it has no neighbours then.
Keys are UUIDv7: a later run has the greater one. An orphan has a scope too, but stands in nobody's neighbourhood. A later
success makes a failure good also on the wider scope of all entry types of its module, or by reading the same bytes rightly.

Compared and ordered as rows of (scope, key), because then only the index of scopes gives the order; for an equal scope and an
order by key alone, PostgreSQL may walk all pipelines from the key on.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Select, Uuid, and_, func, null, or_, select, true, tuple_
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, Column, number, one_of
from gql_server.db.models import PipelineStatus
from gql_server.policy import Viewer, pipeline_clause, sees_all_pipelines

J = models.Job
Run = type[models.Pipeline]
SCOPE = ("provider", "job_type", "entity_type", "module_type_id", "data_entry_type_id", "year")


def succeeded(run: Run) -> ColumnElement[bool]:
    """In the words of the partial index."""
    return one_of(run.status, [PipelineStatus.SUCCESS])


def nearest_after(run: Run, scope_key: Column, key: Column) -> Select[UUID]:
    """Id of the first run on the scope after the key."""
    return _nearest_after(run, run.scope_key, scope_key, key)


def nearest_before(run: Run, scope_key: Column, key: Column) -> Select[UUID]:
    """Id of the last run on the scope before the key."""
    on_scope_before = and_(tuple_(run.scope_key, run.id) < tuple_(scope_key, key), run.scope_key >= scope_key)
    return select(run.id).where(on_scope_before).order_by(run.scope_key.desc(), run.id.desc()).limit(number(1))


class Way(NamedTuple):
    """A key that a later success and a run have in common, by which it makes the run good if a clause holds."""

    of_success: Column
    of_run: Column
    holds: ColumnElement[bool]


def ways(viewer: Viewer, success: Any, run: Any) -> list[Way]:
    """Ways in which a success makes a run, or an orphan, good: on its scope, or the wider one of all entry types, it brings
    what that was to bring; if nothing landed of the run, it has read the same bytes, for the same unit or the whole year."""
    if run is J:
        wider = func.gql_wider_scope_key(*(getattr(J, name) for name in SCOPE), null(), type_=Uuid())
        return [Way(success.scope_key, key, true()) for key in (J.scope_key, wider)]
    file = (run.status, run.file_digest, run.file_name, success.file_digest, success.file_name)
    good = func.gql_makes_good(*file, type_=Boolean)
    units = (run.status, run.unit_institutional_id, success.unit_institutional_id)
    is_read = and_(func.gql_reads_instead(*units, type_=Boolean), _is_seen(viewer, success))
    return [
        Way(success.scope_key, run.scope_key, good),
        Way(success.scope_key, run.wider_scope_key, good),
        Way(success.file_key, run.file_key, is_read),
    ]


def _is_seen(viewer: Viewer, run: Any) -> ColumnElement[bool]:
    """Runs of a scope are seen all or none; the same bytes may have been read for what the viewer may not see."""
    return true() if sees_all_pipelines(viewer) else pipeline_clause(viewer, run)


def unresolved(viewer: Viewer, statement: AnySelect, key: Column, run: Any) -> AnySelect:
    """Runs of the statement, or orphans, after which none succeeded that makes them good.

    The last success is joined by what makes good alone: PostgreSQL remembers it for all runs of a scope, which are many.
    """
    for nth in range(len(ways(viewer, models.Pipeline, run))):
        success: Any = aliased(models.Pipeline)
        of_success, of_run, holds = ways(viewer, success, run)[nth]
        such = and_(of_success >= of_run, of_success <= of_run, succeeded(success), holds)
        latest = select(success.id).where(such).order_by(of_success.desc(), success.id.desc()).limit(number(1)).lateral()
        statement = statement.outerjoin(latest, true()).where(or_(latest.c.id.is_(None), latest.c.id < key))
    return statement


def resolved(viewer: Viewer, key: Column, run: Any) -> ColumnElement[bool]:
    """A later run succeeded that makes it good.

    Asked for its id, since of EXISTS PostgreSQL drops order and limit, and then may read all pipelines for each run.
    """
    later: Any = aliased(models.Pipeline)
    return or_(*(first.scalar_subquery().is_not(None) for first in first_successes(viewer, later, key, run)))


def first_successes(viewer: Viewer, later: Any, key: Column, run: Any) -> list[Select[UUID]]:
    """Id of the first success after the key that makes the run good, in each of the ways."""
    return [
        _nearest_after(later, of_success, of_run, key).where(succeeded(later), holds)
        for of_success, of_run, holds in ways(viewer, later, run)
    ]


def _nearest_after(later: Any, of_later: Column, of_run: Column, key: Column) -> Select[UUID]:
    """Id of the first run after the key that has that in common."""
    after = and_(tuple_(of_later, later.id) > tuple_(of_run, key), of_later <= of_run)
    return select(later.id).where(after).order_by(of_later, later.id).limit(number(1))
