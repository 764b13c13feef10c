"""Reads of the facts behind a diagnosis: one statement for all jobs, or all pipelines, that are asked about.

What a viewer may not see is no reason for them: work of others that blocks theirs, and the workers.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    and_,
    cast,
    exists,
    false,
    func,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnyRow, AnySelect, among
from gql_server.db.models import EntityType, JobResult, JobState
from gql_server.ledger.endings import has_failed
from gql_server.ledger.leases import IS_LIVE, LEASE_IS_OVER, REVISION, WORKER_IS_LOST
from gql_server.ledger.progress import JobCounts
from gql_server.ledger.serving import serves
from gql_server.policy import CONFIGURATION_VIEW, OPERATIONS_VIEW, Viewer, job_clause, pipeline_clause
from gql_server.policy.retry import RetryFacts, refuse_retry
from gql_server.reads.diagnosis import rules
from gql_server.reads.diagnosis.facts import DiagnosedJob, DiagnosedPipeline, Fleet, RetryPreview
from gql_server.reads.diagnosis.noteworthy import CLAIMS_SUCCESS, noteworthy
from gql_server.reads.diagnosis.permitted import permitted
from gql_server.reads.diagnosis.reasons import Reason
from gql_server.reads.diagnosis.since import LATER, since, year_is_syncing
from gql_server.reads.jobs.queries import JOBS
from gql_server.reads.jobs.row import IS_ABORTED, PIPELINE_KEY, message_of
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline
from gql_server.reads.pipelines.runs import other_files_by_pipeline, resolving_by_pipeline
from gql_server.reads.turns import in_turns, turn

J, P, W, Y = models.Job, models.Pipeline, models.Pod, models.YearConfiguration
OTHER = aliased(models.Job)
FACTS = tuple(field.name for field in fields(DiagnosedJob))
TALLY = tuple(field.name for field in fields(JobCounts))
GIVEN_UP = and_(has_failed(), J.locked_by.is_(None), J.attempts >= J.max_attempts)
COMBINATION = ("provider", "module_type_id", "data_entry_type_id", "target_type", "ingestion_method", "year")


@dataclass(frozen=True, slots=True)
class Served:
    """Kinds of work that this server can start: its job types, and the provider and module of each API that it reads."""

    job_types: frozenset[str] = frozenset()
    api_sources: frozenset[tuple[str, int]] = frozenset()


async def reasons_by_job(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[int], *, served: Served
) -> dict[int, list[Reason]]:
    """Reasons for the state of each job, worst first."""
    found = [(_job(row), _fleet(row)) for row in await connection.execute(_facts(viewer).where(among(J.id, keys)))]
    again = await _again(connection, viewer, {job.pipeline_key for job, _ in found if _left_out(job)}, served)
    told = {job.id: rules.of_job(job, fleet, again.get(job.pipeline_key, RetryPreview())) for job, fleet in found}
    return {key: permitted(viewer, reasons) for key, reasons in told.items()}


async def reasons_by_pipeline(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID], *, served: Served
) -> dict[UUID, list[Reason]]:
    """Reasons for the state of each pipeline, worst first."""
    worst = noteworthy(viewer, keys)
    whole = (P.status, P.owes_aggregation, _taken_over(viewer).label("taken_over_by"))
    tables = J.__table__.join(worst, J.id == worst.c.id).outerjoin(P.__table__, P.id == worst.c.of_pipeline)
    statement = (
        _all_facts(viewer, tables)
        .add_columns(*(column for column in worst.c if column.name != "id"), *whole)
        .order_by(worst.c.urgency, J.id)
    )
    await turn()  # to build it takes as long as to compile it
    rows: defaultdict[UUID, list[AnyRow]] = defaultdict(list)
    async for row in in_turns(await connection.execute(statement)):
        rows[row.of_pipeline].append(row)
    told = [key for key, of_pipeline in rows.items() if any(map(_left_out, of_pipeline))]
    again = await _again(connection, viewer, told, served)
    reasons = {
        key: rules.of_pipeline(_pipeline(rows[key], again.get(key, RetryPreview())), _fleet(rows[key][0])) if rows[key] else []
        for key in keys
    }
    return {key: permitted(viewer, each) for key, each in reasons.items()}


def _left_out(job: Any) -> bool:
    """It failed, or landed without some of what it was to bring."""
    return job.result in (JobResult.ERROR, JobResult.WARNING) or job.claims_success


async def _again(
    connection: AsyncConnection, viewer: Viewer, failed: Collection[UUID], served: Served
) -> dict[UUID, RetryPreview]:
    """Previews of starting these pipelines again, for those that failed or left something out."""
    if not failed:
        return {}
    resolved = await resolving_by_pipeline(connection, viewer, list(failed))
    facts = await retry_facts_by_pipeline(connection, viewer, list(failed))
    others = await other_files_by_pipeline(connection, viewer, list(failed))
    return {key: _met(viewer, known, served, resolved.get(key), others.get(key)) for key, known in facts.items()}


def _met(
    viewer: Viewer, facts: RetryFacts, served: Served, resolved_by: UUID | None, other_file_by: UUID | None
) -> RetryPreview:
    return RetryPreview(
        refusal=refuse_retry(viewer, facts, served.job_types, served.api_sources),
        refusal_replacing=refuse_retry(viewer, facts, served.job_types, served.api_sources, replace_newer=True),
        superseded_by=facts.superseded_by,
        is_superseded_wholly=facts.is_superseded_wholly,
        resolved_by=resolved_by,
        other_file_by=other_file_by,
    )


def _facts(viewer: Viewer) -> AnySelect:
    """Of the jobs that the viewer may see, to be found by key."""
    return _all_facts(viewer, JOBS).where(job_clause(viewer, by_key=True))


def _all_facts(viewer: Viewer, tables: FromClause) -> AnySelect:
    may_know_workers, may_know_years = viewer.may(OPERATIONS_VIEW), viewer.may(CONFIGURATION_VIEW)
    live = select(func.count().label("workers"), func.count(REVISION.distinct()).label("revisions")).where(IS_LIVE).subquery()
    blocker = _blocker(viewer)
    known: dict[str, Any] = {
        "id": J.id,
        "message": message_of(viewer, J.meta, J.status_message),
        "worker_id": func.coalesce(J.claimed_by, J.locked_by),
        "lease_is_over": func.coalesce(LEASE_IS_OVER, False),
        "worker_is_lost": func.coalesce(WORKER_IS_LOST, False),
        "blocked_by": blocker.c.key,
        "is_aborted": IS_ABORTED,
        "has_exception": J.meta["error"].is_not(None),
        "given_up": func.coalesce(GIVEN_UP, False),
        "claims_success": func.coalesce(CLAIMS_SUCCESS, False),
        "year_is_provisioned": _provisioned() if may_know_years else true(),
        "pipeline_key": PIPELINE_KEY,
        "is_orphan": J.pipeline_id.is_(None),
        **since(seen_later(viewer)),
        "year_is_syncing": year_is_syncing(viewer) if may_know_years else false(),
        "now": func.now(),
    }
    columns = [(known[name] if name in known else getattr(J, name)).label(name) for name in FACTS]
    unknown = cast(null(), Integer)
    return select(
        *columns,
        (live.c.workers if may_know_workers else unknown).label("live_workers"),
        (live.c.revisions if may_know_workers else unknown).label("revisions"),
    ).select_from(tables.join(live, true()).outerjoin(blocker, true()))


def _blocker(viewer: Viewer) -> Any:
    """The oldest running job that keeps a waiting one from being claimed, as `ledger.claims` has it."""
    same = [getattr(OTHER, name) == getattr(J, name) for name in COMBINATION]
    blocks = or_(
        OTHER.lock_keys.overlap(J.lock_keys), and_(OTHER.is_current, J.entity_type != EntityType.MODULE_UNIT_SPECIFIC, *same)
    )
    waits = J.state.in_([JobState.NOT_STARTED, JobState.QUEUED])
    seen = true() if viewer.may(OPERATIONS_VIEW) else _is_seen(viewer)
    return (
        select(func.coalesce(OTHER.pipeline_id, OTHER.time_key).label("key"))
        .where(waits, OTHER.state == JobState.RUNNING, blocks, seen)
        .order_by(OTHER.id)
        .limit(1)
        .lateral("blocker")
    )


def _taken_over(viewer: Viewer) -> ColumnElement[UUID | None]:
    """The newest pipeline with a job that does work of this one as well."""
    seen = OTHER.provider == viewer.provider if viewer.may(OPERATIONS_VIEW) else _is_seen(viewer)
    return select(OTHER.pipeline_id).where(serves(P.id, OTHER), seen).order_by(OTHER.id.desc()).limit(1).scalar_subquery()


def seen_later(viewer: Viewer) -> ColumnElement[bool]:
    """The later job is in a pipeline that the viewer may see."""
    if viewer.may(OPERATIONS_VIEW):
        return true()
    return exists(select(P.id).where(P.id == LATER.pipeline_id, pipeline_clause(viewer)).correlate(LATER))


def _is_seen(viewer: Viewer) -> ColumnElement[bool]:
    """The other job is in a pipeline that the viewer may see."""
    return exists(select(P.id).where(P.id == OTHER.pipeline_id, pipeline_clause(viewer)).correlate(OTHER))


def _provisioned() -> ColumnElement[bool]:
    done = Y.configuration_completed.is_not(None)
    return exists().where(Y.provider == J.provider, Y.year == J.year, done)


def _job(row: AnyRow) -> DiagnosedJob:
    return DiagnosedJob(**{name: getattr(row, name) for name in FACTS})


def _pipeline(rows: Sequence[AnyRow], again: RetryPreview) -> DiagnosedPipeline:
    row = rows[0]
    return DiagnosedPipeline(
        status=row.status,
        owes_aggregation=bool(row.owes_aggregation),
        taken_over_by=row.taken_over_by,
        tally=JobCounts(**{name: getattr(row, name) for name in TALLY}),
        recalculations=row.recalculations,
        live_recalculations=row.live_recalculations,
        jobs=[_job(each) for each in rows],
        again=again,
    )


def _fleet(row: AnyRow) -> Fleet:
    return Fleet(live_workers=row.live_workers, revisions=row.revisions)
