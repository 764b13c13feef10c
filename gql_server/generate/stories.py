"""Stories of pipelines: the successes, failures and dead ends of real ledgers, one function each, with their shares."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gql_server.carbon.catalog import entry_types_of
from gql_server.carbon.readers import named
from gql_server.db import dumps
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobType, TargetType
from gql_server.generate import texts
from gql_server.generate.chains import aggregate, chain, ingest, land, recalculate, rows_of_a_file, some_modules, waits
from gql_server.generate.drafts import Draft
from gql_server.generate.story import Story

SUCCESS, ERROR = JobResult.SUCCESS, JobResult.ERROR
STAGES = ("fetch_units", "upsert_units_and_users", "create_carbon_reports", "ensure_modules")


def succeeded(story: Story) -> None:
    chain(story)


def amplified(story: Story) -> None:
    """The chain of the predecessor: an aggregation for each recalculation, each of everything."""
    story.legacy = True
    root = ingest(story, JobType.CSV_INGEST)
    at = land(story, root, rows_of_a_file(story.world.random, None), 0)
    recalcs = [
        story.submit(JobType.EMISSION_RECALC.value, at, data_entry_type_id=entry_type)
        for entry_type in (entry_types_of(story.occasion.module_type_id) * 3)[:3]
    ]
    for recalc in recalcs:
        at = recalculate(story, recalc, at)
        aggregate(story, recalc, at)
    if story.world.chance(0.06):
        story.jobs[-1].job.finished_at = None


def alone(story: Story) -> None:
    """A file whose recalculations were waiting elsewhere already, or reference data, or a unit sync: one job."""
    kind = story.world.random.choices(("deduplicated", "reference", "sync"), (65, 27, 8))[0]
    if kind == "sync":
        finish_sync(story, sync(story), len(STAGES))
        return
    root = ingest(story, JobType.REFERENCE_INGEST if kind == "reference" else JobType.CSV_INGEST)
    root.job.affected_module_ids = None if kind == "reference" else some_modules(story)
    land(story, root, rows_of_a_file(story.world.random, None), 0)


def by_hand(story: Story) -> None:
    """Recalculation of a module that a person asks for."""
    config = {"data_entry_type_ids": list(entry_types_of(story.occasion.module_type_id)), "only_stale": False}
    root = story.submit(JobType.MODULE_EMISSION_RECALC.value, story.occasion.at, config=dumps(config))
    at = story.finish(root, SUCCESS, "Module emission recalculation completed", total_recalculated=9_555, total_errors=0)
    aggregate(story, root, at)


def sync(story: Story) -> Draft:
    values: dict[str, Any] = {
        "entity_type": EntityType.GLOBAL_PER_YEAR.value,
        "ingestion_method": IngestionMethod.API.value,
        "target_type": TargetType.REFERENCE_DATA.value,
        "module_type_id": None,
    }
    year = story.occasion.year
    return story.submit(JobType.UNIT_SYNC.value, story.occasion.at, config=dumps({"target_year": year}), **values)


def finish_sync(story: Story, root: Draft, stages: int) -> None:
    """A unit sync that got as far as that stage, counted from 1; it fails in the last one unless that is all of them."""
    at = story.claim(root)
    for stage in STAGES[:stages]:
        root.note(f"{stage.replace('_', ' ').capitalize()}…", at)
    fails = stages < len(STAGES)
    if fails:
        message = 'duplicate key value violates unique constraint "ix_units_institutional_code"'
        at = story.finish(root, ERROR, message, error=f"IntegrityError: {message}")
    else:
        at = story.finish(
            root, SUCCESS, "Unit sync completed", units_synced=2231, users_synced=1312, carbon_report_year=story.occasion.year
        )
    times = {"started_at": root.job.started_at and root.job.started_at.isoformat(), "finished_at": at.isoformat()}
    root.meta["phases"] = [
        {"name": stage, "state": "failed" if fails and number == stages else "finished", **times}
        for number, stage in enumerate(STAGES[:stages], start=1)
    ]


def partial(story: Story) -> None:
    """The data landed; a follow-up failed, or somebody stopped it."""
    if story.world.chance(0.88):
        chain(story, failing=True)
        return
    _, recalcs, at = chain(story, until=0)
    done = story.world.random.randrange(len(recalcs))
    for recalc in recalcs[:done]:
        at = recalculate(story, recalc, at)
    for recalc in recalcs[done:]:
        story.abort(recalc, at + timedelta(seconds=20))


def failed(story: Story) -> None:
    """The data did not land."""
    tell = story.world.random.choices([*FAILURES], [*FAILURES.values()])[0]
    tell(story)


def _all_rows(story: Story) -> None:
    land(story, ingest(story), 0, story.world.random.choice((18, 100, 955, 9_555, 50_072)))


def _lied(story: Story) -> None:
    """Says Success, although every row was rejected."""
    root = ingest(story)
    land(story, root, 0, 50_072)
    root.note("Success", root.job.finished_at or story.occasion.at)


def _too_many_rows(story: Story) -> None:
    """A few rows are good by chance, in a file of another format."""
    rejected = story.world.random.choice((18, 955, 100_000))
    land(story, ingest(story), story.world.random.randint(1, 9), rejected)


def _no_factors(story: Story) -> None:
    entry_types = named(entry_types_of(story.occasion.module_type_id))
    message = f"there are no emission factors of {entry_types} for this year: upload the factors first"
    story.finish(ingest(story), ERROR, message)


def _refused(story: Story) -> None:
    kind = JobType.FACTOR_INGEST if story.world.chance(0.2) else JobType.CSV_INGEST
    story.finish(ingest(story, kind), ERROR, texts.refusal(story.world.random))


def _unreachable(story: Story) -> None:
    root = ingest(story, JobType.API_INGEST)
    code = story.world.random.choice((502, 503, 504))
    story.finish(
        root,
        ERROR,
        f"the source of entries cannot be reached: Server error '{code}' for url 'https://api.example.org/v1/trips'",
    )


def _sync_failed(story: Story) -> None:
    finish_sync(story, sync(story), story.world.random.randint(1, 3))


def _unexpected(story: Story) -> None:
    message = texts.unexpected(story.world.random)
    story.finish(ingest(story), ERROR, message, error=f"DBAPIError: {message}")


def _lost(story: Story) -> None:
    root = ingest(story)
    story.give_up(root)


def _aborted(story: Story) -> None:
    root = ingest(story)
    story.abort(root, (root.job.locked_at or story.occasion.at) + timedelta(seconds=30))


FAILURES: dict[Callable[[Story], None], float] = {
    _all_rows: 30,
    _too_many_rows: 4,
    _lied: 3,
    _no_factors: 16,
    _refused: 19,
    _unreachable: 7,
    _sync_failed: 1,
    _unexpected: 9,
    _lost: 5,
    _aborted: 6,
}


def running(story: Story) -> None:
    """Not through: in its root, among its recalculations, before its aggregation, or stuck with it."""
    random = story.world.random
    where = random.choices(("root", "recalculations", "gate", "aggregation"), (40, 40, 8, 12))[0]
    if where == "root":
        root = ingest(story)
        root.meta["progress"] = {"phase": "inserting", "processed": 4_000, "total": 9_555}
        _hold(story, root)
        return
    _, recalcs, at = chain(story, until=0)
    done = len(recalcs) if where != "recalculations" else random.randrange(len(recalcs))
    for recalc in recalcs[:done]:
        at = recalculate(story, recalc, at)
    if where == "recalculations":
        story.claim(recalcs[done], at)
        recalcs[done].note("Recalculating emissions...", at)
        _hold(story, recalcs[done])
        for recalc in recalcs[done + 1 :]:
            waits(story, recalc)
    elif where == "aggregation":
        story.owes_aggregation = False
        waits(
            story,
            story.submit(JobType.AGGREGATION.value, at, recalcs[-1], scope_module_ids=recalcs[-1].job.affected_module_ids),
        )


def _hold(story: Story, draft: Draft) -> None:
    """The worker is at it now, or fell silent long ago."""
    job = draft.job
    lately = story.world.until - job.created_at < timedelta(hours=2)
    job.locked_at = story.world.until - timedelta(seconds=3) if lately else job.locked_at


def not_started(story: Story) -> None:
    root = story.submit(JobType.CSV_INGEST.value, story.occasion.at, ingestion_method=IngestionMethod.CSV.value)
    story.reads_file(root)
    root.job.status_message = "Job created"


STORIES: dict[Callable[[Story], None], float] = {
    succeeded: 70.0,
    amplified: 3.0,
    alone: 7.2,
    by_hand: 1.0,
    partial: 6.3,
    failed: 10.5,
    running: 1.5,
    not_started: 0.5,
}
"""Shares of pipelines in percent."""


# ── orphans ──


def _legacy_ingest(story: Story) -> None:
    land(story, ingest(story), rows_of_a_file(story.world.random, None), 0)


def _poisoned(story: Story) -> None:
    message = texts.with_traceback(story.world.random, texts.filled(story.world.random, texts.POISONED))
    story.finish(ingest(story), ERROR, message, error=message)


def _stub(story: Story) -> None:
    """A row without a job type: seeded, or a note of work that another job did."""
    draft = story.submit(
        None, story.occasion.at, data_entry_type_id=story.world.random.choice(entry_types_of(story.occasion.module_type_id))
    )
    seeded = story.world.chance(0.5)
    message = "Seeded" if seeded else f"Bulk recalculation via module job {story.world.random.randrange(10**5)}"
    story.finish(draft, SUCCESS, message, **({"seeded": True} if seeded else {}))
    draft.job.attempts, draft.job.locked_by, draft.job.locked_at, draft.job.claimed_by = 0, None, None, None
    draft.history.clear()


ORPHANS: dict[Callable[[Story], None], float] = {_legacy_ingest: 35, _stub: 35, _poisoned: 12, _lied: 9, _all_rows: 9}
