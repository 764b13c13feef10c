"""What a pipeline list is filtered by, as clauses on stored pipelines and on orphans."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, func, not_, or_

from gql_server import models
from gql_server.models import JobType, PipelineStatus
from gql_server.pipelines.rows import FAILURES, ORPHAN_FAILED
from gql_server.sql import among

J, P = models.Job, models.Pipeline
OPEN_STATUSES = (PipelineStatus.NOT_STARTED, PipelineStatus.RUNNING)
Clauses = list[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Match:
    """Keep (or, negated, drop) these names of an enum."""

    names: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """All clauses are ANDed; None means no such clause.

    `kind`, `years` and `module_type_ids` must hold for one and the same job of the pipeline; a negated `kind` for no job.
    """

    status: Match | None = None
    kind: Match | None = None
    years: tuple[int, ...] | None = None
    module_type_ids: tuple[int, ...] | None = None
    has_errors: bool | None = None
    is_active: bool | None = None
    is_orphan: bool | None = None

    def of_stored(self) -> Clauses | None:
        """Clauses on pipelines that have a row; None when the criteria exclude them all."""
        if self.is_orphan is True:
            return None
        in_pipeline = J.pipeline_id == P.id
        kept, dropped = self._kept_jobs(), self._dropped_jobs()
        return [
            *([_status(self.status)] if self.status else []),
            *_flag(P.status.in_(FAILURES), self.has_errors),
            *_flag(P.status.in_(OPEN_STATUSES), self.is_active),
            *([exists().where(in_pipeline, *kept)] if kept else []),
            *(not_(exists().where(in_pipeline, clause)) for clause in dropped),
        ]

    def of_orphans(self) -> Clauses | None:
        """Clauses on orphan jobs; None when the criteria exclude them all: an orphan has no stored status."""
        if self.is_orphan is False or self.status is not None:
            return None
        return [
            *_flag(ORPHAN_FAILED, self.has_errors),
            *_flag(J.state.in_(models.LIVE_STATES), self.is_active),
            *self._kept_jobs(),
            *(not_(clause) for clause in self._dropped_jobs()),
        ]

    def _kept_jobs(self) -> Clauses:
        return [
            *([_kind(self.kind.names)] if self.kind and not self.kind.negated else []),
            *([among(J.year, self.years)] if self.years is not None else []),
            *([among(J.module_type_id, self.module_type_ids)] if self.module_type_ids is not None else []),
        ]

    def _dropped_jobs(self) -> Clauses:
        return [_kind(self.kind.names)] if self.kind and self.kind.negated else []


def _status(match: Match) -> ColumnElement[bool]:
    known = [status.value for status in PipelineStatus]
    clause: ColumnElement[bool] = P.status.in_([name for name in match.names if name in known])
    if "UNKNOWN" in match.names:
        clause = or_(clause, P.status.not_in(known))
    return not_(clause) if match.negated else clause


def _kind(names: tuple[str, ...]) -> ColumnElement[bool]:
    known = {job_type.name: job_type.value for job_type in JobType}
    clause: ColumnElement[Any] = J.job_type.in_([known[name] for name in names if name in known])
    if "OTHER" in names:
        clause = or_(clause, J.job_type.not_in(known.values()), J.job_type.is_(None))
    return func.coalesce(clause, False)


def _flag(clause: ColumnElement[bool], wanted: bool | None) -> Clauses:
    if wanted is None:
        return []
    present = func.coalesce(clause, False)
    return [clause if wanted else not_(present)]
