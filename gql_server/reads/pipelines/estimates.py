"""The durations of past runs of the same kind and level, and what they say of the running ones."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Float, Interval, cast, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.expressions import AnyRow, AnySelect, among
from gql_server.db.models import TERMINAL_STATUSES, PipelineStatus
from gql_server.policy import Viewer, pipeline_clause

P = models.Pipeline
SAMPLE_MIN = 5
SAMPLE_MAX = 500
SAMPLE_AGE = timedelta(days=90)
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95}


async def estimates_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, AnyRow]:
    """Times at which running pipelines will end, of those with a sample of at least 5."""
    rows = await connection.execute(estimates_statement(viewer, keys))
    return {row.key: row for row in rows}


def estimates_statement(viewer: Viewer, keys: Sequence[UUID]) -> AnySelect:
    """One sample for each kind and level that runs: its latest 500 runs that landed in 90 days, read backwards by index."""
    asked = (
        select(P.id, P.provider, P.kind, P.entity_type, P.started_at)
        .where(among(P.id, keys), P.status.not_in(TERMINAL_STATUSES), P.started_at.is_not(None), pipeline_clause(viewer))
        .cte("asked")
    )
    likes = select(asked.c.provider, asked.c.kind, asked.c.entity_type).distinct().subquery("likes")
    sample = (
        select(cast(P.finished_at - P.started_at, Interval).label("took"))
        .where(P.provider == likes.c.provider, P.kind == likes.c.kind, P.entity_type == likes.c.entity_type)
        .where(P.status.in_([PipelineStatus.SUCCESS, PipelineStatus.PARTIAL]), P.aborted_at.is_(None))
        .where(P.finished_at > func.now() - SAMPLE_AGE, P.started_at.is_not(None), pipeline_clause(viewer))
        .order_by(P.finished_at.desc())
        .limit(SAMPLE_MAX)
        .lateral("sample")
    )
    quantiles = [
        func.percentile_cont(literal(share, Float)).within_group(sample.c.took).label(name) for name, share in QUANTILES.items()
    ]
    size = func.count().label("size")
    seen = (
        select(likes.c.provider, likes.c.kind, likes.c.entity_type, size, *quantiles)
        .join_from(likes, sample, true())
        .group_by(likes.c.provider, likes.c.kind, likes.c.entity_type)
        .having(func.count() >= SAMPLE_MIN)
        .subquery("seen")
    )
    same = (asked.c.provider == seen.c.provider) & (asked.c.kind == seen.c.kind) & (asked.c.entity_type == seen.c.entity_type)
    return select(
        asked.c.id.label("key"),
        (asked.c.started_at + seen.c.p50).label("finish_at_p50"),
        (asked.c.started_at + seen.c.p90).label("finish_at_p90"),
        seen.c.size.label("sample_size"),
        (func.now() - asked.c.started_at > seen.c.p95).label("is_slower_than_p95"),
    ).join_from(asked, seen, same)
