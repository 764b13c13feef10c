"""Pipelines counted to the last: by the signature of their jobs, of which there are few, in one scan of an index.

Terminal pipelines whose jobs are alike share a signature, and `job_signatures` tells what those jobs are. What is not signed is
still running or has just ended: of those, and of orphans, the jobs themselves are asked.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Text,
    and_,
    cast,
    exists,
    func,
    literal_column,
    null,
    select,
    true,
    union_all,
)

from gql_server.db import models
from gql_server.db.expressions import AnySelect
from gql_server.policy import Viewer, orphan_clause, pipeline_clause
from gql_server.reads.jobs.filter import kind_clause
from gql_server.reads.pipelines.alternatives import Clauses
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.neighbours import unresolved

J, P, S = models.Job, models.Pipeline, models.JobSignature
UNTOLD = ("data_entry_type_ids", "started_at", "finished_at", "failure_fingerprint", "worker", "search")
"""Clauses that a signature does not answer."""
BOUND, BOUND_OF_SEARCH = 10_000, 1_000
Columns = tuple[Any, ...]
OF_JOB = ("job_type", "module_type_id", "year", "failure_class")


def bound(criteria: PipelineCriteria) -> int | None:
    """Bound to which pipelines are counted when nobody says one: None for all that match, where signatures tell which do."""
    if all(getattr(criteria, name) is None for name in UNTOLD):
        return None
    return BOUND if criteria.search is None else BOUND_OF_SEARCH


def matching(
    viewer: Viewer, criteria: PipelineCriteria, of_stored: Columns, of_orphan: Columns, by: Columns | None = None
) -> list[AnySelect]:
    """Counts of stored pipelines and of orphans, by a column each if there is one, which add up to what matches.

    The columns go before the count, which is called `counted`.
    """
    return [part for sign, term in _terms(criteria) for part in _matching(viewer, term, _count(sign), of_stored, of_orphan, by)]


def _terms(criteria: PipelineCriteria) -> list[tuple[int, PipelineCriteria]]:
    """Criteria to be counted, and to be taken off: unresolved ones are few, the others many."""
    if criteria.unresolved is not False:
        return [(1, criteria)]
    return [(1, replace(criteria, unresolved=None)), (-1, replace(criteria, unresolved=True))]


def _count(sign: int) -> ColumnElement[int]:
    return func.count() * literal_column(str(sign), Integer)


def _matching(
    viewer: Viewer,
    criteria: PipelineCriteria,
    count: ColumnElement[int],
    of_stored: Columns,
    of_orphan: Columns,
    by: Columns | None,
) -> list[AnySelect]:
    counted = count.label("counted")
    pipelines, jobs = select(*of_stored, counted).select_from(P), select(*of_orphan, counted).select_from(J)
    if by:
        pipelines, jobs = pipelines.group_by(by[0]), jobs.group_by(by[1])
    groups = [_signed(criteria), _unsigned(criteria)] if by or criteria.asks_of_jobs else [Clauses()]
    parts = [_stored(viewer, criteria, pipelines, *clauses) for clauses in groups]
    orphans = _orphans(viewer, criteria, jobs)
    return parts if orphans is None else [*parts, orphans]


def cells(viewer: Viewer, criteria: PipelineCriteria) -> CTE:
    """Pipelines that match the criteria but for what they ask of jobs: `n` alike pipelines a key, status and level, a row each
    job.

    Those of one key, status and level add up.
    """
    parts = [part for sign, term in _terms(criteria.without_jobs()) for part in _cells(viewer, term, sign)]
    return union_all(*parts).cte().prefix_with("MATERIALIZED")


def _cells(viewer: Viewer, untold: PipelineCriteria, sign: int) -> list[AnySelect]:
    key = (P.signature.label("key"), P.status.label("status"), P.entity_type.label("level"))
    tally = (
        _stored(viewer, untold, select(*key, _count(sign).label("n")), P.signature.is_not(None))
        .group_by(P.signature, P.status, P.entity_type)
        .cte()
        .prefix_with("MATERIALIZED")
    )
    signed = select(tally, *_of_jobs(S), S.signature.is_not(None).label("is_job")).select_from(
        tally.outerjoin(S, S.signature == tally.c.key)
    )
    one: ColumnElement[int] = literal_column(str(sign), Integer)
    unsigned = select(P.id, P.status, P.entity_type, one, *_of_jobs(J), J.id.is_not(None)).select_from(
        P.__table__.outerjoin(J, J.pipeline_id == P.id)
    )
    parts = [signed, _stored(viewer, untold, unsigned, P.signature.is_(None))]
    columns = (func.gen_random_uuid(), cast(null(), Text), J.entity_type, _count(sign), *_of_jobs(J), true())
    orphans = _orphans(viewer, untold, select(*columns).select_from(J))
    return parts if orphans is None else [*parts, orphans.group_by(J.entity_type, *_of_jobs(J))]


def meeting(criteria: PipelineCriteria, of: CTE) -> Clauses:
    """Clauses on cells: status, level, and what must hold for one and the same job, or for none."""
    row, told = of.c, criteria.of_told_job(of.c)
    clauses = criteria.of_cell(row.status, row.level)
    if told:
        clauses.append(and_(row.is_job, *told))
    if criteria.kind and criteria.kind.negated:
        other = of.alias()
        kinds = kind_clause(criteria.kind.names, other.c.job_type)
        clauses.append(row.key.not_in(select(other.c.key).where(other.c.is_job, kinds)))
    return clauses


def _of_jobs(job: Any) -> tuple[ColumnElement[Any], ...]:
    return tuple(getattr(job, name).label(name) for name in OF_JOB)


def _stored(viewer: Viewer, criteria: PipelineCriteria, statement: AnySelect, *clauses: ColumnElement[bool]) -> AnySelect:
    statement = statement.where(pipeline_clause(viewer), *criteria.of_pipeline(viewer), *clauses)
    return unresolved(viewer, statement, P.id, P) if criteria.unresolved else statement


def _orphans(viewer: Viewer, criteria: PipelineCriteria, statement: AnySelect) -> AnySelect | None:
    clauses = criteria.of_orphans(viewer)
    if clauses is None:
        return None
    statement = statement.where(J.pipeline_id.is_(None), orphan_clause(viewer), *clauses)
    return unresolved(viewer, statement, J.time_key, J) if criteria.unresolved else statement


def _signed(criteria: PipelineCriteria) -> Clauses:
    def signatures(*clauses: ColumnElement[bool]) -> Any:
        return select(S.signature).where(*clauses)

    def some(*clauses: ColumnElement[bool]) -> Any:
        return P.signature.in_(signatures(*clauses))

    return [P.signature.is_not(None), *_told(criteria, S, some, lambda clause: P.signature.not_in(signatures(clause)))]


def _unsigned(criteria: PipelineCriteria) -> Clauses:
    def has(*clauses: ColumnElement[bool]) -> Any:
        return exists().where(J.pipeline_id == P.id, *clauses).correlate(P)

    return [P.signature.is_(None), *_told(criteria, J, has, lambda of: ~has(of))]


def _told(criteria: PipelineCriteria, job: Any, some: Callable[..., Any], no: Callable[[Any], Any]) -> Clauses:
    """Clauses that the criteria ask of one job, and of no job."""
    told = criteria.of_told_job(job)
    dropped = kind_clause(criteria.kind.names, job.job_type) if criteria.kind and criteria.kind.negated else None
    return [*([some(*told)] if told else []), *([] if dropped is None else [no(dropped)])]
