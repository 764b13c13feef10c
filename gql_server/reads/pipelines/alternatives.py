"""Alternatives of a clause, one for each scan of an index that gives pipelines in order, and what they make together."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from sqlalchemy import ColumnElement, and_, false, not_, or_, true

from gql_server.db import models
from gql_server.db.expressions import Column, inline, one_of
from gql_server.db.models import PipelineStatus
from gql_server.reads.jobs.filter import Match
from gql_server.reads.pipelines.row import FAILURES

P = models.Pipeline
OPEN_STATUSES = (PipelineStatus.NOT_STARTED, PipelineStatus.RUNNING)
KNOWN_STATUSES = tuple(PipelineStatus)
BRANCHES_MAX = 12
"""Scans a page may be merged from. PostgreSQL reads an index in order for one value of a clause, not for several."""

Clause = ColumnElement[bool]
Clauses = list[Clause]


def of_status(match: Match, column: Column) -> Clause:
    """One clause for all statuses of a match."""
    return any_of(of_statuses(match, column))


def of_statuses(match: Match, column: Column = P.status) -> list[Clauses]:
    """One alternative for each scan of an index that gives these statuses in order."""
    known = {name for name in match.names if name in KNOWN_STATUSES}
    unknown = "UNKNOWN" in match.names
    if match.negated:
        known, unknown = set(KNOWN_STATUSES) - known, not unknown
    if unknown and len(known) == len(KNOWN_STATUSES):
        return [[]]
    groups: list[Clauses] = []
    for group in (FAILURES, OPEN_STATUSES):
        if known.issuperset(group):
            groups.append([one_of(column, group)])
            known -= set(group)
    groups += [[one_of(column, [status])] for status in sorted(known)]
    return [*groups, [_is_unheard(column)]] if unknown else groups or [[false()]]


def of_tones(tones: Sequence[str], has_errors: bool | None = None) -> list[Clauses]:
    """One alternative for each scan of an index that gives pipelines of these tones in order; of those alone that failed, or of
    the others, if that is asked. See `values.pipeline_tone`."""
    success, warned = _is(PipelineStatus.SUCCESS), and_(P.has_warning)
    failures: Mapping[str, list[Clauses]] = {
        "DANGER": [[_is(PipelineStatus.FAILED)]],
        "WARNING": [[_is(PipelineStatus.PARTIAL)]],
    }
    others: Mapping[str, list[Clauses]] = {
        "WARNING": [[success, warned]],
        "SUCCESS": [[success, not_(warned)]],
        "PROGRESS": [[_is(PipelineStatus.RUNNING)]],
        "NEUTRAL": [[_is(PipelineStatus.NOT_STARTED)], [_is_unheard(P.status)]],
    }
    asked = [*([] if has_errors is False else [failures]), *([] if has_errors is True else [others])]
    return [clauses for name in tones for by_tone in asked for clauses in by_tone.get(name, [])] or [[false()]]


def any_of(alternatives: list[Clauses]) -> Clause:
    """One clause for all of them."""
    return or_(false(), *(and_(true(), *clauses) for clauses in alternatives))


def equals(column: Column, values: Sequence[Any] | None) -> Clauses | None:
    """A clause for each of the values, or none that holds; None where no value is asked for."""
    return None if values is None else [one_of(column, [value]) for value in values] or [false()]


def alternatives(clauses: Clauses | None) -> list[Clauses]:
    """One alternative for each clause, or the one that asks nothing."""
    return [[]] if clauses is None else [[clause] for clause in clauses]


def combined(first: list[list[Clauses]], others: list[list[Clauses]]) -> list[tuple[Clauses, ...]]:
    """Every combination of the alternatives. Where that would be too many, the longest lists become one alternative each."""
    dimensions = [*first, *others]
    while prod(len(choices) for choices in dimensions) > BRANCHES_MAX:
        longest = max(range(len(dimensions)), key=lambda index: len(dimensions[index]))
        dimensions[longest] = [[or_(*(and_(*choice) for choice in dimensions[longest]))]]
    return list(product(*dimensions))


def _is(status: PipelineStatus) -> Clause:
    return one_of(P.status, [status])


def _is_unheard(status: Column) -> Clause:
    return status.not_in([inline(known) for known in KNOWN_STATUSES])
