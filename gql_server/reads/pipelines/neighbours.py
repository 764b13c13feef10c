"""Runs of one kind on the same scope: provider, kind, level, module, entry type of the root, year and unit.

`scope_key` is a digest of these seven, null where the scope cannot be told, so what compares by it has no neighbours then.
Keys are UUIDv7: a later run has the greater one. An orphan has a scope too, but stands in nobody's neighbourhood.

Compared and ordered as rows of (scope, key), because then only the index of scopes gives the order; for an equal scope and an
order by key alone, PostgreSQL may walk all pipelines from the key on.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Select, and_, exists, func, or_, select, true, tuple_
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, Column, number, one_of
from gql_server.db.models import PipelineStatus

Run = type[models.Pipeline]


def succeeded(run: Run) -> ColumnElement[bool]:
    """In the words of the partial index."""
    return one_of(run.status, [PipelineStatus.SUCCESS])


def nearest_after(run: Run, scope_key: Column, key: Column) -> Select[UUID]:
    """Id of the first run on the scope after the key."""
    on_scope_after = and_(tuple_(run.scope_key, run.id) > tuple_(scope_key, key), run.scope_key <= scope_key)
    return select(run.id).where(on_scope_after).order_by(run.scope_key, run.id).limit(number(1))


def nearest_before(run: Run, scope_key: Column, key: Column) -> Select[UUID]:
    """Id of the last run on the scope before the key."""
    on_scope_before = and_(tuple_(run.scope_key, run.id) < tuple_(scope_key, key), run.scope_key >= scope_key)
    return select(run.id).where(on_scope_before).order_by(run.scope_key.desc(), run.id.desc()).limit(number(1))


def makes_good(later: Any, run: Any) -> ColumnElement[bool]:
    """A success on the scope of the run, after it, brings what the run was to bring; true for an orphan, which is no `run`."""
    if run is None:
        return true()
    return func.gql_makes_good(run.status, run.file_digest, run.file_name, later.file_digest, later.file_name, type_=Boolean)


def unresolved(statement: AnySelect, scope_key: Column, key: Column, run: Any = None) -> AnySelect:
    """Runs of the statement after which none on the scope succeeded that makes them good.

    The last success is joined by scope and file alone: PostgreSQL remembers it for all runs of a scope, which are many.
    """
    success: Any = aliased(models.Pipeline)
    on_scope = and_(
        success.scope_key >= scope_key, success.scope_key <= scope_key, succeeded(success), makes_good(success, run)
    )
    latest = select(success.id).where(on_scope).order_by(success.scope_key.desc(), success.id.desc()).limit(number(1)).lateral()
    return statement.outerjoin(latest, true()).where(or_(latest.c.id.is_(None), latest.c.id < key))


def resolved(scope_key: Column, key: Column, run: Any = None) -> ColumnElement[bool]:
    """A later run on the scope succeeded that makes it good. Without a row clause: whoever sees one run of a scope sees all."""
    later: Any = aliased(models.Pipeline)
    return exists(nearest_after(later, scope_key, key).where(succeeded(later), makes_good(later, run)))
