"""Writes down why jobs failed: in the transaction that ends them, and in the sweep for jobs that other programs ended."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Text, any_, cast, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, JSONPATH, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db import models
from gql_server.db.expressions import AnyRow
from gql_server.db.models import JobState
from gql_server.ledger.failures.classify import FAILED_RESULTS, Failure, classify
from gql_server.ledger.failures.ending import TOO_MANY_ROWS_REJECTED, Ending
from gql_server.ledger.job import ClaimedJob, Outcome

BATCH_JOBS = 500
BATCHES_OF_A_SWEEP = 40

STORED = ("failure_class", "fingerprint")

jobs = models.Job
groups = models.FailureGroup

_KEYS = ("error", "validation_error", "sqlstate", "aborted", "given_up", TOO_MANY_ROWS_REJECTED)
_UNCLASSIFIED = (
    jobs.failure_fingerprint.is_(None),
    jobs.state == JobState.FINISHED,
    jobs.result.in_([result.value for result in FAILED_RESULTS]),
)


def of_outcome(job: ClaimedJob, outcome: Outcome) -> Failure | None:
    """Failure of the attempt, or None. An error without a recorded exception is one that the job itself stated."""
    first = [{"reason": error.reason} for error in outcome.row_errors[:1]]
    meta = {**outcome.meta, **({"row_errors": first} if first else {})}
    return classify(Ending(job.job_type, outcome.result, outcome.message, meta, refused="error" not in meta))


async def name_groups(connection: AsyncConnection, failures: Iterable[tuple[str, str | None, Failure]]) -> None:
    """Remember what these failures, each with provider and job type, are called. Most are known: then nothing is written."""
    named = {(provider, failure.fingerprint): (job_type, failure) for provider, job_type, failure in failures}
    rows = [
        {
            "provider": provider,
            "fingerprint": fingerprint,
            "failure_class": failure.failure_class,
            "job_type": job_type,
            "title": failure.title,
            "cause": failure.cause,
            "rule": failure.rule,
        }
        for (provider, fingerprint), (job_type, failure) in sorted(named.items(), key=lambda item: item[0])
    ]
    if rows:
        await connection.execute(insert(groups).values(rows).on_conflict_do_nothing())


async def record(connection: AsyncConnection, job_ids: Collection[int]) -> None:
    """Classify those of these jobs that ended in ERROR or WARNING."""
    if job_ids:
        await _classify(connection, jobs.id == any_(literal(list(job_ids), ARRAY(jobs.id.type))))


async def record_left_over(engine: AsyncEngine) -> int:
    """Classify what nobody has, oldest first, in bounded batches of a transaction each. Returns how many jobs that were."""
    total = 0
    for _ in range(BATCHES_OF_A_SWEEP):
        async with engine.begin() as connection:
            classified = await _classify(connection, true())
        total += classified
        if classified < BATCH_JOBS:
            break
    return total


async def _classify(connection: AsyncConnection, which: ColumnElement[bool]) -> int:
    endings = select(jobs.id, jobs.provider, jobs.job_type, cast(jobs.result, Text).label("result"), jobs.status_message, _META)
    rows = (
        await connection.execute(
            endings.where(which, *_UNCLASSIFIED)
            .order_by(jobs.id)
            .limit(BATCH_JOBS)
            .with_for_update(key_share=True, skip_locked=True)
        )
    ).all()
    found = [(row, failure) for row in rows if (failure := classify(_ending(row)))]
    await name_groups(connection, ((row.provider, row.job_type, failure) for row, failure in found))
    await _store(connection, found)
    return len(found)


def _ending(row: AnyRow) -> Ending:
    return Ending(row.job_type, row.result, row.status_message, row.meta)


async def _store(connection: AsyncConnection, found: list[tuple[AnyRow, Failure]]) -> None:
    if not found:
        return
    columns = [[row.id for row, _ in found], *([getattr(failure, name) for _, failure in found] for name in STORED)]
    types = (jobs.id.type, Text(), Text())
    arrays = [literal(column, ARRAY(kind)) for column, kind in zip(columns, types, strict=True)]
    named = func.unnest(*arrays).table_valued("id", *STORED).render_derived(name="named")
    await connection.execute(
        update(jobs)
        .where(jobs.id == named.c.id)
        .values(failure_class=named.c.failure_class, failure_fingerprint=named.c.fingerprint)
    )


def _meta() -> ColumnElement[Any]:
    """Parts of the job's meta that the rules read; as a whole it can be large."""
    meta, stats = jobs.meta, jobs.meta["stats"]

    def parts(meta: Any, *keys: str) -> list[Any]:
        return [part for key in keys for part in (key, meta[key])]

    def first(meta: Any) -> ColumnElement[Any]:
        return func.jsonb_path_query_array(meta, cast("strict $.row_errors[0]", JSONPATH), cast({}, JSONB), True)

    counts = ("row_errors_count", "rows_skipped", "skipped", "total_errors", "without_factor")
    return func.jsonb_strip_nulls(
        func.jsonb_build_object(
            *parts(meta, *_KEYS, *counts),
            *("row_errors", first(meta)),
            *("stats", func.jsonb_build_object(*parts(stats, *counts), "row_errors", first(stats))),
            *("recalculation", func.jsonb_build_object(*parts(meta["recalculation"], "errors", "without_factor"))),
        )
    ).label("meta")


_META = _meta()
