"""All stories of a ledger in the order of time, as the records that are copied into its tables."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from gql_server.db.models import EntityType, JobType, Storage
from gql_server.generate.calendar import Occasion, occasions
from gql_server.generate.drafts import Draft, DraftJob, job_record, pipeline_record, uuid7
from gql_server.generate.stories import ORPHANS, STORIES, not_started, running
from gql_server.generate.story import Story, World
from gql_server.ledger.failures.classify import Failure

ORPHAN_SHARE = 0.075
AUTHORLESS_SHARE = 0.08
LATELY_SHARE = 0.1
SETTLING = timedelta(hours=1)
"""Pipelines that began before this time have ended."""
RETENTION = timedelta(days=30)
UPLOAD_COLUMNS = ("id", "provider", "filename", "size_bytes", "sha256", "created_by", "created_at", "storage", "pruned_at")
ROW_ERROR_COLUMNS = ("job_id", "row", "column", "reason", "value")

Record = tuple[Any, ...]


@dataclass(slots=True)
class LedgerBatch:
    """Records of the four tables. A child may come in a later batch than its parent, never in an earlier one."""

    pipelines: list[Record] = field(default_factory=list[Record])
    uploads: list[Record] = field(default_factory=list[Record])
    jobs: list[Record] = field(default_factory=list[Record])
    row_errors: list[Record] = field(default_factory=list[Record])


class Ledger:
    """Iterate over it once; then `current` are the ids of the jobs that stand for their combination, and `failures` one of each
    cause, by fingerprint."""

    def __init__(self, world: World, pipelines: int, first_job_id: int) -> None:
        self.world = world
        self.pipelines = pipelines
        self.failures: dict[str, tuple[str, str | None, Failure]] = {}
        self._ids = count(first_job_id)
        self._tickets = count()
        self._waiting: list[tuple[datetime, int, Draft]] = []
        self._places: dict[Record, tuple[datetime, int, bool]] = {}

    @property
    def current(self) -> list[int]:
        return sorted(job_id for _, job_id, keeps_place in self._places.values() if keeps_place)

    def batches(self, size: int) -> Iterator[LedgerBatch]:
        """The whole ledger, so many jobs (and more) at a time."""
        batch = LedgerBatch()
        for occasion, tell, is_orphan in self._programme():
            self._release(batch, occasion.at)
            if len(batch.jobs) >= size:
                yield batch
                batch = LedgerBatch()
            story = self._told(occasion, tell, is_orphan)
            self._close(batch, story)
        self._release(batch, None)
        yield batch

    def _programme(self) -> list[tuple[Occasion, Any, bool]]:
        """Stories with their times, oldest first."""
        world, random = self.world, self.world.random
        total = round(self.pipelines / (1 - ORPHAN_SHARE))
        orphans = [True] * (total - self.pipelines) + [False] * self.pipelines
        random.shuffle(orphans)
        tellers = random.choices([*STORIES], [*STORIES.values()], k=total)
        legends = random.choices([*ORPHANS], [*ORPHANS.values()], k=total)
        programme = [
            (self._lately(occasion) if tell in (running, not_started) else occasion, legend if is_orphan else tell, is_orphan)
            for occasion, tell, legend, is_orphan in zip(
                occasions(random, total, world.until - SETTLING), tellers, legends, orphans, strict=True
            )
        ]
        return sorted(programme, key=lambda entry: entry[0].at)

    def _lately(self, occasion: Occasion) -> Occasion:
        """Some of what is not through began in the last hour."""
        if not self.world.chance(LATELY_SHARE):
            return occasion
        at = self.world.until - SETTLING * self.world.random.uniform(0.3, 1)
        return replace(occasion, at=at, year=self.world.until.year)

    def _told(self, occasion: Occasion, tell: Any, is_orphan: bool) -> Story:
        world = self.world
        story = Story(world, occasion, None if is_orphan else uuid7(world.random, occasion.at), legacy=is_orphan)
        if not is_orphan and not world.chance(AUTHORLESS_SHARE):
            story.author = world.authors[min(int(world.random.expovariate(0.3)), len(world.authors) - 1)]
        tell(story)
        return story

    def _close(self, batch: LedgerBatch, story: Story) -> None:
        root = story.jobs[0]
        if story.author is not None:
            root.meta["created_by"] = json.loads(story.author)
        name_and_digest: tuple[object, object] = (None, None)
        if story.upload is not None:
            batch.uploads.append(upload := self._upload(story, *story.upload))
            if root.job.entity_type == EntityType.MODULE_UNIT_SPECIFIC and root.job.job_type == JobType.CSV_INGEST:
                name_and_digest = (upload[2], upload[4])
        if story.pipeline_id is not None:
            batch.pipelines.append(
                pipeline_record(
                    [draft.job for draft in story.jobs],
                    unit=story.unit,
                    file=name_and_digest,
                    owes_aggregation=story.owes_aggregation,
                    created_by=story.author,
                    aborted_at=story.aborted_at,
                )
            )
        for draft in story.jobs:
            heapq.heappush(self._waiting, (draft.job.created_at, next(self._tickets), draft))

    def _release(self, batch: LedgerBatch, until: datetime | None) -> None:
        """Give their ids to all jobs created before that time: in the order of time, whichever pipeline they are of."""
        while self._waiting and (until is None or self._waiting[0][0] < until):
            _, _, draft = heapq.heappop(self._waiting)
            draft.job.id = next(self._ids)
            job = draft.closed()
            if (failure := draft.fails()) is not None:
                self.failures.setdefault(failure.fingerprint, (job.provider, job.job_type, failure))
            batch.jobs.append(job_record(job))
            batch.row_errors += [(job.id, *error) for error in draft.row_errors]
            self._take_place(draft, job)

    def _take_place(self, draft: Draft, job: DraftJob) -> None:
        """Make the job the current one of its combination, as a claim does."""
        if job.started_at is None or job.entity_type == EntityType.MODULE_UNIT_SPECIFIC or job.job_type is None:
            return
        combination = (job.module_type_id, job.data_entry_type_id, job.target_type, job.ingestion_method, job.year)
        before = self._places.get(combination)
        if before is None or before[0] <= job.started_at:
            self._places[combination] = (job.started_at, job.id, draft.keeps_place)

    def _upload(self, story: Story, id: UUID, filename: str) -> Record:
        """The record of a file whose bytes are gone."""
        random, at = self.world.random, story.jobs[0].job.created_at - timedelta(milliseconds=40)
        size, digest = random.randrange(400, 4_000_000), f"{random.getrandbits(256):064x}"
        pruned_at = min(at + RETENTION, self.world.until)
        return (id, self.world.provider, filename, size, digest, story.author, at, Storage.DATABASE.value, pruned_at)
