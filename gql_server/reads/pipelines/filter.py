"""Filter of pipeline lists, as clauses on stored pipelines, on orphans, and on one of their jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Float, Text, Uuid, and_, any_, exists, false, func, not_, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from gql_server.db import models
from gql_server.db.expressions import Column, among, constant, inline, one_of, planned, run_seconds
from gql_server.db.models import EntityType, JobResult, JobState, PipelineStatus
from gql_server.ledger.leases import IS_RUNNING, IS_STUCK
from gql_server.policy import OPERATIONS_VIEW, Viewer, sees_orphans, unit_clause
from gql_server.reads.jobs.filter import Match, Range, flag, kind_clause, kind_clauses, within
from gql_server.reads.jobs.row import IS_ABORTED
from gql_server.reads.jobs.search import is_indexed, matches
from gql_server.reads.pipelines.alternatives import (
    OPEN_STATUSES,
    Clause,
    Clauses,
    alternatives,
    any_of,
    combined,
    equals,
    of_status,
    of_statuses,
    of_tones,
)
from gql_server.reads.pipelines.neighbours import resolved
from gql_server.reads.pipelines.row import FAILURES, ORPHAN_FAILED, ORPHAN_STATUS, ORPHAN_WARNED
from gql_server.reads.shapes import Types

J, P = models.Job, models.Pipeline

ORPHAN_CREATOR: Column = J.meta.op("->")(constant("created_by")).op("->>")(constant("user_id"))
"""In the words of the index."""

_STATUS = func.coalesce(ORPHAN_STATUS, "UNKNOWN")
ORPHAN_TONES: Mapping[str, ColumnElement[bool]] = {
    "DANGER": one_of(_STATUS, [PipelineStatus.FAILED]),
    "WARNING": ORPHAN_WARNED,
    "SUCCESS": and_(one_of(_STATUS, [PipelineStatus.SUCCESS]), not_(ORPHAN_WARNED)),
    "PROGRESS": one_of(_STATUS, [PipelineStatus.RUNNING]),
    "NEUTRAL": one_of(_STATUS, [PipelineStatus.NOT_STARTED, "UNKNOWN"]),
}
SETTLED = frozenset({"ids", "years", "levels", "unit", "created_at", "is_orphan", "triggered_by", "not_triggered_by"})
"""Clauses on what a pipeline is created with."""

FREE: Types = {
    "ids": ARRAY(Uuid()),
    **dict.fromkeys(("created_at", "started_at", "finished_at"), DateTime(timezone=True)),
    "duration_seconds": Float(),
    **dict.fromkeys(("failure_fingerprint", "triggered_by", "not_triggered_by", "worker"), Text()),
}
"""Criteria that may have any value, with its type."""


class Branch(NamedTuple):
    """Pipelines for which these clauses hold, and the second ones for one and the same of their jobs."""

    pipeline: Clauses
    job: Clauses


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineCriteria:
    """All clauses are ANDed; None means no such clause, an empty tuple that nothing matches.

    Row clauses must hold for one and the same job of the pipeline; a negated `kind` for no job.
    """

    ids: tuple[UUID, ...] | None = None
    status: Match | None = None
    tones: tuple[str, ...] | None = None
    kind: Match | None = None
    module_type_ids: tuple[int, ...] | None = None
    data_entry_type_ids: tuple[int, ...] | None = None
    years: tuple[int, ...] | None = None
    levels: tuple[str, ...] | None = None
    unit: str | None = None
    created_at: Range[datetime] | None = None
    started_at: Range[datetime] | None = None
    finished_at: Range[datetime] | None = None
    duration_seconds: Range[float] | None = None
    has_errors: bool | None = None
    is_orphan: bool | None = None
    is_active: bool | None = None
    is_aborted: bool | None = None
    is_stuck: bool | None = None
    unresolved: bool | None = None
    failure_classes: tuple[str, ...] | None = None
    failure_fingerprint: str | None = None
    triggered_by: tuple[str, ...] | None = None
    not_triggered_by: str | None = None
    worker: str | None = None
    search: str | None = None

    def __repr__(self) -> str:
        """Only what is asked: cursors are bound to it."""
        return repr(self._asked())

    def _asked(self) -> dict[str, Any]:
        """Clauses that there are, by name."""
        return {name: value for name, value in zip(CLAUSES, VALUES(self), strict=True) if value is not None}

    @property
    def is_settled(self) -> bool:
        """True if a pipeline matches, or does not, from its creation on."""
        return self._asked().keys() <= SETTLED

    def of_stored(self, viewer: Viewer) -> list[Branch]:
        """Branches whose union are the pipelines with a row that match; they may overlap in pipelines with several jobs.

        Where `unresolved` is wanted, `scope.unresolved` has to keep those.
        """
        if self.is_orphan is True:
            return []
        shared = [
            *self._of_row(viewer),
            *(not_(exists().where(J.pipeline_id == P.id, clause).correlate(P)) for clause in self._dropped_jobs()),
        ]
        of_one_job = self._of_one_job(viewer)
        return [
            Branch([*shared, *status, *tones], [*of_one_job, *(clause for choice in choices for clause in choice)])
            for status, tones, *choices in combined(
                [of_statuses(self.status) if self.status else [[]], self._of_tones() or [[]]],
                [
                    alternatives(kind_clauses(self.kind.names) if self.kind and not self.kind.negated else None),
                    alternatives(equals(J.year, self.years)),
                    alternatives(equals(J.module_type_id, self.module_type_ids)),
                    alternatives(equals(J.data_entry_type_id, self.data_entry_type_ids)),
                ],
            )
        ]

    def of_pipeline(self, viewer: Viewer) -> Clauses:
        """Clauses on stored pipelines, for what is asked of them and not of their jobs."""
        if self.is_orphan is True:
            return [false()]
        return [
            *self._of_row(viewer),
            *([] if self.status is None else [of_status(self.status, P.status)]),
            *([any_of(tones)] if (tones := self._of_tones()) else []),
        ]

    def of_told_job(self, job: Any) -> Clauses:
        """The row clauses on type, module, year and failure class, for whatever has these columns."""
        classes = self.failure_classes
        return [*self._kept_jobs(job), *([one_of(job.failure_class, classes)] if classes is not None else [])]

    def of_cell(self, status: Column, level: Column) -> Clauses:
        """Clauses on the stored status, which an orphan has not, and on the level."""
        return [
            *([] if self.status is None else [and_(status.is_not(None), of_status(self.status, status))]),
            *([] if self.levels is None else [_levels(level, self.levels)]),
        ]

    @property
    def asks_of_jobs(self) -> bool:
        """Type, module, year or failure class of jobs are asked for."""
        return self != self.without_jobs()

    def without_jobs(self) -> "PipelineCriteria":
        """The criteria but for type, module, year and failure class of jobs."""
        return replace(self, kind=None, module_type_ids=None, years=None, failure_classes=None)

    def of_orphans(self, viewer: Viewer) -> Clauses | None:
        """Clauses on orphan jobs; None when the criteria or the viewer exclude them all: an orphan has no stored status, and no
        unit."""
        if self.is_orphan is False or self.status is not None or self.unit is not None or not sees_orphans(viewer):
            return None
        return [
            *([among(J.time_key, self.ids)] if self.ids is not None else []),
            *([_levels(J.entity_type, self.levels)] if self.levels is not None else []),
            *within(J.created_at, self.created_at),
            *within(run_seconds(J), self.duration_seconds),
            *_failed(self.has_errors),
            *flag(J.state.in_(models.LIVE_STATES), self.is_active),
            *flag(IS_ABORTED, self.is_aborted),
            *flag(and_(IS_RUNNING, IS_STUCK), self.is_stuck),
            *([] if self.tones is None else [or_(false(), *(ORPHAN_TONES[name] for name in self.tones))]),
            *_unresolved(_failed(True), resolved(viewer, J.time_key, J), self.unresolved),
            *self._triggered(ORPHAN_CREATOR),
            *(not_(func.coalesce(clause, False)) for clause in self._dropped_jobs()),
            *self._kept_jobs(),
            *self._of_one_job(viewer),
        ]

    def indexed_search(self, viewer: Viewer) -> str | None:
        """The text that a job must say besides, where it is looked up in the index of messages."""
        return self.search if is_indexed(viewer) else None

    def of_one_job(self, viewer: Viewer) -> Clauses:
        """All row clauses, for a job of a pipeline that matches."""
        text = self.indexed_search(viewer)
        return [*self._kept_jobs(), *self._of_one_job(viewer), *([matches(viewer, text)] if text else [])]

    def _of_tones(self) -> list[Clauses]:
        """One alternative for each scan of an index, if tones are asked for; they say also which failed."""
        return [] if self.tones is None else of_tones(self.tones, self.has_errors)

    def _of_row(self, viewer: Viewer) -> Clauses:
        """Clauses on columns of the pipeline, but for its status."""
        return [
            *([among(P.id, self.ids)] if self.ids is not None else []),
            *([_levels(P.entity_type, self.levels)] if self.levels is not None else []),
            *([unit_clause(viewer, self.unit)] if self.unit is not None else []),
            *within(P.created_at, self.created_at),
            *within(run_seconds(P), self.duration_seconds),
            *flag(one_of(P.status, FAILURES), self.has_errors if self.tones is None else None),
            *flag(one_of(P.status, OPEN_STATUSES), self.is_active),
            *flag(P.aborted_at.is_not(None), self.is_aborted),
            *_has_stuck_job(self.is_stuck),
            *_unresolved([one_of(P.status, FAILURES)], resolved(viewer, P.id, P), self.unresolved),
            *self._triggered(P.creator),
        ]

    def _kept_jobs(self, job: Any = J) -> Clauses:
        """The row clauses of which a branch has one value each."""
        return [
            *([kind_clause(self.kind.names, job.job_type)] if self.kind and not self.kind.negated else []),
            *([one_of(job.year, self.years)] if self.years is not None else []),
            *([one_of(job.module_type_id, self.module_type_ids)] if self.module_type_ids is not None else []),
            *([one_of(J.data_entry_type_id, self.data_entry_type_ids)] if self.data_entry_type_ids is not None else []),
        ]

    def _of_one_job(self, viewer: Viewer) -> Clauses:
        """The other row clauses."""
        held = J.claimed_by == planned(self.worker, J.claimed_by) if viewer.may(OPERATIONS_VIEW) else false()
        return [
            *within(J.started_at, self.started_at),
            *within(J.finished_at, self.finished_at),
            *([one_of(J.failure_class, self.failure_classes)] if self.failure_classes is not None else []),
            *(
                [J.failure_fingerprint == planned(self.failure_fingerprint, J.failure_fingerprint)]
                if self.failure_fingerprint is not None
                else []
            ),
            *([held] if self.worker is not None else []),
            *([matches(viewer, self.search)] if self.search and not is_indexed(viewer) else []),
        ]

    def _dropped_jobs(self) -> Clauses:
        return [kind_clause(self.kind.names)] if self.kind and self.kind.negated else []

    def _triggered(self, user_id: Column) -> Clauses:
        return [
            *(
                [or_(false(), *(user_id == planned(user, P.creator) for user in self.triggered_by))]
                if self.triggered_by is not None
                else []
            ),
            *(
                [user_id.is_distinct_from(planned(self.not_triggered_by, P.creator))]
                if self.not_triggered_by is not None
                else []
            ),
        ]


CLAUSES = tuple(field.name for field in fields(PipelineCriteria))
VALUES = attrgetter(*CLAUSES)


def _has_stuck_job(wanted: bool | None) -> Clauses:
    """A job that does its work, be it another's, is stuck: looked for among the few that run.

    Those that have one are looked up by their keys, as an array: of a set PostgreSQL would think that it pays to read all
    pipelines. Of an array it would compare each element with all others.
    """
    works_for = func.unnest(func.array_append(J.serves, J.pipeline_id))
    stuck = select(works_for).where(IS_RUNNING, IS_STUCK).correlate(None)
    return [P.id == any_(func.array(stuck.scalar_subquery()))] if wanted else flag(P.id.in_(stuck), wanted)


def orphans_failed() -> Clauses:
    """Orphans that failed, in the words of the partial index."""
    return [J.state == inline(JobState.FINISHED, J.state.type), J.result == inline(JobResult.ERROR, J.result.type)]


def _failed(wanted: bool | None) -> Clauses:
    """Orphans that failed, or those that did not."""
    return orphans_failed() if wanted else flag(ORPHAN_FAILED, wanted)


def _unresolved(failed: Clauses, is_resolved: Clause, wanted: bool | None) -> Clauses:
    """All but the failures that no later run resolved; or failures, of which the list then keeps these, scope by scope."""
    return failed if wanted else flag(and_(*failed, not_(is_resolved)), wanted)


def _levels(column: Column, levels: tuple[str, ...]) -> Clause:
    known = one_of(column, [level for level in levels if level in tuple(EntityType)])
    return or_(known, column.is_(None)) if "UNKNOWN" in levels else known
