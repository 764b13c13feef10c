"""The parts of a chain: an ingest, the recalculations it fans out, their aggregation."""

from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import Any

from gql_server.carbon.catalog import entry_types_of
from gql_server.db import dumps
from gql_server.db.models import EntityType, HistoryKind, IngestionMethod, JobResult, JobState, JobType, TargetType
from gql_server.generate import texts
from gql_server.generate.drafts import Draft
from gql_server.generate.story import Story
from gql_server.handlers.results import ROW_ERRORS_KEPT, IngestCounts
from gql_server.worker import RejectedRow

SUCCESS, WARNING, ERROR = JobResult.SUCCESS, JobResult.WARNING, JobResult.ERROR
TARGETS = {JobType.FACTOR_INGEST: TargetType.FACTORS, JobType.REFERENCE_INGEST: TargetType.REFERENCE_DATA}
WHOLE_MODULE = {5: 0.72, 1: 0.5}
"""Share of files about all entry types of a module, where that is not almost all."""


def ingest(story: Story, kind: JobType = JobType.CSV_INGEST, data_entry_type_id: int | None = None) -> Draft:
    """The root that brings data in, claimed, with what it says on the way."""
    random = story.world.random
    values: dict[str, Any] = {
        "data_entry_type_id": data_entry_type_id,
        "target_type": TARGETS.get(kind, TargetType.DATA_ENTRIES),
    }
    values["ingestion_method"] = IngestionMethod.API if kind == JobType.API_INGEST else IngestionMethod.CSV
    if story.unit is not None:
        values |= {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "config": dumps({"unit_institutional_id": story.unit})}
    root = story.submit(kind.value, story.occasion.at, **{key: getattr(value, "value", value) for key, value in values.items()})
    if kind == JobType.API_INGEST:
        root.meta |= {"provider_name": "api", "filters": {"year": story.occasion.year}}
    else:
        story.reads_file(root)
    at = story.claim(root)
    for message in _on_the_way(random, kind):
        root.note(message, at)
    return root


def land(story: Story, root: Draft, inserted: int, skipped: int) -> datetime:
    """The ingest ends as one does of so many good and bad rows."""
    reasons = cycle(texts.reason(story.world.random) for _ in range(min(skipped, 3)))
    kept = range(1, min(skipped, ROW_ERRORS_KEPT) + 1)
    root.row_errors = [(row, "unit_institutional_id", next(reasons), f"L-{row}") for row in kept]
    errors = [RejectedRow(row, reason) for row, _, reason, _ in root.row_errors[:1]]
    tally = IngestCounts(accepted=inserted, rejected=skipped, batches=1 + (inserted + skipped) // 5000, errors=errors)
    return story.finish(root, tally.result, tally.message, **tally.meta)


def fan_out(story: Story, root: Draft, at: datetime) -> list[Draft]:
    """A recalculation for each entry type the root was about."""
    place, wanted = story.occasion, root.job.data_entry_type_id
    entry_types = entry_types_of(place.module_type_id) if wanted is None else (wanted,)
    affected = root.job.affected_module_ids or some_modules(story)
    scope = affected if story.unit is not None else None
    story.owes_aggregation = not story.legacy
    return [
        story.submit(
            JobType.EMISSION_RECALC.value,
            at,
            root,
            data_entry_type_id=entry_type,
            scope_module_ids=scope,
            affected_module_ids=affected,
        )
        for entry_type in entry_types
    ]


def recalculate(story: Story, draft: Draft, at: datetime, result: JobResult = SUCCESS) -> datetime:
    """A recalculation runs when its module is free."""
    random = story.world.random
    began = story.claim(draft, max(at, draft.job.created_at) + timedelta(milliseconds=random.uniform(2, 40)))
    draft.note("Recalculating emissions...", began)
    if result == ERROR:
        draft.job.affected_module_ids = None
        message = texts.unexpected(random)
        return story.finish(draft, ERROR, message, error=f"DBAPIError: {message}")
    done, failed = random.choice((12, 140, 955, 3_200, 15_820)), 0 if result == SUCCESS else random.randint(1, 40)
    complaint = random.choice(texts.COMPLAINTS)
    message = (
        f"{done} recalculated, {failed} failed — first error: {complaint}" if failed else "Emission recalculation completed"
    )
    counts = {
        "recalculated": done,
        "modules_affected": len(draft.job.affected_module_ids or ()),
        "errors": failed,
        "error_details": [{"data_entry_id": random.randrange(10**6), "error": complaint} for _ in range(failed)],
    }
    return story.finish(draft, result, message, recalculation=counts)


def aggregate(story: Story, parent: Draft, at: datetime, result: JobResult = SUCCESS) -> datetime:
    """The aggregation that the recalculations owe."""
    scope = parent.job.affected_module_ids
    aggregation = story.submit(JobType.AGGREGATION.value, at, parent, scope_module_ids=scope)
    story.owes_aggregation = False
    if result == ERROR:
        message = texts.unexpected(story.world.random)
        return story.finish(aggregation, ERROR, message, error=f"DBAPIError: {message}")
    refreshed = 2231 if scope is None else len(scope)
    return story.finish(aggregation, result, "Aggregation completed", modules_refreshed=refreshed, reports_refreshed=refreshed)


def waits(story: Story, draft: Draft) -> None:
    """Leave the job in the queue: unclaimed where nothing else waits for the same, else as one that was recovered."""
    job = draft.job
    scope = (job.job_type, job.module_type_id, job.data_entry_type_id, job.year)
    if scope in story.world.waiting:
        story.claim(draft)
        job.state, job.attempts, job.locked_by, job.locked_at = JobState.NOT_STARTED.value, 1, None, None
        draft.keeps_place = False
        worker, at = story.world.random.choice(story.world.workers), job.started_at or job.created_at
        draft.note(f"Recovered: worker {worker} fell silent", at, HistoryKind.RECOVERED)
    story.world.waiting.add(scope)


def _on_the_way(random: Random, kind: JobType) -> list[str]:
    if kind in (JobType.FACTOR_INGEST, JobType.REFERENCE_INGEST):
        return ["Reading factors"] if kind == JobType.FACTOR_INGEST else ["Reading reference data"]
    total = random.choice((120, 955, 9_555, 50_072))
    lines = 2 if random.random() < 0.9 else random.randint(10, 47)
    parsed = (f"Parsing rows {total * n // lines}/{total} (1 210 rows/s, {100 * n // lines} %)" for n in range(1, lines + 1))
    return ["Starting CSV processing", "Parsing rows", *parsed]


def rows_of_a_file(random: Random, unit: str | None) -> int:
    """Rows of a file."""
    return random.randint(1, 20) if unit is not None else random.choice((100, 412, 955, 3_100, 9_555, 9_555, 50_072))


def some_modules(story: Story) -> list[int]:
    """Report modules that the rows of a file are about: of one unit, of some, of many, now and then of all."""
    world, place = story.world, story.occasion
    modules = world.modules[place.module_type_id, place.year]
    if story.unit is not None:
        return [modules[world.units.index(story.unit) % len(modules)]]
    width = world.random.choices((4, 30, 137, 432, 2231), (55, 30, 11, 3.5, 0.5))[0]
    start = world.random.randrange(max(1, len(modules) - width))
    return modules[start : start + width]


def chain(story: Story, *, failing: bool = False, until: int | None = None) -> tuple[Draft, list[Draft], datetime]:
    """Root, recalculations, aggregation; the root or a recalculation may warn. `failing` ends one of the children in ERROR;
    `until` says how many recalculations have run. Returns the root, the recalculations, and when the last one ended."""
    world, random = story.world, story.world.random
    whole = world.chance(WHOLE_MODULE.get(story.occasion.module_type_id, 0.85))
    entry_type = None if whole else random.choice(entry_types_of(story.occasion.module_type_id))
    kind = random.choices((JobType.CSV_INGEST, JobType.FACTOR_INGEST, JobType.API_INGEST), (78, 14, 8))[0]
    if kind == JobType.CSV_INGEST and world.chance(0.2):
        story.unit = random.choice(world.units)
    root = ingest(story, kind, entry_type)
    root.job.affected_module_ids = [] if kind == JobType.FACTOR_INGEST else some_modules(story)
    skipped = random.choices((0, 1, random.randint(2, 10), random.randint(101, 4_000)), (87, 5, 5, 3))[0]
    rows = rows_of_a_file(random, story.unit)
    at = land(story, root, rows, min(skipped, rows))
    recalcs = fan_out(story, root, at)
    aggregation_fails = failing and world.chance(0.25)
    victim = random.randrange(len(recalcs)) if failing and not aggregation_fails else None
    for number, recalc in enumerate(recalcs[:until]):
        at = recalculate(story, recalc, at, ERROR if number == victim else WARNING if world.chance(0.008) else SUCCESS)
    if until is None:
        aggregate(story, recalcs[-1], at, ERROR if aggregation_fails else SUCCESS)
    return root, recalcs, at
