"""Filter of job lists, as clauses on jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, DateTime, Integer, Text, and_, false, func, not_, or_

from gql_server.db import models
from gql_server.db.expressions import Column, inline, one_of, planned
from gql_server.db.models import JobResult, JobState, JobType
from gql_server.ledger.leases import IS_RUNNING, IS_STUCK
from gql_server.policy import OPERATIONS_VIEW, Viewer
from gql_server.reads.shapes import Types

J = models.Job
KINDS = {kind.name: kind.value for kind in JobType}
T = TypeVar("T")
FREE: Types = {"worker": Text(), "attempt_at_least": Integer(), "started_at": DateTime(timezone=True)}
"""Criteria that may have any value, with its type."""
Clauses = list[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Match:
    """Keep (or, negated, drop) these names of an enum."""

    names: tuple[str, ...]
    negated: bool = False


class Range(NamedTuple, Generic[T]):
    """From the lower end to the upper one, which belongs to it when it is closed; either may be missing."""

    low: T | None
    high: T | None
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCriteria:
    """All clauses are ANDed; None means no such clause."""

    kind: Match | None = None
    states: tuple[str, ...] | None = None
    results: tuple[str, ...] | None = None
    is_stuck: bool | None = None
    is_current: bool | None = None
    worker: str | None = None
    attempt_at_least: int | None = None
    started_at: Range[datetime] | None = None

    def __repr__(self) -> str:
        """Only what is asked: cursors are bound to it."""
        return repr({name: value for name, value in zip(CLAUSES, VALUES(self), strict=True) if value is not None})

    def clauses(self, viewer: Viewer) -> Clauses:
        held = J.claimed_by == planned(self.worker, J.claimed_by) if viewer.may(OPERATIONS_VIEW) else false()
        return [
            *([_kind(self.kind)] if self.kind else []),
            *([_named(J.state, self.states, JobState)] if self.states is not None else []),
            *([_named(J.result, self.results, JobResult)] if self.results is not None else []),
            *flag(and_(IS_RUNNING, IS_STUCK), self.is_stuck),
            *flag(J.is_current.is_(True), self.is_current),
            *([held] if self.worker is not None else []),
            *([J.attempts >= planned(self.attempt_at_least, J.attempts)] if self.attempt_at_least is not None else []),
            *within(J.started_at, self.started_at),
        ]


CLAUSES = tuple(field.name for field in fields(JobCriteria))
VALUES = attrgetter(*CLAUSES)


def kind_clauses(names: Sequence[str], job_type: Column = J.job_type) -> Clauses:
    """One clause for each kind, each read in order from an index; none for kinds that this version does not store."""
    known = [one_of(job_type, [KINDS[name]]) for name in names if name in KINDS]
    # in the words of the partial index
    other = or_(job_type.is_(None), job_type.not_in([inline(value) for value in KINDS.values()]))
    return [*known, other] if "OTHER" in names else known or [false()]


def kind_clause(names: Sequence[str], job_type: Column = J.job_type) -> ColumnElement[bool]:
    """A job is of one of these kinds; null, as good as false, for one without a kind."""
    return or_(*kind_clauses(names, job_type))


def within(column: Column, bounds: Range[Any] | None) -> Clauses:
    """The column lies between the bounds; null does not."""
    if bounds is None:
        return []
    low, high = (None if bound is None else planned(bound, column) for bound in (bounds.low, bounds.high))
    at_least = [] if low is None else [column >= low]
    at_most = [] if high is None else [column <= high if bounds.closed else column < high]
    return [*at_least, *at_most] or [column.is_not(None)]


def flag(clause: ColumnElement[bool], wanted: bool | None) -> Clauses:
    """The clause, or its opposite, in which null counts as not true."""
    if wanted is None:
        return []
    return [clause] if wanted else [not_(func.coalesce(clause, False))]


def _kind(match: Match) -> ColumnElement[bool]:
    clause = kind_clause(match.names)
    return not_(func.coalesce(clause, False)) if match.negated else clause


def _named(column: Column, names: tuple[str, ...], members: Any) -> ColumnElement[bool]:
    """The column has one of these names; UNKNOWN stands for null, and for what this version does not know."""
    known = one_of(column, [name for name in names if name in tuple(members)])
    return or_(known, column.is_(None)) if "UNKNOWN" in names else known
